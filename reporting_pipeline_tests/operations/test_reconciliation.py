"""Each way in which records and bucket can differ is planted, found, and mended where that is safe."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reporting_pipeline.cli import app
from reporting_pipeline.definitions import build_defs
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.reconciliation import Named, Source
from reporting_pipeline.operations.metrics import exposition
from reporting_pipeline.operations.reconciliation.names import PREFIXES, all_names
from reporting_pipeline.operations.reconciliation.sorting import SortedOnDisk
from reporting_pipeline.operations.retention.run import retain
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.alerts import open_alerts
from reporting_pipeline.stores.holds import place_hold
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import HELD, ORPHAN, RETENTION_TAG, STANDARD
from reporting_pipeline.stores.upkeep import last_upkeep
from reporting_pipeline_tests.operations.ledger import Ledger
from reporting_pipeline_tests.operations.reconciling import (
    PICTURE,
    REPORT,
    SUBSCRIPTION,
    document,
    key_of,
    later,
    period_key,
    reconciled,
    report_key_of,
    version_key_of,
)


def test_where_nothing_differs_nothing_is_found(whole: Ledger) -> None:
    findings = reconciled(whole)
    assert findings.found == {}
    assert findings.left == {}
    assert findings.names == 5 + 3 + 1 + 2
    assert findings.objects == findings.names
    assert open_alerts(whole.database) == []


LOST: dict[str, Callable[[Ledger], str]] = {
    "report": report_key_of,
    "document": lambda ledger: key_of(ledger, "doc_1"),
    "document_version": version_key_of,
}


@pytest.mark.parametrize("source", LOST)
def test_what_cannot_be_made_again_raises_an_alert_and_nothing_is_deleted(whole: Ledger, source: str) -> None:
    key = LOST[source](whole)
    body = whole.objects.get(key)
    whole.objects.delete(key)
    before = {name: whole.database[name].count_documents({}) for name in ("reports", "documents")}
    findings = reconciled(whole)
    assert findings.found == {("missing", source): 1}
    assert findings.for_a_person == {("missing", source): 1}
    assert findings.mended == {}
    assert before == {name: whole.database[name].count_documents({}) for name in before}
    [alert] = open_alerts(whole.database)
    assert alert["_id"] == f"reconciliation:missing:{source}"
    whole.objects.put(key, body)
    assert reconciled(whole).found == {}
    assert open_alerts(whole.database) == [], "closed once it is there again"


def test_an_object_of_another_size_or_content_is_told(whole: Ledger) -> None:
    report, file = report_key_of(whole), key_of(whole, "doc_1")
    content = whole.objects.get(file)
    whole.objects.put(report, b"cut")
    whole.objects.put(file, content[::-1])
    findings = reconciled(whole)
    assert findings.found == {("wrong_size", "report"): 1}, "one of the same size is seen by its hash alone"
    findings = reconciled(whole, hashes=True)
    assert findings.found == {("wrong_size", "report"): 1, ("wrong_hash", "document"): 1}
    assert whole.objects.get(report) == b"cut", "nothing is touched"
    assert len(open_alerts(whole.database)) == 2


def test_what_can_be_made_again_is_forgotten_and_made_by_the_next_look(whole: Ledger) -> None:
    period, database = period_key(whole), whole.database
    [picture] = database.media.find({})
    gone = [
        picture["key"],
        f"snapshots/weekly/{period}/T1/v1.bson.gz",
        f"datasets/weekly/{period}/T1/v1/dataset.json",
        f"media/manifests/weekly/{period}/T1/v1.json",
    ]
    whole.objects.delete_many(gone)
    looked = reconciled(whole, mending=False)
    expected = {("missing", one): 1 for one in ("picture", "snapshot", "dataset", "media_list")}
    assert looked.found == expected
    assert looked.mended == {}
    assert database.media.count_documents({}) == 1
    findings = reconciled(whole)
    assert findings.found == findings.mended == expected
    assert findings.for_a_person == {}
    assert database.media.count_documents({}) == 0
    left = database.asset_results.distinct("asset")
    assert left == ["weekly/subscriber_reports"]
    assert reconciled(whole).found == {}


def test_a_record_that_names_another_object_meanwhile_is_not_forgotten(
    whole: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made again between the reading of the records and the listing."""
    database, period = whole.database, period_key(whole)
    old, new = (f"snapshots/weekly/{period}/T1/{version}.bson.gz" for version in ("v1", "v2"))

    def then_made_again(opened: Database) -> Iterator[Any]:
        yield from all_names(opened)
        whole.objects.put(new, b"again")
        whole.objects.delete(old)
        database.asset_results.update_one(
            {"_id": f"weekly/documents/{period}|T1"}, {"$set": {"detail.key": new}}
        )

    monkeypatch.setattr("reporting_pipeline.operations.reconciliation.run.all_names", then_made_again)
    assert reconciled(whole).found == {}
    assert database.asset_results.count_documents({"asset": "weekly/documents"}) == 1


