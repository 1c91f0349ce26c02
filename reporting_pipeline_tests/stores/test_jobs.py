"""Jobs: planned exactly once by however many planners, claimed by one, and never silently dropped."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from reporting_pipeline.domain.editions import Edition
from reporting_pipeline.domain.jobs import EditionState, JobRecord
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.planning import PlanRules, plan_jobs, report_id
from reporting_pipeline.domain.restatements import OnRestatement
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.deliveries import plan_deliveries
from reporting_pipeline.stores.editions import get_edition, job_counts, open_edition, set_state
from reporting_pipeline.stores.jobs import (
    PlanOutcome,
    failed_renderings,
    jobs_of,
    latest_of_each,
    mark_failed,
    mark_rendered,
    mark_skipped,
    plan_due_jobs,
    plan_edition,
    plan_follow_ups,
    plan_restatements,
    requeue,
    save_jobs,
    waiting_in,
    waiting_on_demand,
    with_omissions,
)
from reporting_pipeline.stores.jobs.broken import end_unreadable
from reporting_pipeline.stores.jobs.plan import plan_new
from reporting_pipeline.stores.lifecycle import AlreadyRunning, cancel_jobs, run_now, sync_jobs
from reporting_pipeline.stores.mongo import Database, job_records, open_database
from reporting_pipeline.stores.subscriptions import (
    change_subscription,
    create_subscription,
    create_subscriptions,
    pause_subscription,
    resume_subscription,
)
from reporting_pipeline_tests.waiting import PATIENCE

WEEK = Period(Cadence.WEEKLY, date(2026, 11, 16))
NOW = datetime(2026, 11, 23, 0, 5, tzinfo=UTC)
SEVEN = datetime(2026, 11, 23, 7, tzinfo=UTC)


def subscription(identifier: str = "sub_1", **fields: Any) -> Subscription:
    values = {"organisation": "org_1", "owner": "usr_1", "name": "Mine", "schedule": Schedule()} | fields
    return Subscription(id=identifier, created_at=NOW, updated_at=NOW, **values)


def opened(database: Database, by: str = "schedule") -> Edition:
    return open_edition(database, WEEK.cadence, WEEK.key, by, NOW)


def owned_by_mail() -> dict[str, Any]:
    """A subscription's record that goes to one address."""
    return {"owner": "usr_1", "recipients": [{"type": "email", "value": "a@example.org"}]}


def one_job(database: Database) -> JobRecord:
    (job,) = job_records(database).find({})
    return job


@pytest.fixture
def planned(database: Database) -> Database:
    """One weekly subscription whose job waits for 07:00."""
    create_subscription(database, subscription(), NOW)
    plan_edition(database, opened(database), WEEK, NOW)
    return database


def test_an_edition_is_planned_once_however_often_it_is_looked_at(database: Database) -> None:
    create_subscriptions(database, (subscription(f"sub_{n}") for n in range(30)), NOW)
    edition = opened(database)

    added = [plan_edition(database, edition, WEEK, NOW) for _ in range(3)]

    assert added == [30, 0, 0]
    assert job_counts(database, edition.id) == {"pending": 30}
    assert len(waiting_in(database, edition.id)) == 30


def test_what_is_asked_for_by_itself_is_no_work_of_the_edition_s_runs(planned: Database) -> None:
    edition = one_job(planned)["edition"]
    (job,) = waiting_in(planned, edition)
    job_records(planned).update_one({"_id": job["_id"]}, {"$set": {"on_demand": True}})
    assert waiting_in(planned, edition) == []
    assert [one["_id"] for one in waiting_on_demand(planned)] == [job["_id"]]


