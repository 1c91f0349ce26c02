"""What creating and changing a subscription takes, whichever vocabulary asked: checks, store, audit.

The rules themselves are in `domain` (schedules, access), the deeds in `usecases.subscriptions`; this
module asks them in order and turns a refusal into a problem that names the field. Both
`routes.subscriptions` and `routes.scheduled_reports` stand on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import itemgetter
from typing import Any

from pydantic import ValidationError

from reporting_pipeline.domain.access import (
    Action,
    Decision,
    Resource,
    ResourceKind,
    User,
    outside_trials,
    visible_trials,
)
from reporting_pipeline.domain.entitlements import Extent, refusal
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.domain.masked_recipients import restored
from reporting_pipeline.domain.schedules import Schedule, next_occurrences
from reporting_pipeline.domain.subscriptions import CatchUp, Filters, Format, Recipient, Subscription
from reporting_pipeline.domain.wrong_values import words_of
from reporting_pipeline.stores import lifecycle, quotas, subscriptions, users
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.stores.subscriptions import SubscriptionEnded, SubscriptionMissing, VersionConflict
from reporting_pipeline.usecases import subscriptions as usecase
from reporting_pipeline.usecases.callers.context import Context, require, scoped
from reporting_pipeline.usecases.callers.problems import (
    FieldError,
    Problem,
    checked_lines,
    invalid,
    not_found,
)
from reporting_pipeline.usecases.report_types import (
    ParametersInvalid,
    checked_parameters,
    is_for,
    report_types,
    understood_by,
)

_TRIES = 8


@dataclass(frozen=True)
class Pointers:
    """Where the parts of a subscription stand in a vocabulary's body."""

    trials: str
    sites: str
    recipients: str
    schedule: str
    owner: str


CAMEL = Pointers("#/filters/trials", "#/filters/sites", "#/recipients", "#/schedule", "#/userId")
SNAKE = Pointers(
    "#/report_parameters/trials",
    "#/report_parameters/sites",
    "#/recipients",
    "#/schedule_config",
    "#/owner",
)


@dataclass(frozen=True)
class Draft:
    """A subscription before it has an id and an owner."""

    name: str
    schedule: Schedule
    filters: Filters
    recipients: tuple[Recipient, ...]
    description: str = ""
    report_type: str = "trial_activity"
    format: Format = Format.PDF
    parameters: Mapping[str, Any] | None = None
    catch_up: CatchUp = CatchUp.LATEST
    lateness_hours: int | None = None
    allow_duplicate: bool = False  # beside one of the same owner that asks for the same


def owner_of(deployment: Context, caller: User, user_id: str, action: Action, pointers: Pointers) -> User:
    """The user a subscription is for: the caller, or another of the organisation when roles allow it."""
    resource = Resource(ResourceKind.SUBSCRIPTION, caller.organisation, owner=user_id)
    require(caller, action, resource, "user")
    owner = (
        caller if user_id == caller.id else users.get_user(deployment.database, user_id, caller.organisation)
    )
    if owner is None or not owner.active:
        raise Problem(
            "validation",
            "There is no such active user.",
            [FieldError(pointers.owner, "there is no such active user in your organisation")],
        )
    return owner


def find(
    deployment: Context,
    caller: User,
    subscription_id: str,
    action: Action = Action.READ,
    *,
    also_ended: bool = False,
) -> Subscription:
    """The subscription when the caller may do `action` to it; otherwise a 404 or 403.

    `also_ended` for its history, which stays readable.
    """
    found = scoped(deployment, caller).subscription(subscription_id)
    if found is None or (found.status == "ended" and not also_ended):
        raise not_found("subscription")
    require(caller, action, resource_of(found, caller.id), "subscription")
    return found


def resource_of(found: Subscription, caller_id: str) -> Resource:
    """What the rights of this caller to it are asked of."""
    # The owner sees their own subscription even when a trial was withdrawn: only they can mend it.
    trials = () if found.owner == caller_id else found.filters.trials
    extent = Extent({trial: found.filters.sites or None for trial in trials}, rows_alone=True)
    return Resource(ResourceKind.SUBSCRIPTION, found.organisation, owner=found.owner, extent=extent)


