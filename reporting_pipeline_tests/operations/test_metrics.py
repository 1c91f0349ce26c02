"""Metrics are true, and an answer costs the same however much there is."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from reporting_pipeline.operations.metrics import DURATIONS, exposition
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import metrics
from reporting_pipeline.stores.alerts import raise_alert
from reporting_pipeline.stores.measures import BOUNDS, Measures
from reporting_pipeline.stores.metrics import error_kind, refresh
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.upkeep import save_upkeep
from reporting_pipeline_tests.operations.metric_names import metric_names

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def job(number: int, state: str, **more: Any) -> dict[str, Any]:
    return {
        "_id": f"job_{number}",
        "subscription": f"sub_{number % 3}",
        "period": "2026-11-16",
        "occurrence": str(number),
        "state": state,
        "due_at": NOW - 10 * MINUTE,
        "completed_at": None,
        **more,
    }


def delivery(number: int, state: str, **more: Any) -> dict[str, Any]:
    return {
        "_id": f"del_{number}",
        "job": f"job_{number}",
        "channel": "email",
        "recipient": "r",
        "state": state,
        "due_at": NOW - 60 * MINUTE,
        "next_attempt_at": NOW - 5 * MINUTE,
        "settled_at": None,
        **more,
    }


@pytest.fixture
def busy(database: Database) -> Database:
    """Three subscriptions; jobs and deliveries in every state."""
    database.subscriptions.insert_many(
        [
            {"_id": f"sub_{n}", "status": status, "report_type": "safety_summary", "format": "pdf"}
            for n, status in enumerate(["active", "active", "paused"])
        ]
    )
    ended = {"completed_at": NOW - 2 * MINUTE}
    database.jobs.insert_many(
        [
            *(job(n, "pending") for n in range(4)),
            *(job(n, "completed", **ended) for n in range(10, 17)),
            job(20, "failed", failed_in="rendering", error="S3 did not answer", **ended),
        ]
    )
    database.deliveries.insert_many(
        [
            delivery(1, "pending"),
            delivery(2, "sent", settled_at=NOW - 50 * MINUTE),
            delivery(3, "sent", settled_at=NOW - 10 * MINUTE),
            delivery(4, "failed", settled_at=NOW - 10 * MINUTE, organisation="default"),
        ]
    )
    return database


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(found: dict[Any, float], name: str, **labels: str) -> float | None:
    return found.get((name, tuple(sorted(labels.items()))))


def test_what_is_open_and_what_has_ended_is_counted(busy: Database, settings: Settings) -> None:
    raise_alert(busy, "channel-halted:email", "401", NOW)
    busy.heartbeats.insert_one({"_id": "run", "at": NOW, "stage": "render", "total": 9, "done": 3})
    found = samples(exposition(busy, settings, NOW))
    assert value(found, "reporting_jobs", state="pending") == 4
    assert value(found, "reporting_queue_depth", stage="render") == 4
    assert value(found, "reporting_queue_oldest_seconds", stage="render") == 600
    assert value(found, "reporting_queue_depth", stage="notify") == 1
    assert value(found, "reporting_queue_oldest_seconds", stage="notify") == 300
    assert value(found, "reporting_subscriptions", status="paused") == 1
    assert value(found, "reporting_workers", stage="render") == 1
    assert value(found, "reporting_workers", stage="notify") == 0
    assert value(found, "reporting_dead_letters", kind="report") == 1
    assert value(found, "reporting_dead_letters", kind="delivery") == 1
    assert value(found, "reporting_alerts_open") == 1
    ended = {"report_type": "safety_summary", "format": "pdf"}
    assert value(found, "reporting_jobs_ended_total", state="completed", error="", **ended) == 7
    assert value(found, "reporting_jobs_ended_total", state="failed", error="storage", **ended) == 1
    assert value(found, "reporting_deliveries_promised_total", promise="kept") == 1
    assert value(found, "reporting_deliveries_promised_total", promise="broken") == 2


def test_restatements_are_counted_among_the_jobs(busy: Database, settings: Settings) -> None:
    chosen = [row["_id"] for row in busy.jobs.find({"state": "completed"}).limit(2)]
    busy.jobs.update_many({"_id": {"$in": chosen}}, {"$set": {"restates": "a" * 64}})
    found = samples(exposition(busy, settings, NOW))
    assert value(found, "reporting_restatements_ended_total", state="completed") == len(chosen) == 2


def test_what_has_ended_is_added_once_however_often_and_by_however_many(busy: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: refresh(busy, NOW + n * 20 * MINUTE), range(8)))
    ended = metrics.read(busy).ended
    assert ended["jobs|completed|safety_summary|pdf|"] == 7
    busy.jobs.insert_one(job(30, "completed", completed_at=NOW + 200 * MINUTE))
    refresh(busy, NOW + 300 * MINUTE)
    assert metrics.read(busy).ended["jobs|completed|safety_summary|pdf|"] == 8


def test_a_mark_in_the_middle_of_one_instant_leaves_nobody_out(
    busy: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "ADDED_AT_ONCE", 3)
    refresh(busy, NOW)
    assert sum(n for key, n in metrics.read(busy).ended.items() if key.startswith("jobs|")) == 8


def test_a_failure_that_failed_again_counts_twice(busy: Database) -> None:
    refresh(busy, NOW)
    busy.jobs.update_one({"_id": "job_20"}, {"$set": {"completed_at": NOW + MINUTE}})
    refresh(busy, NOW + 5 * MINUTE)
    assert metrics.read(busy).ended["jobs|failed|safety_summary|pdf|storage"] == 2


@pytest.mark.parametrize("value", [None, "soon", 7, "absent"])
@pytest.mark.parametrize(
    ("collection", "identifier", "field"),
    [
        ("jobs", "job_0", "due_at"),
        ("jobs", "job_10", "subscription"),
        ("jobs", "job_20", "error"),
        ("subscriptions", "sub_1", "report_type"),
        ("deliveries", "del_2", "due_at"),
        ("deliveries", "del_2", "channel"),
        ("deliveries", "del_4", "settled_at"),
        ("editions", "weekly:2026-11-16", "cadence"),
        ("editions", "weekly:2026-11-16", "opened_at"),
        ("heartbeats", "run", "at"),
        ("heartbeats", "run", "stage"),
    ],
)
def test_a_record_that_a_hand_broke_stops_no_count(
    busy: Database, collection: str, identifier: str, field: str, value: Any
) -> None:
    busy.editions.insert_one(
        {
            "_id": "weekly:2026-11-16",
            "cadence": "weekly",
            "period": "2026-11-16",
            "state": "open",
            "opened_at": NOW,
        }
    )
    busy.trials.insert_one({"_id": "T1"})
    busy.heartbeats.insert_many(
        [{"_id": run, "at": NOW, "stage": "render", "total": 9, "done": 3} for run in ("run", "other")]
    )
    change: Any = {"$unset": {field: ""}} if value == "absent" else {"$set": {field: value}}
    assert busy[collection].update_one({"_id": identifier}, change).matched_count == 1
    assert refresh(busy, NOW)
    figures = metrics.read(busy)
    assert figures.now["jobs|pending"] == 4
    assert figures.now["queue_oldest|render"] == 600
    assert figures.now["heartbeat_age"] == 0
    assert sum(count for key, count in figures.ended.items() if key.startswith("jobs|")) == 8
    assert sum(count for key, count in figures.ended.items() if key.startswith("promised|")) >= 2


def test_what_an_earlier_version_measured_with_fewer_labels_keeps_its_own(
    database: Database, settings: Settings
) -> None:
    database.measures.insert_one(
        {"_id": "s3_bytes|direction=put", "name": "s3_bytes", "labels": {"direction": "put"}, "count": 5}
    )
    measures = Measures()
    measures.count("s3_bytes", 7, direction="get", kind="reports")
    measures.flush(database)
    found = samples(exposition(database, settings, NOW))
    assert value(found, "reporting_s3_bytes_total", direction="put", kind="") == 5
    assert value(found, "reporting_s3_bytes_total", direction="get", kind="reports") == 7


class Asked(CommandListener):
    """The collections that were asked, and how."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, str]] = []

    def started(self, event: Any) -> None:
        self.commands.append((event.command_name, str(event.command.get(event.command_name))))

    def succeeded(self, event: Any) -> None: ...
    def failed(self, event: Any) -> None: ...