def test_a_subscription_that_comes_late_is_planned_by_the_next_look(database: Database) -> None:
    edition = opened(database)
    plan_edition(database, edition, WEEK, NOW)
    wednesday = datetime(2026, 11, 25, 9, tzinfo=UTC)
    create_subscription(database, subscription("sub_late"), wednesday)

    assert plan_edition(database, edition, WEEK, wednesday) == 1

    assert one_job(database)["due_at"] == wednesday


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"$set": {"subscription": 7}}, "subscription is not text"),
        ({"$unset": {"subscription": ""}}, "subscription is not text"),
        ({"$set": {"period": None}}, "period is not text"),
        ({"$set": {"period": "2026-11-09"}}, "period is not that of edition"),
        ({"$set": {"created_at": "yesterday"}}, "created_at is not a time"),
        ({"$set": {"asked_at": "yesterday"}}, "asked_at is not a time"),
        ({"$set": {"trace": 7}}, "trace is not text"),
        ({"$set": {"edition": "never:2026-11-16"}}, "edition names no period"),
        ({"$set": {"edition": "weekly:2026-11-17"}}, "edition names no period"),
    ],
)
def test_a_waiting_job_that_was_broken_by_hand_ends_with_what_is_wrong_and_the_others_stay(
    database: Database, change: dict[str, Any], reason: str
) -> None:
    create_subscriptions(database, (subscription(f"sub_{n}") for n in range(3)), NOW)
    plan_edition(database, opened(database), WEEK, NOW)
    database.jobs.update_one({"subscription": "sub_1"}, change)
    waiting = list(job_records(database).find({"state": "pending"}))

    readable = end_unreadable(database, waiting, NOW)

    assert sorted(job["subscription"] for job in readable) == ["sub_0", "sub_2"]
    (ended,) = database.jobs.find({"state": "failed"})
    assert ended["error"] == f"its record was broken by hand: {reason}"
    assert (ended["failed_in"], ended["permanent"], ended["completed_at"]) == ("rendering", True, NOW)
    assert database.jobs.count_documents({"state": "pending"}) == 2


@pytest.mark.parametrize("omissions", [None, 7, "x", ["x"], [{"part": "vitals"}], {"trial": "T1"}])
def test_omissions_that_were_broken_by_hand_stop_no_look_and_no_follow_up_of_another(
    planned: Database, omissions: Any
) -> None:
    create_subscription(planned, subscription("sub_2"), NOW)
    plan_edition(planned, get_edition(planned, "weekly:2026-11-16"), WEEK, NOW)
    named = [{"trial": "T1", "part": "vitals", "reason": "two units"}]
    sent = {"state": "completed", "has_omissions": True, "omissions": named, "rendered_at": NOW}
    planned.jobs.update_many({}, {"$set": sent})
    planned.jobs.update_one({"subscription": "sub_1"}, {"$set": {"omissions": omissions}})

    looked = {one[0]: one[1] for one in with_omissions(planned, "weekly:2026-11-16")}
    whole: dict[tuple[str, str], list[dict[str, str]]] = {(one, WEEK.key): [] for one in ("sub_1", "sub_2")}
    added = plan_follow_ups(planned, whole, lambda _: True, SEVEN)

    assert looked["sub_2"] == {"T1"}
    assert added == 1
    assert [job["subscription"] for job in planned.jobs.find({"follows": {"$exists": True}})] == ["sub_2"]


@pytest.mark.parametrize(
    "change",
    [
        {"$set": {"created_at": "yesterday"}},
        {"$unset": {"created_at": ""}},
        {"$unset": {"occurrence": ""}},
    ],
)
def test_a_sent_job_that_was_broken_by_hand_keeps_nobody_else_from_the_restatement(
    planned: Database, change: dict[str, Any]
) -> None:
    create_subscription(planned, subscription("sub_2"), NOW)
    plan_edition(planned, get_edition(planned, "weekly:2026-11-16"), WEEK, NOW)
    planned.jobs.update_many({}, {"$set": {"state": "completed"}})
    planned.jobs.update_one({"subscription": "sub_1"}, change)
    reports: dict[str, tuple[str, datetime | None]] = {one: ("0" * 64, SEVEN) for one in ("sub_1", "sub_2")}

    plan_restatements(planned, Cadence.WEEKLY, WEEK.key, reports, lambda _: OnRestatement.TELL, SEVEN)

    assert [job["subscription"] for job in planned.jobs.find({"restates": {"$gt": ""}})] == ["sub_2"]


def test_two_racing_planners_make_one_job_each_over_200_rounds(database: Database) -> None:
    with ThreadPoolExecutor(2) as pool:
        for number in range(200):
            create_subscription(database, subscription(f"sub_{number:03}"), NOW)
            both = [pool.submit(plan_due_jobs, database, NOW, "UTC") for _ in range(2)]
            assert sum(each.result().jobs for each in both) == 1

    assert database.jobs.count_documents({}) == 200
    assert len(database.jobs.distinct("subscription")) == 200


def _plan_in_a_process(uri: str, name: str, barrier: Any, rounds: int) -> None:
    database = open_database(uri, name)
    for number in range(rounds):
        barrier.wait(timeout=PATIENCE)
        plan_due_jobs(database, NOW + timedelta(weeks=number, hours=8), "UTC")


