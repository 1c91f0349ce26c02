"""Reports that wait for a person: nobody gets them before, everybody once after; no edition stays open."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import pytest

from reporting_pipeline.assets.datasets import CONTENT_CHECKS
from reporting_pipeline.automation.report_email_sensor import SWEEP_EVERY
from reporting_pipeline.delivery.links.verification import Standing, verify_code
from reporting_pipeline.domain.access import User
from reporting_pipeline.domain.content_gate import AWAITED_AT_MOST, Concern, ContentShape
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.stores import lifecycle
from reporting_pipeline.stores.lifecycle import run_now
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.stores.releases import DecidedAlready
from reporting_pipeline.stores.reports import StoredReport, reports_by_id, went_out
from reporting_pipeline.usecases.releasing import (
    NotReleasable,
    SignInAgain,
    refuse,
    release,
)
from reporting_pipeline_tests.automation.crank import ORGANISATION, Crank, document, event, usual_documents

BOSS = User(id="usr_boss", organisation=ORGANISATION, roles=frozenset({"manager"}), name="Ada Boss")
ALPHA = Filters(trials=("T-ALPHA",))


@pytest.fixture
def awaiting(empty: Crank) -> Crank:
    """An organisation that releases each report; two subscriptions, one of which waits for no one else."""
    organisation(empty, release="by_person")
    empty.add_trial("T-ALPHA")
    empty.arrive(*usual_documents("T-ALPHA", empty.period()))
    empty.subscribe("one", ALPHA)
    empty.subscribe("two", ALPHA)
    empty.complete()
    return empty


def organisation(crank: Crank, **policies: str) -> None:
    record = {"_id": ORGANISATION, "name": "Default", **policies}
    crank.database.organisations.replace_one({"_id": ORGANISATION}, record, upsert=True)


def waiting(crank: Crank, name: str) -> tuple[JobRecord, StoredReport]:
    job = cast("JobRecord", crank.jobs()[f"sub_{name}"])
    return job, reports_by_id(crank.database, [job["report"]])[job["report"]]


def let_go(crank: Crank, name: str, person: User = BOSS, minutes_ago: float = 1) -> Record:
    job, report = waiting(crank, name)
    signed_in = crank.clock.at - timedelta(minutes=minutes_ago)
    now = crank.clock.at
    return release(crank.database, job, report, person, signed_in, "approval", "Looked at it", now)


def test_nobody_gets_what_nobody_released_and_everybody_once_what_was(awaiting: Crank) -> None:
    assert {job["state"] for job in awaiting.jobs().values()} == {"awaiting_release"}
    assert awaiting.mailed() == []
    assert awaiting.edition_state() == "completed", "it waits for nobody"
    owner = User(id="usr_one", organisation=ORGANISATION, roles=frozenset({"manager"}))
    with pytest.raises(NotReleasable, match="second person"):
        let_go(awaiting, "one", owner)
    with pytest.raises(SignInAgain, match="sign in again"):
        let_go(awaiting, "one", minutes_ago=11)
    decision = let_go(awaiting, "one")
    assert (decision["name"], decision["meaning"]) == ("Ada Boss", "approval")
    awaiting.settle()
    assert awaiting.mailed() == ["one@example.org"]
    assert "Ada Boss (approval)" in awaiting.mails()[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    row = awaiting.database.audit.find_one({"action": "release.given"})
    assert row is not None
    assert (row["actor"], row["details"]["sha256"]) == ("usr_boss", decision["sha256"])
    # The same file again was released already, and its mail went out once.
    assert awaiting.by_hand("subscriber_reports", "sub_one", force=True).success
    awaiting.settle()
    assert awaiting.mailed() == ["one@example.org"]
    assert waiting(awaiting, "one")[1].released is not None
    _a_refusal_ends_it(awaiting)


def _a_refusal_ends_it(awaiting: Crank) -> None:
    job, report = waiting(awaiting, "two")
    now = awaiting.clock.at
    refuse(awaiting.database, job, report, BOSS, now, "A test file", now)
    awaiting.settle()
    job, report = waiting(awaiting, "two")
    assert (job["state"], job["error"]) == ("skipped", "its release was refused: A test file")
    found = verify_code(awaiting.database, report.code)
    assert found is not None
    assert found.standing is Standing.REVOKED
    with pytest.raises(NotReleasable):
        let_go(awaiting, "two")
    # Nor does a looser policy send the very file that was refused.
    organisation(awaiting, release="automatic")
    run_now(awaiting.database, awaiting.subscription("two"), awaiting.period(), "usr_two", awaiting.clock.at)
    awaiting.settle()
    again = reports_by_id(awaiting.database, [report.id])[report.id]
    assert (again.sha256, bool(again.awaiting_release)) == (report.sha256, True)
    assert {one["state"] for one in awaiting.database.jobs.find({"subscription": "sub_two"})} == {"skipped"}
    assert awaiting.mailed() == ["one@example.org"]


def test_a_pause_loosens_nothing_and_what_is_forgotten_ends(awaiting: Crank) -> None:
    one = awaiting.subscription("one")
    lifecycle.pause(awaiting.database, ORGANISATION, one.id, awaiting.clock.at)
    lifecycle.resume(awaiting.database, ORGANISATION, one.id, awaiting.clock.at, "UTC")
    awaiting.settle()
    assert awaiting.jobs()["sub_one"]["state"] in ("awaiting_release", "skipped")
    assert awaiting.mailed() == []
    awaiting.clock.at += AWAITED_AT_MOST + SWEEP_EVERY + timedelta(minutes=1)
    awaiting.sensor("report_email_sensor")
    forgotten = awaiting.database.jobs.find_one(
        {"subscription": "sub_two", "period": period_awaiting(awaiting)}
    )
    assert forgotten is not None
    assert (forgotten["state"], forgotten["skipped_for"]) == ("skipped", "refused")
    assert "nobody released it" in forgotten["error"]


def test_who_asked_for_one_of_its_jobs_releases_none_of_them(awaiting: Crank) -> None:
    run_now(awaiting.database, awaiting.subscription("one"), awaiting.period(), BOSS.id, awaiting.clock.at)
    awaiting.settle()
    scheduled = awaiting.database.jobs.find_one({"subscription": "sub_one", "requested_by": {"$ne": BOSS.id}})
    assert scheduled is not None
    report = reports_by_id(awaiting.database, [scheduled["report"]])[scheduled["report"]]
    now = awaiting.clock.at
    with pytest.raises(NotReleasable, match="second person"):
        release(awaiting.database, scheduled, report, BOSS, now, "approval", "Looked at it", now)  # type: ignore[arg-type]


def test_what_was_sent_stays_open_while_its_correction_waits(empty: Crank) -> None:
    empty.add_trial("T-ALPHA")
    empty.arrive(*usual_documents("T-ALPHA", empty.period()))
    empty.subscribe("one", ALPHA)
    empty.complete()
    _, sent = waiting(empty, "one")
    organisation(empty, release="by_person")
    at = empty.period().start_at + timedelta(days=1)
    empty.arrive(document("T-ALPHA", "late", "adverse_event", at, event("Syncope", serious=True)))
    run_now(empty.database, empty.subscription("one"), empty.period(), "usr_one", empty.clock.at)
    empty.settle()
    again = reports_by_id(empty.database, [sent.id])[sent.id]
    before = went_out(again)
    assert again.awaiting_release
    assert before is not None
    assert (before.sha256, before.key, before.awaiting_release) == (sent.sha256, sent.key, ())
    found = verify_code(empty.database, sent.code)
    assert found is not None
    assert found.standing is Standing.GENUINE, "what waits took nobody's place"


@pytest.mark.parametrize("force", [False, True])
def test_what_was_sent_is_not_taken_back_when_it_is_confirmed_under_a_stricter_policy(
    empty: Crank, force: bool
) -> None:
    organisation(empty)
    empty.add_trial("T-ALPHA")
    empty.arrive(*usual_documents("T-ALPHA", empty.period()))
    empty.subscribe("one", ALPHA)
    empty.complete()
    _, sent = waiting(empty, "one")
    organisation(empty, release="by_person")
    assert empty.by_hand("subscriber_reports", "sub_one", force=force).success
    job, again = waiting(empty, "one")
    assert (job["state"], again.sha256, list(again.awaiting_release)) == ("completed", sent.sha256, [])
    empty.settle()
    assert empty.mailed() == ["one@example.org"]


def period_awaiting(awaiting: Crank) -> str:
    first = awaiting.database.jobs.find_one({"subscription": "sub_two"}, sort=[("created_at", 1)])
    assert first is not None
    return str(first["period"])


def test_two_who_decide_at_once_decide_once(awaiting: Crank) -> None:
    job, report = waiting(awaiting, "one")
    now = awaiting.clock.at
    release(awaiting.database, job, report, BOSS, now, "approval", "Looked at it", now)
    other = User(id="usr_other", organisation=ORGANISATION, roles=frozenset({"manager"}), name="Bob")
    with pytest.raises(DecidedAlready):
        refuse(awaiting.database, job, report, other, now, "I disagree", now)
    assert awaiting.jobs()["sub_one"]["state"] == "delivering"


def test_data_out_of_the_usual_holds_where_asked_is_told_else_and_fails_its_check(empty: Crank) -> None:
    organisation(empty, content_gate="notice")
    empty.add_trial("T-ALPHA")
    empty.arrive(*usual_documents("T-ALPHA", empty.period()))
    empty.subscribe("told", ALPHA)
    empty.subscribe("careful", ALPHA, parameters={"content_gate": "hold"})
    period = empty.period().previous()
    shape = ContentShape({"adverse_events": 40.0}, {}, {}, {}).record()
    empty.database.asset_results.insert_one(
        {
            "_id": f"weekly/trial_dataset/{period.key}|T-ALPHA",
            "asset": "weekly/trial_dataset",
            "period": period.key,
            "item": "T-ALPHA",
            "state": "done",
            "input_version": "x",
            "version": "x",
            "detail": {"shape": shape},
            "metadata": {},
            "reason": "",
            "permanent": False,
            "attempts": 1,
            "run_id": "",
            "at": period.end_at,
        }
    )
    empty.complete()
    assert empty.mailed() == ["told@example.org"]
    text = empty.mails()[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "T-ALPHA: a total of the period before is lower than it was reported" in text
    assert "40" not in text.partition("Look twice")[2].partition("The link")[0], "no figure in a mail"
    job, _ = waiting(empty, "careful")
    assert job["state"] == "awaiting_release"
    asked = job["awaiting_release"]
    assert asked is not None
    assert [one["concern"] for one in asked["reasons"]] == [Concern.FELL.value]
    check = empty.check("trial_dataset", CONTENT_CHECKS[Concern.FELL])
    assert check is not None
    assert not check.passed
    passed = empty.check("trial_dataset", CONTENT_CHECKS[Concern.EMPTY])
    assert passed is not None
    assert passed.passed
