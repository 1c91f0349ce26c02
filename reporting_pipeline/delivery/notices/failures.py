"""Telling a subscription's owner what did not arrive: one message an edition, however much failed.

The dead letters hold the truth, whatever becomes of the notice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from reporting_pipeline.delivery.channels.deliverer import Deliverer
from reporting_pipeline.delivery.message import Message, one_line, period_words
from reporting_pipeline.delivery.notices import mail
from reporting_pipeline.delivery.notices.mail import LISTED, LONGEST_REASON, LOOK_BACK
from reporting_pipeline.domain.deliveries import LOST
from reporting_pipeline.domain.jobs import JobState
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database, Record

NOTICES = "failure_notices"  # the collection of what was told
# A rendering that may pass is tried again for 36 minutes; until it has rested so long nobody is alarmed.
PATIENCE = timedelta(hours=1)

_LOST = [state.value for state in LOST]
_Failure = tuple[str, str]  # the subscription's name, the reason


def editions_with_failures(database: Database, now: datetime) -> list[str]:
    """The editions that something failed in lately."""
    since = now - LOOK_BACK
    editions = set(
        database["deliveries"].distinct("edition", {"state": {"$in": _LOST}, "settled_at": {"$gte": since}})
    )
    failed = {**_failed_for_good(now), "completed_at": {"$gte": since}}
    editions.update(database["jobs"].distinct("edition", failed))
    return sorted(editions)


def owners_to_tell(database: Database, edition: str, now: datetime) -> dict[str, list[_Failure]]:
    """What failed of each owner in `edition` whose notice is due and was not claimed."""
    failures = _failures_by_owner(database, edition, now)
    waiting = mail.untold(database, NOTICES, edition, failures)
    busy = mail.under_way(database, edition, "owner", now) if waiting else set()
    return {owner: failures[owner] for owner in waiting if owner not in busy}


def send_failure_notices(
    deliverer: Deliverer, database: Database, settings: Settings, edition: str, now: datetime
) -> int:
    """Send each owner one notice about what failed in `edition`. Returns how many were sent now."""
    failures = owners_to_tell(database, edition, now)
    users = {
        user["_id"]: user
        for user in database["users"].find({"_id": {"$in": sorted(failures)}, "active": True})
    }
    addresses = mail.addresses_of(database, list(users.values()))
    sent = 0
    for owner, failed in failures.items():
        if mail.claim(database, NOTICES, edition, owner, len(failed), now):
            messages = _messages(settings, edition, users.get(owner), addresses, failed, now)
            identifier = mail.key(edition, owner)
            sent += mail.send(deliverer, database, NOTICES, identifier, messages, now)
    return sent


def _failed_for_good(now: datetime) -> Record:
    """Jobs whose rendering failed and is not about to be tried again."""
    return {
        "state": JobState.FAILED.value,
        "failed_in": "rendering",
        "$or": [{"permanent": True}, {"completed_at": {"$lte": now - PATIENCE}}],
    }


def _failures_by_owner(database: Database, edition: str, now: datetime) -> dict[str, list[_Failure]]:
    """What failed of each owner, rendering and delivery alike."""
    found: dict[str, list[_Failure]] = defaultdict(list)
    for row in database["deliveries"].find({"edition": edition, "state": {"$in": _LOST}}):
        found[row["owner"]].append((row["subscription"], row.get("error") or "it could not be delivered"))
    for job in database["jobs"].find({"edition": edition, **_failed_for_good(now)}):
        if job.get("owner"):
            reason = job.get("error") or "the report could not be made"
            found[job["owner"]].append((job["subscription"], reason))
    names = {
        row["_id"]: one_line(str(row.get("name") or "Report"))
        for row in database["subscriptions"].find(
            {"_id": {"$in": sorted({pair[0] for pairs in found.values() for pair in pairs})}}, {"name": 1}
        )
    }
    return {
        owner: [
            (names.get(subscription, subscription), one_line(reason, LONGEST_REASON))
            for subscription, reason in pairs
        ]
        for owner, pairs in found.items()
    }


def _messages(
    settings: Settings,
    edition: str,
    owner: Record | None,
    addresses: Mapping[str, str],
    failures: Sequence[_Failure],
    now: datetime,
) -> dict[str, Message]:
    """The owner's message, by their id; none when they are gone or cannot be written to."""
    if owner is None or owner["_id"] not in addresses:
        return {}
    cadence, _, period = edition.partition(":")
    when = period_words(cadence, period)
    count = len(failures)
    context = {
        "subject": f"{count} report{'' if count == 1 else 's'} did not arrive: {when}",
        "count": count,
        "when": when,
        "failures": failures[:LISTED],
        "more": max(0, count - LISTED),
    }
    address = addresses[owner["_id"]]
    message = mail.write(settings, "failure_notice", owner["organisation"], address, context, now)
    return {owner["_id"]: message}