def test_two_racing_processes_make_one_job_per_occurrence(database: Database, settings: Settings) -> None:
    create_subscriptions(database, (subscription(f"sub_{n}") for n in range(20)), NOW)
    assert settings.mongodb_uri is not None
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    arguments = (settings.mongodb_uri.get_secret_value(), database.name, barrier, 5)
    workers = [context.Process(target=_plan_in_a_process, args=arguments) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=PATIENCE)

    assert [worker.exitcode for worker in workers] == [0, 0]
    keys = [(job["subscription"], job["period"], job["occurrence"]) for job in database.jobs.find({})]
    assert len(keys) == len(set(keys)) == 20 * 5


def test_the_latest_of_a_page_are_those_that_each_would_give(database: Database) -> None:
    daily = Schedule(cadence="daily", time="07:00")
    create_subscriptions(database, (subscription(f"sub_{n}", schedule=daily) for n in range(3)), NOW)
    plan_due_jobs(database, NOW, "UTC")
    plan_due_jobs(database, NOW + timedelta(days=4, hours=8), "UTC")
    database.jobs.delete_many({"subscription": "sub_2"})
    database.jobs.update_many({"subscription": "sub_1"}, {"$set": {"due_at": NOW}})  # the id decides then

    found = latest_of_each(database, "org_1", "usr_1", ["sub_0", "sub_1", "sub_2"], 3)

    assert found == {one: jobs_of(database, "org_1", one, limit=3) for one in ("sub_0", "sub_1")}
    assert [len(jobs) for jobs in found.values()] == [3, 3]
    assert latest_of_each(database, "org_2", "usr_1", ["sub_0"], 3) == {}
    assert latest_of_each(database, "org_1", "usr_else", ["sub_0"], 3) == {}, "of who had it before"
    gone = found["sub_0"][0]["_id"]
    database.jobs.update_one({"_id": gone}, {"$set": {"due_at": "soon"}})
    left = latest_of_each(database, "org_1", "usr_1", ["sub_0"], 3)["sub_0"]
    assert gone not in [job["_id"] for job in left], "a date broken by hand stops no page"


def test_what_was_missed_while_nothing_ran_is_recorded_with_its_reason(database: Database) -> None:
    daily = Schedule(cadence="daily", time="07:00")
    create_subscription(database, subscription(schedule=daily), NOW)
    plan_due_jobs(database, NOW, "UTC")

    outcome = plan_due_jobs(database, NOW + timedelta(days=4, hours=8), "UTC")

    assert outcome == PlanOutcome(subscriptions=1, jobs=4, moved=1)
    jobs = jobs_of(database, "org_1", "sub_1")
    assert [(job["occurrence"], job["state"]) for job in jobs] == [
        ("2026-11-27", "pending"),
        ("2026-11-26", "skipped"),
        ("2026-11-25", "skipped"),
        ("2026-11-24", "skipped"),
        ("2026-11-23", "pending"),
    ]
    assert "newer occurrence" in (jobs[1]["error"] or "")


def test_a_job_whose_edition_is_over_is_rendered_by_itself(database: Database) -> None:
    edition = opened(database)
    set_state(database, edition.id, EditionState.COMPLETED, NOW)
    create_subscription(database, subscription(), NOW)

    plan_due_jobs(database, NOW, "UTC")

    assert one_job(database)["on_demand"] is True


def test_a_job_whose_edition_is_about_to_open_waits_for_it(database: Database) -> None:
    create_subscription(database, subscription(), NOW)

    plan_due_jobs(database, NOW, "UTC")

    assert one_job(database)["on_demand"] is False


def test_run_now_is_due_at_once_ahead_of_all_and_one_at_a_time(planned: Database) -> None:
    job = run_now(planned, subscription(), WEEK, "usr_1", NOW)
    mark_rendered(planned, [("sub_1", WEEK.key)], NOW)

    with pytest.raises(AlreadyRunning) as caught:
        run_now(planned, subscription(), WEEK, "usr_1", NOW)
    assert caught.value.job["_id"] == job["_id"]
    assert (job["due_at"], job["priority"]) == (NOW, 10)
    planned.jobs.update_one({"_id": job["_id"]}, {"$set": {"state": "completed"}})
    assert run_now(planned, subscription(), WEEK, "usr_1", NOW)["occurrence"] == "run-2"


