"""`report_emails`: a materialization for each report that was handed over, and the op that does it.

The asset is external: nobody materializes it by hand. Delivering again is a decision of the ledger
(`stores.deliveries`), never of a button in the UI.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from dagster import (
    AssetDep,
    AssetExecutionContext,
    AssetMaterialization,
    AssetSpec,
    DimensionPartitionMapping,
    IdentityPartitionMapping,
    JobDefinition,
    MetadataValue,
    MultiPartitionMapping,
    OpExecutionContext,
    job,
    op,
)

from reporting_pipeline import tracing
from reporting_pipeline.assets.batch import away_fails_the_run
from reporting_pipeline.assets.edition_checks import evaluate_deliveries
from reporting_pipeline.assets.scope import NOTIFY, OWNERS, REPORT_EMAILS, SUBSCRIBER_REPORTS, Scope
from reporting_pipeline.dagster_instance.events import log_materializations, materialization
from reporting_pipeline.dagster_instance.switches import is_turned_off
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.operations import logs
from reporting_pipeline.partitions import PERIOD, SUBSCRIPTION, SubscriptionPartition
from reporting_pipeline.resources import MongoResource, ObjectStoreResource
from reporting_pipeline.stores.deliveries import Due, plan_for_jobs
from reporting_pipeline.stores.heartbeats import RunProgress, beating
from reporting_pipeline.stores.jobs import jobs_with_report
from reporting_pipeline.stores.mongo import Database, server_clock, server_time
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.usage import note_compute

if TYPE_CHECKING:
    from reporting_pipeline.delivery.sender.worker import DeliveryOutcome

#: The sensor that asks for deliveries. Turned off, nothing is sent.
DELIVERY_SENSOR = "report_email_sensor"
#: Deliveries of one run; what is left is asked for again.
DELIVERIES_PER_RUN = 20_000
#: A run's tag: its number among the delivery runs of its cadence.
PART = "reporting/part"
#: Loops of one run over the ledger: one composes and sends while another waits for the database.
WORKERS = 2
HANDED_OVER = (DeliveryState.SENT, DeliveryState.DELIVERED)
FLUSH = 200


def report_emails_spec(scope: Scope) -> AssetSpec:
    same_subscription = MultiPartitionMapping(
        {
            PERIOD: DimensionPartitionMapping(PERIOD, IdentityPartitionMapping()),
            SUBSCRIPTION: DimensionPartitionMapping(SUBSCRIPTION, IdentityPartitionMapping()),
        }
    )
    return AssetSpec(
        key=scope.key(REPORT_EMAILS),
        partitions_def=scope.by_subscription,
        deps=[AssetDep(scope.key(SUBSCRIBER_REPORTS), partition_mapping=same_subscription)],
        group_name=scope.group,
        owners=OWNERS,
        kinds={"email"},
        description=(
            "A materialization for each report that was handed over to a channel. Requested by "
            "report_email_sensor; a report that is materialized again is not sent again."
        ),
    )


def part_of(tags: Mapping[str, str]) -> int:
    """A delivery run's number; 0 where there is none, as on a run that somebody started by hand."""
    text = tags.get(PART, "")
    return int(text) if text.isdecimal() and len(text) <= 3 else 0


def delivery_job(scope: Scope, name: str) -> JobDefinition:
    """The job that delivers what is due of one cadence."""

    @op(
        name=f"deliver_{scope.cadence}_reports",
        pool=NOTIFY,
        description="Draws due deliveries in batches, sends them, records what became of each.",
    )
    def deliver(context: OpExecutionContext, mongo: MongoResource, objects: ObjectStoreResource) -> None:
        database = mongo.database()
        part = (part_of(context.run.tags), scope.settings.delivery_runs)
        due = Due(database, Random(), scope.cadence.value, part)  # noqa: S311 - spreads load, no secret
        _deliver(context, database, objects.store(), scope, due)

    @job(
        name=name,
        description=f"Delivers the {scope.cadence} reports that are due.",
        tags={"dagster-celery/queue": NOTIFY},
    )
    def deliver_reports() -> None:
        deliver()

    return deliver_reports


def deliver_what_was_asked_for(
    context: AssetExecutionContext,
    database: Database,
    store: ObjectStore,
    scope: Scope,
    partitions: Sequence[SubscriptionPartition],
) -> None:
    """Deliver what is due of these reports in the run that made them: somebody waits for it.

    The same planning and the same loop over the ledger as the delivery job's, over these jobs alone. What
    this does not come to, as its process ended, a channel closed or a provider said later, the delivery
    sensor finds due like any other. Who turned that sensor off stopped all mails, these among them.
    """
    if is_turned_off(context.instance, DELIVERY_SENSOR):
        context.log.warning(f"{DELIVERY_SENSOR} is turned off: what is due waits")
        return
    jobs: list[str] = []
    for period in sorted({one.period.key for one in partitions}):
        concerned = (one.subscription for one in partitions if one.period.key == period)
        found = jobs_with_report(database, period, concerned)
        plan_for_jobs(database, found, server_time(database))
        jobs += (job["_id"] for job in found)
    due = Due(database, Random(), scope.cadence.value, jobs=jobs)  # noqa: S311 - spreads load, no secret
    _deliver(context, database, store, scope, due)


