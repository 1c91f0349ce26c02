"""The ledger's promises: planned once, begun by one, written only by whoever began it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from random import Random
from typing import Any, cast

import pytest

from reporting_pipeline.domain.deliveries import Change, DeliveryRecord, Outcome, SendResult
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.stores import deliveries as ledger
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline_tests.delivery.seeds import NOW, seed

LEASE = timedelta(minutes=10)
ACCEPTED = SendResult(Outcome.ACCEPTED, provider_id="p-1")


def draw(database: Database, at: datetime = NOW, limit: int = 10) -> list[DeliveryRecord]:
    return ledger.Due(database, Random(1)).draw(at, limit)


def begin_one(database: Database, at: datetime = NOW) -> DeliveryRecord:
    (record,) = ledger.begin(database, draw(database, at, 1), at, LEASE)
    return record


def settle_sent(database: Database, record: DeliveryRecord) -> set[str]:
    change = Change(DeliveryState.SENT, 0, None)
    return ledger.settle(database, [ledger.Settlement(record, ACCEPTED, change)], NOW)


def rescue(database: Database, at: datetime, **changes: Any) -> Record:
    arguments: Record = {"repeatable": [], "unknown_resend": timedelta(hours=1), "max_attempts": 4} | changes
    return ledger.rescue(database, at, **arguments)


def state_of(database: Database, record: DeliveryRecord) -> str:
    return str((database["deliveries"].find_one({"_id": record["_id"]}) or {})["state"])


def test_planning_twice_and_from_two_threads_makes_each_delivery_once(database: Database) -> None:
    people = [{"type": "email", "value": f"p{n}@example.org"} for n in range(3)]
    jobs = seed(database, None, 20, recipients=people, plan=False)
    subscriptions = {row["_id"]: row for row in database["subscriptions"].find()}
    with ThreadPoolExecutor(4) as pool:
        planned = list(
            pool.map(lambda _: ledger.plan_deliveries(database, jobs, subscriptions, NOW), range(4))
        )
    assert sum(planned) == 60
    assert database["deliveries"].count_documents({}) == 60
    assert ledger.plan_deliveries(database, jobs, subscriptions, NOW) == 0


def test_one_mailbox_written_two_ways_gets_one_delivery(database: Database) -> None:
    seed(
        database,
        None,
        1,
        recipients=[
            {"type": "email", "value": "Reader0@Example.org "},
            {"type": "email", "value": "reader0@example.org"},
            {"type": "user", "value": "usr_00000"},
        ],
    )
    assert [row["recipient"] for row in database["deliveries"].find()] == ["reader0@example.org"]


def test_a_job_without_recipients_goes_to_its_owner(database: Database) -> None:
    seed(database, None, 1)
    (row,) = database["deliveries"].find()
    assert (row["channel"], row["recipient"], row["user"]) == ("email", "reader0@example.org", "usr_00000")


def test_a_job_nobody_can_receive_fails_with_the_reason(database: Database) -> None:
    jobs = seed(database, None, 1, plan=False)
    database["users"].delete_many({})
    subscriptions = {row["_id"]: row for row in database["subscriptions"].find()}
    assert ledger.plan_deliveries(database, jobs, subscriptions, NOW) == 0
    job = database["jobs"].find_one() or {}
    assert job["state"] == "failed"
    assert "no recipient" in job["error"]


def test_of_500_jobs_the_broken_ones_fail_with_their_reason_and_the_others_are_planned(
    database: Database,
) -> None:
    jobs = seed(database, None, 500, plan=False)
    subscriptions = {row["_id"]: row for row in database["subscriptions"].find()}
    broken: dict[int, tuple[Record, str]] = {
        3: ({"recipients": [{"type": "fax", "value": "1"}]}, "no type 'fax'"),
        50: ({"recipients": ["reader@example.org"]}, "each is a record"),
        51: ({"recipients": "reader@example.org"}, "each is a record"),
        200: ({"recipients": [{"type": ["email"], "value": 3}]}, "no type"),
        499: ({"owner": None, "recipients": []}, "no recipient"),
    }
    for position, (fields, _) in broken.items():
        subscriptions[jobs[position]["subscription"]] |= fields
    del subscriptions[jobs[300]["subscription"]]["owner"]
    broken[300] = ({}, "no field 'owner'")
    cast("Record", jobs[400]).pop("organisation")
    broken[400] = ({}, "no field 'organisation'")
    assert ledger.plan_deliveries(database, jobs, subscriptions, NOW) == 500 - len(broken)
    for position, (_, reason) in broken.items():
        job = database["jobs"].find_one({"_id": jobs[position]["_id"]}) or {}
        assert job["state"] == "failed", position
        assert reason in job["error"], position
    assert database["jobs"].count_documents({"state": "failed"}) == len(broken)


def test_a_delivery_is_not_drawn_before_its_job_is_due(database: Database) -> None:
    seed(database, None, 1)
    early = NOW - timedelta(hours=2)
    assert not ledger.due_cadences(database, early)
    assert draw(database, early) == []
    assert ledger.due_cadences(database, NOW)
    assert "monthly" not in ledger.due_cadences(database, NOW)


def test_of_threads_that_drew_the_same_deliveries_one_begins_each(database: Database) -> None:
    seed(database, None, 60)
    drawn = [ledger.Due(database, Random(n)).draw(NOW, 60) for n in range(6)]
    assert all(len(each) == 60 for each in drawn)
    with ThreadPoolExecutor(6) as pool:
        begun = list(pool.map(lambda each: ledger.begin(database, each, NOW, LEASE), drawn))
    ids = [row["_id"] for each in begun for row in each]
    assert len(ids) == len(set(ids)) == 60
    stored = {row["_id"]: row for row in database["deliveries"].find()}
    for row in (row for each in begun for row in each):
        assert stored[row["_id"]] == row  # what a worker holds is what stands


def test_workers_of_one_run_never_draw_the_same(database: Database) -> None:
    seed(database, None, 100)
    due = ledger.Due(database, Random(1))
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda _: due.draw(NOW, 10), range(14)))
    ids = [row["_id"] for each in drawn for row in each]
    assert len(ids) == len(set(ids)) == 100
    assert due.draw(NOW, 10) == []  # nothing was begun, and yet this run has had them all


def test_a_later_look_passes_over_what_was_drawn_and_not_begun_yet(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reporting_pipeline.stores.deliveries.draw.LOOKED_UP_AT_ONCE", 3)
    seed(database, None, 10)
    due = ledger.Due(database, Random(1))
    drawn = [row["_id"] for _ in range(10) for row in due.draw(NOW, 1)]
    assert len(set(drawn)) == 10


@pytest.mark.parametrize(
    "change",
    [
        {"$set": {"state": "suppressed"}},
        {"$set": {"next_attempt_at": NOW + timedelta(minutes=1)}},
        {"$inc": {"attempt": 1}},
    ],
    ids=["suppressed", "postponed", "tried by another"],
)
def test_what_changed_since_it_was_drawn_is_not_begun(database: Database, change: Record) -> None:
    seed(database, None, 3)
    drawn = draw(database)
    database["deliveries"].update_one({"_id": drawn[0]["_id"]}, change)
    begun = ledger.begin(database, drawn, NOW, LEASE)
    assert [row["_id"] for row in begun] == [row["_id"] for row in drawn[1:]]


def test_an_overtaken_attempt_cannot_write(database: Database) -> None:
    seed(database, None, 1)
    drawn = draw(database)
    old = begin_one(database)
    later = NOW + LEASE + timedelta(seconds=1)
    rescue(database, later, repeatable=["email"])
    assert ledger.begin(database, drawn, later, LEASE) == []
    new = begin_one(database, later)
    assert new["_id"] == old["_id"]
    assert new["attempt"] == old["attempt"] + 1
    assert settle_sent(database, old) == set()
    assert state_of(database, new) == "sending"
    assert settle_sent(database, new) == {new["_id"]}
    assert state_of(database, new) == "sent"


def test_drawing_leaves_no_trace(database: Database) -> None:
    seed(database, None, 3)
    before = list(database["deliveries"].find())
    draw(database)
    assert list(database["deliveries"].find()) == before
    assert len(draw(database)) == 3


def test_a_mail_that_cannot_be_written_is_an_attempt_unless_somebody_else_began_it(
    database: Database,
) -> None:
    seed(database, None, 2)
    drawn = draw(database)
    ledger.begin(database, drawn[:1], NOW, LEASE)
    retry = SendResult(Outcome.RETRY, error="no report stands for it")
    change = Change(DeliveryState.PENDING, 1, NOW + timedelta(minutes=1))
    settlements = [ledger.Settlement(row, retry, change, begun=False) for row in drawn]
    assert ledger.settle(database, settlements, NOW) == {drawn[1]["_id"]}
    assert state_of(database, drawn[0]) == "sending"
    row = database["deliveries"].find_one({"_id": drawn[1]["_id"]}) or {}
    assert (row["state"], row["attempt"], row["failures"], len(row["attempts"])) == ("pending", 1, 1, 1)


@pytest.mark.parametrize(("repeatable", "state"), [(["email"], "pending"), ([], "unknown")])
def test_an_expired_sending_is_unknown_unless_it_may_be_repeated(
    database: Database, repeatable: list[str], state: str
) -> None:
    seed(database, None, 1)
    record = begin_one(database)
    rescue(database, NOW + timedelta(minutes=5), repeatable=repeatable)
    assert state_of(database, record) == "sending"
    rescue(database, NOW + LEASE + timedelta(seconds=1), repeatable=repeatable)
    assert state_of(database, record) == state


def test_an_unknown_one_is_sent_again_after_the_set_time_and_counted(database: Database) -> None:
    seed(database, None, 1)
    begin_one(database)
    lost = NOW + LEASE + timedelta(seconds=1)
    rescue(database, lost)
    assert draw(database, lost + timedelta(minutes=59)) == []
    again = lost + timedelta(minutes=61)
    assert rescue(database, again)["resent"] == 1
    assert begin_one(database, again)["resends"] == 1


def test_an_unknown_one_with_no_attempts_left_is_a_dead_letter_and_fails_its_job(database: Database) -> None:
    seed(database, None, 1)
    at = NOW
    for _ in range(4):
        record = begin_one(database, at)
        at += LEASE + timedelta(seconds=1)
        rescue(database, at)
        at += timedelta(hours=2)
        counts = rescue(database, at)
    assert counts["given_up"] == 1
    assert state_of(database, record) == "failed"
    assert (database["jobs"].find_one() or {})["state"] == "failed"


def test_an_answer_that_comes_after_the_event_changes_no_state_but_is_kept(database: Database) -> None:
    seed(database, None, 1)
    record = begin_one(database)
    assert ledger.apply_evidence(database, record["_id"], DeliveryState.BOUNCED, NOW, {})
    assert settle_sent(database, record) == set()
    row = database["deliveries"].find_one() or {}
    assert (row["state"], row["provider_id"], len(row["attempts"])) == ("bounced", "p-1", 1)


def test_a_job_is_completed_only_when_every_delivery_is_settled(database: Database) -> None:
    people = [{"type": "email", "value": f"p{n}@example.org"} for n in range(2)]
    jobs = seed(database, None, 1, recipients=people)
    ledger.jobs_begin(database, jobs)
    assert (database["jobs"].find_one() or {})["state"] == "delivering"
    first, second = ledger.begin(database, draw(database), NOW, LEASE)
    settle_sent(database, first)
    assert ledger.settle_jobs(database, [jobs[0]["_id"]], NOW) == 0
    settle_sent(database, second)
    assert ledger.settle_jobs(database, [jobs[0]["_id"]], NOW) == 1
    job = database["jobs"].find_one() or {}
    assert (job["state"], job["completed_at"]) == ("completed", NOW)


def test_a_halted_channel_offers_nothing_until_a_person_resumes_it(database: Database) -> None:
    seed(database, None, 2)
    assert ledger.halt_channel(database, "email", "401", NOW) is True
    assert ledger.halt_channel(database, "email", "401", NOW) is False
    assert draw(database) == []
    assert not ledger.due_cadences(database, NOW)
    assert ledger.resume_channel(database, "email", NOW)
    assert len(draw(database)) == 2


def test_a_pause_ends_by_itself_and_the_longer_one_stays(database: Database) -> None:
    seed(database, None, 1)
    ledger.pause_channel(database, "email", NOW + timedelta(minutes=5))
    ledger.pause_channel(database, "email", NOW + timedelta(minutes=1))
    assert not ledger.due_cadences(database, NOW + timedelta(minutes=2))
    assert ledger.due_cadences(database, NOW + timedelta(minutes=6))


def test_what_was_looked_up_before_a_channel_closed_is_not_drawn_after_it(database: Database) -> None:
    seed(database, None, 6)
    due = ledger.Due(database, Random(1))
    assert len(due.draw(NOW, 2)) == 2
    ledger.halt_channel(database, "email", "401", NOW)
    assert due.draw(NOW, 2) == []
    ledger.resume_channel(database, "email", NOW)
    assert len(due.draw(NOW, 10)) == 4


def test_runs_that_looked_at_the_same_time_share_what_is_due(database: Database) -> None:
    seed(database, None, 30)
    one, two = ledger.Due(database, Random(1)), ledger.Due(database, Random(2))
    begun: list[str] = []
    while found := [*one.draw(NOW, 4), *two.draw(NOW, 4)]:
        begun += [record["_id"] for each in found for record in ledger.begin(database, [each], NOW, LEASE)]
    assert len(begun) == len(set(begun)) == 30


def test_runs_at_once_begin_with_a_part_each_and_help_with_the_others_then(database: Database) -> None:
    seed(database, None, 60)
    runs = [ledger.Due(database, Random(n), part=(n, 2)) for n in range(2)]
    drawn = [{row["_id"] for row in run.draw(NOW, 5)} for run in runs]
    assert not drawn[0] & drawn[1]
    alone = {row["_id"] for _ in range(12) for row in runs[0].draw(NOW, 5)}
    assert len(drawn[0] | alone) == 60


def test_what_is_due_is_counted_as_far_as_it_matters(database: Database) -> None:
    seed(database, None, 8)
    assert ledger.count_due(database, NOW, "weekly", 5) == 5
    assert ledger.count_due(database, NOW, "weekly", 50) == 8
    assert ledger.count_due(database, NOW, "daily", 50) == 0
    assert ledger.count_due(database, NOW - timedelta(hours=2), "weekly", 50) == 0
    ledger.halt_channel(database, "email", "401", NOW)
    assert ledger.count_due(database, NOW, "weekly", 50) == 0
