"""A span for each job whose report a run has made or failed to make, in the trace of that job."""

from collections.abc import Sequence
from datetime import UTC, datetime

from reporting_pipeline import tracing
from reporting_pipeline.partitions import SubscriptionPartition
from reporting_pipeline.stores.jobs import traced_jobs
from reporting_pipeline.stores.metrics import error_kind
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.results import FAILED, AssetResult


class ReportSpans:
    """What the reports of one run tell of themselves; nothing, and no query, where nothing is traced."""

    def __init__(self, database: Database, cadence: str) -> None:
        self._database = database
        self._cadence = cadence
        self._began: dict[tuple[str, str], datetime] = {}

    def begin(self, partition: SubscriptionPartition) -> None:
        """A report's rendering begins now."""
        if tracing.on():
            self._began[partition.subscription, partition.period.key] = datetime.now(UTC)

    def end(self, results: Sequence[AssetResult]) -> None:
        """Tell of these reports. Call it before their jobs move on: the jobs that wait are theirs."""
        if not tracing.on():
            return
        found = {(one.item, one.period): one for one in results}
        for period in sorted({one.period for one in results}):
            concerned = [one.item for one in results if one.period == period]
            for job in traced_jobs(self._database, period, concerned):
                result = found[job["subscription"], period]
                tracing.told(
                    "render report",
                    job["trace"],
                    self._began.get((result.item, period), result.at),
                    result.at,
                    error_kind(result.reason) if result.state == FAILED else "",
                    job=job["_id"],
                    subscription=result.item,
                    edition=f"{self._cadence}:{period}",
                    state=result.state,
                )
        for one in results:
            self._began.pop((one.item, one.period), None)
