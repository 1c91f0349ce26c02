"""The audit log: whatever is done to it afterwards is found, and the first bad row is named."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pymongo import MongoClient

from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.audit import AuditAction, AuditBroken, Event, chain
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectExists, ObjectStore
from reporting_pipeline_tests.stores.commands import CommandsSeen
from reporting_pipeline_tests.stores.racing import race

NOW = datetime(2026, 11, 23, 0, 5, 0, 123456, tzinfo=UTC)
#: What somebody has who can write to the stores: the names of keys, and not the keys.
STOLEN_NAME = Keyring("0", {"0": b"a guess"})


def fill(database: Database, rows: int) -> None:
    events = [
        Event(AuditAction.REPORT_RENDERED, "system", f"rep_{n}", "org_1", {"pages": n, "share": 0.1})
        for n in range(rows)
    ]
    audit.record_many(database, events, NOW)


def test_what_was_appended_verifies_and_is_found(database: Database, objects: ObjectStore) -> None:
    fill(database, 5)
    audit.record(
        database,
        "edition.opened",
        "usr_1",
        "weekly:2026-11-16",
        NOW,
        organisation="org_2",
        details={"forced": 0},
    )
    audit.write_anchor(database, objects, NOW)

    assert audit.verify(database, objects) == audit.AuditCheck(True, 6)
    assert [row["seq"] for row in audit.events_of(database, "org_1", limit=2)] == [5, 4]
    assert [row["seq"] for row in audit.events_of(database, "org_1", before=4)] == [3, 2, 1]
    (row,) = audit.events_of(database, "org_2", subject="weekly:2026-11-16", action="edition.opened")
    assert (row["actor"], row["details"]) == ("usr_1", {"forced": 0})


def test_an_empty_log_is_whole_once_it_is_anchored(database: Database, objects: ObjectStore) -> None:
    assert not audit.verify(database, objects).ok
    assert audit.anchor_when_due(database, objects, NOW) is not None
    assert audit.verify(database, objects) == audit.AuditCheck(True, 0)


def edit(database: Database) -> None:
    database.audit.update_one({"seq": 4}, {"$set": {"details.pages": 99}})


def change_actor(database: Database) -> None:
    database.audit.update_one({"seq": 4}, {"$set": {"actor": "usr_evil"}})


def add_field(database: Database) -> None:
    database.audit.update_one({"seq": 4}, {"$set": {"remark": "fine"}})


def delete(database: Database) -> None:
    database.audit.delete_one({"seq": 4})


def delete_and_close_the_gap(database: Database) -> None:
    database.audit.delete_one({"seq": 4})
    for seq in range(5, 11):
        database.audit.update_one({"seq": seq}, {"$set": {"seq": seq - 1}})


def swap(database: Database) -> None:
    for old, new in ((4, 100), (5, 4), (100, 5)):
        database.audit.update_one({"seq": old}, {"$set": {"seq": new}})


def edit_and_hash_again(database: Database) -> None:
    row = database.audit.find_one({"seq": 4})
    assert row is not None
    row["actor"] = "usr_evil"
    row["hash"] = audit.row_hash(row, STOLEN_NAME)
    database.audit.replace_one({"seq": 4}, row)


def drop_the_key_and_hash_again(database: Database) -> None:
    row = database.audit.find_one({"seq": 4})
    assert row is not None
    del row["key"]
    row["actor"] = "usr_evil"
    row["hash"] = audit.row_hash(row)
    database.audit.replace_one({"seq": 4}, row)


@pytest.mark.parametrize(
    ("tamper", "first_bad"),
    [
        (edit, 4),
        (change_actor, 4),
        (add_field, 4),
        (delete, 4),
        (delete_and_close_the_gap, 4),
        (swap, 4),
        (edit_and_hash_again, 4),
        (drop_the_key_and_hash_again, 4),
    ],
)
def test_the_verifier_names_the_first_bad_row(
    database: Database, tamper: Callable[[Database], None], first_bad: int
) -> None:
    fill(database, 10)
    tamper(database)

    verdict = audit.verify(database)

    assert (verdict.ok, verdict.first_bad) == (False, first_bad)
    assert f"row {first_bad}" in verdict.reason


def cut_the_tail(database: Database, objects: ObjectStore) -> None:
    database.audit.delete_many({"seq": {"$gt": 7}})


def cut_what_is_not_anchored(database: Database, objects: ObjectStore) -> None:
    database.audit.delete_many({"seq": {"$gt": 12}})


def delete_all(database: Database, objects: ObjectStore) -> None:
    database.audit.delete_many({})


def delete_all_and_the_head(database: Database, objects: ObjectStore) -> None:
    database.audit.delete_many({})
    database.audit_heads.delete_many({})


def delete_everything(database: Database, objects: ObjectStore) -> None:
    delete_all_and_the_head(database, objects)
    for key in list(objects.keys("audit/")):
        objects.delete(key)


def delete_the_head(database: Database, objects: ObjectStore) -> None:
    database.audit_heads.delete_many({})


def delete_the_newest_anchor_and_cut(database: Database, objects: ObjectStore) -> None:
    objects.delete(f"{audit.ANCHORS}00000002.json")
    database.audit.delete_many({"seq": {"$gt": 7}})


def delete_the_first_anchor(database: Database, objects: ObjectStore) -> None:
    objects.delete(f"{audit.ANCHORS}00000001.json")


def recompute_without_an_actor(database: Database, objects: ObjectStore) -> None:
    """From row 6 on, with every hash made anew by somebody who has the stores and not the key."""
    previous = (database.audit.find_one({"seq": 5}) or {})["hash"]
    for row in list(database.audit.find({"seq": {"$gte": 6}}).sort("seq", 1)):
        row |= {"actor": "usr_other", "previous": previous}
        previous = row["hash"] = audit.row_hash(row, STOLEN_NAME)
        database.audit.replace_one({"_id": row["_id"]}, row)
    database.audit_heads.update_one({}, {"$set": {"hash": previous}})


def recompute_in_the_first_form(database: Database, objects: ObjectStore) -> None:
    """The whole log as if it were of the time before keys, without the head and the anchors."""
    previous = audit.GENESIS
    for row in list(database.audit.find().sort("seq", 1)):
        row |= {"actor": "usr_other", "previous": previous}
        row.pop("key", None)
        previous = row["hash"] = audit.row_hash(row)
        database.audit.replace_one({"_id": row["_id"]}, row)


def replace_the_anchor(database: Database, objects: ObjectStore) -> None:
    """By one that knows fewer rows, signed with a guess."""
    row = database.audit.find_one({"seq": 8}) or {}
    standing = json.loads(objects.get(f"{audit.ANCHORS}00000002.json"))
    forged = audit.Anchor(**{**standing, "seq": 8, "hash": row["hash"]})
    signature = STOLEN_NAME.sign(forged.signed_part).hex()
    body = json.dumps({**forged.__dict__, "signature": signature}).encode()
    objects.put(f"{audit.ANCHORS}00000002.json", body, "application/json")
    database.audit.delete_many({"seq": {"$gt": 8}})


def replay_an_older_anchor(database: Database, objects: ObjectStore) -> None:
    first = objects.get(f"{audit.ANCHORS}00000001.json")
    objects.put(f"{audit.ANCHORS}00000002.json", first, "application/json")
    database.audit.delete_many({"seq": {"$gt": 7}})


TAMPERING = [
    (cut_the_tail, 8),
    (cut_what_is_not_anchored, 13),
    (delete_all, 1),
    (delete_all_and_the_head, 1),
    (delete_everything, 1),
    (delete_the_head, 16),
    (delete_the_newest_anchor_and_cut, 8),
    (delete_the_first_anchor, 1),
    (recompute_without_an_actor, 6),
    (recompute_in_the_first_form, 1),
    (replace_the_anchor, 6),
    (replay_an_older_anchor, 6),
]


@pytest.mark.parametrize(("tamper", "first_bad"), TAMPERING)
def test_nothing_is_cut_unnoticed(
    database: Database,
    objects: ObjectStore,
    tamper: Callable[[Database, ObjectStore], None],
    first_bad: int,
) -> None:
    """Fifteen rows, anchored after five and after ten; then somebody with both stores and no key."""
    for rows in (5, 5):
        fill(database, rows)
        audit.write_anchor(database, objects, NOW)
    fill(database, 5)
    assert audit.verify(database, objects) == audit.AuditCheck(True, 15)
    tamper(database, objects)

    verdict = audit.verify(database, objects)

    assert (verdict.ok, verdict.first_bad) == (False, first_bad), verdict.reason
    assert f"row {first_bad}" in verdict.reason


def test_a_chain_made_anew_is_not_anchored_over(database: Database, objects: ObjectStore) -> None:
    fill(database, 10)
    audit.write_anchor(database, objects, NOW)
    database.audit.delete_many({})
    fill(database, 9)
    audit.record(database, AuditAction.REQUEUED, "usr_1", "job_1", NOW, organisation="org_1")

    assert audit.verify(database, objects).first_bad == 10
    with pytest.raises(AuditBroken):
        audit.write_anchor(database, objects, NOW)


def test_an_anchor_is_written_once(database: Database, objects: ObjectStore) -> None:
    fill(database, 1)
    audit.write_anchor(database, objects, NOW)
    with pytest.raises(ObjectExists):
        objects.put_once(f"{audit.ANCHORS}00000001.json", b"{}", "application/json", NOW)


@pytest.fixture
def locked(_s3_client: Any) -> ObjectStore:
    """A bucket with Object Lock."""
    name = f"locked-{secrets.token_hex(6)}"
    _s3_client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return ObjectStore(_s3_client, name)


def test_an_anchor_is_locked_where_the_bucket_locks(database: Database, locked: ObjectStore) -> None:
    fill(database, 1)
    audit.write_anchor(database, locked, datetime.now(UTC))
    (one,) = locked.versions(audit.ANCHORS)
    with pytest.raises(ClientError, match="AccessDenied"):
        locked.client.delete_object(Bucket=locked.bucket, Key=one.key, VersionId=one.version)
    assert audit.verify(database, locked).ok


@pytest.mark.parametrize("goes_on", [False, True], ids=["at once", "when the log has gone on"])
def test_both_stores_taken_back_to_an_older_state_are_noticed_where_anchors_are_locked(
    database: Database, locked: ObjectStore, goes_on: bool
) -> None:
    """Nobody deletes a locked version, but its object: a deletion is put before it."""
    now = datetime.now(UTC)
    fill(database, 5)
    audit.write_anchor(database, locked, now)
    older_head = database.audit_heads.find_one() or {}
    fill(database, 5)
    audit.write_anchor(database, locked, now)
    assert audit.verify(database, locked).ok

    locked.delete(f"{audit.ANCHORS}00000002.json")
    database.audit.delete_many({"seq": {"$gt": 5}})
    database.audit_heads.replace_one({"_id": older_head["_id"]}, older_head)
    if goes_on:
        for _ in range(3):  # other rows than those that were cut
            fill(database, 3)
        audit.write_anchor(database, locked, now)

    verdict = audit.verify(database, locked)
    assert (verdict.ok, verdict.first_bad) == (False, 10 if goes_on else 6), verdict.reason


def test_a_log_of_the_first_form_goes_on_with_keys(database: Database, objects: ObjectStore) -> None:
    fill(database, 4)
    previous = audit.GENESIS
    for row in list(database.audit.find().sort("seq", 1)):
        del row["key"]
        row["previous"] = previous
        previous = row["hash"] = audit.row_hash(row)
        database.audit.replace_one({"_id": row["_id"]}, row)
    database.audit_heads.delete_many({})
    objects.put(audit.FIRST_ANCHOR_KEY, json.dumps({"seq": 4, "hash": previous}).encode())
    fill(database, 3)
    assert (audit.anchor_when_due(database, objects, NOW) or audit.Anchor(0, "")).unkeyed == 4
    assert audit.verify(database, objects) == audit.AuditCheck(True, 7)
    recompute_in_the_first_form(database, objects)
    assert not audit.verify(database, objects).ok


def test_a_key_is_followed_by_another_and_still_verifies(database: Database, objects: ObjectStore) -> None:
    standing = audit.process_keys()
    try:
        audit.use_keys(Keyring.read("a:first"))
        fill(database, 3)
        audit.write_anchor(database, objects, NOW)
        audit.use_keys(Keyring.read("b:second,a:first"))
        fill(database, 3)
        audit.write_anchor(database, objects, NOW)
        assert [row["key"] for row in database.audit.find().sort("seq", 1)] == ["a"] * 3 + ["b"] * 3
        assert audit.verify(database, objects) == audit.AuditCheck(True, 6)
        audit.use_keys(Keyring.read("b:second"))
        assert not audit.verify(database, objects).ok
    finally:
        audit.use_keys(standing)


def test_few_rows_are_anchored_after_an_hour(database: Database, objects: ObjectStore) -> None:
    assert audit.anchor_when_due(database, objects, NOW) is not None
    assert audit.anchor_when_due(database, objects, NOW + timedelta(hours=5)) is None
    fill(database, 1)
    assert audit.anchor_when_due(database, objects, NOW + timedelta(minutes=59)) is None
    assert audit.anchor_when_due(database, objects, NOW + timedelta(minutes=61)) is not None


def test_the_anchor_follows_every_so_many_rows(database: Database, objects: ObjectStore) -> None:
    audit.write_anchor(database, objects, NOW)
    fill(database, 9)
    assert audit.anchor_when_due(database, objects, NOW, every=10) is None
    fill(database, 1)
    anchor = audit.anchor_when_due(database, objects, NOW, every=10)
    assert anchor is not None
    assert anchor.seq == 10
    assert audit.read_anchor(objects) == anchor


def append_five_batches(database: Database, name: str) -> list[int]:
    """The seq that each batch of three ended with."""
    return [
        audit.record_many(
            database,
            [Event(AuditAction.REPORT_RENDERED, f"w{name}", f"rep_{batch}_{n}", "org_1") for n in range(3)],
            NOW,
        )
        for batch in range(5)
    ]


def test_appenders_at_once_make_one_whole_chain(database: Database, settings: Settings) -> None:
    ends = race(settings, append_five_batches, processes=3, threads=4)

    assert audit.verify(database) == audit.AuditCheck(True, 3 * 4 * 5 * 3)
    for process in range(3):
        for thread in range(4):
            rows = list(database.audit.find({"actor": f"w{process}-{thread}"}).sort("seq", 1))
            assert [row["subject"] for row in rows] == [f"rep_{b}_{n}" for b in range(5) for n in range(3)]
            assert [row["seq"] for row in rows[2::3]] in ends  # each was told where its own rows stand


def appended_at_once(pool: ThreadPoolExecutor, database: Database, threads: int) -> list[Future[list[int]]]:
    """Appenders whose first batches have all come before the first of them has its turn."""
    with chain._TURN:
        running = [pool.submit(append_five_batches, database, f"{n}") for n in range(threads)]
        while len(chain._WAITING) < threads:
            assert not any(one.done() for one in running)
            time.sleep(0.001)
    return running


def test_who_waits_for_a_turn_is_appended_with_the_others(endpoints: Endpoints, database: Database) -> None:
    commands = CommandsSeen()
    with (
        MongoClient[Record](endpoints.mongodb_uri, tz_aware=True, event_listeners=[commands]) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        watched = client.get_database(database.name, codec_options=database.codec_options)
        ends = [end for one in appended_at_once(pool, watched, 8) for end in one.result()]

    assert audit.verify(database) == audit.AuditCheck(True, 8 * 5 * 3)
    assert len(set(ends)) == 40
    assert commands.count("insert") <= 40 - 7  # the first turn alone appends eight batches


def test_a_failed_append_is_heard_of_by_all_who_were_in_it(database: Database) -> None:
    with (
        MongoClient[Record]("mongodb://127.0.0.1:1/", serverSelectionTimeoutMS=50) as client,
        ThreadPoolExecutor(3) as pool,
    ):
        running = appended_at_once(pool, client.get_database(database.name), 3)
        failures = [one.exception() for one in running]

    assert all(failures)
    assert chain._WAITING == []
    assert append_five_batches(database, "later")[-1] == 15


def test_a_log_that_was_emptied_takes_rows_and_does_not_verify(database: Database) -> None:
    fill(database, 3)
    database.audit.delete_many({})

    assert audit.chain_tail(database) == audit.Anchor(0, audit.GENESIS)
    fill(database, 2)
    assert audit.verify(database).first_bad == 3


def test_pages_of_a_log_shared_with_others_hold_each_row_once(database: Database) -> None:
    audit.record_many(
        database,
        [
            Event(AuditAction.REPORT_RENDERED, "system", f"rep_{n}", "org_1" if n % 97 == 5 else "org_2")
            for n in range(1_000)
        ],
        NOW,
    )
    for organisation, action, expected in (
        ("org_1", None, [n for n in range(999, -1, -1) if n % 97 == 5]),
        ("org_2", AuditAction.REPORT_RENDERED, [n for n in range(999, -1, -1) if n % 97 != 5]),
        ("org_2", AuditAction.USER_ERASED, []),
        ("org_3", None, []),
    ):
        found: list[str] = []
        before = None
        while page := audit.events_of(database, organisation, action=action, before=before, limit=7):
            found += [row["subject"] for row in page]
            before = page[-1]["seq"]
        assert found == [f"rep_{n}" for n in expected]


def test_ten_thousand_events_are_ten_requests_and_one_chain(database: Database) -> None:
    fill(database, 10_000)

    assert audit.verify(database) == audit.AuditCheck(True, 10_000)


@pytest.mark.parametrize(
    "event",
    [
        Event("nonsense", "usr_1", "sub_1", "org_1"),
        Event(AuditAction.USER_CHANGED, "ann@example.org", "sub_1", "org_1"),
        Event(AuditAction.USER_CHANGED, "usr_1", "Ann Smith", "org_1"),
        Event(AuditAction.USER_CHANGED, "usr_1", "sub_1", "org_1", {"email": "ann@example.org"}),
        Event(AuditAction.USER_CHANGED, "usr_1", "sub_1", "org_1", {"list": [{"deep": "ann@example.org"}]}),
        Event(AuditAction.USER_CHANGED, "usr_1", "sub_1", "org_1", {"$set": 1}),
        Event(AuditAction.USER_CHANGED, "usr_1", "sub_1", "org_1", {"at": NOW}),
        Event(AuditAction.USER_CHANGED, "usr_1", "sub_1", "org_1", {"share": float("nan")}),
    ],
)
def test_what_must_not_be_kept_for_ever_is_refused(database: Database, event: Event) -> None:
    with pytest.raises(ValueError, match=r"audit|Action"):
        audit.record_many(database, [event], NOW)

    assert database.audit.count_documents({}) == 0


def test_an_address_has_one_mark_that_says_nothing(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        marks = set(pool.map(lambda _: audit.address_mark(database, "org_1", "ann@example.org"), range(16)))

    (mark,) = marks
    assert mark.startswith("adr_")
    assert audit.address_mark(database, "org_2", "ann@example.org") != mark
