"""Trials with their sites, and organisations with their policies: registered, changed and closed by forms."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import Response

from reporting_pipeline.console import field_labels
from reporting_pipeline.console.deployment import MOST_FIELDS, Form, FormRefused, OwnForm, Parts, Person
from reporting_pipeline.console.forms import Entries, lines_of, number
from reporting_pipeline.console.pages.first_steps import may_register_trials
from reporting_pipeline.console.pages.layout import Page, done_at, opened
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain.access import Action, ResourceKind, reach_of
from reporting_pipeline.domain.omissions import OnOmission
from reporting_pipeline.domain.restatements import OnRestatement
from reporting_pipeline.domain.schedules import known_timezones
from reporting_pipeline.stores import organisations, subscriptions
from reporting_pipeline.usecases.callers import registering
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.callers.shapes.registry import (
    OrganisationAnswer,
    OrganisationChange,
    OrganisationRequest,
    TrialAnswer,
    TrialChange,
    TrialRequest,
)

router = APIRouter(prefix="/console")

A_PAGE = 100
TrialId = Annotated[str, Path(max_length=200)]
OrganisationId = Annotated[str, Path(max_length=200)]


_ORGANISATION_FIELDS = (
    *("id", "name", "timezone", "confirm_after_days", "report_rows"),
    *("report_colour", "report_footer", "mail_subject_prefix", "mail_greeting", "mail_footer"),
)


class TrialForm(Entries):
    """The form of a trial. Sites stand one a line: "701: Site 701, USA"."""

    @classmethod
    def fresh(cls) -> TrialForm:
        names = ("id", "title", "sponsor", "phase", "therapeutic_area", "sites")
        return cls(dict.fromkeys(names, ""))

    @classmethod
    def of(cls, trial: TrialAnswer) -> TrialForm:
        return cls(
            {
                "id": trial.id,
                "title": trial.title,
                "sponsor": trial.sponsor,
                "phase": trial.phase,
                "therapeutic_area": trial.therapeutic_area,
                "sites": "\n".join(f"{site.id}: {site.name}" for site in trial.sites),
            }
        )

    @classmethod
    def posted(cls, form: Form, identifier: str = "") -> TrialForm:
        values: dict[str, Any] = {name: form.text(name) for name in cls.fresh().values}
        values["sites"] = "\n".join(lines_of(values["sites"]))
        return cls({**values, "id": identifier or values["id"]})

    def body(self) -> dict[str, Any]:
        """The fields of the route's body."""
        sites: list[dict[str, str]] = []
        for line in lines_of(self.values["sites"]):
            site, _, name = line.partition(":")
            sites.append({"id": site.strip(), "name": name.strip() or site.strip()})
        return {**self.values, "sites": sites}


class OrganisationForm(Entries):
    """The form of an organisation. Domains and hosts stand one a line."""

    labels = field_labels.ORGANISATION

    @classmethod
    def fresh(cls) -> OrganisationForm:
        standing = {"timezone": organisations.DEFAULT_TIMEZONE, "report_rows": organisations.REPORT_ROWS}
        return cls._of({"id": "", "name": "", **standing, **_policies({})})

    @classmethod
    def of(cls, organisation: OrganisationAnswer) -> OrganisationForm:
        return cls._of(organisation.model_dump(mode="json"))

    @classmethod
    def _of(cls, fields: dict[str, Any]) -> OrganisationForm:
        listed = {name: "\n".join(fields.get(name) or ()) for name in ("allowed_domains", "allowed_hosts")}
        plain = {name: str(fields.get(name) or "") for name in (*_ORGANISATION_FIELDS, *_policies({}))}
        return cls({**plain, **listed})

    @classmethod
    def posted(cls, form: Form, identifier: str = "") -> OrganisationForm:
        values: dict[str, Any] = {name: form.text(name) for name in cls.fresh().values}
        for name in ("allowed_domains", "allowed_hosts"):
            values[name] = "\n".join(lines_of(values[name]))
        return cls({**values, "id": identifier or values["id"]})

    def body(self) -> dict[str, Any]:
        listed = {name: lines_of(self.values[name]) for name in ("allowed_domains", "allowed_hosts")}
        days = number(self.values["confirm_after_days"]) or None
        rows = number(given) if (given := self.values["report_rows"]) else organisations.REPORT_ROWS
        return {**self.values, **listed, "confirm_after_days": days, "report_rows": rows}