def test_run_now_brings_todays_job_forward_instead_of_sending_twice(planned: Database) -> None:
    job = run_now(planned, subscription(), WEEK, "usr_1", NOW)
    assert plan_edition(planned, get_edition(planned, f"weekly:{WEEK.key}"), WEEK, NOW) == 0
    assert sync_jobs(planned, subscription(), NOW, "UTC") == 0
    (stored,) = planned.jobs.find({})
    assert stored == job
    assert (stored["occurrence"], stored["due_at"], stored["on_demand"]) == ("2026-11-23", NOW, True)
    assert (stored["priority"], stored["requested_by"]) == (10, "usr_1")


def test_run_now_moves_the_deliveries_of_a_rendered_job_too(planned: Database) -> None:
    mark_rendered(planned, [("sub_1", WEEK.key)], NOW)
    plan_deliveries(planned, [one_job(planned)], {"sub_1": owned_by_mail()}, NOW)
    run_now(planned, subscription(), WEEK, "usr_1", NOW)
    delivery = planned.deliveries.find_one() or {}
    assert (delivery["due_at"], delivery["next_attempt_at"], delivery["state"]) == (NOW, NOW, "pending")


def test_run_now_before_the_edition_is_planned_leaves_nothing_to_plan(database: Database) -> None:
    create_subscription(database, subscription(), NOW)
    job = run_now(database, subscription(), WEEK, "usr_1", NOW)
    plan_edition(database, opened(database), WEEK, NOW)
    plan_due_jobs(database, SEVEN, "UTC")
    assert one_job(database)["_id"] == job["_id"]


def test_run_now_tries_a_failed_job_again(planned: Database) -> None:
    mark_failed(planned, [("sub_1", WEEK.key, "trial T1 has no dataset", False)], NOW)
    run_now(planned, subscription(), WEEK, "usr_1", NOW)
    job = one_job(planned)
    assert (job["state"], job["error"], job["on_demand"]) == ("pending", None, True)


def test_run_now_leaves_another_days_job_alone(database: Database) -> None:
    friday = subscription(schedule=Schedule(day_of_week=5))
    create_subscription(database, friday, NOW)
    plan_edition(database, opened(database), WEEK, NOW)
    assert run_now(database, friday, WEEK, "usr_1", NOW)["occurrence"] == "run-1"
    assert database.jobs.count_documents({"occurrence": "2026-11-27", "on_demand": False}) == 1


def test_today_is_the_subscribers_today(database: Database) -> None:
    evening = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)  # one in the morning of the 24th in Tokyo
    tokyo = subscription(schedule=Schedule(timezone="Asia/Tokyo", day_of_week=2))
    create_subscription(database, tokyo, evening)
    plan_edition(database, opened(database), WEEK, evening)
    assert run_now(database, tokyo, WEEK, "usr_1", evening)["occurrence"] == "2026-11-24"


@pytest.mark.parametrize("state", ["processing", "delivering"])
def test_run_now_waits_for_a_scheduled_job_that_has_begun(planned: Database, state: str) -> None:
    planned.jobs.update_many({}, {"$set": {"state": state}})
    with pytest.raises(AlreadyRunning):
        run_now(planned, subscription(), WEEK, "usr_1", NOW)


@pytest.mark.parametrize("state", ["completed", "skipped"])
def test_run_now_after_the_scheduled_job_has_ended_is_one_of_its_own(planned: Database, state: str) -> None:
    planned.jobs.update_many({}, {"$set": {"state": state}})
    assert run_now(planned, subscription(), WEEK, "usr_1", NOW)["occurrence"] == "run-1"


def test_run_now_and_planning_at_once_make_one_job(database: Database) -> None:
    """Over 50 rounds: two who ask, the edition's planner and the planner of what is due."""
    for number in range(50):
        one = subscription(f"sub_{number}")
        create_subscription(database, one, NOW)
        database.editions.delete_many({})
        edition = opened(database)

        def ask(one: Subscription = one) -> int:
            try:
                run_now(database, one, WEEK, "usr_1", NOW)
            except AlreadyRunning:
                return 0
            return 1

        def plan(edition: Edition = edition) -> int:
            plan_edition(database, edition, WEEK, NOW)
            return 0

        def plan_due() -> int:
            plan_due_jobs(database, SEVEN, "UTC")
            return 0

        work = [ask, plan, ask, plan_due]
        with ThreadPoolExecutor(len(work)) as pool:
            assert sum(pool.map(lambda each: each(), work[number % 4 :] + work[: number % 4])) == 1
        (job,) = database.jobs.find({"subscription": one.id})
        assert (job["state"], job["requested_by"]) == ("pending", "usr_1")