ORPHANS = {
    "a report without a record": "reports/weekly/2026-01-05/sub_gone/0123456789abcdef.pdf",
    "a snapshot of nothing": "snapshots/weekly/2026-01-05/T9/v1.bson.gz",
    "a part of a dataset": "datasets/weekly/2026-01-05/T9/v1/documents.parquet",
    "a list of nothing": "media/manifests/weekly/2026-01-05/T9/v1.json",
    "a picture": f"media/cc/{PICTURE}-2.jpg",
    "a name as none is": "reports/x",
    "a trial's name as none is": "snapshots/weekly/2026-01-05/~~/v1.bson.gz",
}


@pytest.mark.parametrize("key", ORPHANS.values(), ids=list(ORPHANS))
def test_an_orphan_is_tagged_and_noted_once_and_deleted_by_retention_alone(
    whole: Ledger, settings: Settings, key: str
) -> None:
    whole.objects.put(key, b"nobody's")
    young = reconciled(whole, datetime.now(UTC) + timedelta(hours=1))
    assert young.found == {}
    assert young.left["younger than the grace period"] == 1
    now = later()
    assert reconciled(whole, now, mending=False).mended == {}
    assert whole.objects.tags(key)[RETENTION_TAG] == STANDARD, "only looked at"
    findings = reconciled(whole, now)
    assert findings.found == findings.mended == {("orphan", "nobody"): 1}
    assert findings.for_a_person == {}
    assert whole.objects.tags(key)[RETENTION_TAG] == ORPHAN
    [note] = whole.database.orphans.find({})
    assert (note["_id"], note["size"], note["tagged_at"]) == (
        key,
        8,
        now.replace(microsecond=note["tagged_at"].microsecond),
    )
    again = reconciled(whole, later(4))
    assert again.found == {}
    assert again.left["noted before, waits for retention"] == 1
    assert whole.objects.exists(key)

    def orphans_go(at: datetime) -> None:
        done = retain(whole.database, whole.objects, settings, at, dry_run=False, only=["orphans"])
        assert done.failed == []

    orphans_go(now + timedelta(days=13))
    assert whole.objects.exists(key)
    orphans_go(now + timedelta(days=15))
    assert not whole.objects.exists(key)
    assert reconciled(whole, later(20)).found == {}


def test_an_uploaded_file_that_nothing_names_is_told_and_never_tagged(whole: Ledger) -> None:
    key = document(whole, "doc_9")
    whole.database.documents.delete_one({"_id": "doc_9"})
    findings = reconciled(whole)
    assert findings.found == {("orphan", "nobody"): 1}
    assert findings.mended == {}
    assert findings.for_a_person == {}
    assert RETENTION_TAG not in whole.objects.tags(key)
    assert whole.database.orphans.count_documents({}) == 0


def test_what_stands_beside_a_newer_one_belongs_to_its_record(whole: Ledger) -> None:
    period = period_key(whole)
    [picture] = whole.database.media.find({})
    beside = [
        f"reports/weekly/{period}/{REPORT}/earlier.pdf",
        f"snapshots/weekly/{period}/T1/v0.bson.gz",
        f"datasets/weekly/{period}/T1/v0/dataset.json",
        f"media/manifests/weekly/{period}/T1/v0.json",
        f"media/{picture['_id'][:2]}/{picture['_id']}-0.jpg",
    ]
    for key in beside:
        whole.objects.put(key, b"earlier")
    findings = reconciled(whole)
    assert findings.found == {}
    assert findings.left == {"belongs to a record, which names a newer one": len(beside)}


def test_what_is_held_is_never_tagged(whole: Ledger) -> None:
    period = period_key(whole)
    report = str(whole.database.reports.find_one({"subscription": SUBSCRIPTION})["_id"])  # type: ignore[index]
    place_hold(whole.database, whole.objects, report, "legal_hold", "a duty", "system", later())
    held, of_period = "reports/x", f"snapshots/weekly/{period}/T9/v1.bson.gz"
    for key in (held, of_period):
        whole.objects.put(key, b"x")
    whole.objects.mark(held, HELD)
    findings = reconciled(whole)
    assert findings.found == {}
    assert findings.left == {"held": 1, "its period is held": 1}
    assert whole.objects.tags(held)[RETENTION_TAG] == HELD


