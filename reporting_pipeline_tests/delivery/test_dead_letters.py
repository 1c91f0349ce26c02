"""What failed is listed, explained, requeued and told once; what is absent is noticed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reporting_pipeline.delivery.channels.deliverer import open_deliverer
from reporting_pipeline.delivery.notices.absence import absences, check_absence
from reporting_pipeline.delivery.notices.due import notices_due, send_due_notices
from reporting_pipeline.delivery.notices.failures import PATIENCE, send_failure_notices
from reporting_pipeline.domain.planning import job_id
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit, dead_letters
from reporting_pipeline.stores.alerts import open_alerts
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.delivery.seeds import NOW, Clock, seed
from reporting_pipeline_tests.delivery.test_outbox import deliver, mails, part

EDITION = "weekly:2026-11-16"


def fail_all(database: Database, objects: ObjectStore, settings: Settings, count: int) -> list[str]:
    """`count` jobs to an address that is none."""
    seed(database, objects, count, recipients=[{"type": "email", "value": "nobody"}])
    assert {outcome.state for outcome in deliver(database, objects, settings)} == {"failed"}
    return sorted(row["_id"] for row in database["deliveries"].find())


def test_a_dead_letter_tells_its_reason_its_attempts_and_its_report(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    ids = fail_all(database, objects, settings, 5)
    first = dead_letters.list_dead_letters(database, "default", limit=3)
    rest = dead_letters.list_dead_letters(database, "default", after=first[-1]["_id"])
    assert [letter["_id"] for letter in first + rest] == ids
    letter = first[0]
    assert letter["error"] == "not a valid e-mail address"
    assert letter["attempts"][0]["outcome"] == "permanent"
    assert (letter["report"] or "").startswith("rep_")
    assert dead_letters.list_dead_letters(database, "another") == []
    assert dead_letters.list_dead_letters(database, "default", {"channel": "slack"}) == []
    gauge = dead_letters.gauge(database)
    assert (gauge.count, gauge.oldest) == (5, NOW)
    with pytest.raises(ValueError, match="filtered by"):
        dead_letters.list_dead_letters(database, "default", {"$where": "1"})


def test_a_requeued_one_is_delivered_and_mends_its_job(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    (letter,) = fail_all(database, objects, settings, 1)
    mended = {"recipient": "mended@example.org"}
    database["deliveries"].update_many({}, {"$set": mended})
    database["subscriptions"].update_many({}, {"$set": {"recipients.0.value": mended["recipient"]}})
    assert not dead_letters.requeue(database, "another", letter, "usr_ops", NOW)
    assert dead_letters.requeue(database, "default", letter, "usr_ops", NOW)
    assert not dead_letters.requeue(database, "default", letter, "usr_ops", NOW)
    assert [outcome.state for outcome in deliver(database, objects, settings)] == ["sent"]
    assert (database["jobs"].find_one() or {})["state"] == "completed"
    (event,) = audit.events_of(database, "default", action=audit.AuditAction.REQUEUED)
    assert (event["actor"], event["subject"]) == ("usr_ops", letter)


def test_requeueing_by_filter_is_limited_by_rate(
    database: Database, objects: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "REQUEUED_AT_ONCE", 4)
    fail_all(database, objects, settings, 6)
    chosen = {"edition": EDITION}
    assert dead_letters.requeue_matching(database, "default", chosen, "usr_ops", NOW) == 4
    with pytest.raises(dead_letters.RequeueLimited) as limited:
        dead_letters.requeue_matching(database, "default", chosen, "usr_ops", NOW)
    later = NOW + limited.value.retry_after + timedelta(seconds=1)
    assert dead_letters.requeue_matching(database, "default", chosen, "usr_ops", later) == 2


def test_an_owner_gets_one_notice_an_edition_however_much_failed(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    fail_all(database, objects, settings, 40)
    database["deliveries"].update_many({}, {"$set": {"owner": "usr_00000"}})
    deliverer = open_deliverer(settings)
    sent = [send_failure_notices(deliverer, database, settings, EDITION, NOW) for _ in range(3)]
    assert sent == [1, 0, 0]
    (mail,) = mails(settings)
    assert mail["To"] == "reader0@example.org"
    assert mail["Subject"] == "40 reports did not arrive: week of 16 November 2026"
    assert mail["List-Unsubscribe"] is None
    assert "and 20 more" in part(mail, "plain")
    assert "not a valid e-mail address" in part(mail, "html")


def test_no_notice_goes_out_while_something_of_the_owner_may_still_arrive(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    fail_all(database, objects, settings, 2)
    database["deliveries"].update_many({}, {"$set": {"owner": "usr_00000"}})
    database["deliveries"].update_one({"job": "job_00000"}, {"$set": {"state": "unknown"}})
    assert send_failure_notices(open_deliverer(settings), database, settings, EDITION, NOW) == 0


def test_what_could_not_be_rendered_is_told_too_once_the_owner_has_nothing_under_way(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 2, plan=False)
    database["jobs"].update_many({}, {"$set": {"owner": "usr_00000"}})
    failed = {"state": "failed", "failed_in": "rendering", "error": "no data", "completed_at": NOW}
    database["jobs"].update_one({"_id": "job_00000"}, {"$set": failed})
    deliverer = open_deliverer(settings)
    assert send_due_notices(deliverer, database, settings, NOW) == 0
    database["jobs"].update_one({"_id": "job_00001"}, {"$set": {"state": "completed"}})
    assert not notices_due(database, NOW), "it may still be rendered: nobody is alarmed yet"
    assert send_due_notices(deliverer, database, settings, NOW) == 0
    rested = NOW + PATIENCE
    assert notices_due(database, rested)
    assert send_due_notices(deliverer, database, settings, rested) == 1
    assert not notices_due(database, rested)
    assert "no data" in part(mails(settings)[0], "plain")


def test_what_is_due_days_later_does_not_keep_a_notice_back(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    fail_all(database, objects, settings, 2)
    database["deliveries"].update_many({}, {"$set": {"owner": "usr_00000"}})
    friday = {"state": "pending", "due_at": NOW + timedelta(days=4)}
    database["deliveries"].update_one({"job": "job_00000"}, {"$set": friday})
    database["jobs"].update_one({"_id": "job_00000"}, {"$set": {**friday, "state": "rendered"}})
    assert send_failure_notices(open_deliverer(settings), database, settings, EDITION, NOW) == 1


@pytest.mark.parametrize("change", [{"active": False}, {"email": "no address"}])
def test_an_owner_who_cannot_be_told_has_no_run_started_for_it_again(
    database: Database, objects: ObjectStore, settings: Settings, change: dict[str, object]
) -> None:
    fail_all(database, objects, settings, 1)
    database["users"].update_many({}, {"$set": change})
    assert notices_due(database, NOW)
    assert send_due_notices(open_deliverer(settings), database, settings, NOW) == 0
    assert not notices_due(database, NOW)
    (row,) = database["failure_notices"].find()
    assert row["outcome"] == "nobody"


# --- the absence alarm


def test_the_alarm_speaks_when_nothing_was_planned_at_all(database: Database, settings: Settings) -> None:
    seed(database, None, 3, plan=False)
    for collection in ("jobs", "editions", "reports"):
        database[collection].delete_many({})
    # Due on Monday at 07:00; two hours of grace.
    assert list(absences(database, settings, NOW, timedelta(days=1))) == []
    late = NOW.replace(hour=9, minute=1)
    found = list(absences(database, settings, late, timedelta(days=1)))
    assert sorted(absence.subscription for absence in found) == ["sub_00000", "sub_00001", "sub_00002"]
    assert {(absence.period, absence.states) for absence in found} == {("2026-11-16", ())}


def test_the_alarm_rises_for_what_is_stuck_and_rests_once_it_arrived(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 2)
    # The occurrence before this one was delivered by an earlier run.
    database["subscriptions"].update_many({}, {"$set": {"created_at": NOW - timedelta(days=3)}})
    late = NOW.replace(hour=12)
    assert len(check_absence(database, settings, late)) == 2
    assert len(check_absence(database, settings, late)) == 2
    (alert,) = open_alerts(database)
    assert (alert["_id"], alert["count"]) == ("reports-absent", 2)
    deliver(database, objects, settings, Clock(late))
    assert check_absence(database, settings, late) == []
    assert open_alerts(database) == []


def test_the_alarm_is_silent_about_paused_ones_and_those_sent_to_nobody_on_purpose(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 2)
    database["subscriptions"].update_many({}, {"$set": {"created_at": NOW - timedelta(days=3)}})
    database["subscriptions"].update_one({"_id": "sub_00000"}, {"$set": {"status": "paused"}})
    database["suppressions"].insert_one({"_id": "reader1@example.org", "reason": "bounce", "lifted_at": None})
    late = NOW.replace(hour=12)
    deliver(database, objects, settings, Clock(late))
    assert check_absence(database, settings, late) == []


@pytest.mark.parametrize(
    ("changes", "silent"),
    [
        ({"schedule.time": "not a time"}, True),  # said in the log: nobody can know when it is due
        (
            {"schedule.day_of_week": 2, "rescheduled_at": NOW + timedelta(hours=30)},
            True,
        ),  # was not due by this schedule
        ({"schedule.day_of_week": 7, "rescheduled_at": NOW - timedelta(days=2)}, False),
    ],
    ids=str,
)
def test_the_alarm_hears_of_one_that_is_broken_or_was_moved_and_goes_on_with_the_others(
    database: Database, settings: Settings, changes: dict[str, object], silent: bool
) -> None:
    seed(database, None, 2, plan=False)
    database["subscriptions"].update_one({"_id": "sub_00000"}, {"$set": changes})
    wednesday = NOW + timedelta(days=2)
    late = {one.subscription for one in absences(database, settings, wednesday, timedelta(days=4))}
    assert late == {"sub_00001"} | (set() if silent else {"sub_00000"})


def test_nobody_expects_what_was_cancelled(database: Database, settings: Settings) -> None:
    seed(database, None, 2, plan=False)
    job = job_id("sub_00000", "2026-11-16", "2026-11-23")
    database["jobs"].update_one({"_id": "job_00000"}, {"$set": {"state": "completed"}})
    database["jobs"].insert_one({"_id": job, "state": "skipped", "error": "it was cancelled"})
    late = absences(database, settings, NOW.replace(hour=12), timedelta(days=1))
    assert [one.subscription for one in late] == ["sub_00001"]