def _deliver(
    context: AssetExecutionContext | OpExecutionContext,
    database: Database,
    store: ObjectStore,
    scope: Scope,
    due: Due,
) -> None:
    """Deliver what `due` draws, and send the notices that follow from it."""
    # Here, as Dagster loads this module into every process and only this one needs channels and templates.
    from reporting_pipeline.delivery.channels.deliverer import open_deliverer
    from reporting_pipeline.delivery.notices.due import send_due_notices
    from reporting_pipeline.delivery.sender.worker import deliver_at_once, deliver_due
    from reporting_pipeline.usecases.changed_addresses import finish_confirmed

    progress = RunProgress(total=0)

    now = server_clock(database)

    def worker() -> "Iterator[DeliveryOutcome]":
        return deliver_due(
            open_deliverer(scope.settings),
            database,
            store,
            scope.settings,
            now,
            DELIVERIES_PER_RUN // WORKERS,
            scope.cadence.value,
            due,
        )

    with (
        away_fails_the_run(),
        logs.bound(run=context.run.run_id, stage=NOTIFY),
        tracing.span(
            f"{NOTIFY} run",
            context.run.tags.get(tracing.RUN_TAG, ""),
            run=context.run.run_id,
            stage=NOTIFY,
        ),
        beating(database, context.run.run_id, NOTIFY, progress, scope.settings.heartbeat_seconds),
    ):
        waiting: list[DeliveryOutcome] = []
        cpu_before, editions = time.process_time(), Counter[str]()
        try:
            for outcome in deliver_at_once(WORKERS, worker):
                editions[f"{outcome.cadence}:{outcome.period}"] += 1
                progress.done += 1
                progress.failed += outcome.state not in HANDED_OVER
                waiting.append(outcome)
                if len(waiting) >= FLUSH:
                    _log(context, scope, waiting)
        finally:  # what was handed over before an error is told, too
            _log(context, scope, waiting)
        note_compute(database, NOTIFY, time.process_time() - cpu_before, editions, now())
        for each, periods in by_cadence(scope, editions):
            context.instance.report_runless_asset_event(evaluate_deliveries(database, each, periods, now()))
        finish_confirmed(database, scope.settings, now())
        told = send_due_notices(open_deliverer(scope.settings), database, scope.settings, now())
    tracing.flush()
    if told:
        context.log.info(f"{told} owners and organisations were told of reports that did not arrive")
    context.log.info(f"{progress.done} deliveries tried, {progress.failed} of them not handed over")


def by_cadence(scope: Scope, editions: Iterable[str]) -> list[tuple[Scope, set[str]]]:
    """The scopes of what was delivered, the run's own first, with their periods' keys: a mail of several
    reports may bring those of other cadences."""
    found: dict[str, set[str]] = {scope.cadence.value: set()}
    for edition in editions:
        cadence, _, period = edition.partition(":")
        found.setdefault(cadence, set()).add(period)
    known = {one.value for one in Cadence}
    return [(_of_cadence(scope, one), periods) for one, periods in found.items() if one in known]


def _of_cadence(scope: Scope, cadence: str) -> Scope:
    return replace(scope, cadence=Cadence(cadence))


def _log(
    context: AssetExecutionContext | OpExecutionContext, scope: Scope, outcomes: "list[DeliveryOutcome]"
) -> None:
    """Log a materialization for each that was handed over, and empty `outcomes`.

    One that cannot be told, as its record names no period, is said in the run's log and holds up no other.
    """
    told, handed_over = [], [one for one in outcomes if one.state in HANDED_OVER]
    outcomes.clear()
    for outcome in handed_over:
        try:
            told.append(materialization_of(scope, outcome))
        except ValueError as error:
            context.log.error(f"delivery {outcome.delivery} was handed over and cannot be shown: {error}")
    log_materializations(context, told)


def materialization_of(scope: Scope, outcome: "DeliveryOutcome") -> AssetMaterialization:
    own = _of_cadence(scope, outcome.cadence)
    period = Period.from_key(own.cadence, outcome.period, scope.settings.timezone)
    return materialization(
        own.key(REPORT_EMAILS),
        SubscriptionPartition(period, outcome.subscription).key,
        {
            "delivery": MetadataValue.text(outcome.delivery),
            "channel": MetadataValue.text(outcome.channel),
            "state": MetadataValue.text(outcome.state.value),
            "provider id": MetadataValue.text(outcome.provider_id or ""),
            "report": MetadataValue.text(outcome.report or ""),
        },
    )
