"""A closed period whose documents change after its reports were sent: told once, as the policy says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from reporting_pipeline.assets.scope import Scope
from reporting_pipeline.automation import restatement_sensor
from reporting_pipeline.automation.restatement_sensor import (
    _is_old,
    _is_quiet,
    _moved,
    _read_cursor,
    _time_of,
)
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.restatements import OnRestatement
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.documents import document_id, newest_updates
from reporting_pipeline.stores.jobs import plan_restatements, skip_unchanged
from reporting_pipeline.stores.lifecycle import run_now
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.results import DONE, AssetResult, save_results
from reporting_pipeline_tests.automation.crank import Crank, document, event
from reporting_pipeline_tests.reports.reading import page_texts

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.mark.slow
def test_a_late_document_is_told_once_to_whoever_got_the_report(crank: Crank) -> None:
    crank.subscribe("elsewhere", Filters(trials=("T-GAMMA",), sites=("S2",)))
    crank.complete()
    crank.sensor("restatement_sensor")  # its first look
    period, sent = crank.period(), len(crank.mails())
    first = crank.database.reports.find_one({"subscription": "sub_gamma"})
    assert first is not None
    at = period.start_at + timedelta(days=1)
    crank.clock.forward(hours=1)
    crank.arrive(document("T-GAMMA", "late", "adverse_event", at, event("Syncope", serious=True)))
    written = {"$set": {"updated_at": crank.clock.at}}
    crank.database.documents.update_one({"_id": document_id("T-GAMMA", "late")}, written)
    crank.sensor("restatement_sensor")
    assert not crank.database.jobs.count_documents({"restates": {"$gt": ""}}), "corrections may go on"
    crank.clock.forward(hours=2)
    crank.sensor("restatement_sensor")
    crank.sensor("restatement_sensor")
    crank.settle()
    jobs = {job["subscription"]: job for job in crank.database.jobs.find({"restates": {"$gt": ""}})}
    assert sorted(jobs) == ["sub_all", "sub_elsewhere", "sub_events", "sub_gamma"]
    nothing = jobs.pop("sub_elsewhere")
    assert (nothing["state"], nothing["skipped_for"]) == ("skipped", "unchanged"), (
        "it happened at another site"
    )
    assert {job["state"] for job in jobs.values()} == {"completed"}
    mails = crank.mails()
    told = [mail for mail in mails if str(mail["Subject"]).startswith("Corrected Report")]
    assert sorted(str(mail["To"]) for mail in told) == [
        f"{name}@example.org" for name in ("all", "events", "gamma")
    ]
    assert len(mails) == sent + 3
    text = told[0].get_body(("plain",))
    assert text is not None
    assert "takes the place of the one of" in text.get_content()
    pages = "".join(page_texts(crank.report_bytes("sub_gamma")))
    assert "What changed" in pages
    assert first["sha256"][:16] in pages
    crank.clock.forward(hours=2)
    crank.sensor("restatement_sensor")
    crank.settle()
    assert len(crank.mails()) == sent + 3, "told once"


@pytest.mark.slow
def test_a_run_that_somebody_asked_for_meanwhile_keeps_it_from_nobody_else(crank: Crank) -> None:
    """It takes the late document into the period's snapshot; the others' reports are as they were."""
    crank.complete()
    crank.sensor("restatement_sensor")  # its first look
    sent = len(crank.mails())
    crank.clock.forward(hours=1)
    at = crank.period().start_at + timedelta(days=1)
    crank.arrive(document("T-GAMMA", "late", "adverse_event", at, event("Syncope", serious=True)))
    written = {"$set": {"updated_at": crank.clock.at}}
    crank.database.documents.update_one({"_id": document_id("T-GAMMA", "late")}, written)
    crank.clock.forward(minutes=10)
    run_now(crank.database, crank.subscription("gamma"), crank.period(), "usr_gamma", crank.clock.at)
    crank.settle()
    assert len(crank.mails()) == sent + 1
    for _ in range(2):
        crank.clock.forward(hours=2)
        crank.sensor("restatement_sensor")
        crank.settle()
    told = [mail for mail in crank.mails() if str(mail["Subject"]).startswith("Corrected Report")]
    assert sorted(str(mail["To"]) for mail in told) == ["all@example.org", "events@example.org"]
    assert len(crank.mails()) == sent + 3
    asked = crank.database.jobs.count_documents({"restates": {"$gt": ""}})
    crank.clock.forward(hours=2)
    crank.sensor("restatement_sensor")
    assert crank.database.jobs.count_documents({"restates": {"$gt": ""}}) == asked, "once a change"


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("", NOW),
        ("[" * 100_000, NOW),
        ("2026-11-20T00:00:00", NOW),
        ("2999-01-01T00:00:00+00:00", NOW),
        ("2026-11-20T00:00:00+00:00", datetime(2026, 11, 20, tzinfo=UTC)),
    ],
)
def test_a_cursor_that_says_no_time_of_the_past_is_none(text: str, since: datetime) -> None:
    assert _read_cursor(text, NOW) == since


@pytest.mark.parametrize("said", ["0@none", "3@yesterday", "3@2026-11-20T00:00:00", "nonsense", ""])
def test_a_time_that_somebody_broke_by_hand_is_none(said: str) -> None:
    assert _time_of(said) is None
    assert _is_quiet(None, NOW)
    assert not _is_old(None, NOW)


@pytest.mark.parametrize(
    ("policy", "expected"), [("off", []), ("tell", ["tell", "tell"]), ("send", ["send", "send"])]
)
def test_the_policy_of_the_organisation_decides_and_nothing_is_planned_twice(
    database: Database, policy: str, expected: list[str]
) -> None:
    plain = {"cadence": "weekly", "period": "2026-11-16", "organisation": "org", "owner": "usr_1"}
    database.jobs.insert_many(
        {**plain, "_id": f"job_{name}", "subscription": f"sub_{name}", "occurrence": name, "state": state,
         "edition": "weekly:2026-11-16", "report": f"rep_{name}", "created_at": NOW}
        for name, state in (("1", "completed"), ("2", "delivering"), ("3", "pending"), ("4", "skipped"))
    )  # fmt: skip
    reports = {f"sub_{name}": (name * 64, NOW - timedelta(hours=2)) for name in "1234"}
    for _ in range(2):
        plan_restatements(
            database, Cadence.WEEKLY, "2026-11-16", reports, lambda one: OnRestatement(policy), NOW
        )
    planned = list(database.jobs.find({"restates": {"$gt": ""}}).sort("_id"))
    assert [job["restatement"] for job in planned] == expected
    assert all(job["restates"] == reports[job["subscription"]][0] for job in planned)
    assert all(job["on_demand"] and job["state"] == "pending" for job in planned)


@pytest.mark.parametrize(("said", "changed"), [("0@none", set()), ("1@none", {"T1"})])
def test_an_upgrade_of_the_code_restates_nothing_and_documents_that_are_gone_do(
    database: Database, said: str, changed: set[str]
) -> None:
    period = Period(Cadence.WEEKLY, date(2026, 11, 16))
    save_results(
        database,
        [AssetResult("weekly/documents", period.key, "T1", DONE, f"{said}/before", NOW)],
    )
    scope = Scope(Cadence.WEEKLY, Settings(environment="test"), NOW)
    assert _moved(database, scope, ["org"], period, NOW).keys() == changed


def test_trials_of_an_organisation_are_asked_for_together(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    period = Period(Cadence.WEEKLY, date(2026, 11, 16))
    then, later = period.start_at, NOW - timedelta(hours=2)
    database.documents.insert_many(
        {"_id": f"doc_{number}", "organisation": "org" if number % 2 else "other", "trial": f"T{number}",
         "received_at": then, "updated_at": later if number < 3 else then}
        for number in range(12)
    )  # fmt: skip
    results = [
        AssetResult("weekly/documents", period.key, f"T{number}", DONE, f"1@{then.isoformat()}/code", NOW)
        for number in range(12)
    ]
    save_results(database, results)
    asked: list[str] = []

    def counted(database: Database, organisation: str, *window: datetime) -> dict[str, Any]:
        asked.append(organisation)
        return newest_updates(database, organisation, *window)

    monkeypatch.setattr(restatement_sensor, "newest_updates", counted)
    scope = Scope(Cadence.WEEKLY, Settings(environment="test"), NOW)
    assert _moved(database, scope, ["org", "other"], period, NOW).keys() == {"T0", "T1", "T2"}
    assert asked == ["org", "other"]
    unknown = _moved(database, scope, [], period, NOW).keys()
    assert unknown == {"T0", "T1", "T2"}, "an organisation nobody knows of loses no document"


def test_a_file_that_came_out_the_same_is_told_to_nobody(database: Database) -> None:
    job = {"subscription": "sub_1", "period": "2026-11-16", "state": "pending"}
    database.jobs.insert_many(
        [{**job, "_id": "job_same", "restates": "a" * 64}, {**job, "_id": "job_usual", "occurrence": "x"}]
    )
    assert skip_unchanged(database, {("sub_1", "2026-11-16"): "b" * 64}, (), NOW) == 0
    assert skip_unchanged(database, {("sub_1", "2026-11-16"): "a" * 64}, (), NOW) == 1
    states = {one["_id"]: one["state"] for one in database.jobs.find()}
    assert states == {"job_same": "skipped", "job_usual": "pending"}


def test_what_changed_before_the_first_look_is_not_told() -> None:
    first_look = NOW
    assert _is_old(NOW - timedelta(days=90), first_look)
    assert not _is_old(NOW + timedelta(minutes=1), first_look)
    assert not _is_old(NOW, None)
    assert not _is_old(None, first_look)  # of documents that are gone no time is left
