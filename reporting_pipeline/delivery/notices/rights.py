"""Telling an organisation which reports its people's rights held back: one notice an edition.

It goes to those who can mend it: the organisation's active managers and admins. Each is shown what
they may see. What is told is that a report was skipped when it was rendered, or not sent when it was
due, because its owner or recipient had lost the right to it. Ended subscriptions need no mending.
The jobs and deliveries hold the truth, whatever becomes of the notice.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from reporting_pipeline.delivery.channels.deliverer import Deliverer
from reporting_pipeline.delivery.message import Message, one_line, period_words
from reporting_pipeline.delivery.notices import mail
from reporting_pipeline.delivery.notices.mail import LISTED, LONGEST_REASON, LOOK_BACK
from reporting_pipeline.domain.access import Action, Kind, User, outside_trials, roles_that_may
from reporting_pipeline.domain.jobs import DeliveryState, JobState
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.deliveries import FOR_RIGHTS
from reporting_pipeline.stores.mongo import Database, Record

log = logging.getLogger(__name__)

NOTICES = "rights_notices"  # the collection of what was told
TOLD_AT_MOST = 100  # people of one organisation
# A delivery whose outcome stays unknown for hours must not keep the notice back for ever.
LONGEST_WAIT = timedelta(days=1)

#: Both would mend it: the owner's rights, or the subscription.
MENDING_ROLES = roles_that_may(Action.CHANGE, Kind.USER) & roles_that_may(Action.CHANGE, Kind.SUBSCRIPTION)


@dataclass(frozen=True)
class HeldBack:
    """One report that was not made or not sent because of somebody's rights."""

    subscription: str
    name: str
    owner: str  # as shown: a name, or the id where there is none
    trials: tuple[str, ...]  # that the subscription asks for; empty: all that are open to its owner
    reason: str
    at: datetime


def editions_held_back(database: Database, now: datetime) -> list[str]:
    """The editions in which rights held something back lately."""
    since = {"$gte": now - LOOK_BACK}
    return sorted(
        {
            *database["jobs"].distinct("edition", {**_SKIPPED, "completed_at": since}),
            *database["deliveries"].distinct("edition", {**_NOT_SENT, "settled_at": since}),
        }
    )


def organisations_to_tell(database: Database, edition: str, now: datetime) -> dict[str, list[HeldBack]]:
    """What was held back of each organisation in `edition` whose notice is due and was not claimed."""
    concerned = {
        *database["jobs"].distinct("organisation", {"edition": edition, **_SKIPPED}),
        *database["deliveries"].distinct("organisation", {"edition": edition, **_NOT_SENT}),
    }
    waiting = mail.untold(database, NOTICES, edition, concerned)
    busy = mail.under_way(database, edition, "organisation", now) if waiting else set()
    held = {organisation: _held_back(database, edition, organisation) for organisation in waiting}
    return {
        organisation: found
        for organisation, found in held.items()
        if found and (organisation not in busy or min(each.at for each in found) <= now - LONGEST_WAIT)
    }


def send_rights_notices(
    deliverer: Deliverer, database: Database, settings: Settings, edition: str, now: datetime
) -> int:
    """Tell each organisation what rights held back of it in `edition`. Returns how many were told now."""
    told = 0
    for organisation, held in organisations_to_tell(database, edition, now).items():
        if not mail.claim(database, NOTICES, edition, organisation, len(held), now):
            continue
        messages = _messages(database, settings, edition, organisation, held, now)
        if not messages:
            log.warning(
                "%s reports of organisation %s were held back by rights in %s, and it has nobody to tell",
                len(held),
                organisation,
                edition,
            )
        identifier = mail.key(edition, organisation)
        told += mail.send(deliverer, database, NOTICES, identifier, messages, now)
    return told


# --- what was held back ------------------------------------------------------------------------

_SKIPPED: Record = {"state": JobState.SKIPPED.value, "skipped_for": FOR_RIGHTS}
_NOT_SENT: Record = {"state": DeliveryState.SUPPRESSED.value, "suppressed_for": FOR_RIGHTS}


def _held_back(database: Database, edition: str, organisation: str) -> list[HeldBack]:
    """Once per subscription and reason, by the subscription's name."""
    place: Record = {"edition": edition, "organisation": organisation}
    first: dict[tuple[str, str], datetime] = {}
    for collection, ended, query in (
        ("jobs", "completed_at", _SKIPPED),
        ("deliveries", "settled_at", _NOT_SENT),
    ):
        for row in database[collection].find({**place, **query}, {"subscription": 1, "error": 1, ended: 1}):
            pair = (row["subscription"], row.get("error") or "the rights to it were withdrawn")
            first[pair] = min(row[ended], first.get(pair, row[ended]))
    subscriptions = _by_id(database, "subscriptions", {subscription for subscription, _ in first})
    owners = _by_id(database, "users", {record["owner"] for record in subscriptions.values()})
    found = [
        _described(subscriptions[subscription], owners, reason, at)
        for (subscription, reason), at in first.items()
        if subscription in subscriptions and subscriptions[subscription].get("status") != "ended"
    ]
    return sorted(found, key=lambda each: (each.name.casefold(), each.subscription, each.reason))


def _described(record: Record, owners: Mapping[str, Record], reason: str, at: datetime) -> HeldBack:
    owner = owners.get(record["owner"], {})
    shown = owner.get("name") or owner.get("email") or record["owner"]
    return HeldBack(
        subscription=record["_id"],
        name=one_line(str(record.get("name") or "Report")),
        owner=one_line(str(shown)),
        trials=tuple((record.get("filters") or {}).get("trials") or ()),
        reason=one_line(reason, LONGEST_REASON),
        at=at,
    )


def _by_id(database: Database, collection: str, ids: set[str]) -> dict[str, Record]:
    fields = {"name": 1, "email": 1, "owner": 1, "status": 1, "filters": 1}
    return {row["_id"]: row for row in database[collection].find({"_id": {"$in": sorted(ids)}}, fields)}


# --- who is told -------------------------------------------------------------------------------


def _messages(
    database: Database,
    settings: Settings,
    edition: str,
    organisation: str,
    held: Sequence[HeldBack],
    now: datetime,
) -> dict[str, Message]:
    """user id -> message, for each who may mend some of it and can be written to."""
    menders = _menders(database, organisation)
    addresses = mail.addresses_of(database, menders)
    messages = {}
    for record in menders:
        shown = [each for each in held if _may_see(User.from_record(record), each)]
        if shown and record["_id"] in addresses:
            address = addresses[record["_id"]]
            context = _context(edition, shown)
            messages[record["_id"]] = mail.write(
                settings, "rights_notice", organisation, address, context, now
            )
    return messages


def _menders(database: Database, organisation: str) -> list[Record]:
    query = {"organisation": organisation, "active": True, "roles": {"$in": sorted(MENDING_ROLES)}}
    return list(database["users"].find(query).sort("_id", 1).limit(TOLD_AT_MOST))


def _may_see(mender: User, each: HeldBack) -> bool:
    """Somebody limited to some trials hears of subscriptions to those alone.

    One that names no trial is about all that are open to its owner, and so may be the reason.
    """
    return mender.entitlements.unlimited or (bool(each.trials) and not outside_trials(mender, each.trials))


def _context(edition: str, shown: Sequence[HeldBack]) -> Record:
    cadence, _, period = edition.partition(":")
    when = period_words(cadence, period)
    count = len(shown)
    return {
        "subject": f"{count} report{' was' if count == 1 else 's were'} held back: {when}",
        "count": count,
        "when": when,
        "held": shown[:LISTED],
        "more": max(0, count - LISTED),
    }
