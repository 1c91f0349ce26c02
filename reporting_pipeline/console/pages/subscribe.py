"""Subscribing and changing a subscription: one form, its dates as they will be, and last time's report."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path
from starlette.responses import PlainTextResponse, Response

from reporting_pipeline.console import parameters
from reporting_pipeline.console.deployment import Form, OwnForm, Parts, Person
from reporting_pipeline.console.pages.arrivals import later_arrival
from reporting_pipeline.console.pages.first_steps import may_register_trials
from reporting_pipeline.console.pages.layout import Page, done_at, opened
from reporting_pipeline.console.pictures import PREVIEW_PAGES, page_as_png
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.console.subscription_form import BUSINESS_DAYS, CADENCES, FORMATS, PRESETS, Wish
from reporting_pipeline.console.wording import DAYS
from reporting_pipeline.domain.access import Action, ResourceKind, User, normal_address, visible_trials
from reporting_pipeline.domain.cron_fields import cron_words
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.masked_recipients import shown
from reporting_pipeline.domain.planning import Planned
from reporting_pipeline.domain.schedules import Schedule, known_timezones, next_occurrences
from reporting_pipeline.domain.subscriptions import Format, Recipient, Subscription
from reporting_pipeline.reports.types.base import ReportType
from reporting_pipeline.stores import subscriptions, suppressions, users
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.usecases.callers import subscribing
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.previewing import preview_draft
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.callers.subscribing import SNAKE
from reporting_pipeline.usecases.preview import NothingToShow, PreviewedReport
from reporting_pipeline.usecases.report_types import offered_to, report_types
from reporting_pipeline.usecases.send_preview import CannotSend, send_to_oneself
from reporting_pipeline.usecases.subscriptions import first_mail

router = APIRouter(prefix="/console")

SubscriptionId = Annotated[str, Path(max_length=64)]
PREVIEWED = 5
CHECKED_AT_MOST = 50


@router.get("/subscribe")
def subscribe_page(visitor: Person, parts: Parts) -> Response:
    opened(visitor, Action.CREATE, ResourceKind.SUBSCRIPTION)
    return _form(parts, visitor, Wish.fresh(visitor))


@router.post("/subscribe")
def subscribe(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Save, or show first what it would have given."""
    opened(visitor, Action.CREATE, ResourceKind.SUBSCRIPTION)
    wish = Wish.posted(form)
    if _filled(form, wish):
        return _form(parts, visitor, wish)
    draft = wish.draft(visitor.user.id)
    if draft is None:
        return _form(parts, visitor, wish, status=422)
    try:
        if _wants_a_look(form):
            return _looked(parts, visitor, wish, draft, form)
        stored = subscribing.create(parts, visitor.user, visitor.user, draft, SNAKE)
    except Problem as problem:
        wish.refuse(problem)
        return _form(parts, visitor, wish, status=problem.status)
    return done_at(f"/console/reports/{stored.id}", "subscribed")


@router.get("/reports/{subscription_id}/change")
def change_page(subscription_id: SubscriptionId, visitor: Person, parts: Parts) -> Response:
    found = subscribing.find(parts, visitor.user, subscription_id, Action.CHANGE)
    return _form(parts, visitor, Wish.of(found, found.owner), found)