def test_an_orphan_that_is_named_again_loses_its_tag_and_its_note(whole: Ledger) -> None:
    key = f"media/cc/{PICTURE}-2.jpg"
    whole.objects.put(key, b"picture")
    gone = "reports/y"
    whole.objects.put(gone, b"gone")
    assert reconciled(whole).mended == {("orphan", "nobody"): 2}
    whole.objects.delete(gone)
    whole.database.media.insert_one({"_id": PICTURE, "key": key, "code_version": "2"})
    assert reconciled(whole).found == {}
    assert whole.objects.tags(key)[RETENTION_TAG] == STANDARD
    assert whole.database.orphans.count_documents({}) == 0


@pytest.mark.parametrize(
    "file",
    [
        "x",
        7,
        {},
        {"key": None},
        {"key": ""},
        {"key": "files/" + "x" * 2_000},
        {"key": ["files/a"]},
        ["files/a"],
    ],
)
def test_a_record_that_does_not_say_its_object_is_told_and_stops_nothing(whole: Ledger, file: Any) -> None:
    whole.database.documents.insert_one({"_id": "doc_bad", "file": file})
    whole.objects.delete(report_key_of(whole))
    findings = reconciled(whole)
    assert findings.for_a_person == {("unreadable", "document"): 1, ("missing", "report"): 1}
    assert findings.examples["unreadable", "document"][0].record == "doc_bad"


def test_odd_numbers_and_ids_of_a_record_are_borne(whole: Ledger) -> None:
    key = key_of(whole, "doc_1")
    odd = {"key": key, "size": 2**62, "sha256": "no hash"}
    whole.database.documents.insert_many([{"_id": "doc_huge", "file": odd}, {"_id": 12, "file": odd}])
    whole.database.asset_results.insert_one(
        {"_id": "weekly/trial_dataset/2026-01-05|T8", "asset": "weekly/trial_dataset", "state": "done"}
    )
    findings = reconciled(whole)
    assert findings.found == {
        ("wrong_size", "document"): 1,
        ("unreadable", "document"): 1,
        ("unreadable", "dataset"): 1,
    }


def test_the_tables_of_a_trial_so_far_are_missed_as_a_datasets_are(whole: Ledger) -> None:
    where = f"datasets/weekly/{period_key(whole)}/T1/status-1"
    whole.database.asset_results.insert_one(
        {
            "_id": f"weekly/trial_status/{period_key(whole)}|T1",
            "asset": "weekly/trial_status",
            "state": "done",
            "detail": {"prefix": where, "rows": {"lab": 3}},
        }
    )
    whole.objects.put(f"{where}/lab.parquet", b"x")
    assert reconciled(whole).found == {("missing", "dataset"): 1}  # the manifest


def test_an_object_that_lies_elsewhere_is_asked_for_before_it_is_called_missing(whole: Ledger) -> None:
    whole.objects.put("elsewhere/a.pdf", b"x")
    file = {"key": "elsewhere/a.pdf", "size": 1, "sha256": ""}
    whole.database.documents.insert_one({"_id": "doc_far", "file": file})
    assert reconciled(whole).found == {}


def test_the_audits_anchors_and_what_others_keep_in_the_bucket_are_not_looked_at(whole: Ledger) -> None:
    audit.record(whole.database, "report.rendered", "system", "rep_x", later(), organisation="default")
    audit.write_anchor(whole.database, whole.objects, later())
    whole.objects.put("other/tenant.txt", b"x")
    assert reconciled(whole).found == {}


# --- many ----------------------------------------------------------------------------------------


def test_thousands_are_read_in_pages_and_the_differences_among_them_found(whole: Ledger) -> None:
    pictures = [f"{number:064x}" for number in range(2_500)]

    def key(sha256: str) -> str:
        return f"media/{sha256[:2]}/{sha256}-2.jpg"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda sha256: whole.objects.put(key(sha256), b""), pictures[:-1]))
    whole.database.media.insert_many({"_id": one, "key": key(one)} for one in pictures[600:])
    pages = []
    events = whole.objects.client.meta.events
    events.register("before-call.s3.ListObjectsV2", lambda **_: pages.append(1), unique_id="counting")
    try:
        findings = reconciled(whole)
    finally:
        events.unregister("before-call.s3.ListObjectsV2", unique_id="counting")
    assert findings.found == {("orphan", "nobody"): 600, ("missing", "picture"): 1}
    assert findings.mended == findings.found
    assert len(findings.examples["orphan", "nobody"]) == 100, "named are some, counted are all"
    assert len(pages) == len(PREFIXES) + 2, "a thousand in a page"
    assert reconciled(whole).found == {}


