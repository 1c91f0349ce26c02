"""A log that goes on from an older backup is whole, and says who restored it and which rows are gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reporting_pipeline.stores import audit
from reporting_pipeline.stores.audit import AuditAction, AuditBroken
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.usecases.keeping import note_restored
from reporting_pipeline_tests.spare_databases import drop
from reporting_pipeline_tests.stores.test_audit import fill

NOW = datetime(2026, 11, 23, 0, 5, tzinfo=UTC)
AN_HOUR = timedelta(hours=1)
Log = tuple[list[Record], list[Record]]


def copied(database: Database) -> Log:
    """The log as a backup has it."""
    return list(database.audit.find()), list(database.audit_heads.find())


@pytest.fixture
def again(database: Database) -> Iterator[Database]:
    """The empty database into which it is restored."""
    other = database.client.get_database(f"{database.name}_r", codec_options=database.codec_options)
    yield other
    drop(other)


def restored(into: Database, backup: Log, objects: ObjectStore, name: str = "b1") -> audit.Restored:
    rows, heads = backup
    into.audit.delete_many({})
    into.audit_heads.delete_many({})
    into.audit.insert_many(rows)
    into.audit_heads.insert_many(heads)
    return note_restored(into, objects, name, NOW, {"records": 9}, "usr_ann", "org_1", NOW + AN_HOUR)


def anchored(database: Database, objects: ObjectStore, rows: int) -> None:
    fill(database, rows)
    audit.write_anchor(database, objects, NOW)


def test_a_restored_log_verifies_and_the_verdict_names_what_is_gone(
    database: Database, again: Database, objects: ObjectStore
) -> None:
    anchored(database, objects, 5)
    fill(database, 2)
    backup = copied(database)
    anchored(database, objects, 4)
    said = restored(again, backup, objects)
    assert (said.by, said.backup, said.kept, said.gone_from, said.gone_to, said.follows) == (
        *("usr_ann", "b1", 7, 8),
        *(11, 1),
    )
    verdict = audit.verify(again, objects)
    assert (verdict.ok, verdict.rows) == (True, 8), verdict.reason
    (anchor,) = verdict.restored
    assert (anchor.seq, anchor.restored) == (8, said)
    assert "rows 8 to 11 at least, which came after it, are not in the log" in said.told
    (row,) = audit.events_of(again, "org_1", action=AuditAction.BACKUP_RESTORED)
    assert (row["seq"], row["actor"], row["subject"]) == (8, "usr_ann", "b1")

    anchored(again, objects, 6)
    assert audit.verify(again, objects) == audit.AuditCheck(True, 14, restored=(anchor,))
    again.audit.delete_many({"seq": {"$gt": 12}})
    assert audit.verify(again, objects).first_bad == 13, "it is held to its anchors as before"


def test_a_log_that_lost_nothing_known_says_so(
    database: Database, again: Database, objects: ObjectStore
) -> None:
    anchored(database, objects, 5)
    fill(database, 3)
    assert "no row is known to be lost" in restored(again, copied(database), objects).told
    assert audit.verify(again, objects).ok


def test_a_restore_where_the_anchors_are_lost_too_begins_with_one(
    database: Database, again: Database, objects: ObjectStore
) -> None:
    fill(database, 3)
    assert restored(again, copied(database), objects).follows == 0
    assert audit.verify(again, objects).ok


def test_the_wrong_backup_may_be_followed_by_the_right_one(
    database: Database, again: Database, objects: ObjectStore
) -> None:
    anchored(database, objects, 4)
    old = copied(database)
    anchored(database, objects, 4)
    new = copied(database)
    anchored(database, objects, 4)
    restored(again, old, objects, "old")
    anchored(again, objects, 20)
    said = restored(again, new, objects, "new")
    assert (said.kept, said.gone_from, said.gone_to, said.follows) == (8, 5, 25, 2)
    verdict = audit.verify(again, objects)
    assert verdict.ok, verdict.reason
    assert [one.restored.backup for one in verdict.restored if one.restored] == ["old", "new"]


def test_a_head_of_a_later_moment_than_the_rows_does_not_break_what_is_restored(
    database: Database, again: Database, objects: ObjectStore
) -> None:
    """A backup that is not of one moment reads the rows first, and the head after more were written."""
    anchored(database, objects, 5)
    rows, _ = copied(database)
    fill(database, 3)
    _, heads = copied(database)
    assert restored(again, (rows, heads), objects).gone_to == 8
    assert audit.verify(again, objects).ok


def test_what_is_no_older_state_of_this_log_is_refused(
    database: Database, again: Database, objects: ObjectStore
) -> None:
    anchored(database, objects, 5)
    backup = copied(database)
    fill(again, 2)
    audit.record(again, AuditAction.REQUEUED, "usr_2", "job_1", NOW, organisation="org_1")
    fill(again, 4)
    with pytest.raises(AuditBroken, match="row 5 is not the one that was anchored"):
        restored(again, copied(again), objects)
    assert not audit.verify(again, objects).ok
    restored(again, backup, objects)
    assert audit.verify(again, objects).ok


def test_an_anchor_says_restored_only_where_it_was_signed_so(
    database: Database, again: Database, objects: ObjectStore
) -> None:
    anchored(database, objects, 5)
    backup = copied(database)
    anchored(database, objects, 5)
    restored(again, backup, objects)
    key = f"{audit.ANCHORS}00000003.json"
    body = json.loads(objects.get(key))
    body["restored"]["gone_to"] = 6
    objects.put(key, json.dumps(body).encode())
    assert "not one of ours" in audit.verify(again, objects).reason
    del body["restored"]
    objects.put(key, json.dumps(body).encode())
    assert "not one of ours" in audit.verify(again, objects).reason


def test_an_anchor_of_before_is_signed_as_it_was() -> None:
    anchor = audit.Anchor(3, "ab", 1, "2026-11-23T00:05:00+00:00", key="0")
    assert b"restored" not in anchor.signed_part
    assert audit.Anchor.read(anchor.body) == anchor
    said = audit.Restored("system", "b1", anchor.at, 2, 3, 5, 1)
    assert audit.Anchor.read(replace(anchor, restored=said).body).restored == said
