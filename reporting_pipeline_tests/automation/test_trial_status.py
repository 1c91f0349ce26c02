"""`trial_status` through the real sensors: made where a report stands on it, whole, and again the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from reporting_pipeline.assets.scope import NEED_STATUS
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.reports.types import REPORT_TYPES
from reporting_pipeline.stores.datasets import load_dataset
from reporting_pipeline.stores.lifecycle import run_now
from reporting_pipeline.stores.subscriptions import get_subscription
from reporting_pipeline.stores.trials import trials_followed
from reporting_pipeline_tests.automation.crank import ORGANISATION, Crank, document, event, usual_documents
from reporting_pipeline_tests.reports.reading import page_texts


def test_the_types_that_stand_on_the_status_of_a_trial_are_named() -> None:
    assert {name for name, kind in REPORT_TYPES.items() if kind.needs_status} == NEED_STATUS


def test_a_review_stands_on_the_whole_trial_and_others_make_no_status(empty: Crank) -> None:
    period = empty.period()
    for trial in ("T-ALPHA", "T-BETA"):
        empty.add_trial(trial)
        empty.arrive(*usual_documents(trial, period))
    long_ago = period.start_at - timedelta(days=300)
    empty.arrive(document("T-ALPHA", "old", "adverse_event", long_ago, event("Gout")))
    empty.subscribe("review", Filters(trials=("T-ALPHA",)), report_type="medical_review")
    empty.subscribe("beta", Filters(trials=("T-BETA",)))
    empty.complete()
    assert empty.edition_state() == "completed"
    assert {job["state"] for job in empty.jobs().values()} == {"completed"}
    assert set(empty.results("trial_status")) == {"T-ALPHA"}
    status = load_dataset(empty.objects, empty.results("trial_status")["T-ALPHA"].detail["prefix"])
    assert "Gout" in set(status.tables["adverse_events"]["term"])
    assert "Gout" in "".join(page_texts(empty.report_bytes("sub_review")))
    before = {key: empty.objects.get(key) for key in empty.objects.keys("datasets/") if "/status-" in key}
    assert before
    assert empty.by_hand("trial_status", "T-ALPHA", force=True).success
    after = {key: empty.objects.get(key) for key in empty.objects.keys("datasets/") if "/status-" in key}
    assert after == before, "rebuilt to the byte"


def test_the_safety_board_s_edition_lies_apart(empty: Crank) -> None:
    empty.add_trial("T-ALPHA")
    empty.arrive(*usual_documents("T-ALPHA", empty.period()))
    empty.subscribe("board")
    empty.subscribe("monitor")
    board = {"$set": {"audience": Audience.SAFETY_BOARD.value}}
    empty.database.users.update_one({"_id": "usr_board"}, board)
    empty.complete()
    keys = {one["subscription"]: one["key"] for one in empty.database.reports.find()}
    assert "/unblinded/" in keys["sub_board"]
    assert "/unblinded/" not in keys["sub_monitor"]


def test_a_run_now_waits_for_what_changed_long_before_its_period(empty: Crank) -> None:
    period = empty.period()
    empty.add_trial("T-ALPHA")
    empty.arrive(*usual_documents("T-ALPHA", period))
    empty.subscribe("review", Filters(trials=("T-ALPHA",)), report_type="medical_review")
    empty.complete()
    assert "Gout" not in "".join(page_texts(empty.report_bytes("sub_review")))
    empty.clock.forward(minutes=5)
    long_ago = period.start_at - timedelta(days=300)
    empty.arrive(document("T-ALPHA", "old", "adverse_event", long_ago, event("Gout")))
    standing = get_subscription(empty.database, ORGANISATION, "sub_review")
    assert standing is not None
    run_now(empty.database, standing, period, "usr_review", empty.clock.at)
    asked = [request.job_name for request in empty.sensor("on_demand_sensor")]
    assert asked == ["weekly_trial_status_job"], "no report beside it, which would be made of the old one"
    empty.settle()
    assert "Gout" in "".join(page_texts(empty.report_bytes("sub_review")))


def test_a_broken_subscription_follows_nothing_and_stops_no_tick(empty: Crank) -> None:
    empty.add_trial("T-ALPHA")
    empty.subscribe("review", Filters(trials=("T-ALPHA",)), report_type="medical_review")
    standing = empty.database.subscriptions.find_one({"_id": "sub_review"}) or {}
    odd: list[dict[str, Any]] = [
        {"filters": ["T-BETA"], "organisation": 7},
        {"filters": {"trials": [{"a": 1}, None, "T-BETA"]}},
        {"filters": {"trials": "T-GAMMA"}},
        {"filters": None, "organisation": None},
    ]
    empty.database.subscriptions.insert_many(
        [standing | change | {"_id": f"sub_{number}"} for number, change in enumerate(odd)]
    )
    assert trials_followed(empty.database, "weekly", NEED_STATUS) == {"T-ALPHA", "T-BETA"}
