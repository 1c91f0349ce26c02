"""The absence alarm: what should have arrived by now and did not.

Computed from subscriptions and deliveries. Whether an edition was opened or a job planned is not asked, so
it also speaks when neither was; a job that was ended on purpose is expected by nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.domain.planning import Planned, job_id, plan_due
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.alerts import close_alert, raise_alert
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.notice_reads import passed_over, states_by_occurrence
from reporting_pipeline.stores.subscriptions import every_active

_log = logging.getLogger(__name__)

LOOK_BACK = timedelta(days=8)  # an occurrence is missed at most a week before somebody looks
SUBSCRIPTIONS_AT_ONCE = 500
ALERT = "reports-absent"

_ARRIVED = [DeliveryState.SENT.value, DeliveryState.DELIVERED.value]
# On purpose not sent: nobody waits for it.
_ENDED_WELL = [*_ARRIVED, DeliveryState.SUPPRESSED.value]


@dataclass(frozen=True)
class Absence:
    """One occurrence that nobody, or not everybody, has received."""

    subscription: str
    organisation: str
    period: str
    occurrence: str
    due_at: datetime
    states: tuple[str, ...]  # of its deliveries; empty when none was ever planned


def absences(
    database: Database, settings: Settings, now: datetime, look_back: timedelta = LOOK_BACK
) -> Iterator[Absence]:
    """Every occurrence due between `look_back` and the grace time ago that did not arrive."""
    deadline = now - timedelta(minutes=settings.absence_grace_minutes)
    batch: list[Subscription] = []
    for subscription in every_active(database):
        batch.append(subscription)
        if len(batch) >= SUBSCRIPTIONS_AT_ONCE:
            yield from _absent(database, settings, batch, deadline - look_back, deadline)
            batch = []
    yield from _absent(database, settings, batch, deadline - look_back, deadline)


def check_absence(database: Database, settings: Settings, now: datetime) -> list[Absence]:
    """The absences, with the alert raised or closed accordingly."""
    found = list(absences(database, settings, now))
    if found:
        oldest = min(found, key=lambda absence: absence.due_at)
        subscriptions = len({absence.subscription for absence in found})
        raise_alert(
            database,
            ALERT,
            f"{len(found)} reports of {subscriptions} subscriptions were expected and did not arrive; "
            f"the oldest was due at {oldest.due_at:%Y-%m-%d %H:%M} UTC",
            now,
        )
    else:
        close_alert(database, ALERT, "system", now)
    return found


def _absent(
    database: Database,
    settings: Settings,
    subscriptions: list[Subscription],
    since: datetime,
    deadline: datetime,
) -> Iterator[Absence]:
    ids = [subscription.id for subscription in subscriptions]
    states = states_by_occurrence(database, ids, since - LOOK_BACK)
    missing: dict[str, Absence] = {}
    for subscription in subscriptions:
        for planned in _due(subscription, since, deadline, settings.timezone):
            key = (subscription.id, planned.period.key, planned.occurrence.key)
            found = states.get(key, [])
            if not found or any(state not in _ENDED_WELL for state in found):
                missing[job_id(*key)] = Absence(
                    subscription.id,
                    subscription.organisation,
                    planned.period.key,
                    planned.occurrence.key,
                    planned.due_at,
                    tuple(sorted(found)),
                )
    on_purpose = passed_over(database, missing)
    yield from (absence for job, absence in missing.items() if job not in on_purpose)


def _due(subscription: Subscription, since: datetime, deadline: datetime, timezone: str) -> list[Planned]:
    """What of it was to come by the deadline. One that cannot be planned is said and hides nobody else's."""
    try:
        planned = plan_due(subscription, since, deadline, timezone)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        _log.error("subscription %s cannot be planned and is passed over", subscription.id, exc_info=True)
        return []
    return [each for each in planned if not each.skipped and each.due_at <= deadline]
