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
from reporting_pipeline.domain.access import Action, ResourceKind, User, outside_trials, roles_that_may
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import notice_reads
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.notices import Notice, claim, held_by_a_restore, untold

log = logging.getLogger(__name__)

TOLD_AT_MOST = 100  # people of one organisation
# A delivery whose outcome stays unknown for hours must not keep the notice back for ever.
LONGEST_WAIT = timedelta(days=1)

#: Both would mend it: the owner's rights, or the subscription.
MENDING_ROLES = roles_that_may(Action.CHANGE, ResourceKind.USER) & roles_that_may(
    Action.CHANGE, ResourceKind.SUBSCRIPTION
)


@dataclass(frozen=True)
class HeldBack:
    """One report that was not made or not sent because of somebody's rights."""

    subscription: str
    name: str
    owner: str  # as shown: a name, or the id where there is none
    trials: tuple[str, ...]  # that the subscription asks for; empty: all that are open to its owner
    reason: str
    at: datetime
    due_at: datetime


def editions_held_back(database: Database, now: datetime) -> list[str]:
    """The editions in which rights held something back lately."""
    return notice_reads.editions_held_back(database, now - LOOK_BACK)


def organisations_to_tell(database: Database, edition: str, now: datetime) -> dict[str, list[HeldBack]]:
    """What was held back of each organisation in `edition` whose notice is due and was not claimed."""
    concerned = notice_reads.organisations_held_back(database, edition)
    waiting = untold(database, Notice.RIGHTS, edition, concerned)
    busy = notice_reads.under_way(database, edition, "organisation", now) if waiting else set()
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
        last_due = max(each.due_at for each in held)
        if held_by_a_restore(database, Notice.RIGHTS, edition, organisation, len(held), last_due, now):
            continue
        if not claim(database, Notice.RIGHTS, edition, organisation, len(held), now):
            continue
        messages = _messages(database, settings, edition, organisation, held, now)
        if not messages:
            log.warning(
                "%s reports of organisation %s were held back by rights in %s, and it has nobody to tell",
                len(held),
                organisation,
                edition,
            )
        told += mail.send(deliverer, database, Notice.RIGHTS, edition, organisation, messages, now)
    return told


# --- what was held back ------------------------------------------------------------------------


def _held_back(database: Database, edition: str, organisation: str) -> list[HeldBack]:
    """By the subscription's name; of ended subscriptions nothing."""
    withheld = notice_reads.withheld_in(database, edition, organisation)
    subscriptions = notice_reads.subscriptions_named(database, {each.subscription for each in withheld})
    owners = notice_reads.users_named(
        database, {one for record in subscriptions.values() if isinstance(one := record.get("owner"), str)}
    )
    found = [
        _described(subscriptions[each.subscription], owners, each)
        for each in withheld
        if subscriptions.get(each.subscription, {"status": "ended"}).get("status") != "ended"
    ]
    return sorted(found, key=lambda each: (each.name.casefold(), each.subscription, each.reason))


def _described(record: Record, owners: Mapping[str, Record], each: notice_reads.Withheld) -> HeldBack:
    owner = owners.get(str(record.get("owner")), {})
    shown = owner.get("name") or owner.get("email") or record.get("owner") or "nobody"
    return HeldBack(
        subscription=record["_id"],
        name=one_line(str(record.get("name") or "Report")),
        owner=one_line(str(shown)),
        trials=tuple((record.get("filters") or {}).get("trials") or ()),
        reason=one_line(each.reason, LONGEST_REASON),
        at=each.at,
        due_at=each.due_at,
    )


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
    menders = notice_reads.active_with_roles(database, organisation, MENDING_ROLES, TOLD_AT_MOST)
    addresses = mail.addresses_of(database, menders)
    messages = {}
    for record in menders:
        shown = _shown_to(record, held)
        if shown and record["_id"] in addresses:
            address = addresses[record["_id"]]
            context = _context(edition, shown)
            messages[record["_id"]] = mail.write(
                settings, "rights_notice", organisation, address, context, now
            )
    return messages


def _shown_to(record: Record, held: Sequence[HeldBack]) -> list[HeldBack]:
    """What of `held` a mender may see; nothing of it where somebody broke their record by hand."""
    try:
        user = User.from_record(record)
    except (LookupError, TypeError, ValueError, AttributeError):
        log.error("user %s is not valid and is told nothing", record["_id"], exc_info=True)
        return []
    return [each for each in held if _may_see(user, each)]


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
