"""One person: who they are, what they may do and see; added and changed by one form."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path
from pydantic import ValidationError
from starlette.responses import Response

from reporting_pipeline.console import field_labels
from reporting_pipeline.console.deployment import Form, OwnForm, Parts, Person
from reporting_pipeline.console.forms import Entries, as_lines, named_lists, number
from reporting_pipeline.console.pages.layout import Page, done_at, opened
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain.access import Action, ResourceKind, Role, User, reach_of, visible_trials
from reporting_pipeline.domain.entitlements import ALL, Audience
from reporting_pipeline.domain.own_records import person_shown
from reporting_pipeline.domain.schedules import known_timezones
from reporting_pipeline.reports.types import LANGUAGES
from reporting_pipeline.stores import users
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.people import find_user, replace_person
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.callers.shapes.people import UserRequest

router = APIRouter(prefix="/console")

UserId = Annotated[str, Path(max_length=64)]
#: What people change of themselves; the rest is given by others.
OWN_FIELDS = ("name", "email", "timezone", "language", "combine_minutes")
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_:\-]*(\.[0-9A-Za-z_:\-]+)*", re.ASCII)


class PersonForm(Entries):
    """The form of a person."""

    labels = field_labels.PERSON

    @classmethod
    def fresh(cls, visitor: Visitor) -> PersonForm:
        return cls(
            {
                "id": "",
                "name": "",
                "email": "",
                "roles": (Role.SUBSCRIBER.value,),
                "all_trials": "",
                "trials": (),
                "sites": "",
                "audience": visitor.user.entitlements.audience.value,
                "subject": "",
                "timezone": visitor.user.timezone,
                "language": "",
                "combine_minutes": "",
                "active": "1",
            }
        )

    @classmethod
    def of(cls, user: User) -> PersonForm:
        own = user.entitlements
        return cls(
            {
                "id": user.id,
                "name": user.name,
                "email": user.email_asked or user.email,
                "roles": tuple(sorted(user.roles)),
                "all_trials": "1" if own.trials == ALL else "",
                "trials": () if own.trials == ALL else tuple(sorted(own.trials)),
                "sites": as_lines(sorted(own.sites.items())),
                "audience": own.audience.value,
                "subject": own.subject,
                "timezone": user.timezone,
                "language": user.language,
                "combine_minutes": str(user.combine_minutes or ""),
                "active": "1" if user.active else "",
            }
        )

    @classmethod
    def posted(cls, form: Form, standing: PersonForm | None, whole: bool) -> PersonForm:
        """What was sent; where only some fields are theirs to change, the others as they stand."""
        values: dict[str, Any] = {
            **{name: form.text(name) for name in ("id", "name", "email", "sites", "subject", "timezone")},
            **{name: form.text(name) for name in ("audience", "all_trials", "active", "language")},
            "combine_minutes": form.text("combine_minutes"),
            "roles": tuple(sorted(form.all("roles"))),
            "trials": tuple(sorted(form.all("trials"))),
        }
        # Line ends as browsers send them are not a change.
        values["sites"] = "\n".join(values["sites"].splitlines())
        if standing is not None:
            values["id"] = standing.values["id"]
            if not whole:
                values = {**standing.values, **{name: values[name] for name in OWN_FIELDS}}
        return cls(values)

    def request(self) -> UserRequest | None:
        """As the route takes it; None, and errors by field, when it is none."""
        try:
            sites = named_lists(self.values["sites"])
        except ValueError as error:
            self.errors["sites"] = str(error)
            return None
        named = ("name", "email", "roles", "subject", "audience", "timezone", "language")
        try:
            return UserRequest.model_validate(
                {
                    **{name: self.values[name] for name in named},
                    "combine_minutes": number(self.values["combine_minutes"]) or 0,
                    "trials": ALL if self.values["all_trials"] else self.values["trials"],
                    "sites": sites,
                    "active": bool(self.values["active"]),
                }
            )
        except ValidationError as error:
            self.refuse_invalid(error)
            return None

    def field_of(self, pointer: str) -> str:
        # Rights are told as one thing where they are given as several.
        return "trials" if pointer == "#/entitlements" else super().field_of(pointer)


@router.get("/people/new")
def new_person_page(visitor: Person, parts: Parts) -> Response:
    opened(visitor, Action.CREATE, ResourceKind.USER)
    return _form(parts, visitor, PersonForm.fresh(visitor))


@router.post("/people/new")
def add_person(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Add a person; an id is given by the deployment where none is chosen."""
    opened(visitor, Action.CREATE, ResourceKind.USER)
    entries = PersonForm.posted(form, None, whole=True)
    wanted = entries.values["id"] or users.new_user_id()
    if len(wanted) > 64 or not _ID.fullmatch(wanted):
        entries.errors["id"] = "letters, digits, _ : - and single dots within, 64 characters at most"
    elif users.get_user(parts.database, wanted) is not None:
        entries.errors["id"] = "this id is taken; choose another, or leave it empty"
    body = entries.request()
    if body is None or entries.errors:
        return _form(parts, visitor, entries, status=422)
    return _saved(parts, visitor, entries, wanted, body, None)


