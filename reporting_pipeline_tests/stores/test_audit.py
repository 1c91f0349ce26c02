"""The audit log: whatever is done to it afterwards is found, and the first bad row is named."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from reporting_pipeline.stores import audit
from reporting_pipeline.stores.audit import Action, AuditBroken, Event
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore

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


def test_appenders_at_once_make_one_whole_chain(database: Database) -> None:
    def append(worker: int) -> None:
        for n in range(10):
            events = [Event(Action.REPORT_RENDERED, f"w{worker}", f"rep_{n}_{m}", "org_1") for m in range(5)]
            audit.record_many(database, events, NOW)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(4)))

    assert audit.verify(database) == audit.Verdict(True, 200)
    assert database.audit.count_documents({"actor": "w2"}) == 50


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