def _without_id(body: dict[str, Any]) -> dict[str, Any]:
    """What changes of a record: its id is in the address."""
    return {name: value for name, value in body.items() if name != "id"}


def _policies(record: dict[str, Any]) -> dict[str, str]:
    attachments, on_omission = organisations.policies_of(record)
    on_restatement = organisations.restatement_policy_of(record).value
    content_gate, release = organisations.gate_of(record)
    return {
        "attachments": attachments,
        "on_omission": on_omission.value,
        "on_restatement": on_restatement,
        "content_gate": content_gate.value,
        "release": release.value,
        "sealing": organisations.sealing_of(record),
    }


# --- trials --------------------------------------------------------------------------------------


@router.get("/trials")
def trials_page(
    visitor: Person, parts: Parts, after: Annotated[str, Query(max_length=2_000)] = ""
) -> Response:
    """The trials open to this person, closed ones included."""
    opened(visitor, Action.READ, ResourceKind.TRIAL)
    found = registering.list_trials(parts, visitor.user, A_PAGE, after or None)
    return html(
        "trials.html",
        page=Page(visitor, "/console/trials"),
        found=found.items,
        next_after=found.next_cursor or "",
        may_register=may_register_trials(visitor),
    )


@router.get("/trials/new")
def new_trial_page(visitor: Person) -> Response:
    opened(visitor, Action.CREATE, ResourceKind.TRIAL)
    return _trial_form(visitor, TrialForm.fresh())


