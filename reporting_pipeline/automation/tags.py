"""The tags by which runs are found again, and the requests that carry them."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from dagster import DagsterRun, MultiPartitionKey, RunConfig, RunRequest

from reporting_pipeline.assets.scope import BatchConfig, ReportsConfig
from reporting_pipeline.partitions import SubscriptionPartition
from reporting_pipeline.tracing import RUN_TAG

EDITION = "reporting/edition"
STAGE = "reporting/stage"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
QUEUE = "dagster-celery/queue"
PRIORITY = "dagster/priority"
#: "yes" on runs that a person waits for; "no" on the others, which leave them room (dagster.yaml).
PROMPT = "reporting/prompt"
#: The stage, on runs that nobody waits for: they take a part of its pool, the rest is for those that somebody
#: waits for (dagster.yaml).
BULK = "reporting/bulk"
#: A run that takes longer is ended by Dagster's run monitoring; the edition sensor asks again.
MAX_RUNTIME = timedelta(hours=2)

#: What a person waits for goes first, then what is nearest to delivery.
PRIORITIES: Mapping[str, int] = {"notify": 4, "render": 3, "aggregate": 2, "fetch": 1}
ON_DEMAND_PRIORITY = 10


def stage_tags(edition: str, stage: str, prompt: bool = False, trace: str = "") -> dict[str, str]:
    """The tags of a run of one stage of one edition; `prompt`: a person waits for it; `trace`: theirs.

    The sensors are the retry loop: Dagster must not also retry what they will ask for again.
    """
    return {
        EDITION: edition,
        STAGE: stage,
        QUEUE: stage,
        PROMPT: "yes" if prompt else "no",
        PRIORITY: str(ON_DEMAND_PRIORITY if prompt else PRIORITIES[stage]),
        "dagster/max_runtime": str(int(MAX_RUNTIME.total_seconds())),
        "dagster/max_retries": "0",
        **({} if prompt else {BULK: stage}),
        **({RUN_TAG: trace} if trace else {}),
    }


def range_request(
    job_name: str,
    first: MultiPartitionKey,
    last: MultiPartitionKey,
    tags: Mapping[str, str],
    op_name: str,
    force: bool = False,
) -> RunRequest:
    """A run of `job_name` over the partitions from `first` to `last`, both included."""
    config = RunConfig(ops={op_name: BatchConfig(force=True)}) if force else None
    return RunRequest(
        job_name=job_name,
        run_config=config.to_config_dict() if config else {},
        tags={**tags, RANGE_START: str(first), RANGE_END: str(last)},
    )


def asked_request(
    job_name: str, reports: Sequence[SubscriptionPartition], tags: Mapping[str, str], op_name: str
) -> RunRequest:
    """A run of `job_name` that makes and delivers these reports of one period, wherever their keys stand.

    For Dagster it is a run of the first of them, and the others' materializations are logged by it.
    """
    named = ReportsConfig(subscriptions=[one.subscription for one in reports])
    first = str(reports[0].key)
    return RunRequest(
        job_name=job_name,
        run_config=RunConfig(ops={op_name: named}).to_config_dict(),
        tags={**tags, RANGE_START: first, RANGE_END: first},
    )


def asked_of(run: DagsterRun, op_name: str) -> list[str]:
    """The subscriptions that a run of `asked_request` names; none of any other run."""
    ops: Any = run.run_config.get("ops") or {}
    config = (ops.get(op_name) or {}).get("config") or {}
    return list(config.get("subscriptions") or ())