def test_names_are_sorted_on_disk_in_the_memory_of_a_few_pages() -> None:
    number = 200_000
    names = (
        Named(f"files/{hashlib.sha256(str(n).encode()).hexdigest()}.pdf", Source.DOCUMENT, f"doc_{n}", n)
        for n in range(number)
    )
    ordered = SortedOnDisk()
    tracemalloc.start()
    try:
        assert ordered.add_names(names) == number
        last, count = "", 0
        for one in ordered.names():
            assert one.key >= last
            last, count = one.key, count + 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        ordered.close()
    assert count == number
    assert peak < 10_000_000, "a list of them has over 60 MB"


def test_a_store_that_lists_in_an_order_of_its_own_is_borne(whole: Ledger) -> None:
    """One on a file system lists T1/… before T1-B/…, S3 the other way round."""
    for trial in ("T1-B", "T1 B", "T", "é", "￮", "😀", "T1~2FB"):
        key = f"files/{trial}/a.pdf"
        whole.objects.put(key, b"x")
        whole.database.documents.insert_one({"_id": f"doc of {trial}", "file": {"key": key, "size": 1}})
    assert reconciled(whole).found == {}


def test_keys_are_ordered_by_their_bytes() -> None:
    keys = [f"files/{part}/a" for part in ("a", "A", "a-", "a b", "é", "￮", "😀", "%20", "a~2F", "_")]
    ordered = SortedOnDisk()
    ordered.add_names(Named(key, Source.DOCUMENT, "d") for key in keys)
    assert [one.key for one in ordered.names()] == sorted(keys, key=str.encode)
    ordered.close()


# --- what is said of it ------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
def test_the_nightly_job_mends_and_says_what_differs(whole: Ledger, settings: Settings) -> None:
    [picture] = whole.database.media.find({})
    whole.objects.delete_many([picture["key"], report_key_of(whole)])
    job = build_defs(settings).resolve_job_def("reconciliation_job")

    def verdict(**config: Any) -> tuple[bool, list[dict[str, Any]]]:
        done = job.execute_in_process({"ops": {"s3_files_records_and_bucket_agree": {"config": config}}})
        assert done.success, "what differs is no failure of the job"
        [check] = done.get_asset_check_evaluations()
        table: Any = check.metadata["found"]
        return check.passed, [dict(row.data) for row in table.records]

    agree, rows = verdict(mending=False)
    assert not agree
    assert [(row["kind"], row["of"], row["found"], row["mended"]) for row in rows] == [
        ("missing", "picture", "1", "0"),
        ("missing", "report", "1", "0"),
    ]
    assert verdict()[1][0]["mended"] == "1"
    assert whole.database.media.count_documents({}) == 0
    whole.objects.put(
        report_key_of(whole),
        Ledger.content(Period.from_key(Cadence.WEEKLY, period_key(whole), "UTC"), REPORT),
    )
    assert verdict() == (True, [])


def test_the_metrics_tell_what_is_not_mended_and_how_old_that_is(whole: Ledger, settings: Settings) -> None:
    now = later()
    assert b"reporting_reconciliation" not in exposition(whole.database, settings, now)
    [picture] = whole.database.media.find({})
    whole.objects.delete_many([picture["key"], report_key_of(whole)])
    reconciled(whole, now)
    text = exposition(whole.database, settings, now + timedelta(hours=2)).decode()
    assert 'reporting_reconciliation_findings{kind="missing",source="report"} 1.0' in text
    assert 'reporting_reconciliation_findings{kind="missing",source="picture"} 0.0' in text
    [age] = [line for line in text.splitlines() if line.startswith("reporting_reconciliation_age_seconds ")]
    assert float(age.split()[1]) == pytest.approx(7_200, abs=1)


# --- the command -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
def test_the_command(whole: Ledger, tmp_path: Path) -> None:
    run = CliRunner().invoke
    done = run(app, ["reconcile"])
    assert done.exit_code == 0, done.output
    assert "nothing differs" in done.output
    [picture] = whole.database.media.find({})
    whole.objects.delete(picture["key"])
    assert run(app, ["reconcile"]).exit_code == 0, "what the product mends itself is nobody's duty"
    whole.objects.delete(report_key_of(whole))
    done = run(app, ["reconcile", "--mend", "--json"])
    assert done.exit_code == 3, done.output
    said = json.loads(done.output)
    assert said["found"] == {"missing": {"picture": 1, "report": 1}}
    assert said["mended"] == {"missing": {"picture": 1}}
    assert run(app, ["reconcile"]).exit_code == 3
    refused = run(app, ["reconcile", "--inventory", str(tmp_path / "none.json")])
    assert refused.exit_code == 1
    assert "no manifest" in refused.output
    kept = last_upkeep(whole.database, "reconciliation")
    assert kept is not None
    assert (kept["ok"], kept["found"]) == (False, {"missing": {"report": 1}})
