"""How fast Dagster's UI answers for the report asset: python -m benchmarks.lineage --partitions 500000

Writes that many materialized partitions (13 weeks of subscriptions) straight into the event log of an
empty instance, starts Dagster's webserver on it, and asks it over HTTP what its pages ask: the health of
all partitions, the counts of the overview, and one partition's events. On SQLite and on Postgres. Prints
one JSON object; `first` is the first answer of a page, which builds Dagster's cache, `later` the median
of the next ones.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from dagster import AssetKey, DagsterEventType, DagsterInstance, MultiPartitionKey
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import serialize_value

from benchmarks import measuring
from reporting_pipeline.assets.events import materialization
from reporting_pipeline.cli.dagster_processes import code_server
from reporting_pipeline.cli.processes import running
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.embedded.processes import HOST, free_ports
from reporting_pipeline.partitions import PERIOD, SUBSCRIPTION, subscriptions
from reporting_pipeline.settings import child_environment
from reporting_pipeline_tests import postgres

ASSET = AssetKey(["weekly", "subscriber_reports"])
WEEKS = 13
AT_ONCE = 10_000
ANSWERS = 5
START_SECONDS = 180.0

_ONE_DIMENSION = """
  ... on TimePartitionStatuses { ranges { status startTime endTime startKey endKey } }
  ... on DefaultPartitionStatuses { materializedPartitions failedPartitions materializingPartitions }