def subscription_of(
    draft: Draft, owner: User, parameters: dict[str, Any], by: str, now: datetime
) -> Subscription:
    """A draft as the new subscription that it asks for. `parameters` are checked ones; `by` made it."""
    return Subscription(
        id=subscriptions.new_subscription_id(),
        organisation=owner.organisation,
        owner=owner.id,
        name=draft.name,
        description=draft.description,
        report_type=draft.report_type,
        filters=draft.filters,
        schedule=draft.schedule,
        recipients=draft.recipients,
        format=draft.format,
        parameters=parameters,
        catch_up=draft.catch_up,
        lateness_hours=draft.lateness_hours,
        created_at=now,
        created_by=by,
        updated_at=now,
    )


def create(deployment: Context, caller: User, owner: User, draft: Draft, pointers: Pointers) -> Subscription:
    """Check and store a new subscription."""
    require(
        caller, Action.CREATE, Resource(ResourceKind.SUBSCRIPTION, owner.organisation, owner=owner.id), "user"
    )
    checked_lines(draft.description, "#/description")
    parameters = check_report_type(draft.report_type, draft.parameters or {}, owner)
    check(deployment, caller, owner, draft.filters, draft.recipients, pointers)
    _check_dates(deployment, draft.schedule, pointers)
    now = deployment.now
    fresh = subscription_of(draft, owner, parameters, caller.id, now)
    before = _take_place(deployment, fresh, allow_duplicate=draft.allow_duplicate)
    try:
        if not draft.allow_duplicate:
            # After the place: whoever had theirs before is stored, or in `before`.
            _refuse_duplicate(deployment, fresh, before)
        return usecase.subscribe(deployment.database, deployment.settings, fresh, caller.id, now)
    except BaseException:
        place = quotas.SubscriptionPlace(fresh.organisation, fresh.owner, fresh.id)
        if subscriptions.get_subscription(deployment.database, fresh.organisation, fresh.id) is None:
            quotas.give_back(deployment.database, place)
        raise


def change(
    deployment: Context,
    caller: User,
    subscription_id: str,
    expected_version: int | None,
    changes_of: Callable[[Subscription], Mapping[str, Any]],
    pointers: Pointers,
) -> Subscription:
    """Apply `changes_of(what stands)`. With `expected_version`, only to that version (else 412).

    Without one the change is made to whatever stands at that moment: it is worked out again when
    another change came between.
    """
    for _ in range(_TRIES):
        current = find(deployment, caller, subscription_id, Action.CHANGE)
        if expected_version is not None and current.version != expected_version:
            raise changed_meanwhile(current)
        owner = owner_of(deployment, caller, current.owner, Action.CHANGE, pointers)
        changes = dict(changes_of(current))
        if "recipients" in changes:
            changes["recipients"] = restored(changes["recipients"], current.recipients)
        if not changes:
            return current
        checked_lines(changes.get("description", ""), "#/description")
        _check_pause(deployment, current, changes)
        if changes.get("schedule", current.schedule) != current.schedule:
            _check_dates(deployment, changes["schedule"], pointers)
        if "report_type" in changes or "parameters" in changes:
            kind = changes.get("report_type", current.report_type)
            kept = changes.get("parameters", understood_by(kind, current.parameters))
            changes["parameters"] = check_report_type(kind, kept, owner)
        check(
            deployment,
            caller,
            owner,
            changes.get("filters", current.filters),
            # Wider filters are asked of those who stand, too.
            changes.get("recipients", current.recipients if "filters" in changes else ()),
            pointers,
        )
        try:
            return usecase.change(
                deployment.database, deployment.settings, current, changes, caller.id, deployment.now
            )
        except VersionConflict as conflict:
            if expected_version is not None:
                raise changed_meanwhile(conflict.current) from None
            continue
        except (SubscriptionMissing, SubscriptionEnded):
            raise not_found("subscription") from None
        except ValidationError as error:
            raise schedule_problem(error, pointers) from None
    raise Problem("conflict", "Others change this subscription at the same time; try again.")


def transfer(deployment: Context, caller: User, subscription_id: str, owner: User) -> Subscription:
    """Give a subscription to another owner, also one whose owner has left.

    Who had it is replaced among its recipients. Refuses (422) an owner to whom its trials are not open.
    """
    resource = Resource(ResourceKind.SUBSCRIPTION, owner.organisation, owner=owner.id)
    require(caller, Action.CREATE, resource, "user")  # nobody pushes their own onto somebody else
    for _ in range(_TRIES):
        current = find(deployment, caller, subscription_id, Action.CHANGE)
        if current.owner == owner.id:
            return current
        recipients = _passed_on(current, owner)
        check(deployment, caller, owner, current.filters, recipients, SNAKE)
        check_report_type(current.report_type, current.parameters, owner)
        try:
            return _give(deployment, caller, current, owner, recipients)
        except VersionConflict:
            continue
        except (SubscriptionMissing, SubscriptionEnded):
            raise not_found("subscription") from None
        except quotas.Moving:
            break
    raise Problem("conflict", "Others change this subscription at the same time; try again.")


