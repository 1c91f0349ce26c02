"""The loop that empties the ledger: draw, look whether it may go, write the mails, begin, send, write down.

Several workers run at once over the same ledger. Whatever one of them dies of, the ledger says what
is known: a pending delivery was not sent, a sending one may have been.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from queue import SimpleQueue
from threading import Event
from time import perf_counter

from pymongo.errors import PyMongoError

from reporting_pipeline import tracing
from reporting_pipeline.delivery.channels.channel import Sender
from reporting_pipeline.delivery.channels.deliverer import Deliverer
from reporting_pipeline.delivery.message import ATTACH_BELOW, Message
from reporting_pipeline.delivery.rights import DeliveryContext, load_context, moved_to, refusal_of
from reporting_pipeline.delivery.sender.combining import as_begun, begun, gathered, joined, window_of
from reporting_pipeline.delivery.sender.report_message import compose
from reporting_pipeline.domain.deliveries import (
    Channel,
    DeliveryRecord,
    Outcome,
    SendResult,
    after_attempt,
    throttled_until,
)
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import deliveries as ledger
from reporting_pipeline.stores.alerts import raise_alert
from reporting_pipeline.stores.error_texts import error_told
from reporting_pipeline.stores.measures import MEASURES
from reporting_pipeline.stores.metrics import error_kind
from reporting_pipeline.stores.mongo import Database, delivery_records, find_any
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.report_files import ReportFiles
from reporting_pipeline.stores.suppressions import suppress_address
from reporting_pipeline.stores.token_buckets import take

log = logging.getLogger(__name__)

DRAWN_AT_ONCE = 500
LEASE = timedelta(minutes=10)  # longer than any one request may take, many times over
ATTACHED_AT_ONCE = 20_000_000  # bytes
LONGEST_PAUSE = timedelta(seconds=5)  # then the shared rate is asked again
LONGEST_TURN = timedelta(minutes=5)  # of waiting for the rate; what would take longer is left to a later run
STALE = timedelta(seconds=5)  # what was looked up longer ago is looked up again before it is sent


@dataclass(frozen=True)
class DeliveryOutcome:
    """What became of one delivery in this run."""

    delivery: str
    job: str
    subscription: str
    report: str | None
    cadence: str  # of the report: a mail may bring those of several
    period: str
    channel: str
    state: DeliveryState
    error: str | None
    provider_id: str | None


@dataclass(frozen=True)
class _Run:
    deliverer: Deliverer
    database: Database
    objects: ObjectStore
    settings: Settings
    now: Callable[[], datetime]


def deliver_due(
    deliverer: Deliverer,
    database: Database,
    objects: ObjectStore,
    settings: Settings,
    now: Callable[[], datetime],
    limit: int,
    cadence: str | None = None,
    due: ledger.Due | None = None,
) -> Iterator[DeliveryOutcome]:
    """Deliver what is due, at most `limit`, and yield each outcome once it is written down.

    Ends early when nothing is due, or when a channel is halted or told us to wait; the rest stays due.
    `due` is what several workers of one run share.
    """
    run = _Run(deliverer, database, objects, settings, now)
    ledger.rescue(
        database,
        now(),
        repeatable=deliverer.repeatable,
        unknown_resend=timedelta(minutes=settings.unknown_resend_minutes),
        max_attempts=settings.max_attempts,
        cadence=cadence,
    )
    left, due = limit, due or ledger.Due(database, deliverer.rng, cadence)
    while left > 0:
        drawn = due.draw(now(), min(left, DRAWN_AT_ONCE))
        if not drawn:
            ledger.settle_delivering_jobs(database, now(), due.jobs)
            return
        left -= len(drawn)
        deliverer.failpoint("worker.drawn")
        yield from _deliver_drawn(run, drawn)


def deliver_at_once(
    workers: int, deliver: Callable[[], Iterator[DeliveryOutcome]]
) -> Iterator[DeliveryOutcome]:
    """The outcomes of several loops over the same ledger, in threads: while one writes, another waits.

    `deliver` is called once a worker and is that worker's own `deliver_due`. What one raises ends its
    loop alone and is raised when the others have ended. Who stops listening stops them all, each after
    the request it is sending.
    """
    found: SimpleQueue[DeliveryOutcome | None] = SimpleQueue()
    stopped = Event()

    def work() -> None:
        try:
            for outcome in deliver():
                found.put(outcome)
                if stopped.is_set():
                    return
        finally:
            found.put(None)

    with ThreadPoolExecutor(workers, thread_name_prefix="delivering") as pool:
        working = [pool.submit(copy_context().run, work) for _ in range(workers)]
        left = workers
        try:
            while left:
                outcome = found.get()
                if outcome is None:
                    left -= 1
                else:
                    yield outcome
        finally:
            stopped.set()
    for one in working:
        one.result()


def _deliver_drawn(run: _Run, drawn: Sequence[DeliveryRecord]) -> Iterator[DeliveryOutcome]:
    """Everything of one draw; an error of the database itself ends the run, nothing else does."""
    drawn, context = _where_their_users_are(run, drawn)
    drawn, context = _with_their_mails(run, drawn, context)
    ledger.jobs_begin(run.database, context.jobs.values())
    by_channel: dict[str, list[DeliveryRecord]] = defaultdict(list)
    for record in drawn:
        by_channel[record["channel"]].append(record)
    for name, records in by_channel.items():
        sender = run.deliverer.senders.get(Channel(name))
        if sender is None:
            ledger.postpone(run.database, records, run.now() + LEASE)
            raise_alert(
                run.database, f"channel-missing:{name}", f"no {name} channel is configured", run.now()
            )
            continue
        yield from _deliver_channel(run, Channel(name), sender, records, context)
    ledger.settle_jobs(run.database, (record["job"] for record in drawn), run.now())
    run.deliverer.failpoint("worker.jobs_settled")


def _where_their_users_are(
    run: _Run, drawn: Sequence[DeliveryRecord]
) -> tuple[Sequence[DeliveryRecord], DeliveryContext]:
    """What was drawn, with the records around it; what a user of another address by now is to get, moved."""
    context = load_context(run.database, drawn, run.now())
    moved = {record["_id"]: to for record in drawn if (to := moved_to(record, context)) is not None}
    if not moved:
        return drawn, context
    ledger.follow(run.database, [record for record in drawn if record["_id"] in moved], moved, run.now())
    run.deliverer.failpoint("worker.moved")
    waiting = {"state": DeliveryState.PENDING.value}
    again = list(find_any(delivery_records(run.database), "_id", (one["_id"] for one in drawn), waiting))
    return again, load_context(run.database, again, run.now())


def _with_their_mails(
    run: _Run, drawn: Sequence[DeliveryRecord], context: DeliveryContext
) -> tuple[Sequence[DeliveryRecord], DeliveryContext]:
    """What goes now, with what goes in the same mails; for readers who want several reports in one."""
    if not any(record.get("mail") or window_of(record, context) for record in drawn):
        return drawn, context
    whole = gathered(run.database, drawn, context, run.now())
    run.deliverer.failpoint("worker.gathered")
    return whole, load_context(run.database, whole, run.now())


def _deliver_channel(
    run: _Run, channel: Channel, sender: Sender, records: Sequence[DeliveryRecord], context: DeliveryContext
) -> Iterator[DeliveryOutcome]:
    """One channel's part of a draw. When the channel closes, what was not tried stays due."""
    untried = {record["_id"]: record for record in records}
    for batch in _batches(sender, records, context):
        context = _fresh(run, context, untried)
        checked_by = context
        allowed, outcomes = _check(run, batch, context)
        yield from outcomes
        ready, outcomes = _compose(run, sender, allowed, context)
        yield from outcomes
        waiting = {record["_id"]: record for record in allowed}
        for group in sender.groups(joined(run.database, ready, batch, run.settings)):
            waited = _wait_for_rate(run, channel, sender, len(group))
            if waited is None:
                ledger.postpone(run.database, untried.values(), run.now() + LONGEST_PAUSE)
                return
            tried = [each for message in group for each in message.deliveries]
            context = _fresh(run, context, untried)
            if context is not checked_by:
                group, outcomes = _check_again(run, group, waiting, context)
                yield from outcomes
            for each in tried:
                untried.pop(each, None)
            closed = False
            for sent in _send(run, channel, sender, group, waiting):
                closed = closed or sent.closed
                yield from sent.outcomes
            if closed:
                return