def test_of_many_who_ask_at_once_one_runs(database: Database) -> None:
    create_subscription(database, subscription(), NOW)

    def ask(_: int) -> bool:
        try:
            run_now(database, subscription(), WEEK, "usr_1", NOW)
        except AlreadyRunning:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(16))) == 1


def test_a_failed_rendering_is_a_dead_letter_until_mended_or_requeued(planned: Database) -> None:
    mark_failed(planned, [("sub_1", WEEK.key, "trial T1 has no dataset", False)], NOW)
    (letter,) = failed_renderings(planned, "org_1")
    assert (letter["error"], letter["attempts"]) == ("trial T1 has no dataset", 1)
    assert failed_renderings(planned, "org_2") == []

    assert requeue(planned, [letter["_id"]], NOW) == 1
    assert (one_job(planned)["state"], one_job(planned)["attempts"]) == ("pending", 0)

    mark_failed(planned, [("sub_1", WEEK.key, "again", False)], NOW)
    assert mark_rendered(planned, [("sub_1", WEEK.key)], NOW) == 1
    mended = one_job(planned)
    assert (mended["state"], mended["rendered_at"], mended["error"]) == ("rendered", NOW, None)
    assert mended["report"] == report_id(WEEK.cadence, WEEK.key, "sub_1")


def test_a_report_that_is_due_is_being_delivered_as_soon_as_it_stands(planned: Database) -> None:
    due_at = one_job(planned)["due_at"]
    mark_rendered(planned, [("sub_1", WEEK.key)], due_at - timedelta(seconds=1))
    assert one_job(planned)["state"] == "rendered"
    mark_rendered(planned, [("sub_1", WEEK.key)], due_at)
    assert (one_job(planned)["state"], one_job(planned)["rendered_at"]) == ("delivering", due_at)


@pytest.mark.parametrize("state", ["delivering", "completed", "skipped"])
def test_a_report_rendered_again_does_not_open_a_job_that_is_settled(planned: Database, state: str) -> None:
    planned.jobs.update_one({}, {"$set": {"state": state}})

    mark_rendered(planned, [("sub_1", WEEK.key)], NOW)
    mark_failed(planned, [("sub_1", WEEK.key, "late", False)], NOW)

    assert one_job(planned)["state"] == state


def test_a_withdrawn_right_skips_the_job_with_its_reason(planned: Database) -> None:
    mark_skipped(planned, [("sub_1", WEEK.key, "the owner is deactivated")], NOW)

    assert (one_job(planned)["state"], one_job(planned)["error"]) == ("skipped", "the owner is deactivated")


def test_a_changed_time_moves_the_job_and_its_delivery(planned: Database) -> None:
    mark_rendered(planned, [("sub_1", WEEK.key)], NOW)
    record = planned.subscriptions.find_one({"_id": "sub_1"})
    assert record is not None
    recipients = [{"type": "email", "value": "a@example.org"}]
    plan_deliveries(planned, [one_job(planned)], {"sub_1": record | {"recipients": recipients}}, NOW)

    changed = change_subscription(planned, "org_1", "sub_1", {"schedule": Schedule(time="09:30")}, NOW)

    assert sync_jobs(planned, changed, NOW, "UTC") == 1
    half_past_nine = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    assert one_job(planned)["due_at"] == half_past_nine
    delivery = planned.deliveries.find_one({})
    assert delivery is not None
    assert delivery["next_attempt_at"] == half_past_nine


def test_a_changed_day_takes_the_old_job_back_and_adds_the_new_one(planned: Database) -> None:
    friday = Schedule(day_of_week=5)
    changed = change_subscription(planned, "org_1", "sub_1", {"schedule": friday}, NOW)

    sync_jobs(planned, changed, NOW, "UTC")
    edition = Edition.model_validate({**(planned.editions.find_one({}) or {}), "id": "weekly:2026-11-16"})
    plan_edition(planned, edition, WEEK, NOW)

    found = {job["occurrence"]: (job["state"], job["error"]) for job in planned.jobs.find({})}
    assert found == {
        "2026-11-23": ("skipped", "the schedule was changed before it was due"),
        "2026-11-27": ("pending", None),
    }


