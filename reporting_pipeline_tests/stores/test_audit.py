"""The audit log: whatever is done to it afterwards is found, and the first bad row is named."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from pymongo import MongoClient

from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.audit import Action, AuditBroken, Event
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.stores.commands import CommandsSeen
from reporting_pipeline_tests.stores.racing import race

NOW = datetime(2026, 11, 23, 0, 5, 0, 123456, tzinfo=UTC)


def fill(database: Database, rows: int) -> None:
    events = [
        Event(Action.REPORT_RENDERED, "system", f"rep_{n}", "org_1", {"pages": n, "share": 0.1})
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
    audit.write_anchor(database, objects)

    assert audit.verify(database, objects) == audit.Verdict(True, 6)
    assert [row["seq"] for row in audit.events_of(database, "org_1", limit=2)] == [5, 4]
    assert [row["seq"] for row in audit.events_of(database, "org_1", before=4)] == [3, 2, 1]
    (row,) = audit.events_of(database, "org_2", subject="weekly:2026-11-16", action="edition.opened")
    assert (row["actor"], row["details"]) == ("usr_1", {"forced": 0})


def test_an_empty_log_is_whole(database: Database, objects: ObjectStore) -> None:
    assert audit.verify(database, objects) == audit.Verdict(True, 0)


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
        (edit_and_hash_again, 5),
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


def test_a_cut_tail_is_caught_by_the_anchor_alone(database: Database, objects: ObjectStore) -> None:
    fill(database, 10)
    audit.write_anchor(database, objects)
    database.audit.delete_many({"seq": {"$gt": 7}})

    assert audit.verify(database).ok
    verdict = audit.verify(database, objects)
    assert (verdict.ok, verdict.first_bad) == (False, 8)
    assert "the tail is cut off" in verdict.reason


def test_a_chain_made_anew_is_caught_and_not_anchored_over(database: Database, objects: ObjectStore) -> None:
    fill(database, 10)
    audit.write_anchor(database, objects)
    database.audit.delete_many({})
    fill(database, 9)
    audit.record(database, Action.REQUEUED, "usr_1", "job_1", NOW, organisation="org_1")

    assert audit.verify(database).ok
    assert audit.verify(database, objects).first_bad == 10
    with pytest.raises(AuditBroken):
        audit.write_anchor(database, objects)


def test_the_anchor_follows_every_so_many_rows(database: Database, objects: ObjectStore) -> None:
    fill(database, 9)
    assert audit.anchor_when_due(database, objects, every=10) is None
    fill(database, 1)
    anchor = audit.anchor_when_due(database, objects, every=10)
    assert anchor is not None
    assert anchor.seq == 10
    assert audit.read_anchor(objects) == anchor


def append_five_batches(database: Database, name: str) -> list[int]:
    """The seq that each batch of three ended with."""
    return [
        audit.record_many(
            database,
            [Event(Action.REPORT_RENDERED, f"w{name}", f"rep_{batch}_{n}", "org_1") for n in range(3)],
            NOW,
        )
        for batch in range(5)
    ]


def test_appenders_at_once_make_one_whole_chain(database: Database, settings: Settings) -> None:
    ends = race(settings, append_five_batches, processes=3, threads=4)

    assert audit.verify(database) == audit.Verdict(True, 3 * 4 * 5 * 3)
    for process in range(3):
        for thread in range(4):
            rows = list(database.audit.find({"actor": f"w{process}-{thread}"}).sort("seq", 1))
            assert [row["subject"] for row in rows] == [f"rep_{b}_{n}" for b in range(5) for n in range(3)]
            assert [row["seq"] for row in rows[2::3]] in ends  # each was told where its own rows stand


def appended_at_once(pool: ThreadPoolExecutor, database: Database, threads: int) -> list[Future[list[int]]]:
    """Appenders whose first batches have all come before the first of them has its turn."""
    with audit._TURN:
        running = [pool.submit(append_five_batches, database, f"{n}") for n in range(threads)]
        while len(audit._WAITING) < threads:
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

    assert audit.verify(database) == audit.Verdict(True, 8 * 5 * 3)
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
    assert audit._WAITING == []
    assert append_five_batches(database, "later")[-1] == 15


def test_a_log_that_was_emptied_is_begun_anew(database: Database) -> None:
    fill(database, 3)
    database.audit.delete_many({})

    assert audit.chain_tail(database) == audit.Anchor(0, audit.GENESIS)
    fill(database, 2)
    assert audit.verify(database) == audit.Verdict(True, 2)


def test_pages_of_a_log_shared_with_others_hold_each_row_once(database: Database) -> None:
    audit.record_many(
        database,
        [
            Event(Action.REPORT_RENDERED, "system", f"rep_{n}", "org_1" if n % 97 == 5 else "org_2")
            for n in range(1_000)
        ],
        NOW,
    )
    for organisation, action, expected in (
        ("org_1", None, [n for n in range(999, -1, -1) if n % 97 == 5]),
        ("org_2", Action.REPORT_RENDERED, [n for n in range(999, -1, -1) if n % 97 != 5]),
        ("org_2", Action.USER_ERASED, []),
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

    assert audit.verify(database) == audit.Verdict(True, 10_000)


@pytest.mark.parametrize(
    "event",
    [
        Event("nonsense", "usr_1", "sub_1", "org_1"),
        Event(Action.USER_CHANGED, "ann@example.org", "sub_1", "org_1"),
        Event(Action.USER_CHANGED, "usr_1", "Ann Smith", "org_1"),
        Event(Action.USER_CHANGED, "usr_1", "sub_1", "org_1", {"email": "ann@example.org"}),
        Event(Action.USER_CHANGED, "usr_1", "sub_1", "org_1", {"list": [{"deep": "ann@example.org"}]}),
        Event(Action.USER_CHANGED, "usr_1", "sub_1", "org_1", {"$set": 1}),
        Event(Action.USER_CHANGED, "usr_1", "sub_1", "org_1", {"at": NOW}),
        Event(Action.USER_CHANGED, "usr_1", "sub_1", "org_1", {"share": float("nan")}),
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