@pytest.fixture
def watched(busy: Database, settings: Settings) -> Iterator[tuple[Database, Asked]]:
    asked = Asked()
    assert settings.mongodb_uri is not None
    client: MongoClient[dict[str, Any]] = MongoClient(
        settings.mongodb_uri.get_secret_value(), tz_aware=True, event_listeners=[asked]
    )
    yield client[busy.name], asked
    client.close()


def test_an_answer_counts_nothing_and_reads_two_small_collections(
    watched: tuple[Database, Asked], settings: Settings
) -> None:
    database, asked = watched
    refresh(database, NOW)
    asked.commands.clear()
    text = exposition(database, settings, NOW + timedelta(seconds=3))
    own = [one for one in asked.commands if one[1] in ("figures", "measures")]
    assert own[:2] == [("find", "figures"), ("find", "measures")]
    assert value(samples(text), "reporting_figures_age_seconds") == 3


def test_a_count_taken_by_a_clock_that_ran_ahead_does_not_stop_counting(busy: Database) -> None:
    assert refresh(busy, NOW + timedelta(hours=1))
    assert refresh(busy, NOW)
    assert not refresh(busy, NOW + timedelta(seconds=1))


def test_what_processes_measure_is_added_up_over_all_of_them(database: Database, settings: Settings) -> None:
    one, other = Measures(), Measures()
    one.observe("generation", 0.03, report_type="safety_summary", format="pdf")
    other.observe("generation", 400.0, report_type="safety_summary", format="pdf")
    other.observe("generation", 9_999.0, report_type="safety_summary", format="pdf")
    other.count("bounces", 2, kind="bounce")
    one.flush(database)
    other.flush(database)
    other.flush(database)
    found = samples(exposition(database, settings, NOW))
    labels = {"report_type": "safety_summary", "format": "pdf"}
    name = "reporting_generation_seconds"
    assert value(found, f"{name}_count", **labels) == 3
    assert value(found, f"{name}_sum", **labels) == pytest.approx(10_399.03)
    assert value(found, f"{name}_bucket", le="0.05", **labels) == 1
    assert value(found, f"{name}_bucket", le="600.0", **labels) == 2
    assert value(found, f"{name}_bucket", le="+Inf", **labels) == 3
    assert value(found, "reporting_bounces_total", kind="bounce") == 2
    assert sorted(BOUNDS) == list(BOUNDS)