@router.post("/reports/{subscription_id}/change")
def change(subscription_id: SubscriptionId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Save against the version that was on the screen: who comes second sees both and chooses."""
    found = subscribing.find(parts, visitor.user, subscription_id, Action.CHANGE)
    wish = Wish.posted(form)
    if _filled(form, wish):
        return _form(parts, visitor, wish, found)
    draft = wish.draft(found.owner)
    if draft is None:
        return _form(parts, visitor, wish, found, status=422)
    if _wants_a_look(form):
        try:
            return _looked(parts, visitor, wish, draft, form, found)
        except Problem as problem:
            wish.refuse(problem)
            return _form(parts, visitor, wish, found, status=problem.status)

    def changes_of(current: Subscription) -> Mapping[str, Any]:
        kept = current.filters.model_copy(
            update={name: getattr(draft.filters, name) for name in ("trials", "sites", "kinds")}
        )
        return {
            "name": draft.name,
            "description": draft.description,
            "report_type": draft.report_type,
            "schedule": draft.schedule,
            "filters": kept,
            "recipients": draft.recipients,
            "format": draft.format,
            "parameters": draft.parameters or {},
        }

    version = int(wish.values["version"]) if wish.values["version"].isdecimal() else None
    try:
        subscribing.change(parts, visitor.user, subscription_id, version, changes_of, SNAKE)
    except Problem as problem:
        if problem.slug == "precondition-failed":
            current = subscribing.find(parts, visitor.user, subscription_id, Action.CHANGE)
            theirs = Wish.of(current, current.owner)
            wish.values["version"] = str(current.version)
            return _form(parts, visitor, wish, current, status=412, theirs=theirs)
        wish.refuse(problem)
        return _form(parts, visitor, wish, found, status=problem.status)
    return done_at(f"/console/reports/{subscription_id}", "saved")


def _filled(form: Form, wish: Wish) -> bool:
    """Whether the button pressed was one that fills in a part of the form."""
    if form.text("preset") in PRESETS:
        wish.fill(form.text("preset"))
    elif form.has("build"):
        wish.build()
    else:
        wish.follow()
        return False
    return True


@router.post("/subscribe/expression")
def built_expression(form: OwnForm, visitor: Person) -> Response:
    """The expression of the builder's fields as text, for the script; 422 with what is wrong with them."""
    wish = Wish.posted(form)
    wish.build()
    wrong = wish.errors.get("built_dates")
    return PlainTextResponse(wrong or wish.values["cron_expression"], 422 if wrong else 200)


@router.post("/subscribe/builder")
def fields_of_expression(form: OwnForm, visitor: Person) -> Response:
    """The builder's fields of the expression as it is typed, as a part of the page, for the script."""
    wish = Wish.posted(form)
    wish.follow()
    return html("builder.html", wish=wish)


@router.post("/subscribe/recipients")
def checked_recipients(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Who would get it and who could not, as a part of a page, for the script."""
    return html("recipients.html", checked=_checked(parts, visitor, Wish.posted(form)))


def _checked(parts: Context, visitor: Visitor, wish: Wish) -> list[tuple[str, str, str]]:
    """(recipient as typed, tone, what is to be said) of each line, before anything is saved.

    By the same function as what is saved is checked with: who may not have it is told so here.
    """
    if not wish.values["recipients"]:
        return []
    organisation = visitor.user.organisation
    chosen = wish.recipients(visitor.user.id)[:CHECKED_AT_MOST]
    filters = wish.filters()
    trials = users.trials_of(parts.database, organisation, filters.trials)
    refused = dict(subscribing.refused_recipients(parts, visitor.user, visitor.user, filters, chosen, trials))
    addresses = [_address(parts, organisation, one) for one in chosen]
    held = suppressions.suppressed_among(
        parts.database, [(organisation, address) for address in addresses if address]
    )
    found = []
    for position, (one, address) in enumerate(zip(chosen, addresses, strict=True)):
        decision = refused.get(position)
        reason = held.get((organisation, address)) if address else None
        if decision is not None:
            found.append((shown(one.value), "bad", decision.reason))
        elif reason is not None:
            found.append((shown(one.value), "odd", f"mails to it are held back: {reason}"))
        else:
            found.append((shown(one.value), "good", "may get it"))
    return found


def _address(parts: Context, organisation: str, one: Recipient) -> str | None:
    if one.type == "user":
        user = users.get_user(parts.database, one.value, organisation)
        return user.email if user else None
    if one.type != "email":
        return None
    try:
        return normal_address(one.value)
    except ValueError:
        return None


@router.post("/subscribe/dates")
def preview_dates(form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """The next dates of the form as a part of a page, for the script."""
    wish = Wish.posted(form)
    return html(
        "dates.html",
        dates=_dates(parts, wish),
        **_first(parts, visitor, wish, None if wish.values["version"] else _first_mail(parts, visitor, wish)),
        now=parts.now,
        wish=wish,
        sentence=_sentence(wish),
        page=Page(visitor, ""),
    )


def _dates(parts: Context, wish: Wish) -> list[tuple[datetime, str]]:
    """(due time in UTC, what moved it) of the next five, from the function that plans them."""
    schedule = wish.schedule()
    if schedule is None:
        return []
    found = []
    zone = ZoneInfo(schedule.timezone)
    offset = parts.now.astimezone(zone).utcoffset()
    for one in next_occurrences(schedule, parts.now, PREVIEWED):
        note = one.note
        local = one.due_at.astimezone(zone)
        if local.utcoffset() != offset and not note:
            note = "the clocks change before this one"
        offset = local.utcoffset()
        found.append((one.due_at, note))
    return found


def _sentence(wish: Wish) -> str:
    """What the cron expression of the form says; "" for another cadence or one that says nothing."""
    if wish.values["cadence"] != "cron" or "cron_expression" in wish.errors:
        return ""
    return cron_words(wish.values["cron_expression"]) if wish.values["cron_expression"] else ""


def _first_mail(parts: Context, visitor: Visitor, wish: Wish) -> Planned | None:
    """What comes first, once it is saved: a report of the time before it, as the planner has it."""
    schedule = wish.schedule()
    if schedule is None:
        return None
    return first_mail(_draft_of(visitor, schedule, parts.now), parts.now, parts.settings.timezone)


def _first(parts: Context, visitor: Visitor, wish: Wish, planned: Planned | None) -> dict[str, Any]:
    """`first` of a page, and `later` where it would be empty while documents came after its period."""
    if planned is None:
        return {"first": None, "later": None}
    later = later_arrival(parts, visitor, planned.period, wish.filters(), wish.values["report_type"])
    return {"first": planned, "later": later}


def _draft_of(visitor: Visitor, schedule: Schedule, now: datetime, **more: Any) -> Subscription:
    """A subscription of this person that is kept nowhere."""
    return Subscription(
        **{
            "id": subscriptions.new_subscription_id(),
            "organisation": visitor.user.organisation,
            "owner": visitor.user.id,
            "name": "preview",
            "schedule": schedule,
            "recipients": (Recipient(type="user", value=visitor.user.id),),
            "created_at": now,
            "updated_at": now,
            **more,
        }
    )


def _wants_a_look(form: OwnForm) -> bool:
    return any(form.has(name) for name in ("look", "look_now", "send_to_me"))


def _looked(
    parts: Context,
    visitor: Visitor,
    wish: Wish,
    draft: subscribing.Draft,
    form: OwnForm,
    standing: Subscription | None = None,
) -> Response:
    """The form again, with the report of the newest closed period below it, or of the one that is still open,
    or mailed to who asks."""
    send, early = form.has("send_to_me"), form.has("look_now")
    if send or early:
        parts.limits.run_now(visitor.user.id)
    now, settings = parts.now, parts.settings
    made_in = draft.format if send else Format.PDF  # a picture is what can be looked at here
    try:
        shown = preview_draft(parts, visitor.user, draft, made_in, SNAKE, preliminary=early)
    except NothingToShow as nothing:
        return _form(parts, visitor, wish, standing, nothing=str(nothing))
    if send:
        try:
            address = send_to_oneself(parts.database, settings, shown, draft.name, visitor.user, now)
        except CannotSend as reason:
            return _form(parts, visitor, wish, standing, nothing=str(reason))
        return _form(parts, visitor, wish, standing, nothing=f"Sent to {address}, and to nobody else.")
    return _form(parts, visitor, wish, standing, shown=shown)


def _form(
    parts: Context,
    visitor: Visitor,
    wish: Wish,
    standing: Subscription | None = None,
    *,
    status: int = 200,
    theirs: Wish | None = None,
    shown: PreviewedReport | None = None,
    nothing: str = "",
) -> Response:
    records = users.trials_of(parts.database, visitor.user.organisation)
    visible = set(visible_trials(visitor.user, records))
    owner = users.get_user(parts.database, standing.owner, standing.organisation) if standing else None
    reader = owner or visitor.user
    trials: list[Record] = [record for record in records if record["_id"] in visible]
    return html(
        "subscribe.html",
        status,
        page=Page(visitor, "/console/" if standing else "/console/subscribe"),
        wish=wish,
        standing=standing,
        theirs=theirs,
        trials=trials,
        may_register=may_register_trials(visitor),
        kinds=list(Kind),
        report_types=_types(reader, wish.values["report_type"]),
        of_one_person=reader.entitlements.own_record_only,
        options=parameters.options(),
        cadences=CADENCES,
        business_days=BUSINESS_DAYS,
        days=DAYS,
        formats=FORMATS,
        timezones=sorted(known_timezones()),
        dates=_dates(parts, wish),
        **_first(parts, visitor, wish, None if standing else _first_mail(parts, visitor, wish)),
        now=parts.now,
        sentence=_sentence(wish),
        presets=PRESETS,
        checked=_checked(parts, visitor, wish),
        shown=shown,
        pictures=_pictures(shown),
        nothing=nothing,
    )


def _types(reader: User, chosen: str) -> dict[str, ReportType]:
    """What is offered, and what is chosen already."""
    return {
        name: kind
        for name, kind in report_types().items()
        if name in offered_to(reader.entitlements) or name == chosen
    }


def _pictures(shown: PreviewedReport | None) -> list[str]:
    """The first pages as data of the page itself: a preview is kept nowhere."""
    if shown is None:
        return []
    pages = range(1, min(shown.report.pages, PREVIEW_PAGES) + 1)
    return [
        "data:image/png;base64," + b64encode(page_as_png(shown.report.content, n)).decode() for n in pages
    ]
