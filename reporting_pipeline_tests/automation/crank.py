"""A deployment that is turned by hand: sensors evaluated, the runs they ask for executed in process.

What a daemon would do, without a daemon, without waiting and in one order: `tick` evaluates every
sensor once and executes the runs they ask for, `settle` ticks until nobody asks for anything. The
stores are the real servers; the clock of sensors, runs and deliveries is `clock`, which stands still
unless a test moves it. Dagster itself has the machine's clock, so the periods are the last closed
ones of the day on which the tests run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetKey,
    AssetRecordsFilter,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    RepositoryDefinition,
    RunRequest,
    build_schedule_context,
    build_sensor_context,
)

import reporting_pipeline.warm  # noqa: F401 - a module that is imported later would ask the machine
from reporting_pipeline.automation.subscription_sync import synchronize
from reporting_pipeline.automation.tags import RANGE_END, RANGE_START
from reporting_pipeline.definitions import build_defs
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Recipient, Subscription
from reporting_pipeline.partitions import SubscriptionPartition, TrialPartition
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.documents import Arrival, document_id, ingest_many, upsert_trial
from reporting_pipeline.stores.editions import get_edition
from reporting_pipeline.stores.mongo import Database, Record, server_clock, server_time
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.results import AssetResult, results_of
from reporting_pipeline.stores.subscriptions import advance, create_subscription, get_subscription

#: In the order in which a daemon might: the one that plans, then those that ask for what was planned.
SENSORS = ("subscription_sync", "on_demand_sensor", "edition_sensor", "report_email_sensor")
#: Where the product asks for the time; everybody else is told it.
CLOCKED = ("reporting_pipeline.assets.", "reporting_pipeline.automation.")
#: Who compares heartbeats and claims, which carry the real server's time.
SIGNS_OF_LIFE = ("reporting_pipeline.assets.batch", "reporting_pipeline.automation.control")
ORGANISATION = "default"
EVERYTHING = Filters()


class Clock:
    """The time of the database server, and how far the machines are ahead; stands still until it is moved."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.machines_ahead = timedelta(0)

    @property
    def of_machines(self) -> datetime:
        return self.at + self.machines_ahead

    def forward(self, **units: float) -> None:
        self.at += timedelta(**units)

    def follow_the_machine(self) -> None:
        """Set to the machine's time, which is what Dagster's own records carry."""
        self.at = datetime.now(UTC)

    def installed(self, patch: pytest.MonkeyPatch) -> None:
        """Whatever CLOCKED asks for the time answers this clock."""
        clock = self

        class Clocked(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                assert tz is not None, "a naive now"
                return clock.of_machines.astimezone(tz)

        told = {
            "datetime": (datetime, Clocked),
            "server_time": (server_time, lambda _database: clock.at),
            "server_clock": (server_clock, lambda _database: lambda: clock.at),
        }
        for name, module in list(sys.modules.items()):
            if not name.startswith(CLOCKED):
                continue
            for asked, (real, ours) in told.items():
                if getattr(module, asked, None) is real and (name not in SIGNS_OF_LIFE or real is datetime):
                    patch.setattr(module, asked, ours)


@dataclass
class Crank:
    """One deployment. `ran` holds (job, range or "", succeeded) of every run since the last `forget`."""

    settings: Settings
    database: Database
    objects: ObjectStore
    instance: DagsterInstance
    clock: Clock
    definitions: Definitions
    ran: list[tuple[str, str, bool]] = field(default_factory=list)
    cursors: dict[str, str | None] = field(default_factory=dict)
    #: Called with each request before its run starts; may raise to lose the run, as a crash would.
    before_run: Callable[[RunRequest], None] = lambda _: None

    # --- turning

    @property
    def repository(self) -> RepositoryDefinition:
        return self.definitions.get_repository_def()

    def schedule(self, cadence: Cadence = Cadence.WEEKLY) -> list[RunRequest] | str:
        """One tick of the schedule: what it asks for, or why it skipped. Nothing is run."""
        repository = self.repository
        context = build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=self.clock.of_machines,
            repository_def=repository,
            resources=repository.get_top_level_resources(),
        )
        with context:
            tick = repository.get_schedule_def(f"{cadence}_edition_schedule").evaluate_tick(context)
        return list(tick.run_requests) if tick.run_requests else str(tick.skip_message)

    def sensor(self, name: str) -> list[RunRequest]:
        """One tick of a sensor: what it asks for. Nothing is run; its cursor is kept."""
        repository = self.repository
        context = build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(name),
            repository_def=repository,
            resources=repository.get_top_level_resources(),
        )
        with context:
            tick = repository.get_sensor_def(name).evaluate_tick(context)
        self.cursors[name] = tick.cursor
        return list(tick.run_requests or [])

    def execute(self, request: RunRequest) -> ExecuteInProcessResult:
        """Run what a sensor or schedule asked for, to its end."""
        self.before_run(request)
        assert request.job_name is not None
        result = self.repository.get_job(request.job_name).execute_in_process(
            run_config=dict(request.run_config),
            tags=dict(request.tags),
            instance=self.instance,
            raise_on_error=False,
        )
        tags = request.tags
        span = f"{tags[RANGE_START]}...{tags[RANGE_END]}" if RANGE_START in tags else ""
        self.ran.append((request.job_name, span, result.success))
        return result

    def tick(self) -> int:
        """Every sensor once, and the runs it asks for. How many those were."""
        count = 0
        for name in SENSORS:
            for request in self.sensor(name):
                self.execute(request)
                count += 1
        return count

    def settle(self, limit: int = 15) -> int:
        """Tick until nobody asks for anything. How many runs there were; fails when it does not end."""
        total = 0
        for _ in range(limit):
            count = self.tick()
            total += count
            if not count:
                return total
        raise AssertionError(f"still asking after {limit} ticks: {self.ran[-10:]}")

    def open(self, cadence: Cadence = Cadence.WEEKLY) -> None:
        """The schedule opens the edition, and its runs are executed."""
        requests = self.schedule(cadence)
        assert not isinstance(requests, str), requests
        for request in requests:
            self.execute(request)

    def complete(self, cadence: Cadence = Cadence.WEEKLY) -> None:
        """A whole edition from the schedule to its end."""
        self.open(cadence)
        self.settle()

    def forget(self) -> None:
        self.ran.clear()

    def by_hand(self, asset: str, item: str, *, force: bool = False) -> ExecuteInProcessResult:
        """Materialize one weekly partition as a person does in the UI: no edition's tags on the run."""
        partition = (
            SubscriptionPartition(self.period(), item)
            if asset == "subscriber_reports"
            else TrialPartition(self.period(), item)
        )
        config = {"ops": {f"weekly__{asset}": {"config": {"force": True}}}} if force else {}
        return self.repository.get_job(f"weekly_{asset}_job").execute_in_process(
            run_config=config,
            partition_key=partition.key,
            instance=self.instance,
            raise_on_error=False,
        )

    # --- looking

    def period(self, cadence: Cadence = Cadence.WEEKLY) -> Period:
        """The period of which the edition is made."""
        return Period.last_closed(cadence, self.clock.at, self.settings.timezone)

    def edition(self, cadence: Cadence = Cadence.WEEKLY) -> str:
        return f"{cadence.value}:{self.period(cadence).key}"

    def edition_state(self, cadence: Cadence = Cadence.WEEKLY) -> str:
        return get_edition(self.database, self.edition(cadence)).state.value

    def results(self, asset: str, cadence: Cadence = Cadence.WEEKLY) -> dict[str, AssetResult]:
        return results_of(self.database, f"{cadence.value}/{asset}", self.period(cadence).key)

    def jobs(self) -> dict[str, Record]:
        """The jobs by subscription; a subscription with several is an error."""
        found = list(self.database.jobs.find())
        by_subscription = {job["subscription"]: job for job in found}
        assert len(by_subscription) == len(found), "a subscription has several jobs"
        return by_subscription

    def jobs_by_id(self) -> dict[str, Record]:
        return {job["_id"]: job for job in self.database.jobs.find()}

    def mails(self) -> list[EmailMessage]:
        return [
            message_from_bytes(path.read_bytes(), policy=policy.default)
            for path in sorted(self.settings.outbox.glob("*.eml"))
        ]

    def mailed(self) -> list[str]:
        """Who got a mail, sorted; twice when twice."""
        return sorted(str(mail["To"]) for mail in self.mails())

    def report_bytes(self, subscription: str, cadence: Cadence = Cadence.WEEKLY) -> bytes:
        report = self.database.reports.find_one(
            {"subscription": subscription, "period": self.period(cadence).key}
        )
        assert report is not None, f"no report of {subscription}"
        return self.objects.get(report["key"])

    def materializations(self, name: str, cadence: Cadence = Cadence.WEEKLY) -> list[str]:
        """The partitions of every materialization of an asset, oldest first."""
        found = self.instance.fetch_materializations(
            AssetRecordsFilter(AssetKey([cadence.value, name])), limit=1_000, ascending=True
        )
        return [str(record.partition_key) for record in found.records]

    def check(self, asset: str, name: str) -> AssetCheckEvaluation | None:
        """The last evaluation of a check of a weekly asset."""
        key = AssetCheckKey(AssetKey(["weekly", asset]), name)
        found = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        event = found[0].event if found else None
        return event.dagster_event.asset_check_evaluation_data if event and event.dagster_event else None

    def runs(self, job: str) -> int:
        return sum(name == job for name, _, _ in self.ran)

    # --- what is in the deployment

    def add_trial(self, trial: str, organisation: str = ORGANISATION) -> None:
        upsert_trial(
            self.database,
            {
                "_id": trial,
                "organisation": organisation,
                "title": f"The trial {trial}",
                "sites": [{"id": site, "name": f"Site {site}"} for site in ("S1", "S2")],
            },
        )

    def add_user(
        self, name: str, trials: Sequence[str] | str = "all", organisation: str = ORGANISATION
    ) -> dict[str, Any]:
        user = {
            "_id": f"usr_{name}",
            "organisation": organisation,
            "name": f"Reader {name}",
            "email": f"{name}@example.org",
            "roles": ["subscriber"],
            "trials": trials if trials == "all" else list(trials),
            "audience": "monitor",
            "timezone": "UTC",
            "active": True,
        }
        self.database.users.insert_one(dict(user))
        return user

    def subscribe(
        self,
        name: str,
        filters: Filters = EVERYTHING,
        *,
        schedule: Schedule | None = None,
        made: datetime | None = None,
        **fields: Any,
    ) -> Subscription:
        """A user and a subscription of theirs, `sub_{name}`, mailed to `{name}@example.org`."""
        organisation = fields.pop("organisation", ORGANISATION)
        user = self.add_user(name, organisation=organisation)
        made = made or self.clock.at - timedelta(days=60)
        subscription = Subscription(
            id=f"sub_{name}",
            organisation=organisation,
            owner=user["_id"],
            name=f"Report for {name}",
            filters=filters,
            schedule=schedule or Schedule(cadence="weekly", day_of_week=1, time="00:00"),
            recipients=(Recipient(type="email", value=user["email"]),),
            created_at=made,
            updated_at=made,
            **fields,
        )
        stored = create_subscription(self.database, subscription, made)
        if made < self.period().start_at:  # one of old: what came before this edition is done
            advance(self.database, [(stored, made)], self.period().end_at - timedelta(seconds=1))
        synchronize(self.database, self.instance)
        return stored

    def subscription(self, name: str) -> Subscription:
        """The subscription of `subscribe(name)` as it stands."""
        found = get_subscription(self.database, ORGANISATION, f"sub_{name}")
        assert found is not None
        return found

    def arrive(self, *arrivals: Arrival | Record) -> None:
        """Documents come in as they do everywhere, now."""
        ingest_many(
            self.database,
            self.objects,
            [one if isinstance(one, Arrival) else Arrival(one) for one in arrivals],
            self.clock.at,
        )


