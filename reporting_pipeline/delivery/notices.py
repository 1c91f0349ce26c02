"""Telling a subscription's owner what did not arrive: one message an edition, however much failed.

A notice is decided once everything of the owner in the edition is settled, and claimed before it is
sent: it can be lost when a worker dies at that moment, it cannot come twice. The dead letters hold
the truth either way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from pymongo.errors import DuplicateKeyError

from reporting_pipeline.delivery.channels import Deliverer
from reporting_pipeline.delivery.messages import Message, one_line, period_words, templates
from reporting_pipeline.domain.deliveries import LOST, SETTLED, Channel, is_address, mailbox
from reporting_pipeline.domain.jobs import JobState
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.deliveries import new_delivery_id
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.suppressions import suppressed_among

LOOK_BACK = timedelta(days=3)
# A rendering that may pass is tried again for 36 minutes; until it has rested so long nobody is alarmed.
PATIENCE = timedelta(hours=1)
LISTED = 20  # failures shown in one notice; the rest is a number

_LOST = [state.value for state in LOST]
_UNDER_WAY = [
    state.value for state in (JobState.PENDING, JobState.PROCESSING, JobState.RENDERED, JobState.DELIVERING)
]
_SETTLED = [state.value for state in SETTLED]


def send_due_notices(deliverer: Deliverer, database: Database, settings: Settings, now: datetime) -> int:
    """The notices of every edition that something failed in lately. For the end of each delivery run."""
    return sum(
        send_failure_notices(deliverer, database, settings, edition, now)
        for edition in _editions_with_failures(database, now)
    )


def notices_due(database: Database, now: datetime) -> bool:
    """Whether `send_due_notices` would find somebody to tell."""
    for edition in _editions_with_failures(database, now):
        told = {f"{edition}|{owner}" for owner in _failures_by_owner(database, edition, now)}
        if database["failure_notices"].count_documents({"_id": {"$in": sorted(told)}}) < len(told):
            return True
    return False


def _editions_with_failures(database: Database, now: datetime) -> list[str]:
    since = now - LOOK_BACK
    editions = set(
        database["deliveries"].distinct("edition", {"state": {"$in": _LOST}, "settled_at": {"$gte": since}})
    )
    failed = {**_failed_for_good(now), "completed_at": {"$gte": since}}
    editions.update(database["jobs"].distinct("edition", failed))
    return sorted(editions)


def _failed_for_good(now: datetime) -> Record:
    """Jobs whose rendering failed and is not about to be tried again."""
    return {
        "state": JobState.FAILED.value,
        "failed_in": "rendering",
        "$or": [{"permanent": True}, {"completed_at": {"$lte": now - PATIENCE}}],
    }


def send_failure_notices(
    deliverer: Deliverer, database: Database, settings: Settings, edition: str, now: datetime
) -> int:
    """Send each owner one notice about what failed in `edition`. Returns how many were sent now."""
    failures = _failures_by_owner(database, edition, now)
    busy = set(database["deliveries"].distinct("owner", {"edition": edition, "state": {"$nin": _SETTLED}}))
    busy.update(database["jobs"].distinct("owner", {"edition": edition, "state": {"$in": _UNDER_WAY}}))
    waiting = [owner for owner in sorted(failures) if owner not in busy]
    users = {user["_id"]: user for user in database["users"].find({"_id": {"$in": waiting}, "active": True})}
    addresses = {owner: mailbox(str(user.get("email") or "")) for owner, user in users.items()}
    unwanted = suppressed_among(database, addresses.values())
    sent = 0
    for owner, address in addresses.items():
        if not is_address(address) or address in unwanted:
            continue
        notice = _claim(database, edition, owner, len(failures[owner]), now)
        if notice is not None:
            message = _message(settings, edition, notice, address, users[owner], failures[owner], now)
            sent += _send(deliverer, database, message, notice, now)
    return sent


def _failures_by_owner(database: Database, edition: str, now: datetime) -> dict[str, list[tuple[str, str]]]:
    """For each owner: (subscription, reason) of what failed, rendering and delivery alike."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
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
            (names.get(subscription, subscription), one_line(reason, 200)) for subscription, reason in pairs
        ]
        for owner, pairs in found.items()
    }


def _claim(database: Database, edition: str, owner: str, count: int, now: datetime) -> str | None:
    """The notice's id, for the one caller that may send it."""
    identifier = new_delivery_id()
    try:
        database["failure_notices"].insert_one(
            {"_id": f"{edition}|{owner}", "notice": identifier, "failures": count, "at": now}
        )
    except DuplicateKeyError:
        return None
    return identifier


def _message(
    settings: Settings,
    edition: str,
    notice: str,
    address: str,
    user: Record,
    failures: Sequence[tuple[str, str]],
    now: datetime,
) -> Message:
    cadence, _, period = edition.partition(":")
    when = period_words(cadence, period)
    count = len(failures)
    subject = f"{count} report{'' if count == 1 else 's'} did not arrive: {when}"
    context = {
        "brand": one_line(settings.email_from_name, 60),
        "subject": subject,
        "count": count,
        "when": when,
        "failures": failures[:LISTED],
        "more": max(0, count - LISTED),
    }
    domain = settings.email_from.rpartition("@")[2]
    return Message(
        delivery=notice,
        wire_id=notice,
        message_id=f"<{notice}@{domain}>",
        recipient=address,
        organisation=user["organisation"],
        subject=subject,
        shared_text=templates().get_template("failure_notice.txt.j2").render(context),
        shared_html=templates().get_template("failure_notice.html.j2").render(context),
        link="",
        unsubscribe="",
        written_at=now,
    )


def _send(deliverer: Deliverer, database: Database, message: Message, notice: str, now: datetime) -> int:
    for results in deliverer.senders[Channel.EMAIL].send([message], now, deliverer.failpoint):
        for _, result in results:
            database["failure_notices"].update_one(
                {"notice": notice}, {"$set": {"outcome": result.outcome.value, "error": result.error}}
            )
    return 1