"""
#: page of the UI -> what it asks
QUERIES: Mapping[str, str] = {
    "partition_health": """
      query PartitionHealthQuery($asset: AssetKeyInput!) { assetNodeOrError(assetKey: $asset) {
        ... on AssetNode { id
          partitionKeysByDimension { name type partitionKeys }
          assetPartitionStatuses { ONE
            ... on MultiPartitionStatuses { primaryDimensionName ranges {
              primaryDimStartKey primaryDimEndKey secondaryDim { ONE } } } } } } }
    """.replace("ONE", _ONE_DIMENSION),
    "overview": """
      query AssetOverview($asset: AssetKeyInput!) { assetNodeOrError(assetKey: $asset) {
        ... on AssetNode { id
          partitionStats { numMaterialized numFailed numMaterializing numPartitions }
          assetMaterializations(limit: 1) { timestamp partition runId } } } }
    """,
    "partition": """
      query PartitionDetail($asset: AssetKeyInput!, $partition: String!) {
        assetNodeOrError(assetKey: $asset) { ... on AssetNode { id
          latestMaterializationByPartition(partitions: [$partition]) { timestamp runId }
          assetMaterializations(partitions: [$partition], limit: 25) {
            timestamp runId metadataEntries { label } } } } }
    """,
}


def measure(partitions: int, storages: Sequence[str]) -> dict[str, Any]:
    """The answer times by storage and page, in seconds."""
    weeks = _weeks()
    keys = [f"sub_{number:024x}" for number in range(max(partitions // len(weeks), 1))]
    figures: dict[str, Any] = {"partitions": len(keys) * len(weeks), "subscriptions": len(keys)}
    for storage in storages:
        figures[storage] = _measure_storage(storage, weeks, keys)
    slowest = [page["first"] for storage in storages for page in figures[storage]["pages"].values()]
    return {**figures, "slowest_s": max(slowest)}


def _weeks() -> list[str]:
    """The last closed weeks, oldest first."""
    now = datetime.now(UTC)
    found = {Period.last_closed(Cadence.WEEKLY, now - timedelta(weeks=back)).key for back in range(WEEKS - 1)}
    return sorted(found)


def _measure_storage(storage: str, weeks: Sequence[str], keys: Sequence[str]) -> dict[str, Any]:
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="reporting-lineage-"))
        home = Path(name) / "dagster"
        home.mkdir()
        url = stack.enter_context(postgres.running() if storage == "postgres" else nullcontext(""))
        _write_config(home, url)
        with measuring.Watch() as filling:
            _fill(home, weeks, keys)
        ask = stack.enter_context(_webserver(Path(name), home))
        partition = f"{weeks[-1]}|{keys[len(keys) // 2]}"
        pages = {page: _answers(ask, query, partition) for page, query in QUERIES.items()}
        _check(ask, len(weeks) * len(keys))
    return {"written_s": filling.wall, "pages": pages}


def _write_config(home: Path, postgres_url: str) -> None:
    config = "telemetry:\n  enabled: false\n"
    if postgres_url:
        config += f"storage:\n  postgres:\n    postgres_url: {postgres_url}\n"
    (home / "dagster.yaml").write_text(config)


def _fill(home: Path, weeks: Sequence[str], keys: Sequence[str]) -> None:
    with DagsterInstance.from_config(str(home)) as instance:
        name = str(subscriptions(Cadence.WEEKLY).name)
        for start in range(0, len(keys), AT_ONCE):
            instance.add_dynamic_partitions(name, list(keys[start : start + AT_ONCE]))
        storage = instance.event_log_storage
        assert isinstance(storage, SqlEventLogStorage)
        pairs = ((week, key) for week in weeks for key in keys)
        template = serialize_value(_event("WEEK", "SUBSCRIPTION"))
        first = 1
        while batch := list(islice(pairs, AT_ONCE)):
            rows = [
                {
                    "id": first + at,
                    "run_id": f"run-{week}",
                    "event": template.replace("WEEK", week).replace("SUBSCRIPTION", key),
                    "dagster_event_type": DagsterEventType.ASSET_MATERIALIZATION.value,
                    "timestamp": datetime.now(UTC).replace(tzinfo=None),
                    "step_key": "weekly__subscriber_reports",
                    "asset_key": ASSET.to_string(),
                    "partition": f"{week}|{key}",
                }
                for at, (week, key) in enumerate(batch)
            ]
            with storage.index_transaction() as connection:
                connection.execute(SqlEventLogStorageTable.insert(), rows)
                connection.execute(AssetEventTagsTable.insert(), list(_tags(rows, batch)))
                storage._store_asset_event(connection, _event(*batch[-1]), first + len(batch) - 1)
            first += len(batch)


def _event(week: str, key: str) -> EventLogEntry:
    one = materialization(
        ASSET,
        MultiPartitionKey({PERIOD: week, SUBSCRIPTION: key}),
        {"pages": 6, "bytes": 120_000, "SHA-256": "0" * 64},
    )
    event = DagsterEvent(
        event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
        job_name="weekly_subscriber_reports_job",
        event_specific_data=StepMaterializationData(one),
        step_key="weekly__subscriber_reports",
    )
    return EventLogEntry(
        error_info=None,
        level=10,
        user_message="",
        run_id=f"run-{week}",
        timestamp=time.time(),
        step_key="weekly__subscriber_reports",
        job_name="weekly_subscriber_reports_job",
        dagster_event=event,
    )


def _tags(rows: Sequence[dict[str, Any]], batch: Sequence[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    for row, (week, key) in zip(rows, batch, strict=True):
        for dimension, value in ((PERIOD, week), (SUBSCRIPTION, key)):
            yield {
                "event_id": row["id"],
                "asset_key": row["asset_key"],
                "key": f"dagster/partition/{dimension}",
                "value": value,
                "event_timestamp": row["timestamp"],
            }


@contextmanager
def _webserver(folder: Path, home: Path) -> Iterator[Any]:
    """Dagster's webserver on the product's definitions; yields a function that asks it."""
    (port,) = free_ports(1)
    environment = child_environment(
        {
            "DAGSTER_HOME": str(home),
            "REPORTING_HOME": str(folder / "home"),
            # The definitions name the servers; no page of the asset asks them.
            "MONGODB_URI": os.environ.get("MONGODB_URI", "mongodb://127.0.0.1:9"),
        }
    )

    def ask(query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(f"http://{HOST}:{port}/graphql", body, {"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=600) as answer:  # noqa: S310 - our own webserver
                found = json.load(answer)
        except HTTPError as error:
            found = {"errors": error.read().decode(errors="replace")}
        if "errors" in found:
            raise RuntimeError(f"the webserver answers {found['errors']}")
        return dict(found["data"])

    with (
        code_server(environment, folder) as code,
        running(
            "dagster-webserver", code.webserver_command(port), environment, folder / "webserver.log"
        ) as child,
    ):
        deadline = time.monotonic() + START_SECONDS
        while True:
            child.check()
            try:
                ask("query { version }", {})
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        yield ask


def _answers(ask: Any, query: str, partition: str) -> dict[str, float]:
    variables = {"asset": {"path": ASSET.path}}
    if "$partition" in query:
        variables |= {"partition": partition}  # type: ignore[dict-item]
    seconds = []
    for _ in range(ANSWERS):
        with measuring.Watch() as watch:
            ask(query, variables)
        seconds.append(watch.wall)
    return {"first": seconds[0], "later": statistics.median(seconds[1:])}


def _check(ask: Any, expected: int) -> None:
    """The pages must have shown all of it, or the times mean nothing."""
    answer = ask(QUERIES["overview"], {"asset": {"path": ASSET.path}})
    stats = answer["assetNodeOrError"]["partitionStats"]
    if stats["numMaterialized"] != expected:
        raise RuntimeError(f"{expected} partitions were written, the UI shows {stats}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--partitions", type=int, default=5_000)
    parser.add_argument("--storage", choices=("sqlite", "postgres"), action="append")
    chosen = parser.parse_args()
    measuring.end_cleanly()
    measuring.show("lineage", measure(chosen.partitions, chosen.storage or ["sqlite", "postgres"]))


if __name__ == "__main__":
    main()
