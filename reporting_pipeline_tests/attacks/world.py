"""Two organisations, three trials, people of every role and entitlement, and one of everything to reach for.

Each thing carries a mark of its own in its name, title or content; what somebody may see is said here by
hand, thing by thing, and not asked of the code under test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from reporting_pipeline.api.app import create_app
from reporting_pipeline.domain.entitlements import ALL, Audience, Entitlements
from reporting_pipeline.domain.jobs import DeliveryState, JobState
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.planning import report_id
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Recipient, Subscription
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import deliveries as ledger
from reporting_pipeline.stores import documents, editions, lifecycle, reports, subscriptions, users
from reporting_pipeline.stores.documents import upsert_trial
from reporting_pipeline.stores.mongo import Database, delivery_records, job_records
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.conftest import ROLES, Api, Server
from reporting_pipeline_tests.one_document import ingest

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PERIOD = "2026-11-16"
EDITION = f"weekly:{PERIOD}"
TRIALS = {"T1": "default", "T2": "default", "X1": "other"}

ENTITLED: Mapping[str, Entitlements] = {
    "all": Entitlements(ALL),
    "trial": Entitlements(("T1",)),
    "site": Entitlements(("T1",), {"T1": ("701",)}, audience=Audience.SITE),
    "board": Entitlements(ALL, audience=Audience.SAFETY_BOARD),
    "participant": Entitlements(("T1",), subject="S1", audience=Audience.PARTICIPANT),
    "nothing": Entitlements(),
}

#: document -> (trial, site, subject, who may read it)
DOCUMENTS = {
    "D1": ("T1", "701", "S1", {"all", "trial", "site", "board", "participant"}),
    "D2": ("T1", "702", "S2", {"all", "trial", "board"}),
    "D3": ("T2", "701", "S3", {"all", "board"}),
    "D4": ("X1", "701", "S4", set()),
}


@dataclass(frozen=True)
class Shared:
    """A subscription of somebody else, with its job, report and deliveries."""

    organisation: str
    filters: Filters
    shown: dict[str, list[str] | None]
    known_to: frozenset[str]  # who may know of it, where the role reaches that far
    open_to: frozenset[str]  # who may have its report
    audience: str = "monitor"


def _of(*names: str) -> frozenset[str]:
    return frozenset(names)


SHARED = {
    "whole": Shared(
        "default",
        Filters(trials=("T1",)),
        {"T1": None},
        _of("all", "board", "trial"),
        _of("all", "board", "trial"),
    ),
    "site": Shared(
        "default",
        Filters(trials=("T1",), sites=("701",)),
        {"T1": ["701"]},
        _of("all", "board", "trial", "site"),
        _of("all", "board", "trial", "site"),
    ),
    "second": Shared(
        "default", Filters(trials=("T2",)), {"T2": None}, _of("all", "board"), _of("all", "board")
    ),
    # No trial is named: everything its owner sees.
    "every": Shared("default", Filters(), {"T1": None, "T2": None}, _of("all", "board"), _of("all", "board")),
    "unblinded": Shared(
        "default",
        Filters(trials=("T1",)),
        {"T1": None},
        _of("all", "board", "trial"),
        _of("board"),
        audience="safety_board",
    ),
    "foreign": Shared("other", Filters(trials=("X1",)), {"X1": None}, _of(), _of()),
}


def mark(name: str) -> str:
    """What stands in the thing and nowhere else."""
    return f"MARK{name.upper()}ZZ"


@dataclass(frozen=True)
class World:
    api: Api
    database: Database
    objects: ObjectStore
    jobs: Mapping[str, str]
    sent: Mapping[str, str]
    lost: Mapping[str, str]

    def person(self, role: str, entitled: str) -> Api:
        return self.api.as_(f"usr_{role}_{entitled}")


def document_id(name: str) -> str:
    return documents.document_id("attacks", name)


@contextmanager
def open_world(settings: Settings, database: Database, objects: ObjectStore) -> Iterator[World]:
    _people(database)
    found = {name: _shared(database, objects, name, one) for name, one in SHARED.items()}
    for name, (trial, site, subject, _) in DOCUMENTS.items():
        record = {
            "_id": document_id(name),
            "organisation": TRIALS[trial],
            "trial": trial,
            "site": site,
            "subject": subject,
            "kind": "note",
            "title": mark(name),
            "received_at": datetime(2026, 11, 17, tzinfo=UTC),
            "file": {"name": f"{mark(name)}.txt", "content_type": "text/plain"},
        }
        ingest(database, objects, record, mark(name).encode(), NOW)
    chosen = settings.model_copy(update={"requests_per_minute": 1_000_000, "requeues_per_hour": 100_000})
    with Server(create_app(chosen, database, objects)) as server:
        yield World(
            Api(server.base, chosen),
            database,
            objects,
            {name: one[0] for name, one in found.items()},
            {name: one[1] for name, one in found.items()},
            {name: one[2] for name, one in found.items()},
        )


def _people(database: Database) -> None:
    for organisation in ("default", "other"):
        users.save_organisation(database, organisation, organisation, [f"{organisation}.example"])
    for trial, organisation in TRIALS.items():
        sites = [{"id": site, "name": site} for site in ("701", "702")]
        upsert_trial(database, {"_id": trial, "organisation": organisation, "title": trial, "sites": sites})
    for role in ROLES:
        for name, entitlements in ENTITLED.items():
            users.create_user(
                database,
                "default",
                f"{role}-{name}@default.example",
                NOW,
                roles=[role],
                entitlements=entitlements,
                user_id=f"usr_{role}_{name}",
            )
        gone = f"usr_{role}_gone"
        users.create_user(
            database,
            "default",
            f"{role}-gone@default.example",
            NOW,
            roles=[role],
            entitlements=Entitlements(ALL),
            user_id=gone,
        )
        users.change_user(database, "default", gone, {"active": False}, NOW)
        users.create_user(
            database,
            "other",
            f"{role}@other.example",
            NOW,
            roles=[role],
            entitlements=Entitlements(ALL),
            user_id=f"usr_{role}_other",
        )
    for organisation in ("default", "other"):
        users.create_user(
            database,
            organisation,
            f"owner@{organisation}.example",
            NOW,
            entitlements=ENTITLED["board"],
            user_id=f"usr_owner_of_{organisation}",
        )


def _shared(database: Database, objects: ObjectStore, name: str, one: Shared) -> tuple[str, str, str]:
    """Store it; returns the ids of its job, of a sent delivery and of a dead one."""
    subscription = Subscription(
        id=f"sub_{name}",
        organisation=one.organisation,
        owner=f"usr_owner_of_{one.organisation}",
        name=mark(name),
        filters=one.filters,
        schedule=Schedule(),
        recipients=(Recipient(type="user", value=f"usr_owner_of_{one.organisation}"),),
        created_at=NOW,
        updated_at=NOW,
    )
    stored = subscriptions.create_subscription(database, subscription, NOW)
    if name == "whole":
        editions.open_edition(database, Cadence.WEEKLY, PERIOD, "schedule", NOW)
    job = lifecycle.run_now(database, stored, Period.from_key(Cadence.WEEKLY, PERIOD), stored.owner, NOW)
    file = objects.put(f"reports/weekly/{PERIOD}/sub_{name}/x.pdf", mark(name).encode(), "application/pdf")
    report = reports.StoredReport(
        id=report_id(Cadence.WEEKLY, PERIOD, stored.id),
        subscription=stored.id,
        organisation=one.organisation,
        cadence="weekly",
        period=PERIOD,
        key=file.key,
        sha256=file.sha256,
        size=file.size,
        pages=1,
        format="pdf",
        content_type="application/pdf",
        file_name=f"{mark(name)}.pdf",
        data_as_of=NOW,
        dataset_versions=dict.fromkeys(one.shown, "0" * 16),
        code_version="test",
        rendered_at=NOW,
        shown=[{"trial": trial, "sites": sites} for trial, sites in one.shown.items()],
        audience=one.audience,
    )
    reports.save_reports(database, [report])
    done = {"state": JobState.COMPLETED.value, "rendered_at": NOW, "completed_at": NOW}
    database.jobs.update_one({"_id": job["_id"]}, {"$set": done})
    job = job_records(database).find_one({"_id": job["_id"]}) or job
    record = database.subscriptions.find_one({"_id": stored.id}) or {}
    address = f"{mark(name).lower()}@{one.organisation}.example"
    sent = ledger.new_delivery(job, record, ledger.Target("email", address), NOW)
    lost = ledger.new_delivery(job, record, ledger.Target("email", f"lost-{address}"), NOW)
    sent |= {"state": DeliveryState.SENT.value, "next_attempt_at": None}
    lost |= {"state": DeliveryState.FAILED.value, "next_attempt_at": None, "settled_at": NOW}
    lost["error"] = mark(name)
    delivery_records(database).insert_many([sent, lost])
    return job["_id"], sent["_id"], lost["_id"]