def document(
    trial: str,
    name: str,
    kind: str,
    received_at: datetime,
    data: Mapping[str, Any] | None = None,
    *,
    site: str = "S1",
    subject: str = "S1-001",
    note: str | None = None,
    file_name: str | None = None,
    organisation: str = ORGANISATION,
) -> Record:
    """A record as `stores.documents` takes it."""
    return {
        "_id": document_id(trial, name),
        "organisation": organisation,
        "trial": trial,
        "site": site,
        "subject": subject,
        "kind": kind,
        "title": f"{kind} {name}",
        "received_at": received_at,
        "collected": received_at.date().isoformat(),
        "note": note,
        "data": dict(data or {}),
        "file": {"name": file_name} if file_name else None,
    }


def lab_result(code: str = "ALT", value: float | None = 30.0, unit: str = "U/L") -> dict[str, Any]:
    return {
        "test_code": code,
        "test": f"Test {code}",
        "category": "CHEMISTRY",
        "original_result": "" if value is None else str(value),
        "original_unit": unit,
        "value": value,
        "unit": unit,
        "low": 10.0,
        "high": 40.0,
        "indicator": "",
        "text_result": "",
    }


def event(term: str = "Headache", severity: str = "MILD", *, serious: bool = False) -> dict[str, Any]:
    return {
        "term": term,
        "preferred_term": term,
        "system_organ_class": "Nervous system disorders",
        "severity": severity,
        "serious": serious,
        "related": "POSSIBLE",
        "outcome": "RECOVERED/RESOLVED",
        "start": "2026-11",
        "end": "",
    }


