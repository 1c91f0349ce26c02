"""Where everything meets: assets, jobs, schedules, sensors and resources of one deployment.

`build_defs` is what production, the demo and the tests call; only the settings differ.
"""

import warnings
from collections.abc import Mapping
from datetime import UTC, datetime

from dagster import BetaWarning, Definitions, definitions, in_process_executor

from reporting_pipeline import tracing
from reporting_pipeline.assets.edition import edition_assets, source_assets
from reporting_pipeline.assets.edition_checks import deliveries_check
from reporting_pipeline.assets.emails import delivery_job
from reporting_pipeline.assets.scope import Scope
from reporting_pipeline.assets.source_references import leading_to_their_source
from reporting_pipeline.automation.absence_alarm import absence_alarm_sensor
from reporting_pipeline.automation.edition_sensor import edition_sensor
from reporting_pipeline.automation.jobs import delivery_job_name, stage_jobs
from reporting_pipeline.automation.on_demand_sensor import on_demand_sensor
from reporting_pipeline.automation.report_email_sensor import report_email_sensor
from reporting_pipeline.automation.restatement_sensor import restatement_sensor
from reporting_pipeline.automation.schedules import edition_schedule
from reporting_pipeline.automation.subscription_sync import subscription_sync_sensor
from reporting_pipeline.automation.upkeep import (
    confirmation_job,
    reconciliation_check,
    reconciliation_job,
    retention_job,
    upkeep_schedules,
)
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.operations import logs
from reporting_pipeline.resources import build_resources
from reporting_pipeline.settings import Settings, current_settings


def build_defs(
    settings: Settings,
    now: datetime | None = None,
    resource_overrides: Mapping[str, object] | None = None,
) -> Definitions:
    """The definitions of a deployment.

    `now` decides the oldest period shown (default: the clock). Raises SettingsError when the settings
    name no servers.
    """
    built_at = now or datetime.now(UTC)
    with warnings.catch_warnings():
        # Backfill policies and partition mappings are what ranges stand on, code references lead to the
        # source; Dagster calls them beta.
        warnings.simplefilter("ignore", BetaWarning)
        scopes = {cadence: Scope(cadence, settings, built_at) for cadence in Cadence}
        stages = [job for scope in scopes.values() for job in stage_jobs(scope)]
        agreement = reconciliation_check(settings)
        retention, reconciliation = retention_job(settings), reconciliation_job(agreement)
        confirmation = confirmation_job(settings)
        deliveries = [delivery_job(scope, delivery_job_name(cadence)) for cadence, scope in scopes.items()]
        return Definitions(
            assets=[
                *source_assets(),
                *leading_to_their_source(
                    [asset for scope in scopes.values() for asset in edition_assets(scope)], settings
                ),
            ],
            asset_checks=[agreement, *(deliveries_check(scope) for scope in scopes.values())],
            jobs=[*stages, *deliveries, retention, reconciliation, confirmation],
            schedules=[
                *(edition_schedule(scope) for scope in scopes.values()),
                *upkeep_schedules(settings, retention, reconciliation, confirmation),
            ],
            sensors=[
                subscription_sync_sensor(settings),
                on_demand_sensor(scopes, settings, stages),
                restatement_sensor(scopes, settings),
                edition_sensor(scopes, settings, stages),
                report_email_sensor(scopes, settings, deliveries),
                absence_alarm_sensor(settings, deliveries),
            ],
            resources={**build_resources(settings), **(resource_overrides or {})},
            # One process per run: a range is one step, and a second process would load everything again.
            executor=in_process_executor,
        )


@definitions
def defs() -> Definitions:
    """The deployment that the environment describes; built when Dagster loads it, not at import."""
    logs.set_up(current_settings())
    tracing.set_up(current_settings())
    return build_defs(current_settings())
