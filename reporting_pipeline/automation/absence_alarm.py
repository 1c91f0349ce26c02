"""`absence_alarm`: expected by T, not delivered.

Computed from subscriptions and deliveries alone. This sensor speaks while the daemon runs; the command
`reporting-pipeline alarm`, from a cron outside, speaks when it does not.
"""

from collections.abc import Iterator, Sequence

from dagster import (
    DefaultSensorStatus,
    JobDefinition,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from reporting_pipeline.assets.scope import NOTIFY
from reporting_pipeline.automation.jobs import delivery_job_name
from reporting_pipeline.automation.tags import stage_tags
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.resources import MongoResource
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import server_time

LOOK_EVERY_SECONDS = 600


def absence_alarm_sensor(settings: Settings, jobs: Sequence[JobDefinition]) -> SensorDefinition:
    @sensor(
        name="absence_alarm",
        jobs=jobs,
        minimum_interval_seconds=LOOK_EVERY_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Raises an alert when reports were expected and did not arrive, and has those concerned told of "
            "failed and held-back reports where no delivery run would do it."
        ),
    )
    def alarm(context: SensorEvaluationContext, mongo: MongoResource) -> Iterator[RunRequest | SkipReason]:
        # Here, as Dagster loads this module into every process and only this one needs the mail templates.
        from reporting_pipeline.delivery.notices.absence import check_absence
        from reporting_pipeline.delivery.notices.due import notices_due
        from reporting_pipeline.stores.asked_addresses import unfinished

        database = mongo.database()
        now = server_time(database)
        absent = check_absence(database, settings, now)
        if absent:
            context.log.error(f"{len(absent)} reports were expected and did not arrive")
        if notices_due(database, now) or any(unfinished(database, now)):
            yield RunRequest(
                job_name=delivery_job_name(Cadence.WEEKLY),
                tags=stage_tags(Cadence.WEEKLY.value, NOTIFY),
            )
        else:
            yield SkipReason(f"{len(absent)} reports are late; no notice is due")

    return alarm