def usual_documents(trial: str, period: Period) -> list[Record]:
    """A few documents of the period and one of the period before, of every kind that has figures."""
    at = period.start_at + timedelta(hours=9)
    labs = {"results": [lab_result("ALT", 30.0), lab_result("AST", 55.0)]}
    return [
        document(trial, "lab", "lab", at, labs),
        document(trial, "ae", "adverse_event", at + timedelta(hours=1), event()),
        document(trial, "ae2", "adverse_event", at + timedelta(hours=2), event("Fall", "SEVERE"), site="S2"),
        document(
            trial, "visit", "visit", at + timedelta(hours=3), {"visit": "WEEK 2", "planned": True}, site="S2"
        ),
        document(trial, "note", "note", at + timedelta(hours=4), note="The subject called the site."),
        document(trial, "before", "adverse_event", at - timedelta(days=1), event("Nausea")),
    ]


@contextmanager
def dagster_instance() -> Iterator[DagsterInstance]:
    """Dagster's storage in SQLite, in memory where there is such a file system: it syncs at each event."""
    memory = Path("/dev/shm")
    parent = str(memory) if os.access(memory, os.W_OK) else None
    with (
        TemporaryDirectory(prefix="reporting-dagster-", dir=parent) as home,
        DagsterInstance.local_temp(home, overrides={"telemetry": {"enabled": False}}) as instance,
    ):
        yield instance


def open_crank(
    settings: Settings,
    database: Database,
    objects: ObjectStore,
    instance: DagsterInstance,
    patch: pytest.MonkeyPatch,
) -> Crank:
    """A deployment on the test's stores, minutes after the last closed week ended."""
    week = Period.last_closed(Cadence.WEEKLY, datetime.now(UTC), settings.timezone)
    clock = Clock(week.end_at + timedelta(minutes=6))
    clock.installed(patch)
    assert settings.mongodb_uri is not None
    assert settings.s3_secret_access_key is not None
    patch.setenv("MONGODB_URI", settings.mongodb_uri.get_secret_value())
    patch.setenv("AWS_ACCESS_KEY_ID", str(settings.s3_access_key_id))
    patch.setenv("AWS_SECRET_ACCESS_KEY", settings.s3_secret_access_key.get_secret_value())
    return Crank(settings, database, objects, instance, clock, build_defs(settings, clock.at))