def _batches(
    sender: Sender, records: Sequence[DeliveryRecord], context: DeliveryContext
) -> Iterator[list[DeliveryRecord]]:
    """What is held in memory at once: many links, but only a few megabytes of attachments.

    A delivery in whose batch a worker ended goes alone: should it be the cause, it takes nobody with it.
    """
    batch: list[DeliveryRecord] = []
    size = 0
    for unit in sorted(_units(records), key=lambda one: context.attached_bytes(one[0]) > 0):
        added = sum(map(context.attached_bytes, unit))
        alone = any(record.get("suspect") for record in unit)
        if batch and (alone or size + added > ATTACHED_AT_ONCE or len(batch) >= sender.at_once):
            yield batch
            batch, size = [], 0
        if alone:
            yield unit
            continue
        batch += unit
        size += added
    if batch:
        yield batch


def _units(records: Sequence[DeliveryRecord]) -> list[list[DeliveryRecord]]:
    """What goes in one mail is one; everything else stands for itself."""
    units: dict[str, list[DeliveryRecord]] = {}
    for record in records:
        units.setdefault(record.get("mail") or record["_id"], []).append(record)
    return list(units.values())


def _check(
    run: _Run, batch: Sequence[DeliveryRecord], context: DeliveryContext
) -> tuple[list[DeliveryRecord], list[DeliveryOutcome]]:
    """Rights, unsubscriptions and suppressed addresses, as they stand at this moment."""
    allowed, outcomes = [], []
    for record in batch:
        refusal = refusal_of(record, context)
        if refusal is None:
            allowed.append(record)
            continue
        if refusal.waits:  # who draws it next sees why, and mends it
            continue
        cause = ledger.FOR_RIGHTS if refusal.of_rights else None
        if ledger.suppress(run.database, record, refusal.reason, run.now(), cause):
            outcomes.append(_outcome(record, DeliveryState.SUPPRESSED, refusal.reason, None))
    return allowed, outcomes


