"""The tags by which runs are found again, and the requests that carry them."""

from collections.abc import Mapping
from datetime import timedelta

from dagster import MultiPartitionKey, RunConfig, RunRequest

from reporting_pipeline.assets.scope import BatchConfig

EDITION = "reporting/edition"
STAGE = "reporting/stage"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
QUEUE = "dagster-celery/queue"
PRIORITY = "dagster/priority"
#: A run that takes longer is ended by Dagster's run monitoring; the edition sensor asks again.
MAX_RUNTIME = timedelta(hours=2)

#: What a person waits for goes first, then what is nearest to delivery.
PRIORITIES: Mapping[str, int] = {"notify": 4, "render": 3, "aggregate": 2, "fetch": 1}
ON_DEMAND_PRIORITY = 10


def stage_tags(edition: str, stage: str, priority: int | None = None) -> dict[str, str]:
    """The tags of a run of one stage of one edition.

    The sensors are the retry loop: Dagster must not also retry what they will ask for again.
    """
    return {
        EDITION: edition,
        STAGE: stage,
        QUEUE: stage,
        PRIORITY: str(PRIORITIES[stage] if priority is None else priority),
        "dagster/max_runtime": str(int(MAX_RUNTIME.total_seconds())),
        "dagster/max_retries": "0",
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