def _give(
    deployment: Context,
    caller: User,
    current: Subscription,
    owner: User,
    recipients: tuple[Recipient, ...],
) -> Subscription:
    """Change the owner of `current`, for whom a place is taken first. Raises Problem (429) without one."""
    most = deployment.settings.subscriptions_per_user
    place = quotas.SubscriptionPlace(current.organisation, owner.id, current.id)
    changes = {"owner": owner.id, "recipients": recipients}
    try:
        quotas.take_owners_place(deployment.database, place, most, deployment.now)
    except quotas.QuotaFull:
        raise Problem("quota-exceeded", f"A user may have {most} subscriptions.", quota=most) from None
    try:
        return usecase.change(
            deployment.database, deployment.settings, current, changes, caller.id, deployment.now
        )
    finally:
        quotas.give_owners_place_back(deployment.database, place)


def _passed_on(current: Subscription, owner: User) -> tuple[Recipient, ...]:
    old, new = (Recipient(type="user", value=one) for one in (current.owner, owner.id))
    return tuple(dict.fromkeys(new if one == old else one for one in current.recipients))


def set_status(
    deployment: Context,
    caller: User,
    subscription_id: str,
    status: str,
    expected_version: int | None,
    until: date | None = None,
) -> Subscription:
    """Pause, for good or until a day, or resume."""
    current = find(deployment, caller, subscription_id, Action.CHANGE)
    if expected_version is not None and current.version != expected_version:
        raise changed_meanwhile(current)
    database, now = deployment.database, deployment.now
    try:
        if status == "paused":
            return usecase.pause(database, current, caller.id, now, expected_version, until)
        return usecase.resume(database, deployment.settings, current, caller.id, now, expected_version)
    except VersionConflict as conflict:  # a ValueError, too
        raise changed_meanwhile(conflict.current) from None
    except (SubscriptionMissing, SubscriptionEnded):
        raise not_found("subscription") from None
    except ValueError as error:
        raise invalid("#/until", str(error)) from None


def confirm(deployment: Context, caller: User, subscription_id: str) -> Subscription:
    """Note that it is still needed, by whoever may change it."""
    current = find(deployment, caller, subscription_id, Action.CHANGE)
    try:
        return usecase.confirm(deployment.database, current, caller.id, deployment.now)
    except VersionConflict as conflict:
        raise changed_meanwhile(conflict.current) from None
    except (SubscriptionMissing, SubscriptionEnded):
        raise not_found("subscription") from None


def end(deployment: Context, caller: User, subscription_id: str, expected_version: int | None) -> None:
    """Unsubscribe and remove what is scheduled."""
    current = find(deployment, caller, subscription_id, Action.DELETE)
    if expected_version is not None and current.version != expected_version:
        raise changed_meanwhile(current)
    try:
        usecase.end(deployment.database, current, caller.id, deployment.now, expected_version)
    except VersionConflict as conflict:
        raise changed_meanwhile(conflict.current) from None
    except (SubscriptionMissing, SubscriptionEnded):
        raise not_found("subscription") from None


def run_now(deployment: Context, caller: User, subscription_id: str, period: str | None = None) -> JobRecord:
    """A job of the newest closed period, or of `period`, ahead of the batch; 409 when one is running."""
    subscription = find(deployment, caller, subscription_id, Action.RUN)
    if subscription.status != "active":
        raise Problem("conflict", "The subscription is paused; resume it first.")
    deployment.limits.run_now(caller.id)
    try:
        return usecase.run_now(
            deployment.database, deployment.settings, subscription, caller.id, deployment.now, period
        )
    except lifecycle.NotActive:
        raise not_found("subscription") from None  # it ended while this was asked
    except lifecycle.AlreadyRunning as running:
        standing = running.job["_id"]
        raise Problem("already-running", f"Job {standing} is under way.", job=standing) from None
    except (ValueError, OverflowError) as error:
        raise invalid("#/period", str(error)) from None


def next_run(deployment: Context, subscription: Subscription) -> datetime | None:
    """When it is due next (UTC); None while it is paused."""
    return subscriptions.next_due_at(subscription, deployment.now)


