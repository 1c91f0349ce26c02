"""An edition from the schedule to the mails: complete, once, and open to what comes while it runs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.stores.document_versions import withdraw
from reporting_pipeline.stores.documents import document_id
from reporting_pipeline.stores.editions import open_edition
from reporting_pipeline.stores.lifecycle import run_now, sync_jobs
from reporting_pipeline.stores.reports import StoredReport, reports_by_id
from reporting_pipeline.stores.subscriptions import pause_subscription
from reporting_pipeline.usecases.restatement import figure_changes
from reporting_pipeline_tests.automation.crank import ORGANISATION, Crank, document, event, usual_documents
from reporting_pipeline_tests.reports.reading import page_texts

EVERYBODY = sorted(f"{name}@example.org" for name in ("all", "alpha", "alpha2", "beta", "events", "gamma"))

WEDNESDAY = Schedule(cadence="weekly", day_of_week=3, time="07:00")


def test_the_schedule_opens_the_edition_once_and_skips_the_second_time(crank: Crank) -> None:
    requests = crank.schedule()
    assert [request.job_name for request in requests if not isinstance(request, str)] == [
        "weekly_documents_job"
    ]
    assert crank.edition_state() == "open"
    assert crank.schedule() == f"edition {crank.edition()} is already open"
    assert crank.database.editions.count_documents({}) == 1
    opened = list(crank.database.audit.find({"action": "edition.opened"}))
    assert [(row["actor"], row["subject"]) for row in opened] == [("schedule", crank.edition())]


def test_an_edition_renders_every_report_mails_each_once_and_completes(crank: Crank) -> None:
    crank.complete()
    assert crank.edition_state() == "completed"
    assert crank.mailed() == EVERYBODY
    assert {job["state"] for job in crank.jobs().values()} == {"completed"}
    assert len(crank.materializations("subscriber_reports")) == len(EVERYBODY)
    assert len(crank.materializations("report_emails")) == len(EVERYBODY)
    assert all(success for _, _, success in crank.ran), crank.ran
    for name in ("documents", "trial_dataset", "trial_media", "subscriber_reports"):
        assert crank.runs(f"weekly_{name}_job") == 1, "one range, one run"
    assert "T-BETA" not in "".join(page_texts(crank.report_bytes("sub_alpha")))


def test_sensors_turned_again_and_again_ask_for_nothing_and_send_nothing(crank: Crank) -> None:
    crank.complete()
    before = {path.name: path.read_bytes() for path in crank.settings.outbox.iterdir()}
    crank.forget()
    for _ in range(3):
        crank.clock.forward(minutes=20)
        assert crank.tick() == 0
    crank.cursors.clear()  # Dagster forgot what the sensors had read
    assert crank.tick() == 0
    assert crank.schedule() == f"edition {crank.edition()} is already completed"
    assert {path.name: path.read_bytes() for path in crank.settings.outbox.iterdir()} == before


def test_who_subscribes_during_an_edition_gets_it_and_who_is_due_later_gets_it_then(crank: Crank) -> None:
    crank.subscribe("later", Filters(trials=("T-ALPHA",)), schedule=WEDNESDAY)
    crank.complete()
    assert crank.mailed() == EVERYBODY
    assert crank.edition_state() == "open"
    assert crank.jobs()["sub_later"]["state"] == "rendered", "rendered in bulk, sent at its time"
    assert len(crank.materializations("edition")) == 1, "every report stands, whenever it is sent"
    crank.clock.forward(hours=3)
    crank.subscribe("late", Filters(trials=("T-GAMMA",)), made=crank.clock.at)
    crank.settle()
    assert crank.mailed() == sorted([*EVERYBODY, "late@example.org"])
    crank.clock.at = crank.period().end_at + timedelta(days=2, hours=6, minutes=59)
    crank.settle()
    assert "later@example.org" not in crank.mailed()
    crank.clock.forward(minutes=2)
    crank.settle()
    assert crank.mailed() == sorted([*EVERYBODY, "late@example.org", "later@example.org"])
    assert crank.edition_state() == "completed"
    crank.cursors.clear()  # a daemon that begins anew
    crank.sensor("edition_sensor")
    assert len(crank.materializations("edition")) == 1, "told once"


@pytest.mark.parametrize("force", [False, True])
def test_a_report_materialized_again_by_hand_is_not_mailed_again(crank: Crank, force: bool) -> None:
    crank.complete()
    before = crank.results("subscriber_reports")["sub_alpha"]
    crank.clock.forward(hours=1)
    assert crank.by_hand("subscriber_reports", "sub_alpha", force=force).success
    crank.settle()
    crank.clock.forward(hours=1)
    crank.settle()
    partition = f"{crank.period().key}|sub_alpha"
    assert crank.materializations("subscriber_reports").count(partition) == 2
    after = crank.results("subscriber_reports")["sub_alpha"]
    assert (after.at > before.at) is force, "made again only when forced"
    assert after.version == before.version, "the same inputs give the same bytes"
    assert crank.mailed() == EVERYBODY


def test_a_forced_edition_makes_every_report_again_and_mails_nobody_twice(crank: Crank) -> None:
    crank.complete()
    crank.clock.forward(hours=2)
    again = crank.clock.at
    open_edition(crank.database, Cadence.WEEKLY, crank.period().key, "usr_admin", again, force=True)
    crank.forget()
    crank.settle()
    assert crank.edition_state() == "completed"
    for asset in ("documents", "trial_dataset", "trial_media", "subscriber_reports"):
        assert all(result.at >= again for result in crank.results(asset).values()), asset
    assert {report["rendered_at"] for report in crank.database.reports.find()} == {again}
    assert crank.mailed() == EVERYBODY
    assert crank.runs("weekly_delivery_job") == 0


def test_a_subscription_without_matching_documents_gets_a_report_of_one_page(crank: Crank) -> None:
    crank.subscribe("nowhere", Filters(trials=("T-ALPHA",), sites=("S9",)))
    crank.complete()
    assert "nowhere@example.org" in crank.mailed()
    (page,) = page_texts(crank.report_bytes("sub_nowhere"))
    assert "no document" in page.lower()
    assert crank.results("subscriber_reports")["sub_nowhere"].detail["pages"] == 1


def test_a_deactivated_owners_job_is_skipped_with_that_reason_and_can_be_run_after_a_return(
    crank: Crank,
) -> None:
    crank.database.users.update_one({"_id": "usr_alpha"}, {"$set": {"active": False}})
    crank.complete()
    job = crank.jobs()["sub_alpha"]
    assert (job["state"], job["error"]) == ("skipped", "the owner of the subscription is deactivated")
    assert crank.mailed() == [one for one in EVERYBODY if one != "alpha@example.org"]
    assert crank.edition_state() == "completed"
    assert f"{crank.period().key}|sub_alpha" not in crank.materializations("subscriber_reports")

    crank.database.users.update_one({"_id": "usr_alpha"}, {"$set": {"active": True}})
    crank.clock.forward(hours=1)
    subscription = crank.subscription("alpha")
    run_now(crank.database, subscription, crank.period(), "usr_alpha", crank.clock.at)
    crank.settle()
    assert crank.mailed() == EVERYBODY


def test_the_organisation_is_told_by_the_delivery_run_what_rights_held_back(crank: Crank) -> None:
    manager = {
        "organisation": ORGANISATION,
        "email": "boss@example.org",
        "roles": ["manager"],
        "trials": "all",
        "active": True,
    }
    crank.database.users.insert_one({"_id": "usr_boss", **manager})
    crank.database.users.update_one({"_id": "usr_alpha"}, {"$set": {"active": False}})
    crank.complete()
    others = [one for one in EVERYBODY if one != "alpha@example.org"]
    assert crank.mailed() == sorted([*others, "boss@example.org"])
    crank.clock.forward(hours=2)
    crank.settle()
    assert crank.mailed() == sorted([*others, "boss@example.org"])


def test_a_subscription_paused_between_a_request_and_its_run_holds_nothing_up(crank: Crank) -> None:
    """Its key was the end of the range that was asked for."""

    def pause_gamma(request: object) -> None:
        if getattr(request, "job_name", "") == "weekly_subscriber_reports_job" and not paused:
            paused.append(request)
            now = crank.clock.at
            subscription = pause_subscription(crank.database, ORGANISATION, "sub_gamma", now)
            sync_jobs(crank.database, subscription, now, crank.settings.timezone)
            crank.sensor("subscription_sync")

    paused: list[object] = []
    crank.before_run = pause_gamma
    crank.complete()
    assert len(paused) == 1
    assert crank.edition_state() == "completed"
    assert crank.mailed() == [one for one in EVERYBODY if one != "gamma@example.org"]
    job = crank.jobs()["sub_gamma"]
    assert (job["state"], job["error"]) == ("skipped", "the subscription is paused")


def test_run_now_is_rendered_and_mailed_without_an_edition(crank: Crank) -> None:
    later = crank.subscribe("later", Filters(trials=("T-GAMMA",)), schedule=WEDNESDAY)
    job = run_now(crank.database, later, crank.period(), "usr_later", crank.clock.at)
    crank.settle()
    assert crank.database.editions.count_documents({}) == 0
    assert crank.mailed() == ["later@example.org"]
    assert crank.jobs_by_id()[job["_id"]]["state"] == "completed"
    assert set(crank.results("subscriber_reports")) == {"sub_later"}


@pytest.mark.parametrize("cadence", [Cadence.DAILY, Cadence.MONTHLY])
def test_the_other_cadences_run_through_the_same_code(empty: Crank, cadence: Cadence) -> None:
    period = empty.period(cadence)
    empty.add_trial("T-ALPHA")
    empty.arrive(*usual_documents("T-ALPHA", period))
    schedules = {
        Cadence.DAILY: Schedule(cadence="daily", time="00:00"),
        Cadence.MONTHLY: Schedule(cadence="monthly", day_of_month=1, time="00:00"),
    }
    empty.clock.at = period.end_at + timedelta(minutes=6)
    empty.subscribe("one", schedule=schedules[cadence], made=period.end_at - timedelta(days=70))
    empty.subscribe("weekly")
    empty.complete(cadence)
    assert empty.edition_state(cadence) == "completed"
    assert "one@example.org" in empty.mailed()
    assert empty.mailed().count("one@example.org") == 1
    assert len(empty.materializations("subscriber_reports", cadence)) == 1
    text = "".join(page_texts(empty.report_bytes("sub_one", cadence)))
    assert "Headache" in text


@pytest.mark.slow
def test_a_report_made_again_says_what_a_correction_and_a_late_document_changed(crank: Crank) -> None:
    subscription = crank.subscribe("later", Filters(trials=("T-GAMMA",)), schedule=WEDNESDAY)
    period = crank.period()

    def rendered() -> StoredReport:
        run_now(crank.database, subscription, period, "usr_later", crank.clock.at)
        crank.settle()
        (record,) = crank.database.reports.find({"subscription": "sub_later"})
        return reports_by_id(crank.database, [record["_id"]])[record["_id"]]

    first = rendered()
    assert (first.superseded, first.filters["trials"]) == ([], ["T-GAMMA"])
    crank.clock.forward(hours=1)
    at = period.start_at + timedelta(days=1)
    crank.arrive(document("T-GAMMA", "late", "adverse_event", at, event("Syncope", serious=True)))
    standing = crank.database.documents.find_one(
        {"trial": "T-GAMMA", "kind": "visit", "received_at": {"$gte": period.start_at}}
    )
    assert standing is not None
    withdraw(crank.database, standing, "usr_later", "Wrong subject", crank.clock.at)
    second = rendered()
    (before,) = second.superseded
    assert (before["sha256"], before["key"]) == (first.sha256, first.key)
    changes = {
        one.figure.value: one
        for one in figure_changes(
            crank.objects,
            second,
            before,
            Filters(trials=("T-GAMMA",)),
            crank.settings.timezone,
            set,
            lambda trial: False,
        )
    }
    serious, documents = changes["serious_adverse_events"], changes["documents"]
    assert (serious.after or 0) - (serious.before or 0) == 1
    assert (serious.added, serious.gone) == ((document_id("T-GAMMA", "late"),), ())
    assert documents.before == documents.after, "one more, one less: told all the same"
    assert (documents.added, documents.gone) == ((document_id("T-GAMMA", "late"),), (standing["_id"],))
    assert "out_of_range" not in changes
    assert rendered().superseded == second.superseded, "the same file takes nobody's place"
