"""Dagster's own runs with their events and logs, by its public interface: it never prunes them."""

from __future__ import annotations

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from reporting_pipeline.operations.retention.kinds import Removed, Retention

ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
#: Runs in one look.
RUNS_AT_ONCE = 100


def runs(retention: Retention, instance: DagsterInstance) -> Removed:
    """Ended runs past their time, each with its events and compute logs."""
    removed = Removed("runs")
    past = RunsFilter(
        statuses=ENDED, created_before=retention.rules.before(retention.rules.runs, retention.now)
    )
    if retention.dry_run:
        removed.records = instance.get_runs_count(past)
        return removed
    while True:
        found = instance.get_run_records(past, limit=RUNS_AT_ONCE, ascending=True)
        for record in found:
            run_id = record.dagster_run.run_id
            instance.compute_log_manager.delete_logs(prefix=[run_id])
            instance.delete_run(run_id)
            removed.records += 1
        if len(found) < RUNS_AT_ONCE:
            return removed
