"""Whatever people do, in whatever order: every job and delivery ends, each with its reason, nobody is
mailed after they left, and a run that was asked for is never starved.

The model is small on purpose: it remembers who left, and lets the real stores do everything else. What the
sensors do is done here by the functions they call, with the partitions that the synchronization would give.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import ClassVar

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from reporting_pipeline.automation.on_demand_sensor import editions_that_never_come
from reporting_pipeline.domain.deliveries import Change, Outcome, SendResult
from reporting_pipeline.domain.jobs import DeliveryState, EditionState, JobState
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.planning import Planned, job_record
from reporting_pipeline.domain.schedules import Occurrence, Schedule
from reporting_pipeline.domain.subscriptions import Filters, Recipient, Subscription
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import deliveries as ledger
from reporting_pipeline.stores import jobs, lifecycle, subscriptions
from reporting_pipeline.stores.editions import (
    EditionExists,
    IllegalTransition,
    open_edition,
    open_editions,
    set_state,
)
from reporting_pipeline.stores.mongo import Database, Record, delivery_records, job_records
from reporting_pipeline.usecases import requeueing
from reporting_pipeline.usecases import subscriptions as usecase
from reporting_pipeline_tests.record_types import check_ledgers

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NAMES = ("sub_a", "sub_b", "sub_c")
ENDED = {JobState.COMPLETED.value, JobState.FAILED.value, JobState.SKIPPED.value}
SETTLED = {"sent", "delivered", "bounced", "failed", "suppressed"}
COLLECTIONS = ("subscriptions", "jobs", "deliveries", "editions", "users")
names = st.sampled_from(NAMES)
WEDNESDAY = Schedule(cadence="weekly", day_of_week=3, time="07:00")
DAILY = Schedule(cadence="daily", time="07:00")


class Life(RuleBasedStateMachine):
    #: In a tuple, since hypothesis asks every attribute of the class whether it is a rule.
    stores: ClassVar[tuple[Database, Settings]]

    @property
    def database(self) -> Database:
        return self.stores[0]

    @property
    def settings(self) -> Settings:
        return self.stores[1]

    @initialize()
    def begin(self) -> None:
        for name in COLLECTIONS:
            self.database[name].delete_many({})
        self.now = START
        self.left: set[str] = set()
        self.asked: set[str] = set()
        self.made = 0
        self.ids = dict.fromkeys(NAMES, "")

    # --- what people do

    @rule(name=names, schedule=st.sampled_from([Schedule(cadence="weekly"), WEDNESDAY, DAILY]))
    def create(self, name: str, schedule: Schedule) -> None:
        if self._standing(name) is not None:
            return
        self.made += 1
        self.ids[name] = f"{name}{self.made}"
        fresh = Subscription(
            id=self.ids[name],
            organisation="org_1",
            owner="usr_1",
            name=name,
            schedule=schedule,
            filters=Filters(trials=("T1",) if name == "sub_c" else ()),
            recipients=(Recipient(type="email", value=f"{name}{self.made}@example.org"),),
            created_at=self.now,
            updated_at=self.now,
        )
        usecase.subscribe(self.database, self.settings, fresh, "usr_1", self.now)

    @rule(name=names, schedule=st.sampled_from([Schedule(cadence="weekly"), WEDNESDAY, DAILY]))
    def change(self, name: str, schedule: Schedule) -> None:
        standing = self._standing(name)
        if standing is not None:
            lifecycle.change(self.database, standing, {"schedule": schedule}, self.now, "UTC")

    @rule(name=names)
    def pause(self, name: str) -> None:
        if self._standing(name) is not None:
            lifecycle.pause(self.database, "org_1", self.ids[name], self.now)

    @rule(name=names)
    def resume(self, name: str) -> None:
        if self._standing(name) is not None:
            lifecycle.resume(self.database, "org_1", self.ids[name], self.now, "UTC")

    @rule(name=names)
    def run_now(self, name: str) -> None:
        standing = self._standing(name)
        if standing is None:
            return
        try:
            job = usecase.run_now(self.database, self.settings, standing, "usr_1", self.now)
        except (lifecycle.NotActive, lifecycle.AlreadyRunning):
            return
        self.asked.add(job["_id"])

    @rule(name=names)
    def delete(self, name: str) -> None:
        if self._standing(name) is not None:
            lifecycle.end(self.database, "org_1", self.ids[name], self.now)
            self.left.add(self.ids[name])

    @rule(name=names)
    def leave_by_mail(self, name: str) -> None:
        if self.ids[name]:
            lifecycle.end_whatever_stands(self.database, [self.ids[name]], "unsubscribed", self.now)
            self.left.add(self.ids[name])

    @rule()
    def close_the_trial(self) -> None:
        gone = [one.id for one in subscriptions.naming_only(self.database, "org_1", ["T1"])]
        lifecycle.end_for_trial(self.database, "org_1", "T1", self.now)
        self.left.update(gone)

    @rule()
    def requeue_everything(self) -> None:
        for job in jobs.failed_renderings(self.database, "org_1"):
            try:
                assert requeueing.requeue_job(self.database, self.settings, job, "usr_1", self.now)
            except requeueing.CannotRun:
                assert self.database.jobs.find_one({"_id": job["_id"]}) == job  # refused, and left alone

    # --- what the deployment does

    @rule()
    def edition_opens(self) -> None:
        period = Period.last_closed(Cadence.WEEKLY, self.now)
        try:
            open_edition(self.database, Cadence.WEEKLY, period.key, "schedule", self.now)
        except EditionExists:
            return

    @rule()
    def edition_is_closed_by_an_outside_worker(self) -> None:
        for edition in open_editions(self.database):
            try:
                set_state(self.database, edition.id, EditionState.COMPLETED, self.now)
            except IllegalTransition:
                continue

    @rule(name=names)
    def planner_that_was_slower_than_an_ending(self, name: str) -> None:
        if self.ids[name] not in self.left:
            return
        record = self.database.subscriptions.find_one({"_id": self.ids[name]})
        assert record is not None
        subscription = subscriptions.from_record(record)
        period = Period.last_closed(subscription.window, self.now)
        planned = Planned(period, Occurrence(date(2026, 11, 24), self.now), self.now)
        jobs.save_jobs(self.database, [job_record(subscription, planned, self.now)])

    @rule()
    def killed_while_rendering(self) -> None:
        for cadence in Cadence:
            period = Period.last_closed(cadence, self.now)
            jobs.mark_processing(self.database, self.ids.values(), period.key, self.now)

    @rule(hours=st.integers(1, 40))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(fails=st.booleans())
    def tick(self, fails: bool) -> None:
        self._plan()
        self._render(fails)
        self._deliver()

    # --- the sensors and the runs, by the functions they call

    def _plan(self) -> None:
        jobs.plan_due_jobs(self.database, self.now, "UTC")
        for edition in open_editions(self.database):
            jobs.plan_edition(
                self.database, edition, Period.from_key(edition.cadence, edition.period), self.now
            )
        lifecycle.serve_without_edition(
            self.database, editions_that_never_come(self.database, self.settings, self.now)
        )

    def _render(self, fails: bool) -> None:
        wanted: dict[str, set[str]] = {
            edition.id: {job["subscription"] for job in jobs.waiting_in(self.database, edition.id)}
            for edition in open_editions(self.database)
        }
        for job in jobs.waiting_on_demand(self.database):
            wanted.setdefault(job["edition"], set()).add(job["subscription"])
        for edition, ids in wanted.items():
            cadence, _, period = edition.partition(":")
            with_partition = set(subscriptions.active_ids(self.database, Cadence(cadence)))
            lifecycle.end_unserved(self.database, edition, ids - with_partition, self.now)
            reports = [(one, period) for one in sorted(ids & with_partition)]
            if fails:
                jobs.mark_failed(self.database, [(*one, "it failed", False) for one in reports], self.now)
            else:
                jobs.mark_rendered(self.database, reports, self.now)

    def _deliver(self) -> None:
        for job in jobs.jobs_without_deliveries(self.database, self.now + timedelta(seconds=1), 1_000):
            records = subscriptions.records_by_id(self.database, [job["subscription"]])
            ledger.plan_deliveries(self.database, [job], records, self.now)
            ledger.deliveries_stand(self.database, [job])
        drawn = ledger.Due(self.database, Random(1)).draw(self.now, 1_000)
        begun = ledger.begin(self.database, drawn, self.now, timedelta(minutes=5))
        for delivery in begun:
            assert delivery["subscription"] not in self.left, "mailed after they left"
        sent = SendResult(Outcome.ACCEPTED, "msg")
        settlements = [
            ledger.Settlement(one, sent, Change(DeliveryState.SENT, one["failures"], None)) for one in begun
        ]
        ledger.settle(self.database, settlements, self.now)
        ledger.settle_jobs(self.database, [one["job"] for one in begun], self.now)
        ledger.settle_delivering_jobs(self.database, self.now)

    # --- at the end

    def teardown(self) -> None:
        if not hasattr(self, "now"):
            return
        for _ in range(3):  # nobody wishes anything any more
            self.tick(fails=False)
        self.now += timedelta(hours=2)  # an edition that is late by now does not come
        self.tick(fails=False)
        check_ledgers(self.database)
        for job in self.database.jobs.find():
            self._has_ended(job)
        for row in self.database.deliveries.find():
            assert row["state"] in SETTLED or row["next_attempt_at"] > self.now, row
            assert row["state"] != "suppressed" or row["error"], row

    def _has_ended(self, job: Record) -> None:
        active = self.database.subscriptions.find_one({"_id": job["subscription"], "status": "active"})
        to_come = job["due_at"] > self.now and active is not None
        assert job["state"] in ENDED or to_come, job
        assert job["state"] not in ("failed", "skipped") or job["error"], job
        if job["_id"] in self.asked and job["state"] == "skipped":
            assert active is None or job["skipped_for"] in ("paused", "schedule", "ended"), job

    def _standing(self, name: str) -> Subscription | None:
        found = subscriptions.get_subscription(self.database, "org_1", self.ids[name])
        return None if found is None or found.status == "ended" else found


def test_every_job_ends_with_its_reason_and_nobody_is_mailed_after_they_left(
    database: Database, settings: Settings
) -> None:
    class OnThisDatabase(Life):
        pass

    OnThisDatabase.stores = (database, settings)
    run_state_machine_as_test(
        OnThisDatabase, settings=hypothesis_settings(max_examples=12, stateful_step_count=15)
    )


@pytest.fixture
def weekly(database: Database, settings: Settings) -> Subscription:
    """A weekly subscription whose report of last week waits to be rendered, on demand."""
    fresh = Subscription(
        id="sub_1",
        organisation="org_1",
        owner="usr_1",
        name="Mine",
        schedule=Schedule(cadence="weekly"),
        recipients=(Recipient(type="email", value="a@example.org"),),
        created_at=START,
        updated_at=START,
    )
    return usecase.subscribe(database, settings, fresh, "usr_1", START)


def test_a_new_subscription_has_its_first_job_from_the_start_and_says_when_it_comes(
    database: Database, weekly: Subscription
) -> None:
    job = database.jobs.find_one({"subscription": "sub_1"})
    first = usecase.first_mail(weekly, START, "UTC")
    assert job is not None
    assert first is not None
    assert (job["period"], job["due_at"]) == (first.period.key, first.due_at)


def test_a_requeue_after_its_edition_closed_runs_by_itself_and_of_an_ended_one_is_refused(
    database: Database, settings: Settings, weekly: Subscription
) -> None:
    jobs.mark_failed(database, [("sub_1", "2026-11-16", "it failed", False)], START)
    (job,) = jobs.failed_renderings(database, "org_1")
    assert requeueing.requeue_job(database, settings, job, "usr_1", START)
    assert [one["_id"] for one in jobs.waiting_on_demand(database)] == [job["_id"]]

    jobs.mark_failed(database, [("sub_1", "2026-11-16", "it failed", False)], START)
    lifecycle.end(database, "org_1", weekly.id, START)
    (failed,) = job_records(database).find({"subscription": "sub_1"})
    with pytest.raises(requeueing.CannotRun, match="ended"):
        requeueing.requeue_job(database, settings, failed, "usr_1", START)


def test_who_is_removed_from_the_recipients_gets_nothing_of_what_waits(
    database: Database, weekly: Subscription
) -> None:
    jobs.mark_rendered(database, [("sub_1", "2026-11-16")], START)
    found = list(job_records(database).find())
    ledger.plan_deliveries(database, found, subscriptions.records_by_id(database, ["sub_1"]), START)
    other = Recipient(type="email", value="b@example.org")
    lifecycle.change(database, weekly, {"recipients": (other,)}, START, "UTC")
    (row,) = database.deliveries.find({"recipient": "a@example.org"})
    assert (row["state"], row["error"]) == ("suppressed", "the recipient was removed")


def _waits_for_next_week(database: Database, *names: str) -> None:
    """The report stands, and is to be sent to these at the end of the week."""
    jobs.mark_rendered(database, [("sub_1", "2026-11-16")], START)
    to_come = {"period": "2026-11-23", "occurrence": "2026-11-30", "due_at": START + timedelta(days=6)}
    planned = {"$set": {"state": "rendered", **to_come}, "$unset": {"on_demand": "", "requested_by": ""}}
    database.jobs.update_one({}, planned)
    recipients = [{"type": "email", "value": f"{name}@example.org"} for name in names]
    database.subscriptions.update_one({}, {"$set": {"recipients": recipients}})
    _plan(database)


def _plan(database: Database) -> None:
    found = list(job_records(database).find({"deliveries_planned": {"$ne": True}}))
    ledger.plan_for_jobs(database, found, START)


def _waiting_for(database: Database) -> list[str]:
    return sorted(row["recipient"][:1] for row in database.deliveries.find({"state": "pending"}))


def test_who_left_by_mistake_and_comes_back_gets_what_waits(database: Database, weekly: Subscription) -> None:
    _waits_for_next_week(database, "a", "b")
    a, b = (Recipient(type="email", value=f"{name}@Example.org") for name in "ab")
    for recipients, waiting in (((a,), ["a"]), ((a, b), ["a", "b"]), ((b,), ["b"])):
        standing = subscriptions.get_subscription(database, "org_1", "sub_1")
        assert standing is not None
        lifecycle.change(database, standing, {"recipients": recipients}, START, "UTC")
        _plan(database)
        assert _waiting_for(database) == waiting
        assert database.jobs.count_documents({"state": "rendered"}) == 1


def test_a_pause_in_which_the_recipients_change_ends_with_those_who_are_there(
    database: Database, weekly: Subscription
) -> None:
    _waits_for_next_week(database, "a", "b")
    lifecycle.pause(database, "org_1", "sub_1", START)
    paused = subscriptions.get_subscription(database, "org_1", "sub_1")
    assert paused is not None
    now = tuple(Recipient(type="email", value=f"{name}@example.org") for name in "bc")
    lifecycle.change(database, paused, {"recipients": now}, START, "UTC")
    lifecycle.resume(database, "org_1", "sub_1", START, "UTC")
    _plan(database)
    assert _waiting_for(database) == ["b", "c"]


def test_what_waits_for_an_owner_goes_to_whoever_has_the_subscription_by_now(
    database: Database, weekly: Subscription
) -> None:
    people = [{"_id": f"usr_{n}", "organisation": "org_1", "email": f"{n}@example.org"} for n in (1, 2)]
    database.users.insert_many(people)
    _waits_for_next_week(database)
    assert _waiting_for(database) == ["1"]
    standing = subscriptions.get_subscription(database, "org_1", "sub_1")
    assert standing is not None
    lifecycle.change(database, standing, {"owner": "usr_2"}, START, "UTC")
    _plan(database)
    assert _waiting_for(database) == ["2"]


def test_what_was_moved_to_a_new_address_follows_its_schedule_like_the_rest(
    database: Database, weekly: Subscription
) -> None:
    jobs.mark_rendered(database, [("sub_1", "2026-11-16")], START)
    to_come = {"period": "2026-11-23", "occurrence": "2026-11-30", "due_at": START + timedelta(days=6)}
    planned = {"$set": {"state": "rendered", **to_come}, "$unset": {"on_demand": "", "requested_by": ""}}
    database.jobs.update_one({}, planned)
    found = list(job_records(database).find())
    ledger.plan_deliveries(database, found, subscriptions.records_by_id(database, ["sub_1"]), START)
    rows = list(delivery_records(database).find())
    assert ledger.follow(database, rows, {row["_id"]: "b@example.org" for row in rows}, START) == len(rows)
    lifecycle.change(database, weekly, {"schedule": Schedule(cadence="weekly", time="23:00")}, START, "UTC")
    due = {job["_id"]: job["due_at"] for job in database.jobs.find()}
    assert {row["job"]: row["due_at"] for row in database.deliveries.find()} == due
    assert set(due.values()) == {datetime(2026, 11, 30, 23, 0, tzinfo=UTC)}


def test_the_whole_report_follows_one_with_omissions_once(database: Database, weekly: Subscription) -> None:
    report = ("sub_1", "2026-11-16")
    left = [{"trial": "T1", "part": "trial", "reason": "it costs $5 to mend"}]
    jobs.mark_rendered(database, [report], START, {report: left})
    (sent,) = database.jobs.find()
    assert (sent["omissions"], sent["state"]) == (left, "delivering")

    def follows(_: str) -> bool:
        return True

    assert jobs.plan_follow_ups(database, {report: left}, follows, START) == 0  # nothing was mended
    assert [jobs.plan_follow_ups(database, {report: []}, follows, START) for _ in range(3)] == [1, 0, 0]
    jobs.mark_rendered(database, [report], START, {report: []})
    whole = database.jobs.find_one({"follows": sent["_id"]})
    assert whole is not None
    assert (whole["state"], whole["omissions"]) == ("delivering", [])


def test_the_id_of_a_delivery_follows_from_its_job_channel_and_recipient(
    database: Database, weekly: Subscription
) -> None:
    jobs.mark_rendered(database, [("sub_1", "2026-11-16")], START)
    found, records = list(job_records(database).find()), subscriptions.records_by_id(database, ["sub_1"])
    ledger.plan_deliveries(database, found, records, START)
    (first,) = database.deliveries.find()
    database.deliveries.delete_many({})  # restored from before it was planned
    ledger.plan_deliveries(database, found, records, START + timedelta(hours=1))
    (again,) = database.deliveries.find()
    assert again["_id"] == first["_id"]