@pytest.mark.parametrize("by", ["schedule", "usr_boss"])
@pytest.mark.parametrize("served", ["completed", "delivering", "failed", "awaiting_release"])
def test_a_report_moved_to_a_day_that_is_past_is_not_sent_again(
    database: Database, served: str, by: str
) -> None:
    """Monday's was served; on Thursday it is moved to Wednesdays, while the edition is open for others."""
    create_subscription(database, subscription(), NOW)
    edition = opened(database, by)
    plan_edition(database, edition, WEEK, NOW)
    database.jobs.update_one({}, {"$set": {"state": served}})
    thursday = NOW + timedelta(days=3, hours=12)
    for day in (3, 2):  # somebody who tries two days
        changes = {"schedule": Schedule(day_of_week=day)}
        sync_jobs(
            database, change_subscription(database, "org_1", "sub_1", changes, thursday), thursday, "UTC"
        )
        plan_edition(database, edition, WEEK, thursday)
        plan_due_jobs(database, thursday, "UTC")
    assert [(job["occurrence"], job["state"]) for job in database.jobs.find()] == [("2026-11-23", served)]


def test_a_report_that_nobody_got_is_sent_at_once_when_it_is_moved_to_a_day_that_is_past(
    planned: Database,
) -> None:
    thursday = NOW + timedelta(days=3, hours=12)
    friday = change_subscription(planned, "org_1", "sub_1", {"schedule": Schedule(day_of_week=5)}, NOW)
    sync_jobs(planned, friday, NOW, "UTC")
    edition = get_edition(planned, "weekly:2026-11-16")
    plan_edition(planned, edition, WEEK, NOW)
    changes = {"schedule": Schedule(day_of_week=2)}
    sync_jobs(planned, change_subscription(planned, "org_1", "sub_1", changes, thursday), thursday, "UTC")
    plan_edition(planned, edition, WEEK, thursday)
    waiting = planned.jobs.find({"state": "pending"})
    assert [job["occurrence"] for job in waiting] == ["2026-11-24"]


def test_a_newcomer_who_tries_days_gets_one_first_report(database: Database) -> None:
    tuesday = NOW + timedelta(days=1, hours=10)
    made = create_subscription(database, subscription(), tuesday)
    plan_new(database, made, tuesday, "UTC")
    edition = opened(database)
    plan_edition(database, edition, WEEK, tuesday)
    database.jobs.update_one({}, {"$set": {"state": "completed"}})
    thursday = NOW + timedelta(days=3, hours=12)
    changes = {"schedule": Schedule(day_of_week=2)}
    sync_jobs(database, change_subscription(database, "org_1", "sub_1", changes, thursday), thursday, "UTC")
    plan_edition(database, edition, WEEK, thursday)
    assert [job["state"] for job in database.jobs.find()] == ["completed"]


def test_a_pause_holds_what_waits_and_resuming_in_time_lets_it_go(planned: Database) -> None:
    sync_jobs(planned, pause_subscription(planned, "org_1", "sub_1", NOW), NOW, "UTC")
    assert (one_job(planned)["state"], one_job(planned)["error"]) == ("skipped", "the subscription is paused")

    sync_jobs(planned, resume_subscription(planned, "org_1", "sub_1", NOW), NOW, "UTC")
    assert (one_job(planned)["state"], one_job(planned)["due_at"]) == ("pending", SEVEN)


def test_resuming_too_late_does_not_send_what_fell_into_the_pause(planned: Database) -> None:
    sync_jobs(planned, pause_subscription(planned, "org_1", "sub_1", NOW), NOW, "UTC")
    late = SEVEN + timedelta(hours=1)

    sync_jobs(planned, resume_subscription(planned, "org_1", "sub_1", late), late, "UTC")

    assert one_job(planned)["state"] == "skipped"


def test_an_ended_subscription_sends_nothing_more(planned: Database) -> None:
    assert cancel_jobs(planned, "sub_1", "the subscription was ended", NOW) == 1
    assert (one_job(planned)["state"], one_job(planned)["error"]) == ("skipped", "the subscription was ended")


def test_saving_more_than_a_batch_adds_each_once(database: Database) -> None:
    many = (subscription(f"sub_{n}") for n in range(2_500))
    rows = list(plan_jobs(many, WEEK, NOW, PlanRules(by_hand=True)))

    assert save_jobs(database, iter(rows)) == 2_500
    assert save_jobs(database, rows) == 0
