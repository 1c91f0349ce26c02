"""Asking owners who still needs a report, and pausing with notice what nobody confirms.

One message an owner and night, however many reports. Who has left or cannot be written to is asked for by
the organisation's managers. Nothing is paused where there is nobody to tell, and nothing while no mail goes.
What is paused is told after that, night for night until a mail was accepted: a mail never says of a report
that it is paused while somebody's word keeps it going.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reporting_pipeline.delivery.channels.deliverer import Deliverer
from reporting_pipeline.delivery.message import Message, one_line
from reporting_pipeline.delivery.notices import mail
from reporting_pipeline.delivery.notices.mail import LISTED
from reporting_pipeline.domain.access import Action, ResourceKind, roles_that_may
from reporting_pipeline.domain.confirmation import GRACE, last_word, to_be_asked, to_be_paused
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import (
    audit,
    confirmations,
    lifecycle,
    notice_reads,
    organisations,
    subscriptions,
)
from reporting_pipeline.stores.audit import AuditAction
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.notices import (
    Notice,
    claim,
    held_by_a_restore,
    was_accepted,
    was_sent_before_a_restore,
)
from reporting_pipeline.stores.restores import restore_after
from reporting_pipeline.stores.subscriptions import SubscriptionEnded, SubscriptionMissing, VersionConflict

log = logging.getLogger(__name__)

TOLD_AT_MOST = 100  # managers of one organisation
ACTOR = "schedule"
UNCONFIRMED = "nobody confirmed that it is still needed"


@dataclass
class Confirmations:
    """What one night came to, in subscriptions."""

    asked: int = 0
    paused: int = 0
    nobody_to_tell: list[str] = field(default_factory=list)  # their ids


def ask_and_pause(
    deliverer: Deliverer, database: Database, settings: Settings, now: datetime
) -> Confirmations:
    """Ask what is to be asked and pause what was not answered, of every organisation that wants it."""
    found = Confirmations()
    if not mail.may_be_sent(database, now):
        return found
    for organisation in organisations.wanting_confirmation(database):
        asked: dict[str, list[Subscription]] = defaultdict(list)
        silent: dict[str, list[Subscription]] = defaultdict(list)
        for one in subscriptions.active_of_organisation(database, organisation["_id"]):
            if to_be_paused(one, now):
                silent[one.owner].append(one)
            elif to_be_asked(one, organisation["confirm_after_days"], now):
                asked[one.owner].append(one)
        after = timedelta(days=organisation["confirm_after_days"])
        work = _Work(deliverer, database, settings, organisation["_id"], after, now)
        work.ask(asked, found)
        work.pause_all(silent, found)
        work.tell_of_pauses(found)
    return found


@dataclass(frozen=True)
class _Work:
    deliverer: Deliverer
    database: Database
    settings: Settings
    organisation: str
    after: timedelta  # so long after the last word is asked
    now: datetime

    def ask(self, asked: Mapping[str, Sequence[Subscription]], found: Confirmations) -> None:
        for owner, theirs in sorted(asked.items()):
            if self.tell(owner, theirs, "confirm"):
                confirmations.note_asked(self.database, [one.id for one in theirs], self.now)
                found.asked += len(theirs)
            else:
                found.nobody_to_tell += [one.id for one in theirs]

    def pause_all(self, silent: Mapping[str, Sequence[Subscription]], found: Confirmations) -> None:
        for owner, theirs in sorted(silent.items()):
            if self.has_readers(owner):
                found.paused += sum(self.pause(one) for one in theirs)
            else:
                found.nobody_to_tell += [one.id for one in theirs]

    def tell_of_pauses(self, found: Confirmations) -> None:
        """What this night paused, and what an earlier one did that no mail told."""
        untold: dict[str, list[Subscription]] = defaultdict(list)
        for one in confirmations.paused_untold(self.database, self.organisation):
            untold[one.owner].append(one)
        for owner, theirs in sorted(untold.items()):
            if self.tell(owner, theirs, "paused"):
                confirmations.note_told(self.database, [one.id for one in theirs])
            else:
                found.nobody_to_tell += [one.id for one in theirs]

    def has_readers(self, owner: str) -> bool:
        """Whether there is somebody to write to."""
        return bool(self._addresses(owner))

    def tell(self, owner: str, theirs: Sequence[Subscription], what: str) -> bool:
        """Send the one message; False when nobody was reached: there is nobody, or no mail was accepted."""
        to = self._addresses(owner)
        if not to:
            log.warning(
                "nobody of %s can be told that %s of its reports wait", self.organisation, len(theirs)
            )
            return False
        night = f"{what}:{self.now:%Y-%m-%d}"
        whose = f"{self.organisation}|{owner}"
        due_at = max(self._due(one, what) for one in theirs)
        if restore := restore_after(self.database, due_at):
            of_before = (Notice.CONFIRMATIONS, f"{what}:{restore}", whose)
            if held_by_a_restore(self.database, *of_before, len(theirs), due_at, self.now):
                return False
            if was_sent_before_a_restore(self.database, *of_before):
                return True
        if not claim(self.database, Notice.CONFIRMATIONS, night, whose, len(theirs), self.now):
            # By a run that was cut off: it counts if somebody was reached.
            return was_accepted(self.database, Notice.CONFIRMATIONS, night, whose)
        messages = {user: self._message(address, theirs, what, user == owner) for user, address in to.items()}
        mail.send(self.deliverer, self.database, Notice.CONFIRMATIONS, night, whose, messages, self.now)
        return was_accepted(self.database, Notice.CONFIRMATIONS, night, whose)

    def _due(self, one: Subscription, what: str) -> datetime:
        """Since when this was to be told of it."""
        if what == "confirm":
            return last_word(one) + self.after
        return (one.confirmation_asked_at or self.now) + GRACE

    def pause(self, one: Subscription) -> bool:
        """Pause it, unless somebody changed or confirmed it meanwhile."""
        confirmations.note_unconfirmed(self.database, one, self.now)
        try:
            paused = lifecycle.pause(self.database, one.organisation, one.id, self.now, one.version)
        except (VersionConflict, SubscriptionEnded, SubscriptionMissing):
            return False
        details = {"reason": UNCONFIRMED}
        event = audit.Event(AuditAction.SUBSCRIPTION_PAUSED, ACTOR, paused.id, paused.organisation, details)
        audit.record_many(self.database, [event], self.now)
        return True

    def _addresses(self, owner: str) -> dict[str, str]:
        """The owner, or those who look after what is nobody's any more."""
        named = notice_reads.users_named(self.database, [owner], {"active": True})
        found = mail.addresses_of(self.database, _of(self.organisation, named.values()))
        if found:
            return found
        roles = roles_that_may(Action.CHANGE, ResourceKind.SUBSCRIPTION)
        managers = notice_reads.active_with_roles(self.database, self.organisation, roles, TOLD_AT_MOST)
        return mail.addresses_of(self.database, managers)

    def _message(self, address: str, theirs: Sequence[Subscription], what: str, own: bool) -> Message:
        count = len(theirs)
        plural = "" if count == 1 else "s"
        needed = "it is" if count == 1 else "they are"
        by = self.now + GRACE
        until = f"{by.day} {by:%B %Y}"
        subject = (
            f"Do you still need {count} report{plural}? Please say so until {until}"
            if what == "confirm"
            else f"{count} report{plural} paused: nobody said that {needed} still needed"
        )
        page = f"{self.settings.public_url.rstrip('/')}/console/confirm"
        context = {
            "subject": subject,
            "asking": what == "confirm",
            "count": count,
            "until": until,
            "names": [one_line(one.name or "Report") for one in theirs[:LISTED]],
            "more": max(0, count - LISTED),
            "address": page if own else f"{page}?everybody=1",  # of whoever left
        }
        return mail.write(self.settings, "confirmation_notice", self.organisation, address, context, self.now)


def _of(organisation: str, people: Iterable[Record]) -> list[Record]:
    return [one for one in people if one["organisation"] == organisation]