# --- checks ------------------------------------------------------------------------------------


def check(
    deployment: Context,
    caller: User,
    owner: User,
    filters: Filters,
    recipients: Sequence[Recipient],
    pointers: Pointers,
) -> None:
    """Refuse (422) trials, sites and recipients that the subscription may not have."""
    trials = users.trials_of(deployment.database, owner.organisation, filters.trials)
    found = _wrong_trials(caller, owner, filters, trials, pointers) or _wrong_sites(
        owner, filters, trials, pointers
    )
    for position, decision in refused_recipients(deployment, caller, owner, filters, recipients, trials):
        found.append(FieldError(f"{pointers.recipients}/{position}/value", decision.reason))
    if found:
        raise Problem("validation", f"{found[0].pointer}: {found[0].detail}", found)


def refused_recipients(
    deployment: Context,
    caller: User,
    owner: User,
    filters: Filters,
    recipients: Sequence[Recipient],
    trials: Sequence[Record],
) -> list[tuple[int, Decision]]:
    """(position, refusal) of those who cannot be recipients, and of those whom no report would be sent to.

    `trials` are the records of those that the filters name, or all of the organisation's.
    """
    refused = dict(
        users.check_recipients(
            # Both were read for this request and are active.
            deployment.database,
            owner.organisation,
            recipients,
            active_ids={caller.id, owner.id},
        )
    )
    without_right = dict(_without_right(deployment, owner, filters, recipients, trials))
    return sorted((without_right | refused).items(), key=itemgetter(0))


def _check_dates(deployment: Context, schedule: Schedule, pointers: Pointers) -> None:
    """Refuse (422) a schedule that has ended: it would be kept and never send anything."""
    if schedule.ends_on is not None and not next_occurrences(schedule, deployment.now, 1):
        field = _spelled("ends_on", pointers)
        raise invalid(
            f"{pointers.schedule}/{field}", "nothing is due until then any more; choose a later date"
        )


def _refuse_duplicate(deployment: Context, fresh: Subscription, before: str | None = None) -> None:
    """Refuse (409) what the owner has already, or `before` it is storing, and name that one."""
    standing = subscriptions.asking_the_same(deployment.database, fresh) or before
    if standing is not None:
        raise Problem(
            "duplicate-subscription",
            f"Subscription {standing} sends the same report at the same times to the same recipients; "
            "change that one, or send allow_duplicate.",
            existing=standing,
        )


def another_like(deployment: Context, changed: Subscription) -> str | None:
    """The id of another active one of the owner that asks for the same, to be told: the change stands."""
    if changed.status != "active":
        return None
    return subscriptions.asking_the_same(deployment.database, changed)


def check_report_type(
    report_type: str, parameters: Mapping[str, Any] | None = None, owner: User | None = None
) -> dict[str, Any]:
    """Refuse (422) a type that there is not, that the owner's audience has not, and parameters it takes not.

    Returns the parameters as they are kept.
    """
    if report_type not in report_types():
        raise _wrong_type(f"there is no such report type; there is {', '.join(report_types())}")
    if owner is not None and not is_for(report_type, owner.entitlements.audience):
        raise _wrong_type(f"it is not written for the audience {owner.entitlements.audience.value}")
    try:
        return checked_parameters(report_type, parameters or {})
    except ParametersInvalid as invalid:
        found = [
            FieldError(f"#/report_parameters/options/{path}".rstrip("/"), detail)
            for path, detail in invalid.problems
        ]
        raise Problem("validation", f"{found[0].pointer}: {found[0].detail}", found) from None


def _wrong_type(detail: str) -> Problem:
    return Problem("validation", f"report_type: {detail}", [FieldError("#/report_type", detail)])


def _check_pause(deployment: Context, current: Subscription, changes: Mapping[str, Any]) -> None:
    """A day on which a pause ends is ahead, and there is a pause."""
    until = changes.get("paused_until")
    if until is None:
        return
    if changes.get("status", current.status) != "paused":
        raise invalid("#/pausedUntil", "is for one that is paused; give status paused with it")
    try:
        usecase.check_ahead(current, until, deployment.now)
    except ValueError as error:
        raise invalid("#/pausedUntil", str(error)) from None


def changed_meanwhile(current: Subscription) -> Problem:
    """The 412 of a lost update, with the ETag that stands."""
    return Problem(
        "precondition-failed",
        "Read it again and make your change to what stands now.",
        headers={"ETag": f'"{current.version}"'},
        current_version=current.version,
    )


