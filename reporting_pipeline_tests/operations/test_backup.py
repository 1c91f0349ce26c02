"""A backup opens for its key alone and restores whole; after an older one nobody is mailed twice."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.operations.backup import restore, take
from reporting_pipeline.operations.backup.drill import drill_restore
from reporting_pipeline.operations.backup.prune import kept_backups, outlived, prune_backups
from reporting_pipeline.operations.backup.restore import (
    BackupTooNew,
    NotEmpty,
    read_manifest,
    restore_backup,
    verify_backup,
)
from reporting_pipeline.operations.backup.take import MANIFEST, take_backup
from reporting_pipeline.operations.backup.vault import (
    BackupDamaged,
    Folder,
    Place,
    Prefix,
    Vault,
    backup_key,
    open_place,
)
from reporting_pipeline.operations.migrations import migrate
from reporting_pipeline.settings import Settings, SettingsError
from reporting_pipeline.stores.mongo import Database, prepare
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.restores import (
    await_release_after_restore,
    deliveries_awaiting_release,
    learn_what_was_sent,
    release_after_restore,
)
from reporting_pipeline.stores.schema import (
    SCHEMA_VERSION,
    SchemaMismatch,
    forget_step,
    record_step,
    refuse_other_schema,
)
from reporting_pipeline.stores.upkeep import last_upkeep
from reporting_pipeline_tests.delivery.seeds import NOW
from reporting_pipeline_tests.operations.ledger import Ledger
from reporting_pipeline_tests.spare_databases import drop

KEY = bytes(range(32))


@pytest.fixture
def empty(database: Database) -> Iterator[Database]:
    other = database.client.get_database(f"{database.name}_r", codec_options=database.codec_options)
    yield other
    drop(other)


def test_an_object_is_missing_only_where_it_is_not_there_however_a_store_orders_its_keys(
    database: Database, objects: ObjectStore, empty: Database, tmp_path: Path
) -> None:
    end = Ledger(database, objects).week(0, reports=2).end_at
    for key in ("reports/a/b", "reports/a-/b", "reports/a.b"):
        objects.put(key, b"one", "text/plain")
    place = Folder(tmp_path)
    take_backup(database, objects, place, KEY, end)
    assert restore_backup(empty, place, KEY, end, objects=objects).missing_objects == 0


def test_a_drill_restores_for_real_measures_and_leaves_nothing_behind(
    database: Database, objects: ObjectStore, tmp_path: Path
) -> None:
    end = Ledger(database, objects).week(0, reports=5).end_at
    place = Folder(tmp_path)
    manifest = take_backup(database, objects, place, KEY, end)
    before = set(database.client.list_database_names())
    moments = iter([end + timedelta(minutes=7), end + timedelta(minutes=9)])
    done = drill_restore(database, objects, place, KEY, lambda: next(moments))
    assert (done.point, done.time) == (timedelta(minutes=7), timedelta(minutes=2))
    assert done.records == sum(manifest.records.values())
    assert set(database.client.list_database_names()) == before
    assert database.restores.count_documents({}) == 0, "the deployment itself was not restored"
    last = last_upkeep(database, "restore_drill")
    assert last is not None
    assert (last["ok"], last["point_seconds"], last["time_seconds"]) == (True, 420.0, 120.0)
    assert done.problems(timedelta(minutes=10), timedelta(minutes=5)) == []
    assert [one.split(" is ")[0] for one in done.problems(timedelta(minutes=5), timedelta(minutes=5))] == [
        "the latest backup"
    ]
    with pytest.raises(BackupDamaged):
        drill_restore(database, objects, place, bytes(32), lambda: end)
    assert set(database.client.list_database_names()) == before


def test_what_is_restored_into_an_empty_place_is_what_was_there(
    database: Database, objects: ObjectStore, empty: Database, tmp_path: Path
) -> None:
    ledger = Ledger(database, objects)
    end = ledger.week(0, reports=30).end_at
    place = Folder(tmp_path)
    manifest = take_backup(database, objects, place, KEY, end + timedelta(days=1))
    objects.delete(next(iter(objects.keys("reports/"))))
    done = restore_backup(empty, place, KEY, end + timedelta(days=2), objects=objects)
    assert done.records == sum(manifest.records.values()) > 100
    assert (done.awaiting_release, done.missing_objects) == (0, 1)
    for name in manifest.parts:
        assert list(empty[name].find().sort("_id", 1)) == list(database[name].find().sort("_id", 1)) or (
            name in ("upkeep",)
        ), name
    assert len(empty.deliveries.index_information()) == len(database.deliveries.index_information())
    with pytest.raises(NotEmpty, match="holds records"):
        restore_backup(empty, place, KEY, end + timedelta(days=2))


def test_a_changed_swapped_missing_or_foreign_part_restores_nothing(
    database: Database, objects: ObjectStore, empty: Database, tmp_path: Path
) -> None:
    end = Ledger(database, objects).week(0).end_at
    place = Folder(tmp_path)
    manifest = take_backup(database, objects, place, KEY, end)
    jobs = tmp_path / manifest.backup / manifest.parts["jobs"][0]
    deliveries = tmp_path / manifest.backup / manifest.parts["deliveries"][0]
    whole = jobs.read_bytes()
    assert b"example.org" not in deliveries.read_bytes()
    with pytest.raises(BackupDamaged, match="another key"):
        restore_backup(empty, place, bytes(32), end)
    for damaged in (
        whole[:-1],
        whole[:40] + bytes([whole[40] ^ 1]) + whole[41:],
        deliveries.read_bytes(),
        b"",
    ):
        jobs.write_bytes(damaged)
        with pytest.raises(BackupDamaged, match="jobs"):
            restore_backup(empty, place, KEY, end)
    jobs.unlink()
    with pytest.raises(BackupDamaged, match="has no part"):
        restore_backup(empty, place, KEY, end)
    assert empty.list_collection_names() == []
    jobs.write_bytes(whole)
    assert verify_backup(*read_manifest(place, KEY)) == sum(manifest.records.values())


def test_what_may_have_been_sent_since_the_backup_is_held_and_decided_by_a_person(
    database: Database, objects: ObjectStore, empty: Database, tmp_path: Path
) -> None:
    ledger = Ledger(database, objects)
    period = ledger.week(0, reports=4)
    due = period.end_at + timedelta(hours=1)
    waiting = {"state": "pending", "settled_at": None, "next_attempt_at": due}
    database.deliveries.update_many({}, {"$set": waiting})
    late = ledger.delivery(period, "sub_00003")
    restored_at = due + timedelta(hours=2)
    later = restored_at + timedelta(days=1)
    database.deliveries.update_one({"_id": late}, {"$set": {"due_at": later, "next_attempt_at": later}})
    take_backup(database, objects, Folder(tmp_path), KEY, due - timedelta(minutes=30))
    assert restore_backup(empty, Folder(tmp_path), KEY, restored_at).awaiting_release == 3
    ids = [row["_id"] for row in deliveries_awaiting_release(empty)]
    assert late not in ids, "what is due later was not sent"
    assert empty.deliveries.count_documents({"next_attempt_at": {"$lte": restored_at}}) == 0
    planned = [cast(DeliveryRecord, {"due_at": at}) for at in (due, restored_at + timedelta(seconds=1))]
    await_release_after_restore(empty, planned)
    assert [one.get("state") for one in planned] == ["unknown", None], "also what is planned only now"
    learn_what_was_sent(empty, lambda one: one == ids[0], restored_at)
    assert [row["_id"] for row in deliveries_awaiting_release(empty)] == ids[1:]
    release_after_restore(empty, send=True, edition=f"weekly:{period.key}", now=restored_at)
    assert list(deliveries_awaiting_release(empty)) == []
    assert empty.deliveries.count_documents({"state": "pending", "next_attempt_at": restored_at}) == 2


def test_a_restore_that_was_cut_off_leaves_a_database_that_every_process_refuses(
    database: Database, objects: ObjectStore, empty: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(database, objects)
    end = ledger.week(0, reports=2).end_at
    database.deliveries.update_many({}, {"$set": {"state": "pending", "settled_at": None}})
    take_backup(database, objects, Folder(tmp_path), KEY, end)
    monkeypatch.setattr(restore, "let_nothing_go", _killed)
    with pytest.raises(KeyboardInterrupt):
        restore_backup(empty, Folder(tmp_path), KEY, end + timedelta(days=1))
    assert empty.deliveries.count_documents({"state": "pending"}) > 0, "it was cut off in the middle"
    with pytest.raises(SchemaMismatch, match="cut off"):
        refuse_other_schema(empty)
    with pytest.raises(SchemaMismatch, match="cut off"):  # which would have made it look whole
        migrate(empty, lambda: end, "test")
    with pytest.raises(SchemaMismatch, match="cut off"):
        prepare(empty)


def test_a_backup_of_a_newer_version_is_refused_before_anything_is_written_and_an_older_one_is_told(
    database: Database, objects: ObjectStore, empty: Database, tmp_path: Path
) -> None:
    end = Ledger(database, objects).week(0).end_at
    place = Folder(tmp_path)
    record_step(database, SCHEMA_VERSION + 1, "of tomorrow", "test", 0, end)
    take_backup(database, objects, place, KEY, end)
    with pytest.raises(BackupTooNew, match=f"know migration {SCHEMA_VERSION + 1}.*restore it with that"):
        restore_backup(empty, place, KEY, end)
    assert empty.list_collection_names() == []

    for step in (SCHEMA_VERSION + 1, SCHEMA_VERSION):
        forget_step(database, step)
    record_step(database, SCHEMA_VERSION - 1, "of yesterday", "test", 0, end)
    manifest = take_backup(database, objects, place, KEY, end)
    assert restore_backup(empty, place, KEY, end).migration == SCHEMA_VERSION - 1
    with pytest.raises(SchemaMismatch, match="run `reporting-pipeline migrate`"):
        refuse_other_schema(empty)
    migrate(empty, lambda: end, "test")
    refuse_other_schema(empty)

    vault = Vault(place, KEY, manifest.backup)
    vault.write(MANIFEST, json.dumps({**manifest.__dict__, "version": "9.0.0", "volumes": 3}).encode())
    with pytest.raises(BackupTooNew, match=r"version 9\.0\.0.*does not know volumes"):
        read_manifest(place, KEY)


def test_a_database_that_takes_longer_than_the_server_keeps_a_moment_is_backed_up_all_the_same(
    database: Database, objects: ObjectStore, empty: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MongoDB refuses a snapshot that is older than minSnapshotHistoryWindowInSeconds (code 239)."""
    end = Ledger(database, objects).week(0, reports=2).end_at
    read = take._collection

    def too_late(store: Database, name: str, session: ClientSession | None, *rest: Any) -> None:
        if session is not None and name == "jobs":
            raise OperationFailure("Read timestamp is older than the oldest available timestamp", 239)
        read(store, name, session, *rest)

    monkeypatch.setattr(take, "_collection", too_late)
    manifest = take_backup(database, objects, Folder(tmp_path), KEY, end)
    assert manifest.snapshot is False
    assert restore_backup(empty, Folder(tmp_path), KEY, end).records == sum(manifest.records.values())


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_old_backups_and_what_was_cut_off_go_and_the_newest_whole_one_never(
    database: Database, objects: ObjectStore, tmp_path: Path, where: str
) -> None:
    place: Place = Folder(tmp_path) if where == "folder" else Prefix(objects, "kept/")
    days = [
        take_backup(database, objects, place, KEY, NOW - timedelta(days=age)).backup for age in (90, 40, 36)
    ]
    cut_off = f"{NOW - timedelta(days=2):%Y%m%dT%H%M%SZ}-0123abcd"
    at_work = f"{NOW - timedelta(hours=2):%Y%m%dT%H%M%SZ}-0123abcd"
    for name in (cut_off, at_work, "of-another-tool", "20261399T000000Z-0123abcd"):
        place.write(f"{name}/database/jobs.00000.bson.gz", b"some")
    gone = [days[0], days[1], cut_off]
    assert [one.name for one in outlived(kept_backups(place), timedelta(days=35), NOW)] == gone
    assert [one.name for one in prune_backups(place, timedelta(days=35), NOW)] == gone
    assert [(one.name, one.whole) for one in kept_backups(place)] == [(days[2], True), (at_work, False)]
    assert {"of-another-tool", "20261399T000000Z-0123abcd"} < set(place.folders())
    assert prune_backups(place, timedelta(days=35), NOW) == []
    assert verify_backup(*read_manifest(place, KEY)) > 0


def _killed(*_: object) -> int:
    raise KeyboardInterrupt


def test_the_key_and_the_place_are_refused_with_what_to_do(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="REPORTING_BACKUP_KEY_FILE"):
        backup_key(settings)
    path = tmp_path / "key"
    path.write_text("c2hvcnQ=")
    own = settings.model_copy(update={"backup_key_file": path})
    with pytest.raises(SettingsError, match="32 bytes"):
        backup_key(own)
    path.write_text(base64.b64encode(KEY).decode() + "\n")
    assert backup_key(own) == KEY
    for target in ("https://x/y", "s3://bucket", f"s3://{settings.s3_bucket}/backups"):
        with pytest.raises(ValueError, match="s3://"):
            open_place(target, settings)
