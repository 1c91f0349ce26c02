"""A person's data key: one, wrapped by keys that no store holds, and none again once it was destroyed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.operations.backup.person_keys import PART
from reporting_pipeline.operations.backup.restore import read_manifest, restore_backup, verify_backup
from reporting_pipeline.operations.backup.take import take_backup
from reporting_pipeline.operations.backup.vault import BackupDamaged, Folder
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.person_keys import (
    KeyUnknown,
    destroy,
    key_for,
    key_of,
    rewrap_all,
)
from reporting_pipeline_tests.spare_databases import drop
from reporting_pipeline_tests.stores.racing import race

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
OLD, NEW = (f"{name}:{name * 40}" for name in "ab")
RING = Keyring.read(OLD).derived("person-keys")
BOTH = Keyring.read(f"{NEW},{OLD}").derived("person-keys")


def test_each_person_has_one_key_of_their_own(database: Database) -> None:
    first = key_for(database, RING, "default", "usr_1", NOW)
    assert key_for(database, RING, "default", "usr_1", NOW) == first
    assert key_of(database, RING, first[0]) == first[1]
    others = [key_for(database, RING, *whose, NOW) for whose in (("default", "usr_2"), ("other", "usr_1"))]
    assert len({first[1], *(key for _, key in others)}) == 3
    assert first[1] not in str(list(database.person_keys.find())).encode()


def take_one(database: Database, name: str) -> str:
    return key_for(database, RING, "default", "usr_1", NOW)[1].hex()


def test_of_several_at_once_all_have_the_same(database: Database, settings: Settings) -> None:
    assert len(set(race(settings, take_one, processes=2, threads=3))) == 1


def test_a_key_that_was_destroyed_is_no_more_and_none_follows_it(database: Database) -> None:
    key_id, _ = key_for(database, RING, "default", "usr_1", NOW)
    other = key_for(database, RING, "default", "usr_2", NOW)
    for person in ("usr_1", "usr_1", "usr_never"):
        destroy(database, "default", person, NOW)
    for person in ("usr_1", "usr_never"):
        with pytest.raises(KeyUnknown, match="destroyed"):
            key_for(database, RING, "default", person, NOW)
    with pytest.raises(KeyUnknown, match="destroyed"):
        key_of(database, RING, key_id)
    assert key_of(database, RING, other[0]) == other[1]


def test_a_newer_wrapping_key_follows_and_the_older_one_may_leave(database: Database) -> None:
    used, idle = (key_for(database, RING, "default", person, NOW) for person in ("usr_1", "usr_2"))
    assert key_for(database, BOTH, "default", "usr_1", NOW) == used
    alone = Keyring.read(NEW).derived("person-keys")
    assert rewrap_all(database, alone) == 1, "what does not open is left"
    assert rewrap_all(database, BOTH) == 0
    assert [key_of(database, alone, key_id) for key_id, _ in (used, idle)] == [used[1], idle[1]]
    with pytest.raises(KeyUnknown, match="wrapped by the key b"):
        key_of(database, RING, used[0])


@pytest.mark.parametrize("ring", [None, Keyring.read(f"a:{'c' * 40}").derived("person-keys")])
def test_without_the_wrapping_key_nothing_opens(database: Database, ring: Keyring | None) -> None:
    key_id, _ = key_for(database, RING, "default", "usr_1", NOW)
    with pytest.raises(KeyUnknown):
        key_of(database, ring, key_id)


def test_a_key_that_is_put_under_another_person_does_not_open(database: Database) -> None:
    key_id, _ = key_for(database, RING, "default", "usr_1", NOW)
    database.person_keys.update_one({"_id": key_id.hex()}, {"$set": {"person": "usr_2"}})
    with pytest.raises(KeyUnknown):
        key_of(database, RING, key_id)


def test_what_was_destroyed_comes_back_by_no_backup(
    database: Database, objects: ObjectStore, tmp_path: Path
) -> None:
    gone = key_for(database, RING, "default", "usr_1", NOW)[0]
    kept = key_for(database, RING, "default", "usr_2", NOW)
    place, sealing = Folder(tmp_path), bytes(range(32))
    before = take_backup(database, objects, place, sealing, NOW)
    destroy(database, "default", "usr_1", NOW)
    take_backup(database, objects, place, sealing, NOW)
    (tmp_path / PART).write_bytes((whole := (tmp_path / PART).read_bytes())[:-1])
    with pytest.raises(BackupDamaged, match="keys of sealed files"):
        verify_backup(*read_manifest(place, sealing))
    (tmp_path / PART).write_bytes(whole)
    restored = database.client.get_database(f"{database.name}_r")
    restore_backup(restored, place, sealing, NOW, before.backup)
    assert key_of(restored, RING, kept[0]) == kept[1]
    with pytest.raises(KeyUnknown):
        key_of(restored, RING, gone)
    drop(restored)