@router.get("/people/{user_id}")
def person_page(user_id: UserId, visitor: Person, parts: Parts) -> Response:
    """One person as they stand; for those who may change them, in a form."""
    found = person_shown(visitor.user, find_user(parts, visitor.user, user_id, Action.READ))
    return _form(parts, visitor, PersonForm.of(found), found)


@router.post("/people/{user_id}")
def change_person(user_id: UserId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Save against what was on the screen: who comes second sees both and chooses."""
    standing = person_shown(visitor.user, find_user(parts, visitor.user, user_id, Action.CHANGE))
    shown = PersonForm.of(standing)
    entries = PersonForm.posted(form, shown, _changes_all(visitor))
    if form.text("seen") != shown.mark:
        return _form(parts, visitor, entries, standing, status=412, theirs=shown)
    body = entries.request()
    if body is None:
        return _form(parts, visitor, entries, standing, status=422)
    return _saved(parts, visitor, entries, user_id, body, standing)


def _saved(
    parts: Context,
    visitor: Visitor,
    entries: PersonForm,
    user_id: str,
    body: UserRequest,
    standing: User | None,
) -> Response:
    try:
        replace_person(parts, visitor.user, user_id, body)
    except Problem as problem:
        if problem.slug == "conflict":
            entries.errors["email"] = problem.detail
        entries.refuse(problem)
        return _form(parts, visitor, entries, standing, status=problem.status)
    done = "saved" if standing else "added"
    return done_at(f"/console/people/{quote(user_id, safe='')}", done)


def _changes_all(visitor: Visitor) -> bool:
    return reach_of(visitor.user, Action.CHANGE, ResourceKind.USER) == "organisation"


def _form(
    parts: Context,
    visitor: Visitor,
    entries: PersonForm,
    standing: User | None = None,
    *,
    status: int = 200,
    theirs: PersonForm | None = None,
) -> Response:
    records = users.trials_of(parts.database, visitor.user.organisation)
    seen = set(visible_trials(visitor.user, records))
    # What they have already stands there, too, else saving would take it away unseen; of what is not open to
    # the visitor no more than its id.
    held = set(PersonForm.of(standing).values["trials"]) if standing else set()
    trials = [
        record if record["_id"] in seen else {"_id": record["_id"]}
        for record in records
        if record["_id"] in seen | held
    ]
    return html(
        "person.html",
        status,
        page=Page(visitor, "/console/people" if _changes_all(visitor) else ""),
        entries=entries,
        standing=standing,
        seen=PersonForm.of(standing).mark if standing else "",
        theirs=theirs,
        whole=_changes_all(visitor),
        own=standing is not None and standing.id == visitor.user.id,
        trials=trials,
        roles=[role.value for role in Role],
        audiences=list(Audience),
        timezones=sorted(known_timezones()),
        languages=list(LANGUAGES.items()),
    )
