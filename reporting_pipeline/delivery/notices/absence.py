"""The absence alarm: what should have arrived by now and did not.

Computed from subscriptions and deliveries alone. Editions and jobs are not looked at, so it also
speaks when nothing opened an edition and nothing planned a job.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.domain.planning import plan_due
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.alerts import close_alert, raise_alert
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.notice_reads import active_subscriptions, states_by_occurrence

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
    for record in active_subscriptions(database):
        batch.append(Subscription.model_validate(record | {"id": record["_id"]}))
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
    for subscription in subscriptions:
        for planned in plan_due(subscription, since, deadline, settings.timezone):
            if planned.skipped or planned.due_at > deadline:
                continue
            key = (subscription.id, planned.period.key, planned.occurrence.key)
            found = states.get(key, [])
            if not found or any(state not in _ENDED_WELL for state in found):
                yield Absence(
                    subscription.id,
                    subscription.organisation,
                    planned.period.key,
                    planned.occurrence.key,
                    planned.due_at,
                    tuple(sorted(found)),
                )
