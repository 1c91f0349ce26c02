"""The ledger's promises: planned once, claimed once, written only by whoever holds the claim."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random

import pytest

from reporting_pipeline.domain.deliveries import Change, Outcome, SendResult
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.stores import deliveries as ledger
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline_tests.delivery.seeds import NOW, seed

LEASE = timedelta(minutes=10)
ACCEPTED = SendResult(Outcome.ACCEPTED, provider_id="p-1")


def claim_one(database: Database, at=NOW) -> Record:
    (record,) = ledger.Due(database, Random(1)).claim(at, 1, LEASE)
    return record


def settle_sent(database: Database, record: Record) -> set[str]:
    change = Change(DeliveryState.SENT, 0, None)
    return ledger.settle(database, [ledger.Settlement(record, ACCEPTED, change)], NOW)


def rescue(database: Database, at, **changes):
    arguments = {"repeatable": [], "unknown_resend": timedelta(hours=1), "max_attempts": 4} | changes
    return ledger.rescue(database, at, **arguments)


def state_of(database: Database, record: Record) -> str:
    return database["deliveries"].find_one({"_id": record["_id"]})["state"]


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
    job = database["jobs"].find_one()
    assert job["state"] == "failed"
    assert "no recipient" in job["error"]


def test_a_delivery_is_not_claimed_before_its_job_is_due(database: Database) -> None:
    seed(database, None, 1)
    early = NOW - timedelta(hours=2)
    assert not ledger.due_cadences(database, early)
    assert ledger.Due(database, Random(1)).claim(early, 10, LEASE) == []
    assert ledger.due_cadences(database, NOW)
    assert "monthly" not in ledger.due_cadences(database, NOW)


def test_threads_that_claim_at_once_never_get_the_same_delivery(database: Database) -> None:
    seed(database, None, 120)
    with ThreadPoolExecutor(4) as pool:
        claims = list(pool.map(lambda n: ledger.Due(database, Random(n)).claim(NOW, 40, LEASE), range(8)))
    ids = [row["_id"] for claimed in claims for row in claimed]
    assert len(ids) == len(set(ids))
    assert len(ids) >= 100


def test_a_stale_claim_cannot_write(database: Database) -> None:
    seed(database, None, 1)
    old = claim_one(database)
    later = NOW + LEASE + timedelta(seconds=1)
    new = claim_one(database, later)
    assert new["_id"] == old["_id"]
    assert new["attempt"] == old["attempt"] + 1
    assert ledger.start_sending(database, [old], later, LEASE) == []
    assert ledger.start_sending(database, [new], later, LEASE) == [new]
    assert settle_sent(database, old) == set()
    assert state_of(database, new) == "sending"
    assert settle_sent(database, new) == {new["_id"]}
    assert state_of(database, new) == "sent"


def test_a_claim_that_was_never_started_comes_back_without_doubt(database: Database) -> None:
    seed(database, None, 1)
    claim_one(database)
    later = NOW + LEASE + timedelta(seconds=1)
    assert rescue(database, later)["unknown"] == 0
    assert claim_one(database, later)["failures"] == 0


@pytest.mark.parametrize(("repeatable", "state"), [(["email"], "pending"), ([], "unknown")])
def test_an_expired_sending_is_unknown_unless_it_may_be_repeated(
    database: Database, repeatable: list[str], state: str
) -> None:
    seed(database, None, 1)
    record = claim_one(database)
    ledger.start_sending(database, [record], NOW, LEASE)
    rescue(database, NOW + timedelta(minutes=5), repeatable=repeatable)
    assert state_of(database, record) == "sending"
    rescue(database, NOW + LEASE + timedelta(seconds=1), repeatable=repeatable)
    assert state_of(database, record) == state


def test_an_unknown_one_is_sent_again_after_the_set_time_and_counted(database: Database) -> None:
    seed(database, None, 1)
    record = claim_one(database)
    ledger.start_sending(database, [record], NOW, LEASE)
    lost = NOW + LEASE + timedelta(seconds=1)
    rescue(database, lost)
    assert ledger.Due(database, Random(1)).claim(lost + timedelta(minutes=59), 1, LEASE) == []
    again = lost + timedelta(minutes=61)
    assert rescue(database, again)["resent"] == 1
    assert claim_one(database, again)["resends"] == 1


def test_an_unknown_one_with_no_attempts_left_is_a_dead_letter_and_fails_its_job(database: Database) -> None:
    seed(database, None, 1)
    at = NOW
    for _ in range(4):
        record = claim_one(database, at)
        ledger.start_sending(database, [record], at, LEASE)
        at += LEASE + timedelta(seconds=1)
        rescue(database, at)
        at += timedelta(hours=2)
        counts = rescue(database, at)
    assert counts["given_up"] == 1
    assert state_of(database, record) == "failed"
    assert database["jobs"].find_one()["state"] == "failed"


def test_an_answer_that_comes_after_the_event_changes_no_state_but_is_kept(database: Database) -> None:
    seed(database, None, 1)
    record = claim_one(database)
    ledger.start_sending(database, [record], NOW, LEASE)
    assert ledger.apply_evidence(database, record["_id"], DeliveryState.BOUNCED, NOW, {})
    assert settle_sent(database, record) == set()
    row = database["deliveries"].find_one()
    assert (row["state"], row["provider_id"], len(row["attempts"])) == ("bounced", "p-1", 1)


def test_a_job_is_completed_only_when_every_delivery_is_settled(database: Database) -> None:
    people = [{"type": "email", "value": f"p{n}@example.org"} for n in range(2)]
    jobs = seed(database, None, 1, recipients=people)
    first, second = ledger.Due(database, Random(1)).claim(NOW, 2, LEASE)
    assert database["jobs"].find_one()["state"] == "delivering"
    ledger.start_sending(database, [first, second], NOW, LEASE)
    settle_sent(database, first)
    assert ledger.settle_jobs(database, [jobs[0]["_id"]], NOW) == 0
    settle_sent(database, second)
    assert ledger.settle_jobs(database, [jobs[0]["_id"]], NOW) == 1
    job = database["jobs"].find_one()
    assert (job["state"], job["completed_at"]) == ("completed", NOW)


def test_a_halted_channel_offers_nothing_until_a_person_resumes_it(database: Database) -> None:
    seed(database, None, 2)
    assert ledger.halt_channel(database, "email", "401", NOW) is True
    assert ledger.halt_channel(database, "email", "401", NOW) is False
    assert ledger.Due(database, Random(1)).claim(NOW, 10, LEASE) == []
    assert not ledger.due_cadences(database, NOW)
    assert ledger.resume_channel(database, "email", NOW)
    assert len(ledger.Due(database, Random(1)).claim(NOW, 10, LEASE)) == 2


def test_a_pause_ends_by_itself_and_the_longer_one_stays(database: Database) -> None:
    seed(database, None, 1)
    ledger.pause_channel(database, "email", NOW + timedelta(minutes=5))
    ledger.pause_channel(database, "email", NOW + timedelta(minutes=1))
    assert not ledger.due_cadences(database, NOW + timedelta(minutes=2))
    assert ledger.due_cadences(database, NOW + timedelta(minutes=6))


def test_what_was_looked_up_before_a_channel_closed_is_not_claimed_after_it(database: Database) -> None:
    seed(database, None, 6)
    due = ledger.Due(database, Random(1))
    assert len(due.claim(NOW, 2, LEASE)) == 2
    ledger.halt_channel(database, "email", "401", NOW)
    assert due.claim(NOW, 2, LEASE) == []
    ledger.resume_channel(database, "email", NOW)
    assert len(due.claim(NOW, 10, LEASE)) == 4


def test_workers_that_looked_at_the_same_time_share_what_is_due(database: Database) -> None:
    seed(database, None, 30)
    one, two = ledger.Due(database, Random(1)), ledger.Due(database, Random(2))
    claimed = []
    while found := [*one.claim(NOW, 4, LEASE), *two.claim(NOW, 4, LEASE)]:
        claimed += [record["_id"] for record in found]
    assert len(claimed) == len(set(claimed)) == 30
