"""A subscription's life as people ask for it: the change (`stores.lifecycle`) and its rows in the audit log.

`actor` is the user who asked. Who may ask, what an owner may have and how many, the caller has looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from reporting_pipeline.domain.editions import closed_period
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.domain.planning import Planned, plan_due, plan_first
from reporting_pipeline.domain.schedules import Occurrence, window_of
from reporting_pipeline.domain.subscriptions import Recipient, Subscription
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit, lifecycle, subscriptions
from reporting_pipeline.stores.audit import AuditAction
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.subscriptions import SubscriptionEnded, SubscriptionMissing, VersionConflict

LONGEST_PAUSE = timedelta(days=731)
RESUMED_AT_ONCE = 1_000
#: How long after the last of the shown dates an imagined outage ends: late for who skips what was missed.
OUTAGE = timedelta(hours=2)
#: Who stands in the audit log where nobody did it.
BY_ITSELF = "schedule"

_AUDITED = (
    "name",
    "owner",
    "description",
    "filters",
    "schedule",
    "format",
    "parameters",
    "report_type",
    "catch_up",
    "lateness_hours",
    "paused_until",
)


def subscribe(
    database: Database, settings: Settings, fresh: Subscription, actor: str, now: datetime
) -> Subscription:
    """Store a new subscription and plan its first job. Raises SubscriptionExists."""
    stored = lifecycle.create(database, fresh, now, settings.timezone)
    events = [_event(AuditAction.SUBSCRIPTION_CREATED, actor, stored)]
    events += [
        _event(AuditAction.RECIPIENT_ADDED, actor, stored, **_whom(database, stored, one))
        for one in stored.recipients
    ]
    audit.record_many(database, events, now)
    return stored


def first_mail(subscription: Subscription, now: datetime, timezone: str) -> Planned | None:
    """What a subscription made at `now` gets first: the period it covers and when. None: nothing is closed.

    From the function that plans it. `timezone` is the deployment's.
    """
    made_now = subscription.model_copy(update={"created_at": now, "updated_at": now, "status": "active"})
    served = (each for each in plan_first(made_now, now, timezone) if not each.skipped)
    return min(served, key=lambda each: each.due_at, default=None)


def missed(
    subscription: Subscription, found: Sequence[Occurrence], now: datetime, timezone: str
) -> list[Planned]:
    """What would become of each next occurrence if nothing ran from `now` until OUTAGE after the last.

    From the function that plans what was missed. `timezone` is the deployment's.
    """
    if not found:
        return []
    planned = plan_due(subscription, now, found[-1].due_at + OUTAGE, timezone)
    by_key = {each.occurrence.key: each for each in planned}
    return [by_key[one.key] for one in found]


def change(
    database: Database,
    settings: Settings,
    current: Subscription,
    changes: Mapping[str, Any],
    actor: str,
    now: datetime,
) -> Subscription:
    """Set fields of `current`, if it is still what stands. Raises as `lifecycle.change`."""
    changed = lifecycle.change(database, current, changes, now, settings.timezone)
    audit.record_many(database, _changes(database, actor, current, changed), now)
    return changed


def pause(
    database: Database,
    current: Subscription,
    actor: str,
    now: datetime,
    version: int | None = None,
    until: date | None = None,
) -> Subscription:
    """Send nothing until it is resumed, or until the day `until` of its schedule begins.

    Raises ValueError for a day that is not ahead.
    """
    if until is not None:
        check_ahead(current, until, now)
    paused = lifecycle.pause(database, current.organisation, current.id, now, version, until)
    if paused.version != current.version:
        said = {"until": until.isoformat()} if until else {}
        audit.record_many(database, [_event(AuditAction.SUBSCRIPTION_PAUSED, actor, paused, **said)], now)
    return paused


def check_ahead(current: Subscription, until: date, now: datetime) -> None:
    """Raises ValueError for a day on which no pause can end: one that is over, or years ahead."""
    today = now.astimezone(ZoneInfo(current.schedule.timezone)).date()
    if not today < until <= today + LONGEST_PAUSE:
        longest = today + LONGEST_PAUSE
        raise ValueError(f"{until} is no day ahead; give one from {today + timedelta(days=1)} to {longest}")


def resume_what_is_over(database: Database, settings: Settings, now: datetime) -> int:
    """Resume those whose pause ends by itself, but what somebody changes meanwhile. Returns how many."""
    resumed = 0
    for one in subscriptions.whose_pause_is_over(database, now, RESUMED_AT_ONCE):
        try:
            resume(database, settings, one, BY_ITSELF, now, one.version)
        except (VersionConflict, SubscriptionMissing, SubscriptionEnded):
            continue
        resumed += 1
    return resumed


def resume(
    database: Database,
    settings: Settings,
    current: Subscription,
    actor: str,
    now: datetime,
    version: int | None = None,
) -> Subscription:
    """Send again, from the next occurrence on."""
    timezone = settings.timezone
    resumed = lifecycle.resume(database, current.organisation, current.id, now, timezone, version)
    if resumed.version != current.version:
        audit.record_many(database, [_event(AuditAction.SUBSCRIPTION_RESUMED, actor, resumed)], now)
    return resumed


def end(
    database: Database, current: Subscription, actor: str, now: datetime, version: int | None = None
) -> Subscription:
    """End it for good, with what is scheduled."""
    ended = lifecycle.end(database, current.organisation, current.id, now, version)
    audit.record_many(database, [_event(AuditAction.SUBSCRIPTION_DELETED, actor, ended)], now)
    return ended


def confirm(database: Database, current: Subscription, actor: str, now: datetime) -> Subscription:
    """Note that it is still needed (`domain.confirmation`). Raises as `lifecycle.change`."""
    confirmed = subscriptions.change_subscription(
        database,
        current.organisation,
        current.id,
        {"confirmed_at": now, "confirmation_asked_at": None},
        now,
        current.version,
    )
    audit.record_many(database, [_event(AuditAction.SUBSCRIPTION_CONFIRMED, actor, confirmed)], now)
    return confirmed


def run_now(
    database: Database,
    settings: Settings,
    current: Subscription,
    actor: str,
    now: datetime,
    period_key: str | None = None,
) -> JobRecord:
    """The job of a run of the newest closed period, or of `period_key`.

    Raises NotActive, AlreadyRunning, and ValueError for a period that is not over or not kept any more.
    """
    if current.status != "active":
        raise lifecycle.NotActive(current.id)
    cadence = window_of(current.schedule)
    period = closed_period(cadence, period_key, now, settings.timezone, settings.retention_days)
    job = lifecycle.run_now(database, current, period, actor, now)
    audit.record_many(database, [_event(AuditAction.SUBSCRIPTION_RUN, actor, current, job=job["_id"])], now)
    return job


def cancel_job(database: Database, job: JobRecord, actor: str, now: datetime) -> JobRecord:
    """Stop a job that is not being sent yet. Raises `lifecycle.JobUnderWay`."""
    cancelled = lifecycle.cancel_job(database, job, now)
    event = audit.Event(
        AuditAction.JOB_CANCELLED, actor, job["_id"], job["organisation"], {"was": job["state"]}
    )
    audit.record_many(database, [event], now)
    return cancelled


def _changes(database: Database, actor: str, before: Subscription, after: Subscription) -> list[audit.Event]:
    events = []
    turned = {"paused": AuditAction.SUBSCRIPTION_PAUSED, "active": AuditAction.SUBSCRIPTION_RESUMED}
    if before.status != after.status and after.status in turned:
        events.append(_event(turned[after.status], actor, after))
    fields = sorted(name for name in _AUDITED if getattr(before, name) != getattr(after, name))
    if fields:
        events.append(
            _event(AuditAction.SUBSCRIPTION_CHANGED, actor, after, fields=fields, version=after.version)
        )
    for came in set(after.recipients) - set(before.recipients):
        events.append(_event(AuditAction.RECIPIENT_ADDED, actor, after, **_whom(database, after, came)))
    for left in set(before.recipients) - set(after.recipients):
        events.append(_event(AuditAction.RECIPIENT_REMOVED, actor, after, **_whom(database, after, left)))
    return events


def _whom(database: Database, subscription: Subscription, recipient: Recipient) -> dict[str, str]:
    """Who a recipient is, without an address, since the log is never erased: a user's id, or a mark."""
    if recipient.type == "user":
        return {"type": recipient.type, "whom": recipient.value}
    return {
        "type": recipient.type,
        "whom": audit.address_mark(database, subscription.organisation, recipient.value),
    }


def _event(action: AuditAction, actor: str, subscription: Subscription, **details: Any) -> audit.Event:
    return audit.Event(action, actor, subscription.id, subscription.organisation, details)
