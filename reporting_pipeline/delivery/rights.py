"""Whether a delivery may go out now: the records as they stand at this moment, not when it was planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reporting_pipeline.delivery.message import ON_REQUEST, wants_attachment
from reporting_pipeline.domain.access import Decision, User, may_have, may_receive
from reporting_pipeline.domain.deliveries import (
    RECIPIENT_LEFT,
    Channel,
    DeliveryRecord,
    Outcome,
    SendResult,
    is_address,
    mailbox,
)
from reporting_pipeline.domain.entitlements import Extent
from reporting_pipeline.domain.jobs import JobRecord, JobState
from reporting_pipeline.domain.mail_words import MailWords
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.stores.deliveries.moved import names_address
from reporting_pipeline.stores.deliveries.plan import is_recipient
from reporting_pipeline.stores.delivery_reads import (
    jobs_by_id,
    organisation_records,
    report_records,
    subscription_records,
    trials_of_organisations,
    user_records,
)
from reporting_pipeline.stores.jobs.states import WAITING
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.suppressions import (
    Mailbox,
    opt_out_marks,
    suppressed_among,
    unsubscribed_among,
)
from reporting_pipeline.stores.users import readers_behind


@dataclass(frozen=True)
class DeliveryContext:
    """The records around the deliveries of a draw, each by id."""

    jobs: Mapping[str, JobRecord]
    reports: Mapping[str, Record]
    subscriptions: Mapping[str, Record]
    organisations: Mapping[str, Record]  # what they decide of their mails
    users: Mapping[str, Record]
    by_address: Mapping[tuple[str, str], str]  # (organisation, address in normal spelling) -> user
    trials: tuple[Record, ...]  # of the organisations concerned
    suppressed: Mapping[Mailbox, str]  # -> reason
    unsubscribed: frozenset[tuple[str, str]]  # (subscription, recipient)
    read_at: datetime

    def report_of(self, delivery: DeliveryRecord) -> str:
        """The report of a delivery: its own, or its job's if it was planned before the rendering."""
        return _report_of(delivery, self.jobs)

    def attached_bytes(self, delivery: DeliveryRecord) -> int:
        """How much of a file this delivery carries; 0 when it is linked only, or its records cannot be read:
        what is wrong with them is told where it is written, and holds up nobody else's."""
        report = self.reports.get(self.report_of(delivery))
        subscription = self.subscriptions.get(delivery["subscription"])
        if delivery["channel"] != Channel.EMAIL or report is None or subscription is None:
            return 0
        try:
            attached = wants_attachment(subscription, report, self.policy_of(delivery))
            return int(report["size"]) if attached else 0
        except (LookupError, TypeError, ValueError, AttributeError):
            return 0

    def policy_of(self, delivery: DeliveryRecord) -> str:
        """Whether its organisation lets reports be attached; see `wants_attachment`."""
        return str(self._organisation_of(delivery).get("attachments") or ON_REQUEST)

    def words_of(self, delivery: DeliveryRecord) -> MailWords:
        """Its organisation's own words in mails."""
        return MailWords.of(self._organisation_of(delivery))

    def _organisation_of(self, delivery: DeliveryRecord) -> Record:
        return self.organisations.get(delivery["organisation"], {})

    def problem_with(self, delivery: DeliveryRecord) -> SendResult | None:
        """Why a delivery cannot be written, as the attempt's result."""
        if self.report_of(delivery) not in self.reports:
            return SendResult(Outcome.RETRY, error="no report stands for it")
        job = self.jobs.get(delivery["job"])
        state = job.get("state") if job is not None else None
        if state in WAITING:
            return SendResult(Outcome.THROTTLED, error="its report is made again, as it is asked for by now")
        if job is not None and state == JobState.FAILED and job.get("failed_in") == "rendering":
            return SendResult(Outcome.RETRY, error="its report could not be made again")
        report = self.reports[self.report_of(delivery)]
        if report.get("awaiting_release") and report.get("revoked"):
            return SendResult(Outcome.PERMANENT, error="the release of its report was refused")
        if report.get("awaiting_release"):  # a person may take days: no attempt of its own
            return SendResult(
                Outcome.THROTTLED, error="a newer rendering of its report waits for its release"
            )
        if delivery["channel"] == Channel.EMAIL and not is_address(delivery["recipient"]):
            return SendResult(Outcome.PERMANENT, error="not a valid e-mail address")
        return None


def _report_of(delivery: DeliveryRecord, jobs: Mapping[str, JobRecord]) -> str:
    job = jobs.get(delivery["job"])
    return str(delivery.get("report") or (job and job.get("report")) or "")