@router.post("/trials/new")
def register_trial(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    opened(visitor, Action.CREATE, ResourceKind.TRIAL)
    entries = TrialForm.posted(form)
    status = entries.attempt(
        lambda: registering.register_trial(parts, visitor.user, TrialRequest.model_validate(entries.body()))
    )
    if status != 200:
        return _trial_form(visitor, entries, status=status)
    return done_at(f"/console/trials/{quote(entries.values['id'], safe='')}", "registered")


@router.get("/trials/{trial_id}")
def trial_page(trial_id: TrialId, visitor: Person, parts: Parts) -> Response:
    """One trial; in a form for those who may change it."""
    found = registering.get_trial(parts, visitor.user, trial_id)
    return _trial_form(visitor, TrialForm.of(found), found)


@router.post("/trials/{trial_id}")
def change_trial(trial_id: TrialId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    opened(visitor, Action.CHANGE, ResourceKind.TRIAL)
    standing = registering.get_trial(parts, visitor.user, trial_id)
    shown, entries = TrialForm.of(standing), TrialForm.posted(form, trial_id)
    if form.text("seen") != shown.mark:
        return _trial_form(visitor, entries, standing, status=412, theirs=shown)
    status = entries.attempt(
        lambda: registering.change_trial(
            parts, visitor.user, trial_id, TrialChange.model_validate(_without_id(entries.body()))
        )
    )
    if status != 200:
        return _trial_form(visitor, entries, standing, status=status)
    return done_at(f"/console/trials/{quote(trial_id, safe='')}", "saved")


@router.get("/trials/{trial_id}/close")
def ask_before_closing(trial_id: TrialId, visitor: Person, parts: Parts) -> Response:
    """Say first how many schedules end with it."""
    opened(visitor, Action.DELETE, ResourceKind.TRIAL)
    found = registering.get_trial(parts, visitor.user, trial_id)
    ending = sum(1 for _ in subscriptions.naming_only(parts.database, visitor.user.organisation, [trial_id]))
    return html(
        "close_sure.html", page=Page(visitor, "/console/trials"), what=found, ending=ending, kind="trials"
    )


@router.post("/trials/{trial_id}/close")
def close_trial(trial_id: TrialId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    opened(visitor, Action.DELETE, ResourceKind.TRIAL)
    registering.close_trial(parts, visitor.user, trial_id)
    return done_at(f"/console/trials/{quote(trial_id, safe='')}", "closed")


@router.post("/trials/{trial_id}/reopen")
def reopen_trial(trial_id: TrialId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    opened(visitor, Action.DELETE, ResourceKind.TRIAL)
    registering.reopen_trial(parts, visitor.user, trial_id)
    return done_at(f"/console/trials/{quote(trial_id, safe='')}", "opened")


def _trial_form(
    visitor: Visitor,
    entries: TrialForm,
    standing: TrialAnswer | None = None,
    *,
    status: int = 200,
    theirs: TrialForm | None = None,
) -> Response:
    # Who sees a part of a trial changes nothing that is the whole trial's.
    limited = standing is not None and visitor.user.entitlements.sites_of(standing.id) is not None
    return html(
        "trial.html",
        status,
        page=Page(visitor, "/console/trials"),
        entries=entries,
        standing=standing,
        seen=TrialForm.of(standing).mark if standing else "",
        theirs=theirs,
        may_change=reach_of(visitor.user, Action.CHANGE, ResourceKind.TRIAL) is not None and not limited,
        may_close=reach_of(visitor.user, Action.DELETE, ResourceKind.TRIAL) is not None and not limited,
        may_hand_in=standing is not None
        and not standing.closed_at
        and reach_of(visitor.user, Action.CREATE, ResourceKind.DOCUMENT) is not None,
    )


# --- organisations -------------------------------------------------------------------------------


@router.get("/organisations")
def organisations_page(
    visitor: Person, parts: Parts, after: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Every organisation of the deployment, for the home organisation's admins."""
    _opened_to_home(visitor, parts, Action.READ)
    found = organisations.list_all(parts.database, after or None, A_PAGE + 1)
    return html(
        "organisations.html",
        page=Page(visitor, "/console/people"),
        found=found[:A_PAGE],
        next_after=found[A_PAGE - 1]["_id"] if len(found) > A_PAGE else "",
    )


@router.get("/organisations/new")
def new_organisation_page(visitor: Person, parts: Parts) -> Response:
    _opened_to_home(visitor, parts, Action.CREATE)
    entries = OrganisationForm.fresh()
    if organisations.get(parts.database, visitor.user.organisation) is None:
        entries.values["id"] = visitor.user.organisation  # their own comes first
    return _organisation_form(parts, visitor, entries)


@router.post("/organisations/new")
def register_organisation(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    _opened_to_home(visitor, parts, Action.CREATE)
    entries = OrganisationForm.posted(form)
    status = entries.attempt(
        lambda: registering.register_organisation(
            parts, visitor.user, OrganisationRequest.model_validate(entries.body())
        )
    )
    if status != 200:
        return _organisation_form(parts, visitor, entries, status=status)
    return done_at(f"/console/organisations/{quote(entries.values['id'], safe='')}", "registered")


@router.get("/organisations/{organisation_id}")
def organisation_page(organisation_id: OrganisationId, visitor: Person, parts: Parts) -> Response:
    """One organisation: one's own to read, any in a form for the home organisation's admins."""
    opened(visitor, Action.READ, ResourceKind.ORGANISATION)
    found = registering.get_organisation(parts, visitor.user, organisation_id)
    return _organisation_form(parts, visitor, OrganisationForm.of(found), found)


@router.post("/organisations/{organisation_id}")
def change_organisation(
    organisation_id: OrganisationId, form: OwnForm, visitor: Person, parts: Parts
) -> Response:
    _opened_to_home(visitor, parts, Action.CHANGE)
    standing = registering.get_organisation(parts, visitor.user, organisation_id)
    shown, entries = OrganisationForm.of(standing), OrganisationForm.posted(form, organisation_id)
    if form.text("seen") != shown.mark:
        return _organisation_form(parts, visitor, entries, standing, status=412, theirs=shown)
    status = entries.attempt(
        lambda: registering.change_organisation(
            parts,
            visitor.user,
            organisation_id,
            OrganisationChange.model_validate(_without_id(entries.body())),
        )
    )
    if status != 200:
        return _organisation_form(parts, visitor, entries, standing, status=status)
    return done_at(f"/console/organisations/{quote(organisation_id, safe='')}", "saved")


@router.post("/organisations/{organisation_id}/logo")
async def set_logo(
    organisation_id: OrganisationId, request: Request, visitor: Person, parts: Parts
) -> Response:
    """Put a logo on the organisation's reports, or take it off."""
    _opened_to_home(visitor, parts, Action.CHANGE)
    async with request.form(max_files=1, max_fields=MOST_FIELDS) as data:
        if not visitor.sent_by_us(Form(data).text("csrf")):
            raise FormRefused
        file = data.get("logo")
        off = Form(data).has("off")
        content = await file.read() if isinstance(file, UploadFile) else b""
    return await run_in_threadpool(_take_logo, parts, visitor, organisation_id, None if off else content)


def _take_logo(parts: Context, visitor: Visitor, organisation_id: str, content: bytes | None) -> Response:
    standing = registering.get_organisation(parts, visitor.user, organisation_id)
    try:
        registering.set_logo(parts, visitor.user, organisation_id, content)
    except Problem as problem:
        entries = OrganisationForm.of(standing)
        entries.errors["logo"] = problem.detail
        return _organisation_form(parts, visitor, entries, standing, status=problem.status)
    return done_at(f"/console/organisations/{quote(organisation_id, safe='')}", "saved")


@router.get("/organisations/{organisation_id}/logo.jpg")
def logo_picture(organisation_id: OrganisationId, visitor: Person, parts: Parts) -> Response:
    """The logo as it stands on reports."""
    opened(visitor, Action.READ, ResourceKind.ORGANISATION)
    picture = registering.logo_of(parts, visitor.user, organisation_id)
    return Response(picture, media_type="image/jpeg")


@router.get("/organisations/{organisation_id}/close")
def ask_before_closing_organisation(
    organisation_id: OrganisationId, visitor: Person, parts: Parts
) -> Response:
    _opened_to_home(visitor, parts, Action.CHANGE)
    found = registering.get_organisation(parts, visitor.user, organisation_id)
    ending = subscriptions.count_subscriptions(parts.database, organisation_id)
    return html(
        "close_sure.html",
        page=Page(visitor, "/console/people"),
        what=found,
        ending=ending,
        kind="organisations",
    )


@router.post("/organisations/{organisation_id}/close")
def close_organisation(
    organisation_id: OrganisationId, form: OwnForm, visitor: Person, parts: Parts
) -> Response:
    _opened_to_home(visitor, parts, Action.CHANGE)
    registering.close_organisation(parts, visitor.user, organisation_id)
    return done_at(f"/console/organisations/{quote(organisation_id, safe='')}", "closed")


def _opened_to_home(visitor: Visitor, parts: Context, action: Action) -> None:
    opened(visitor, action, ResourceKind.ORGANISATION)
    if visitor.user.organisation != parts.settings.organisation:
        raise Problem("forbidden", "Only the home organisation of this deployment may do this.")


def _organisation_form(
    parts: Context,
    visitor: Visitor,
    entries: OrganisationForm,
    standing: OrganisationAnswer | None = None,
    *,
    status: int = 200,
    theirs: OrganisationForm | None = None,
) -> Response:
    home = parts.settings.organisation
    return html(
        "organisation.html",
        status,
        page=Page(visitor, "/console/people"),
        entries=entries,
        standing=standing,
        seen=OrganisationForm.of(standing).mark if standing else "",
        theirs=theirs,
        may_change=visitor.user.organisation == home
        and reach_of(visitor.user, Action.CHANGE, ResourceKind.ORGANISATION) is not None,
        may_close=standing is not None and standing.id != home,
        omissions=list(OnOmission),
        restatements=list(OnRestatement),
        timezones=sorted(known_timezones()),
    )
