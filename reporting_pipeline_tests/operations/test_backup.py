"""A backup opens for its key alone and restores whole; after an older one nobody is mailed twice."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.operations.backup import restore
from reporting_pipeline.operations.backup.drill import drill_restore
from reporting_pipeline.operations.backup.restore import (
    NotEmpty,
    read_manifest,
    restore_backup,
    verify_backup,
)
from reporting_pipeline.operations.backup.take import take_backup
from reporting_pipeline.operations.backup.vault import BackupDamaged, Folder, backup_key, open_place
from reporting_pipeline.settings import Settings, SettingsError
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.restores import (
    await_release_after_restore,
    deliveries_awaiting_release,
    learn_what_was_sent,
    release_after_restore,
)
from reporting_pipeline.stores.schema import SchemaMismatch, refuse_other_schema
from reporting_pipeline.stores.upkeep import last_upkeep
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
    with pytest.raises(SchemaMismatch):
        refuse_other_schema(empty)


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