def test_what_could_not_be_written_waits_for_the_next_time(database: Database) -> None:
    measures = Measures()
    measures.count("bounces", kind="bounce")

    class Away:
        @property
        def measures(self) -> Any:
            raise ConnectionError("away")

    with pytest.raises(ConnectionError):
        measures.flush(Away())  # type: ignore[arg-type]
    measures.count("bounces", kind="bounce")
    measures.flush(database)
    assert database.measures.find_one({"name": "bounces"})["count"] == 2  # type: ignore[index]


def test_no_metric_is_exposed_that_is_not_named_and_none_names_anybody(
    busy: Database, settings: Settings
) -> None:
    measures = Measures()
    for duration in DURATIONS:
        measures.observe(duration, 1.0, kind="x")
    measures.flush(busy)
    text = exposition(busy, settings, NOW)
    assert {name for name, _ in samples(text)} <= metric_names()
    for word in (b"sub_", b"job_", b"del_", b"@"):
        assert word not in text


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (None, "none"),
        ("ServerSelectionTimeoutError: no servers found", "timeout"),
        ("the object store did not answer: S3", "storage"),
        ("trial CDISC has no dataset of this week", "dataset"),
        ("SMTPRecipientsRefused", "mail"),
        ("KeyError: 'x'", "other"),
    ],
)
def test_errors_are_counted_by_a_short_word(error: str | None, kind: str) -> None:
    assert error_kind(error) == kind


def test_a_backup_that_was_never_taken_has_no_age_and_one_that_was_has(
    database: Database, settings: Settings
) -> None:
    def upkeep(now: datetime) -> list[str]:
        lines = exposition(database, settings, now).decode().splitlines()
        return [line for line in lines if line.startswith("reporting_upkeep_")]

    at = datetime(2026, 11, 25, tzinfo=UTC)
    assert upkeep(at) == []
    save_upkeep(database, "backup", {"ok": True}, at)
    save_upkeep(database, "restore_drill", {"ok": False}, at)
    assert upkeep(at + timedelta(hours=1)) == [
        'reporting_upkeep_age_seconds{work="backup"} 3600.0',
        'reporting_upkeep_age_seconds{work="restore_drill"} 3600.0',
        'reporting_upkeep_failed{work="backup"} 0.0',
        'reporting_upkeep_failed{work="restore_drill"} 1.0',
    ]
