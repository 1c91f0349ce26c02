"""`weekly_edition_schedule` and its daily and monthly siblings: they open editions."""

from datetime import UTC

from dagster import (
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from reporting_pipeline.assets.scope import DOCUMENTS, Scope
from reporting_pipeline.automation.control import Controller
from reporting_pipeline.automation.jobs import job_name
from reporting_pipeline.automation.subscription_sync import synchronize
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.resources import MongoResource
from reporting_pipeline.stores.audit import AuditAction, record
from reporting_pipeline.stores.documents import trials_of
from reporting_pipeline.stores.editions import EditionExists, open_edition
from reporting_pipeline.stores.mongo import server_time


def edition_schedule(scope: Scope) -> ScheduleDefinition:
    """The schedule that opens the editions of one cadence. Opening is idempotent: a tick too many skips."""
    cadence, settings = scope.cadence, scope.settings
    cron = {
        Cadence.DAILY: settings.daily_opens,
        Cadence.WEEKLY: settings.weekly_opens,
        Cadence.MONTHLY: settings.monthly_opens,
    }[cadence]

    @schedule(
        name=f"{cadence}_edition_schedule",
        cron_schedule=cron,
        execution_timezone=settings.timezone,
        job_name=job_name(cadence, DOCUMENTS),
        default_status=DefaultScheduleStatus.RUNNING,
        description=(
            f"Opens the edition of the {cadence.noun} that closed last: a run over that {cadence.noun} "
            "and all trials. edition_sensor takes it from there."
        ),
    )
    def edition_opens(
        context: ScheduleEvaluationContext, mongo: MongoResource
    ) -> list[RunRequest] | SkipReason:
        now = context.scheduled_execution_time.astimezone(UTC)
        database = mongo.database()
        period = Period.last_closed(cadence, now, settings.timezone)
        try:
            edition = open_edition(database, cadence, period.key, "schedule", now)
        except EditionExists as error:
            return SkipReason(f"edition {error.edition.id} is already {error.edition.state.value}")
        record(
            database,
            AuditAction.EDITION_OPENED,
            "schedule",
            edition.id,
            now,
            organisation=settings.organisation,
        )
        synchronize(database, context.instance)
        if period.end_at > server_time(database):
            told = f"by the database server's clock its {cadence.noun} goes on"
            return SkipReason(f"edition {edition.id} is open; {told}")
        controller = Controller(scope, period, database, context.instance, now)
        requests = controller.trial_requests(
            [trial["_id"] for trial in trials_of(database)], controller.states()
        )
        return requests or SkipReason(f"edition {edition.id} is open; no trial has work to do")

    return edition_opens
