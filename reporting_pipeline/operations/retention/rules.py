"""The rules that a deployment's settings ask for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from reporting_pipeline.domain.retention import RetentionRules
from reporting_pipeline.settings import Settings


def keep_rules(settings: Settings) -> RetentionRules:
    """The rules that a deployment's settings ask for, as they can be kept together."""

    def days(number: int) -> timedelta:
        return timedelta(days=number)

    return RetentionRules.made(
        shown=days(settings.retention_days),
        reports=days(settings.keep_reports_days),
        inputs=days(settings.keep_inputs_days),
        pictures=days(settings.keep_pictures_days),
        history=days(settings.keep_history_days),
        runs=days(settings.keep_runs_days),
        outbox=days(settings.keep_outbox_days),
        orphans=days(settings.keep_orphans_days),
        link=days(settings.link_days),
        cache_bytes=settings.cache_limit_mb * 1_000_000,
    )


def retention_days(settings: Settings) -> Mapping[str, int]:
    """Days after which the product deletes what lies under a prefix: what the bucket's rules follow."""
    rules = keep_rules(settings)
    return {
        "reports/": rules.reports.days,
        "snapshots/": rules.inputs.days,
        "datasets/": rules.inputs.days,
        "media/": max(rules.inputs, rules.pictures).days,
    }