def schedule_problem(error: ValidationError, pointers: Pointers) -> Problem:
    """Pydantic's findings on a merged schedule as a problem of the request."""
    found = [
        FieldError(
            "/".join([pointers.schedule, *(_spelled(str(part), pointers) for part in one["loc"])]),
            words_of(one),
        )
        for one in error.errors(include_url=False)
    ]
    return Problem("validation", f"{found[0].pointer}: {found[0].detail}", found)


def _spelled(field: str, pointers: Pointers) -> str:
    if pointers is SNAKE:
        return field
    first, *rest = field.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _wrong_trials(
    caller: User, owner: User, filters: Filters, trials: Sequence[Record], pointers: Pointers
) -> list[FieldError]:
    visible = set(visible_trials(owner, trials))
    # Through a subscription for somebody else nobody reaches trials that are closed to themselves.
    foreign = caller.id != owner.id and not caller.entitlements.includes(owner.entitlements)
    if foreign and not filters.trials:
        return [FieldError(pointers.trials, "name the trials: not all of them are open to you")]
    outside = set(outside_trials(caller, filters.trials)) if foreign else set()
    found = [
        FieldError(f"{pointers.trials}/{position}", "there is no such trial open to the owner")
        for position, trial in enumerate(filters.trials)
        if trial not in visible or trial in outside
    ]
    return found or ([] if not foreign else _closed_to(caller, owner, filters, pointers))


def _closed_to(caller: User, owner: User, filters: Filters, pointers: Pointers) -> list[FieldError]:
    """The trials of which a report made for the owner shows what is closed to the caller: sites, an arm.

    Whoever may make it for somebody else names its recipients, too, and could have it so.
    """
    own = owner.entitlements
    found = []
    for position, trial in enumerate(filters.trials):
        # A participant's own record is of no site as such.
        sites = () if own.own_record_only else own.effective_sites(trial, filters.sites)
        closed = refusal(caller.entitlements, Extent({trial: sites}, own.subject, own.audience))
        if closed is not None:
            found.append(FieldError(f"{pointers.trials}/{position}", f"for its owner, {closed}"))
    return found


def _without_right(
    deployment: Context,
    owner: User,
    filters: Filters,
    recipients: Sequence[Recipient],
    trials: Sequence[Record],
) -> list[tuple[int, Decision]]:
    """(position, refusal) of those whom no report of this subscription would be sent to."""
    shown = filters.trials or visible_trials(owner, trials)
    own = owner.entitlements
    sites = {trial: own.effective_sites(trial, filters.sites) for trial in shown}
    extent = Extent(sites, own.subject, own.audience)
    return users.without_right(deployment.database, owner.organisation, extent, recipients)


def _wrong_sites(
    owner: User, filters: Filters, trials: Sequence[Record], pointers: Pointers
) -> list[FieldError]:
    """A site that is closed to the owner is answered like one that there is not."""
    chosen = [trial for trial in trials if not filters.trials or trial["_id"] in filters.trials]
    mine = {trial["_id"]: owner.entitlements.sites_of(trial["_id"]) for trial in chosen}
    known = {
        site["id"]
        for trial in chosen
        for site in trial.get("sites", [])
        if (among := mine[trial["_id"]]) is None or site["id"] in among
    }
    return [
        FieldError(f"{pointers.sites}/{position}", "no trial of this subscription has such a site")
        for position, site in enumerate(filters.sites)
        if site not in known
    ]


def _take_place(deployment: Context, fresh: Subscription, *, allow_duplicate: bool) -> str | None:
    """Refuse (429) what would be over the quota of the user or the organisation.

    Returns the id of one that asks for the same and is being stored, unless duplicates are allowed.
    """
    settings = deployment.settings
    asks = "" if allow_duplicate else fresh.mark_of_asked()
    place = quotas.SubscriptionPlace(fresh.organisation, fresh.owner, fresh.id, asks)
    most = quotas.Most(settings.subscriptions_per_user, settings.subscriptions_per_organisation)
    try:
        return quotas.take_place(deployment.database, place, most, deployment.now)
    except quotas.QuotaFull as full:
        if not allow_duplicate:
            _refuse_duplicate(deployment, fresh)
        whose = "A user" if full.whose == "user" else "An organisation"
        raise Problem(
            "quota-exceeded", f"{whose} may have {full.most} subscriptions.", quota=full.most
        ) from None