def _fresh(run: _Run, context: DeliveryContext, untried: Mapping[str, DeliveryRecord]) -> DeliveryContext:
    """The records around what is not tried yet, as they stand now: a slow server takes a draw of hundreds for
    minutes, in which somebody unsubscribes or loses a right."""
    if run.now() - context.read_at <= STALE:
        return context
    return load_context(run.database, list(untried.values()), run.now())


def _check_again(
    run: _Run, group: Sequence[Message], waiting: Mapping[str, DeliveryRecord], context: DeliveryContext
) -> tuple[list[Message], list[DeliveryOutcome]]:
    """What of a group that was written already may go by what was read since."""
    records = [waiting[each] for message in group for each in message.deliveries]
    allowed, outcomes = _check(run, records, context)
    kept = {record["_id"] for record in allowed}
    return [message for message in group if kept.issuperset(message.deliveries)], outcomes


def _compose(
    run: _Run, sender: Sender, allowed: Sequence[DeliveryRecord], context: DeliveryContext
) -> tuple[list[Message], list[DeliveryOutcome]]:
    """The messages that can be written; one that cannot is a failed attempt of its own."""
    ready: list[Message] = []
    failed: list[tuple[DeliveryRecord, SendResult]] = []
    for record in allowed:
        problem = context.problem_with(record)
        if problem is not None:
            failed.append((record, problem))
            continue
        try:
            ready.append(_message(run, record, context))
        except PyMongoError:
            raise
        except Exception as error:
            # Whatever one report's records or file hold, the other recipients get theirs.
            with tracing.logged(str(record.get("trace") or "")):
                log.warning("delivery %s cannot be written: %s", record["_id"], type(error).__name__)
            failed.append((record, SendResult(Outcome.RETRY, error=error_told(error))))
    return ready, _settle(run, sender, failed, begun=False)


def _message(run: _Run, record: DeliveryRecord, context: DeliveryContext) -> Message:
    report = context.reports[context.report_of(record)]
    return compose(
        {**record, "report": report["_id"]},
        report,
        context.subscriptions[record["subscription"]],
        run.settings,
        run.now(),
        lambda key: ReportFiles.of(run.database, run.objects, run.settings).get(key, ATTACH_BELOW),
        job=context.jobs.get(record["job"]),
        attachments=context.policy_of(record),
        words=context.words_of(record),
    )


def _wait_for_rate(run: _Run, channel: Channel, sender: Sender, count: int) -> timedelta | None:
    """Wait for the rate that all workers share. How long it took; None when it would take too long."""
    waited = timedelta(0)
    if sender.per_second is None:
        return waited
    burst = max(1.0, sender.per_second)
    while True:
        now = run.deliverer.rate_clock() if run.deliverer.rate_clock else None
        wait = take(run.database, channel.value, count, sender.per_second, burst, now)
        if not wait:
            return waited
        if waited + wait > LONGEST_TURN:
            return None
        pause = min(wait, LONGEST_PAUSE)
        run.deliverer.pause(pause.total_seconds())
        waited += pause


