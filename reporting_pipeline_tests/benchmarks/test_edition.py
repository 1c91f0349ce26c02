"""A whole edition through the real daemon, small, beside its limit and its alternatives."""

from __future__ import annotations

import pytest

from reporting_pipeline_tests.benchmarks.small import figures_of

SAID = {
    "wall_s",
    "limit_wall_s",
    "vs_run_per_report",
    "vs_celery",
    "events_share",
    "startup_share",
    "peak_mb",
    "cost_per_report_s",
    "breakdown",
}


@pytest.mark.slow
def test_a_small_edition_is_made_whole_and_compared_with_its_limit_and_its_alternatives() -> None:
    said = figures_of("edition")
    assert said.keys() >= SAID
    assert said["reports"] == said["mails"] == said["subscriptions"]
    assert said["jobs"] == {"completed": said["subscriptions"]}
    assert said["limit"]["reports"] == said["subscriptions"]
    assert said["limit"]["same_bytes"] is True
    assert said["limit_parallel"]["same_bytes"] is True
    assert said["run_per_report"]["runs"] >= 1
    assert said["celery"]["seconds_per_report"] > 0
