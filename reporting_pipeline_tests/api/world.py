"""One of everything for the tests of rights: all of it belongs to `default`'s subscriber."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from reporting_pipeline.domain.jobs import DeliveryState, JobState
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.planning import report_id
from reporting_pipeline.domain.proof import SigningKey, manifest_of
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Recipient, Subscription
from reporting_pipeline.stores import deliveries as ledger
from reporting_pipeline.stores import editions, holds, lifecycle, reports, subscriptions
from reporting_pipeline.stores.mongo import Database, delivery_records, job_records
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.one_document import ingest

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
OWNER = "usr_default_subscriber"
SUBSCRIPTION = "sub_world"
PERIOD = "2026-11-16"
EDITION = f"weekly:{PERIOD}"
DOCUMENT = "doc_" + "0" * 24
CODE = "k7q2m4tzw6xa5b3c"
SIGNING = SigningKey.of(b"world" + b"." * 27)
REGISTERED = "registered@default.example"


def subscription(identifier: str = SUBSCRIPTION, owner: str = OWNER) -> Subscription:
    return Subscription(
        id=identifier,
        organisation="default",
        owner=owner,
        name="World",
        filters=Filters(trials=("T1",)),
        schedule=Schedule(),
        recipients=(Recipient(type="user", value=owner),),
        created_at=NOW,
        updated_at=NOW,
    )


def populate(database: Database, objects: ObjectStore) -> dict[str, str]:
    """Store it all; returns the ids by the names used in paths."""
    database.users.insert_one(
        {
            "_id": "usr_default_nobody",
            "organisation": "default",
            "email": "nobody@default.example",
            "roles": [],
            "trials": [],
            "active": True,
        }
    )
    stored = subscriptions.create_subscription(database, subscription(), NOW)
    editions.open_edition(database, Cadence.WEEKLY, PERIOD, "schedule", NOW)
    job = lifecycle.run_now(database, stored, Period.from_key(Cadence.WEEKLY, PERIOD), OWNER, NOW)
    report = _report(database, objects)
    database.jobs.update_one(
        {"_id": job["_id"]},
        {"$set": {"state": JobState.COMPLETED.value, "rendered_at": NOW, "completed_at": NOW}},
    )
    job = job_records(database).find_one({"_id": job["_id"]}) or job
    record = database.subscriptions.find_one({"_id": SUBSCRIPTION}) or {}
    sent = ledger.new_delivery(job, record, ledger.Target("email", "a@default.example"), NOW)
    lost = ledger.new_delivery(job, record, ledger.Target("email", "b@default.example"), NOW)
    sent["state"], lost["state"] = DeliveryState.SENT.value, DeliveryState.FAILED.value
    sent["next_attempt_at"] = lost["next_attempt_at"] = None
    lost["settled_at"] = NOW
    delivery_records(database).insert_many([sent, lost])
    ingest(
        database,
        objects,
        {
            "_id": DOCUMENT,
            "organisation": "default",
            "trial": "T1",
            "site": "701",
            "kind": "note",
            "title": "A note",
            "received_at": datetime(2026, 11, 17, tzinfo=UTC),
            "file": {"name": "note.txt", "content_type": "text/plain"},
        },
        b"hello",
        NOW,
    )
    awaiting = _awaiting_release(database, objects)
    holds.place_hold(database, objects, report, "critical", "Kept for the board", OWNER, NOW, "default")
    return {
        "subscription": SUBSCRIPTION,
        "job": job["_id"],
        "edition": EDITION,
        "delivery": sent["_id"],
        "letter": lost["_id"],
        "document": DOCUMENT,
        "user": OWNER,
        "email": REGISTERED,
        "report": report,
        "awaiting": awaiting,
    }


#: What the file of each report is.
FILE = b"%PDF-1.7 world"


def _awaiting_release(database: Database, objects: ObjectStore) -> str:
    """A job whose report waits for its release; its id."""
    mine = subscription("sub_awaiting").model_copy(update={"name": "Awaits release"})
    stored = subscriptions.create_subscription(database, mine, NOW)
    job = lifecycle.run_now(database, stored, Period.from_key(Cadence.WEEKLY, PERIOD), OWNER, NOW)
    _report(database, objects, "sub_awaiting", "awaitsawaitsawait"[:16])
    reasons = [{"concern": "total_fell", "trial": "T1", "said": "visits were 12 and are 3 now"}]
    waits = {
        "state": JobState.AWAITING_RELEASE.value,
        "rendered_at": NOW,
        "awaiting_release": {"reasons": reasons, "at": NOW},
    }
    database.jobs.update_one({"_id": job["_id"]}, {"$set": waits})
    database.reports.update_one({"subscription": "sub_awaiting"}, {"$set": {"awaiting_release": reasons}})
    return str(job["_id"])


def _report(
    database: Database, objects: ObjectStore, subscription: str = SUBSCRIPTION, code: str = CODE
) -> str:
    identifier = report_id(Cadence.WEEKLY, PERIOD, subscription)
    key = f"reports/weekly/{PERIOD}/{subscription}/x.pdf"
    file = objects.put(key, FILE, "application/pdf")
    stored = reports.StoredReport(
        id=identifier,
        subscription=subscription,
        organisation="default",
        cadence="weekly",
        period=PERIOD,
        key=file.key,
        sha256=file.sha256,
        size=file.size,
        pages=1,
        format="pdf",
        content_type="application/pdf",
        file_name="world.pdf",
        data_as_of=NOW,
        dataset_versions={"T1": "0" * 16},
        code_version="test",
        rendered_at=NOW,
        code=code,
    )
    envelope = SIGNING.sign(manifest_of(stored.__dict__, "11"))
    reports.save_reports(database, [replace(stored, proof=reports.proof_record(envelope))])
    return identifier
