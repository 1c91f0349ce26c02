"""How fast Dagster's UI answers for the report asset: python -m benchmarks.lineage --partitions 500000

Writes that many planned and materialized partitions (12 closed weeks of subscriptions) straight into the
event log of an empty instance, as the runs of an edition do: a run for each week, in which `--failed`
reports of a thousand were planned and not made, others in each week. Then it starts Dagster's webserver on
it with the product's storages, asks it over HTTP what its pages ask (the health of all partitions, the
counts of the overview, one partition's events), and does the same with Dagster's own storages on the same
data. The answers must be equal. Prints one JSON object; `first` is the first answer of a page after the
webserver's start, `later` the median of the next ones, `new_key` the first one after a subscription came.
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
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import yaml
from dagster import (
    AssetKey,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    MultiPartitionKey,
)
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._serdes import serialize_value

from benchmarks import measuring
from reporting_pipeline.cli.local.dagster_processes import code_server
from reporting_pipeline.cli.local.processes import running
from reporting_pipeline.dagster_instance.event_log import KEYS_KEPT_SECONDS
from reporting_pipeline.dagster_instance.events import materialization
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


def measure(partitions: int, storages: Sequence[str], failed: int) -> dict[str, Any]:
    """The answer times by storage and page, in seconds; `vs_dagster`: Dagster's own, as multiples of ours."""
    weeks = _weeks()
    keys = [f"sub_{number:024x}" for number in range(max(partitions // len(weeks), 1))]
    figures: dict[str, Any] = {
        "partitions": len(keys) * len(weeks),
        "subscriptions": len(keys),
        "failed": sum(_is_failed(week, key, failed) for week in weeks for key in range(len(keys))),
    }
    for storage in storages:
        figures[storage] = _measure_storage(storage, weeks, keys, failed)
    slowest = [max(page.values()) for storage in storages for page in figures[storage]["pages"].values()]
    return {**figures, "slowest_s": max(slowest)}


def _weeks() -> list[str]:
    """The last closed weeks, oldest first."""
    now = datetime.now(UTC)
    found = {Period.last_closed(Cadence.WEEKLY, now - timedelta(weeks=back)).key for back in range(WEEKS - 1)}
    return sorted(found)


def _is_failed(week: str, number: int, failed: int) -> bool:
    """`failed` reports of a thousand, spread out, and others in each week."""
    return (number * 617 + date.fromisoformat(week).toordinal() * 31) % 1_000 < failed


def _measure_storage(storage: str, weeks: Sequence[str], keys: Sequence[str], failed: int) -> dict[str, Any]:
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="reporting-lineage-"))
        home = Path(name) / "dagster"
        home.mkdir()
        url = stack.enter_context(postgres.running() if storage == "postgres" else nullcontext(""))
        _write_config(home, url, own=True)
        with measuring.Watch() as filling:
            _fill(home, weeks, keys, failed)
        ours, health = _pages(Path(name), home, weeks, keys)
        _write_config(home, url, own=False)
        dagsters, its_health = _pages(Path(name), home, weeks, keys)
        if health != its_health:
            raise RuntimeError("Dagster's own storage shows other partitions than the product's")
    ratios = {
        page: {which: dagsters[page][which] / seconds for which, seconds in times.items()}
        for page, times in ours.items()
    }
    return {"written_s": filling.wall, "pages": ours, "dagsters_own": dagsters, "vs_dagster": ratios}


def _pages(
    folder: Path, home: Path, weeks: Sequence[str], keys: Sequence[str]
) -> tuple[dict[str, dict[str, float]], Any]:
    """The times of all pages from a new webserver, and what it says of the health of all partitions."""
    partition = f"{weeks[-1]}|{keys[len(keys) // 2]}"
    with _webserver(folder, home) as ask:
        pages = {page: _answers(ask, query, partition) for page, query in QUERIES.items()}
        with _instance(home) as instance:
            instance.add_dynamic_partitions(str(subscriptions(Cadence.WEEKLY).name), ["sub_new"])
        time.sleep(KEYS_KEPT_SECONDS)
        with measuring.Watch() as watch:
            health = ask(QUERIES["partition_health"], {"asset": {"path": ASSET.path}})
        pages["partition_health"]["new_key"] = watch.wall
        _check(ask, weeks, keys)
        with _instance(home) as instance:
            instance.delete_dynamic_partition(str(subscriptions(Cadence.WEEKLY).name), "sub_new")
    return pages, health


def _write_config(home: Path, postgres_url: str, own: bool) -> None:
    """dagster.yaml with the product's storages (`own`) or Dagster's, on the same data."""
    config: dict[str, Any] = {"telemetry": {"enabled": False}}
    if postgres_url:
        settings = {"config": {"postgres_url": postgres_url}}
        for kind, name in (("run", "Run"), ("event_log", "EventLog"), ("schedule", "Schedule")):
            at = {"module": f"dagster_postgres.{kind}_storage", "class": f"Postgres{name}Storage"}
            config[f"{kind}_storage"] = {**at, **settings}
        config["event_log_storage"]["module"] = "dagster_postgres.event_log"
        if own:
            at = {
                "module": "reporting_pipeline.dagster_instance.postgres",
                "class": "BatchedPostgresEventLog",
            }
            config["event_log_storage"] = {**at, **settings}
    elif own:
        deployed = yaml.safe_load((Path(__file__).parents[1] / "dagster.yaml").read_text())
        config |= {kind: one for kind, one in deployed.items() if kind.endswith("_storage")}
    (home / "dagster.yaml").write_text(json.dumps(config))  # JSON is YAML, too


@contextmanager
def _instance(home: Path) -> Iterator[DagsterInstance]:
    before = os.environ.get("DAGSTER_HOME")
    os.environ["DAGSTER_HOME"] = str(home)
    try:
        with DagsterInstance.from_config(str(home)) as instance:
            yield instance
    finally:
        os.environ.pop("DAGSTER_HOME")
        if before is not None:
            os.environ["DAGSTER_HOME"] = before


def _fill(home: Path, weeks: Sequence[str], keys: Sequence[str], failed: int) -> None:
    with _instance(home) as instance:
        name = str(subscriptions(Cadence.WEEKLY).name)
        for start in range(0, len(keys), AT_ONCE):
            instance.add_dynamic_partitions(name, list(keys[start : start + AT_ONCE]))
        storage = instance.event_log_storage
        assert isinstance(storage, SqlEventLogStorage)
        templates = {made: serialize_value(_event("WEEK", "SUBSCRIPTION", made)) for made in (False, True)}
        last = 0
        for week in weeks:
            status = DagsterRunStatus.FAILURE if failed else DagsterRunStatus.SUCCESS
            instance.add_run(DagsterRun("weekly_subscriber_reports_job", run_id=f"run-{week}", status=status))
            for start in range(0, len(keys), AT_ONCE):
                chunk = keys[start : start + AT_ONCE]
                good = [key for at, key in enumerate(chunk, start) if not _is_failed(week, at, failed)]
                for made, some in ((False, chunk), (True, good)):
                    rows = [_row(last + at, week, key, made, templates) for at, key in enumerate(some, 1)]
                    with storage.index_transaction() as connection:
                        connection.execute(SqlEventLogStorageTable.insert(), rows)
                        if made:
                            connection.execute(AssetEventTagsTable.insert(), list(_tags(rows, week, some)))
                        storage._store_asset_event(connection, _event(week, some[-1], made), rows[-1]["id"])
                    last = rows[-1]["id"]


def _row(at: int, week: str, key: str, made: bool, templates: Mapping[bool, str]) -> dict[str, Any]:
    return {
        "id": at,
        "run_id": f"run-{week}",
        "event": templates[made].replace("WEEK", week).replace("SUBSCRIPTION", key),
        "dagster_event_type": _kind(made).value,
        "timestamp": datetime.now(UTC).replace(tzinfo=None),
        "step_key": "weekly__subscriber_reports",
        "asset_key": ASSET.to_string(),
        "partition": f"{week}|{key}",
    }


def _kind(made: bool) -> DagsterEventType:
    return DagsterEventType.ASSET_MATERIALIZATION if made else DagsterEventType.ASSET_MATERIALIZATION_PLANNED


def _event(week: str, key: str, made: bool) -> EventLogEntry:
    partition = MultiPartitionKey({PERIOD: week, SUBSCRIPTION: key})
    data: StepMaterializationData | AssetMaterializationPlannedData
    if made:
        metadata = {"pages": 6, "bytes": 120_000, "SHA-256": "0" * 64}
        data = StepMaterializationData(materialization(ASSET, partition, metadata))
    else:
        data = AssetMaterializationPlannedData(ASSET, partition=partition)
    event = DagsterEvent(
        event_type_value=_kind(made).value,
        job_name="weekly_subscriber_reports_job",
        event_specific_data=data,
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


def _tags(rows: Sequence[dict[str, Any]], week: str, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    for row, key in zip(rows, keys, strict=True):
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


def _check(ask: Any, weeks: Sequence[str], keys: Sequence[str]) -> None:
    """The pages must have shown all of it, or the times mean nothing."""
    answer = ask(QUERIES["overview"], {"asset": {"path": ASSET.path}})
    stats = answer["assetNodeOrError"]["partitionStats"]
    if stats["numMaterialized"] + stats["numFailed"] != len(weeks) * len(keys):
        raise RuntimeError(f"{len(weeks) * len(keys)} partitions were written, the UI shows {stats}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--partitions", type=int, default=5_000)
    parser.add_argument("--storage", choices=("sqlite", "postgres"), action="append")
    parser.add_argument("--failed", type=int, default=1, help="reports of a thousand, others in each week")
    chosen = parser.parse_args()
    measuring.end_cleanly()
    storages = chosen.storage or ["sqlite", "postgres"]
    measuring.show("lineage", measure(chosen.partitions, storages, chosen.failed))


if __name__ == "__main__":
    main()
