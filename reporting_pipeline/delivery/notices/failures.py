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
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import notice_reads
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.notices import Notice, claim, held_by_a_restore, untold

# A rendering that may pass is tried again for 36 minutes; until it has rested so long nobody is alarmed.
PATIENCE = timedelta(hours=1)

_Failure = tuple[str, str, datetime]  # the subscription's name, the reason, when it was due


def editions_with_failures(database: Database, now: datetime) -> list[str]:
    """The editions that something failed in lately."""
    return notice_reads.editions_with_failures(database, now - LOOK_BACK, now - PATIENCE)


def owners_to_tell(database: Database, edition: str, now: datetime) -> dict[str, list[_Failure]]:
    """What failed of each owner in `edition` whose notice is due and was not claimed."""
    failures = _failures_by_owner(database, edition, now)
    waiting = untold(database, Notice.FAILURES, edition, failures)
    busy = notice_reads.under_way(database, edition, "owner", now) if waiting else set()
    return {owner: failures[owner] for owner in waiting if owner not in busy}


def send_failure_notices(
    deliverer: Deliverer, database: Database, settings: Settings, edition: str, now: datetime
) -> int:
    """Send each owner one notice about what failed in `edition`. Returns how many were sent now."""
    failures = owners_to_tell(database, edition, now)
    users = notice_reads.users_named(database, failures, {"active": True})
    addresses = mail.addresses_of(database, users.values())
    sent = 0
    for owner, failed in failures.items():
        last_due = max(due_at for _, _, due_at in failed)
        if held_by_a_restore(database, Notice.FAILURES, edition, owner, len(failed), last_due, now):
            continue
        if claim(database, Notice.FAILURES, edition, owner, len(failed), now):
            messages = _messages(settings, edition, users.get(owner), addresses, failed, now)
            sent += mail.send(deliverer, database, Notice.FAILURES, edition, owner, messages, now)
    return sent


def _failures_by_owner(database: Database, edition: str, now: datetime) -> dict[str, list[_Failure]]:
    """What failed of each owner."""
    failures = list(notice_reads.failures_in(database, edition, now - PATIENCE))
    known = notice_reads.subscriptions_named(database, {each.subscription for each in failures})
    found: dict[str, list[_Failure]] = defaultdict(list)
    for each in failures:
        name = known.get(each.subscription, {"name": each.subscription}).get("name") or "Report"
        told = one_line(str(name)), one_line(each.reason, LONGEST_REASON)
        found[each.owner].append((*told, each.due_at))
    return dict(found)


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
        "failures": [(name, reason) for name, reason, _ in failures[:LISTED]],
        "more": max(0, count - LISTED),
    }
    address = addresses[owner["_id"]]
    message = mail.write(settings, "failure_notice", owner["organisation"], address, context, now)
    return {owner["_id"]: message}