def load_context(database: Database, deliveries: Sequence[DeliveryRecord], now: datetime) -> DeliveryContext:
    """Everything that `deliveries` refer to, in a handful of queries."""
    jobs = jobs_by_id(database, {row["job"] for row in deliveries})
    reports = {_report_of(row, jobs) for row in deliveries}
    subscriptions = subscription_records(database, {row["subscription"] for row in deliveries})
    people = {one for row in subscriptions.values() if isinstance(one := row.get("owner"), str)} | {
        user for row in deliveries if (user := row.get("user"))
    }
    mailboxes = [_mailbox(row) for row in deliveries]
    organisations = {row["organisation"] for row in deliveries}
    by_address = readers_behind(
        database, ((row["organisation"], row["recipient"]) for row in deliveries if _is_mail(row))
    )
    people |= set(by_address.values())
    return DeliveryContext(
        jobs=jobs,
        reports=report_records(database, reports - {""}),
        subscriptions=subscriptions,
        organisations=organisation_records(database, organisations),
        users=user_records(database, people),
        by_address=by_address,
        trials=tuple(trials_of_organisations(database, organisations)),
        suppressed=suppressed_among(database, mailboxes),
        unsubscribed=frozenset(unsubscribed_among(database, subscriptions)),
        read_at=now,
    )


@dataclass(frozen=True)
class Refusal:
    """Why a delivery must not go out."""

    reason: str
    of_rights: bool = False  # somebody lost a right, which their organisation may want to mend
    waits: bool = False  # it may go another time, as it will stand then


def refusal_of(delivery: DeliveryRecord, context: DeliveryContext, *, sending: bool = True) -> Refusal | None:
    """Why this delivery must not go out, or None. Not `sending`: why its link must not be opened."""
    record = context.subscriptions.get(delivery["subscription"])
    if record is None:
        return Refusal("the subscription does not exist any more")
    if record.get("status") == "ended":
        return Refusal("the subscription has ended")
    job = context.jobs.get(delivery["job"])
    asked_for = job is not None and job.get("on_demand", False)
    if sending and record.get("status") == "paused" and not asked_for:
        return Refusal("the subscription is paused")
    if sending and moved_to(delivery, context) is not None:
        return Refusal("the user it was planned for has another address by now", waits=True)
    try:
        # Whatever brought it back since they left: a resumed pause, a requeue, another copy for everybody.
        left = sending and bool(delivery.get("of_recipients")) and not is_recipient(record, delivery)
        withdrawn = None if left else _right_withdrawn(delivery, record, context)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # What somebody broke by hand opens nothing, and holds up nobody else's.
        return Refusal(f"its records cannot be read ({type(error).__name__})")
    if left:
        return Refusal(RECIPIENT_LEFT)
    if withdrawn is not None:
        return Refusal(withdrawn, of_rights=True)
    spellings = (delivery["recipient"], *opt_out_marks(delivery["recipient"]))
    if any((delivery["subscription"], each) in context.unsubscribed for each in spellings):
        return Refusal("the recipient unsubscribed")
    if sending and _mailbox(delivery) in context.suppressed:
        return Refusal(f"the address is suppressed: {context.suppressed[_mailbox(delivery)]}")
    return None


def moved_to(delivery: DeliveryRecord, context: DeliveryContext) -> str | None:
    """Where its user has their mailbox now, when a mail would go to one that is theirs no more."""
    found = context.users.get(delivery.get("user") or "")
    address = mailbox(str(found.get("email") or "")) if found else ""
    if not address or not _is_mail(delivery) or address == mailbox(delivery["recipient"]):
        return None
    subscription = context.subscriptions.get(delivery["subscription"], {})
    return None if names_address(subscription, delivery["recipient"]) else address


def _right_withdrawn(delivery: DeliveryRecord, record: Record, context: DeliveryContext) -> str | None:
    """The owner must still be allowed the subscription, and so must a user it goes to; both the report.

    What the report was made from decides, not only what the subscription asks for: an empty filter covered
    every trial that was open when it was rendered. An address is its user's, however it was written.
    """
    subscription = Subscription.model_validate(record | {"id": record["_id"]})
    report = context.reports.get(context.report_of(delivery))
    for role, user_id in (("owner", subscription.owner), *_readers(delivery, context)):
        found = context.users.get(user_id)
        user = User.from_record(found) if found else None
        whom = f"the {role} of the subscription"
        decision = may_receive(user, subscription, context.trials, whom)
        if decision and report is not None:
            decision = _may_have(user, report, role)
        if not decision:
            return decision.reason
    return None


def _may_have(user: User | None, report: Record, role: str) -> Decision:
    extent = Extent.of_report(report)
    for trial in sorted(extent.sites):
        if user is not None and not user.entitlements.covers_trial(trial):
            return Decision(False, f"trial {trial} was withdrawn from the {role}")
    return may_have(user, str(report["organisation"]), extent, f"the {role}")


def _readers(delivery: DeliveryRecord, context: DeliveryContext) -> list[tuple[str, str]]:
    """The users behind a delivery: the one it was planned for, and the one whose address it goes to."""
    address = (delivery["organisation"], mailbox(delivery["recipient"])) if _is_mail(delivery) else None
    found = {delivery.get("user"), context.by_address.get(address) if address else None}
    return [("recipient", user) for user in sorted(one for one in found if one)]


def _is_mail(delivery: DeliveryRecord) -> bool:
    return bool(delivery["channel"] == Channel.EMAIL)


def _mailbox(delivery: DeliveryRecord) -> Mailbox:
    return delivery["organisation"], delivery["recipient"]