@dataclass(frozen=True)
class _Sent:
    outcomes: list[DeliveryOutcome]
    closed: bool  # the channel takes nothing more for now


def _send(
    run: _Run,
    channel: Channel,
    sender: Sender,
    ready: Sequence[Message],
    waiting: Mapping[str, DeliveryRecord],
) -> Iterator[_Sent]:
    ours = begun(run.database, ready, waiting, run.now(), LEASE)
    run.deliverer.failpoint("worker.sending")
    records = {record["_id"]: record for record in ours}
    kept = (as_begun(message, records, run.settings) for message in ready)
    messages = [message for message in kept if message is not None]
    if not messages:
        return
    started = perf_counter()
    for results in sender.send(messages, run.now(), run.deliverer.failpoint):
        MEASURES.observe("send", perf_counter() - started, channel=channel.value)
        run.deliverer.failpoint("worker.answered")
        pairs = [(records[each], result) for message, result in results for each in message.deliveries]
        _disable(run, pairs)
        closed = _close_channel(run, channel, [result for _, result in pairs])
        outcomes = _settle(run, sender, pairs)
        run.deliverer.failpoint("worker.settled")
        yield _Sent(outcomes, closed)
        started = perf_counter()


def _disable(run: _Run, pairs: Sequence[tuple[DeliveryRecord, SendResult]]) -> None:
    """An endpoint that says it is gone gets nothing more until a person lifts it."""
    for record, result in pairs:
        if result.disable_recipient:
            reason = result.error or "the endpoint is gone"
            suppress_address(
                run.database, record["organisation"], record["recipient"], reason, run.now(), record["_id"]
            )


def _settle(
    run: _Run, sender: Sender, pairs: Sequence[tuple[DeliveryRecord, SendResult]], begun: bool = True
) -> list[DeliveryOutcome]:
    now = run.now()
    settlements = [
        ledger.Settlement(
            record,
            result,
            after_attempt(
                result,
                record["failures"],
                now,
                run.deliverer.rng,
                max_attempts=sender.attempts or run.settings.max_attempts,
                schedule=sender.schedule,
                unknown_resend=timedelta(minutes=run.settings.unknown_resend_minutes),
            ),
            begun,
        )
        for record, result in pairs
    ]
    written = ledger.settle(run.database, settlements, now)
    for each in settlements:
        if each.record["_id"] in written:
            _tell(each, now)
    return [
        _outcome(each.record, each.change.state, each.result.error, each.result.provider_id)
        for each in settlements
        if each.record["_id"] in written
    ]


def _tell(each: ledger.Settlement, now: datetime) -> None:
    """One attempt, in the log and in the trace of its job."""
    record, trace = each.record, str(each.record.get("trace") or "")
    begun_at = record["sending_at"] if each.begun else now
    accepted = each.result.outcome is Outcome.ACCEPTED
    tracing.told(
        f"send {record['channel']}",
        trace,
        begun_at,
        now,
        "" if accepted else f"{each.result.outcome}: {error_kind(each.result.error)}",
        delivery=record["_id"],
        job=record["job"],
        attempt=record["attempt"],
        state=each.change.state.value,
    )
    if log.isEnabledFor(logging.INFO):
        with tracing.logged(trace):
            log.info("delivery %s of %s is %s", record["_id"], record["job"], each.change.state.value)


def _close_channel(run: _Run, channel: Channel, results: Sequence[SendResult]) -> bool:
    """Halt on refused credentials, pause on a 429. Webhooks have no common door: each has its own."""
    if channel is Channel.WEBHOOK:
        return False
    halted = next((result for result in results if result.outcome is Outcome.HALTED), None)
    if halted is not None:
        reason = halted.error or "the provider refuses our credentials"
        if ledger.halt_channel(run.database, channel.value, reason, run.now()):
            raise_alert(run.database, f"channel-halted:{channel.value}", reason, run.now())
        return True
    throttled = [result for result in results if result.outcome is Outcome.THROTTLED]
    if throttled:
        until = max(throttled_until(result.retry_at, run.now()) for result in throttled)
        ledger.pause_channel(run.database, channel.value, until)
        return True
    return False


def _outcome(
    record: DeliveryRecord, state: DeliveryState, error: str | None, provider_id: str | None
) -> DeliveryOutcome:
    return DeliveryOutcome(
        delivery=record["_id"],
        job=record["job"],
        subscription=record["subscription"],
        report=record.get("report"),
        cadence=record["cadence"],
        period=record["period"],
        channel=record["channel"],
        state=state,
        error=error,
        provider_id=provider_id,
    )
