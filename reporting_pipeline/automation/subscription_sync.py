"""`subscription_sync`: the dynamic partitions equal the trials and the active subscriptions.

So do the jobs of the open editions: they are planned here as soon as an edition is open, beside the
edition sensor, which asks for runs meanwhile.
"""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

from dagster import (
    DagsterInstance,
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.trial_keys import usable_trial_key
from reporting_pipeline.partitions import checked_id, subscriptions, trials
from reporting_pipeline.resources import MongoResource
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.documents import trials_of
from reporting_pipeline.stores.editions import open_editions
from reporting_pipeline.stores.jobs import plan_edition
from reporting_pipeline.stores.mongo import Database, server_time
from reporting_pipeline.stores.subscriptions import active_ids, any_changed_since, fields_of

ADDED_AT_ONCE = 1_000
#: Everything is compared so often, whatever was noted as changed.
WHOLE_LOOK_EVERY = timedelta(minutes=5)
#: Clocks of several machines differ.
CLOCK_MARGIN = timedelta(minutes=1)
#: What decides which reports share a body, the most telling first.
_CONTENT = ("organisation", "filters", "report_type", "format", "parameters")


def synchronize(database: Database, instance: DagsterInstance) -> dict[str, tuple[int, int]]:
    """Add and remove partition keys; returns (added, removed) by dimension where anything changed.

    Ids that cannot be partition keys are left out: one written by hand must not hold up the others.
    Partitions keep the order in which they are added, and runs take ranges of them: new subscriptions
    are added so that those whose reports share a body stand together.
    """
    wanted: dict[str, list[str]] = {
        str(trials.name): [key for trial in trials_of(database) if (key := usable_trial_key(trial["_id"]))]
    }
    for cadence in Cadence:
        wanted[str(subscriptions(cadence).name)] = active_ids(database, cadence)
    changes = {}
    for name, ids in wanted.items():
        present = instance.get_dynamic_partitions(name)
        usable = ids if name == str(trials.name) else [one for one in ids if _is_key(one)]
        added = _in_order(database, name, set(usable) - set(present))
        removed = sorted(set(present) - set(usable))
        for start in range(0, len(added), ADDED_AT_ONCE):  # SQL statements take only so many values
            instance.add_dynamic_partitions(name, added[start : start + ADDED_AT_ONCE])
        for key in removed:
            instance.delete_dynamic_partition(name, key)
        if added or removed:
            changes[name] = (len(added), len(removed))
    return changes


def _in_order(database: Database, name: str, ids: set[str]) -> list[str]:
    """By id; subscriptions by what their reports are made from first."""
    if name == str(trials.name) or not ids:
        return sorted(ids)
    content = {
        identifier: json.dumps([record.get(field) for field in _CONTENT], default=str)
        for identifier, record in fields_of(database, ids, _CONTENT).items()
    }
    return sorted(ids, key=lambda one: (content.get(one, ""), one))


def subscription_sync_sensor(settings: Settings) -> SensorDefinition:
    @sensor(
        name="subscription_sync",
        minimum_interval_seconds=settings.sensor_interval_seconds,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Keeps the partitions, and the jobs of open editions, equal to the trials and the active "
            "subscriptions."
        ),
    )
    def subscription_sync(context: SensorEvaluationContext, mongo: MongoResource) -> SkipReason:
        database = mongo.database()
        now = server_time(database)
        last = _Looks.from_cursor(context.cursor, now)
        said = ["no subscription was changed"]
        if last.is_due(database, now):
            changes = synchronize(database, context.instance)
            last = _Looks(now, now)
            said = [f"{name}: {plus} added, {minus} removed" for name, (plus, minus) in changes.items()]
        for edition in open_editions(database):
            try:
                period = Period.from_key(edition.cadence, edition.period, settings.timezone)
                planned = plan_edition(database, edition, period, now)
            except Exception:  # the edition sensor will say so, too; the others are planned
                context.log.exception(f"the jobs of edition {edition.id} could not be planned")
                continue
            if planned:
                said.append(f"{edition.id}: {planned} jobs planned")
        context.update_cursor(last.again(now).cursor())
        return SkipReason(", ".join(said) or "nothing changed")

    return subscription_sync


@dataclass(frozen=True)
class _Looks:
    """When the sensor looked last, and when at everything."""

    at: datetime | None = None
    whole_at: datetime | None = None

    @classmethod
    def from_cursor(cls, cursor: str | None, now: datetime) -> Self:
        """As `cursor` wrote it. Anybody can set a cursor in the UI: one that is none, or tells of a look
        that is still to come, counts as no look."""
        try:
            at, whole_at = (datetime.fromisoformat(one).astimezone(UTC) for one in (cursor or "").split(" "))
        except (ValueError, OverflowError):
            return cls()
        return cls(at, whole_at) if max(at, whole_at) <= now + CLOCK_MARGIN else cls()

    def cursor(self) -> str:
        return f"{self.at.isoformat()} {self.whole_at.isoformat()}" if self.at and self.whole_at else ""

    def again(self, now: datetime) -> Self:
        return replace(self, at=now)

    def is_due(self, database: Database, now: datetime) -> bool:
        """Whether everything is to be compared: something was changed, or it is a while ago."""
        if self.at is None or self.whole_at is None or now - self.whole_at >= WHOLE_LOOK_EVERY:
            return True
        return any_changed_since(database, self.at - CLOCK_MARGIN)


def _is_key(value: str) -> bool:
    try:
        checked_id(value, "partition")
    except ValueError:
        return False
    return True
