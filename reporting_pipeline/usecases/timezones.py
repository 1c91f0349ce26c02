"""A person or an organisation moves to another timezone, and what comes by their clock moves along.

A schedule names its own zone. One that names the zone its owner had is taken to follow the owner; one that
names another was set for some other place and stays. The time of day is kept: what came at 07:00 comes at
07:00 there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from reporting_pipeline.domain.access import User
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import subscriptions, users
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.usecases.subscriptions import change

_log = logging.getLogger(__name__)

_ATTEMPTS = 3  # a schedule that somebody else changes meanwhile is read again


@dataclass(frozen=True)
class TimezoneMove:
    people: int
    schedules: int


def move_people(
    database: Database,
    settings: Settings,
    organisation: str,
    zones: tuple[str, str],
    actor: str,
    now: datetime,
) -> TimezoneMove | None:
    """Move everybody of an organisation who is in the first of `zones` to the second, with their schedules.

    May be repeated after a crash. None when the zones are one.
    """
    before, after = zones
    if before == after:
        return None
    people = schedules = 0
    for user in _people_in(database, organisation, before):
        schedules += len(move_schedules(database, settings, organisation, user.id, zones, actor, now))
        users.change_user(database, organisation, user.id, {"timezone": after}, now)
        people += 1
    return TimezoneMove(people, schedules)


def _people_in(database: Database, organisation: str, timezone: str) -> list[User]:
    return [user for user in users.all_of_organisation(database, organisation) if user.timezone == timezone]


def move_schedules(
    database: Database,
    settings: Settings,
    organisation: str,
    owner: str,
    zones: tuple[str, str],
    actor: str,
    now: datetime,
) -> list[str]:
    """Move the owner's live schedules from the first of `zones` to the second. Returns the ids that moved.

    Each is a change of that subscription like any other: a version, a row in the audit log, its jobs that
    wait moved. May be repeated after a crash: what moved does not name the old zone any more.
    """
    before, after = zones
    moved: list[str] = []
    if before == after:
        return moved
    for one in subscriptions.all_of_owner(database, organisation, owner):
        if one.schedule.timezone == before and _move(
            database, settings, one.id, organisation, zones, actor, now
        ):
            moved.append(one.id)
    return moved


def _move(
    database: Database,
    settings: Settings,
    subscription_id: str,
    organisation: str,
    zones: tuple[str, str],
    actor: str,
    now: datetime,
) -> bool:
    for _ in range(_ATTEMPTS):
        current = subscriptions.get_subscription(database, organisation, subscription_id)
        if current is None or current.status == "ended" or current.schedule.timezone != zones[0]:
            return False
        schedule = current.schedule.model_copy(update={"timezone": zones[1]})
        try:
            change(database, settings, current, {"schedule": schedule.model_dump()}, actor, now)
        except subscriptions.VersionConflict:
            continue
        except (subscriptions.SubscriptionEnded, subscriptions.SubscriptionMissing):
            return False
        except ValueError as error:  # a date that this zone does not have, and no other occurrence
            _log.warning("subscription %s stays in %s: %s", subscription_id, zones[0], error)
            return False
        return True
    return False
