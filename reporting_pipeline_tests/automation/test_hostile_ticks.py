"""No tick dies of one record: whatever stands in the database, in a cursor or in the event log, the others
get their reports, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from bson import ObjectId
from dagster import AssetKey, AssetMaterialization

from reporting_pipeline.automation.report_email_sensor import _read_cursor
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.partitions import TrialPartition
from reporting_pipeline.stores.documents import MAX_FILE_BYTES, document_id
from reporting_pipeline.stores.editions import get_edition, open_edition
from reporting_pipeline.stores.lifecycle import end_whatever_stands, run_now
from reporting_pipeline.stores.subscriptions import get_subscription
from reporting_pipeline_tests.automation.crank import ORGANISATION, SENSORS, Crank, usual_documents

SEED = 20261125
ENDED = ("completed", "failed", "skipped")
HOSTILE_IDS = ("TRIAL 01", "Étude-1", "A/B", "a|b,c", "...", "\u202e\n", "x" * 300)
ODD: tuple[Any, ...] = (
    None,
    "",
    7,
    -1.5,
    True,
    "\x00",
    "é" * 50,
    [],
    {},
    [[["x"]]],
    {"$set": {"a": 1}},
    float("nan"),
    float("inf"),
)


def test_trials_of_any_id_are_reported_on_and_hold_up_nobody(crank: Crank) -> None:
    for trial in HOSTILE_IDS:
        crank.database.trials.insert_one({"_id": trial, "organisation": ORGANISATION, "title": trial[:20]})
    crank.complete()
    assert crank.edition_state() == "completed"
    made = crank.results("trial_dataset")
    assert {trial for trial in HOSTILE_IDS if trial in made} == set(HOSTILE_IDS) - {"x" * 300}
    assert len(crank.mailed()) == len(set(crank.mailed())) == len(crank.jobs())
    for trial in ("TRIAL 01", "A/B"):
        assert "~" in str(TrialPartition(crank.period(), trial).key)


def test_a_thousand_records_that_nobody_should_have_written_fail_no_trial_and_no_tick(crank: Crank) -> None:
    rng = Random(SEED)
    at = crank.period().start_at + timedelta(hours=1)
    crank.database.documents.insert_many([_hostile_document(rng, n, at) for n in range(700)])
    crank.database.subscriptions.insert_many([_hostile_subscription(rng, n, at) for n in range(150)])
    crank.database.jobs.insert_many([_hostile_job(rng, n, crank.edition()) for n in range(100)])
    crank.database.editions.insert_many([_hostile_edition(rng, n) for n in range(50)])
    crank.open()
    for _ in range(4):
        crank.tick()
    fetched = crank.results("documents")
    assert {trial: one.reason for trial, one in fetched.items() if not one.done} == {}
    mailed = crank.mailed()
    assert len(mailed) == len(set(mailed))
    assert {f"{name}@example.org" for name in ("alpha", "alpha2", "gamma")} <= set(mailed)


def test_records_inserted_by_hand_whose_ids_are_no_text_fail_no_trial_and_no_tick(crank: Crank) -> None:
    """The ids that a database gives by itself."""
    at = crank.period().start_at + timedelta(hours=1)
    rng = Random(SEED)
    for number, identifier in enumerate((ObjectId(), ObjectId(), 7, True)):
        document = _hostile_document(rng, number, at) | {"_id": identifier}
        document["file"] = {"key": "nowhere", "name": "x.pdf", "sha256": "0" * 64, "size": 1}
        crank.database.documents.insert_one(document)
        crank.database.subscriptions.insert_one(_hostile_subscription(rng, number, at) | {"_id": identifier})
        crank.database.trials.insert_one({"_id": identifier, "organisation": ORGANISATION})
    crank.open()
    for _ in range(4):
        crank.tick()
    assert {trial: one.reason for trial, one in crank.results("documents").items() if not one.done} == {}
    assert {f"{name}@example.org" for name in ("all", "alpha", "beta", "gamma")} <= set(crank.mailed())


def test_jobs_of_living_readers_that_somebody_broke_by_hand_end_and_take_nobody_elses_report(
    crank: Crank,
) -> None:
    crank.open()
    crank.sensor("subscription_sync")
    rng, whole = Random(SEED), crank.jobs()["sub_beta"]
    names = ("subscription", "period", "created_at", "asked_at", "trace", "due_at", "owner", "organisation")
    broken = []
    for name in names:
        for on_demand in (False, True):
            job = {**whole, "occurrence": f"broken {name} {on_demand}", "on_demand": on_demand}
            broken.append(job | {name: rng.choice((7, [], {}, [["x"]])), "_id": f"job_{name}_{on_demand}"})
    crank.database.jobs.insert_many(broken)
    standing = crank.subscription("gamma")
    asked = run_now(crank.database, standing, crank.period(), "usr_gamma", crank.clock.at)
    crank.settle()
    jobs = crank.jobs_by_id()
    assert jobs[asked["_id"]]["state"] == "completed"
    left = {one["_id"] for one in broken if jobs[one["_id"]]["state"] not in ENDED}
    assert left == set(), "a job always ends"
    told = [str(jobs[f"job_{name}_{also}"]["error"]) for name in names[:2] for also in (False, True)]
    assert all("broken by hand" in error for error in told)
    crank.sensor("absence_alarm")
    mailed = crank.mailed()
    assert {f"{name}@example.org" for name in ("all", "alpha", "alpha2", "gamma", "events")} <= set(mailed)


def _hostile_document(rng: Random, number: int, at: datetime) -> dict[str, Any]:
    odd = rng.choice
    record: dict[str, Any] = {
        "_id": f"doc_hostile{number}",
        "organisation": ORGANISATION,
        "trial": "T-BETA",
        "site": odd(ODD),
        "subject": odd(ODD),
        "kind": odd((*ODD, "lab", "adverse_event")),
        "title": odd(ODD),
        "received_at": at + timedelta(seconds=number),
        "updated_at": odd((*ODD, at)),
        "data": odd((*ODD, {"results": odd(ODD)})),
        "file": odd(
            (
                None,
                "a text",
                {},
                {"key": odd(ODD), "name": odd(ODD), "sha256": odd(ODD), "size": odd(ODD)},
                {"key": "nowhere", "name": "x.pdf", "sha256": "0" * 64, "size": MAX_FILE_BYTES + 1},
            )
        ),
    }
    for name in rng.sample(
        ["kind", "updated_at", "data", "site", "subject", "title", "file"], rng.randrange(3)
    ):
        del record[name]
    return record


def _hostile_subscription(rng: Random, number: int, at: datetime) -> dict[str, Any]:
    return {
        "_id": rng.choice((f"sub_hostile{number}", f"no key | {number}")),
        "organisation": ORGANISATION,
        "owner": rng.choice(("usr_nobody", None, 7)),
        "name": rng.choice(ODD),
        "status": "active",
        "window": rng.choice(("weekly", "daily")),
        "schedule": rng.choice(ODD),
        "next_due_at": at,
        "created_at": at,
        "updated_at": at,
        "version": 1,
    }


def _hostile_job(rng: Random, number: int, edition: str) -> dict[str, Any]:
    return {
        "_id": f"job_hostile{number}",
        "edition": rng.choice((edition, "weekly:0-is-no-date", "weekly:1999-01-04", "never:2026-11-16", "")),
        "cadence": "weekly",
        "subscription": f"sub_nobody{number}",
        "organisation": ORGANISATION,
        "period": "2026-11-16",
        "occurrence": str(number),
        "due_at": datetime(2026, 1, 1, tzinfo=UTC),
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "on_demand": True,
        "state": "pending",
    }


def _hostile_edition(rng: Random, number: int) -> dict[str, Any]:
    return {
        "_id": f"weekly:hostile{number}",
        "cadence": "weekly",
        "period": rng.choice((f"0-is-no-date{number}", f"period {number}")),
        "state": "open",
        "opened_at": rng.choice((None, "yesterday", datetime(2026, 1, 1, tzinfo=UTC))),
        "opened_by": rng.choice((7, "schedule")),
    }


def test_what_a_hand_took_from_every_look_ends_with_the_field_that_is_wrong(crank: Crank) -> None:
    crank.complete()
    mailed, jobs = crank.mailed(), crank.jobs()
    unmade, unsent = jobs["sub_alpha"]["_id"], jobs["sub_gamma"]["_id"]
    crank.database.deliveries.delete_many({"job": unmade})
    never = {"state": "delivering", "rendered_at": None, "deliveries_planned": None}
    crank.database["jobs"].update_one({"_id": unmade}, {"$set": never})
    crank.database["jobs"].update_one({"_id": unsent}, {"$set": {"state": "delivering"}})
    crank.database.deliveries.update_one({"job": unsent}, {"$set": {"state": "pending", "cadence": "weekl"}})
    crank.clock.forward(minutes=3)
    crank.settle()
    after = crank.jobs_by_id()
    assert {after[one]["state"] for one in (unmade, unsent)} == {"failed"}
    assert "rendered_at is not a time" in after[unmade]["error"]
    assert "cadence is none that there is" in after[unsent]["error"]
    assert {job["state"] for one, job in after.items() if one not in (unmade, unsent)} == {"completed"}
    assert crank.mailed() == mailed, "and nobody is mailed again"


@pytest.mark.parametrize(
    "cursor",
    [
        '{"weekly": 1e999, "swept": 1e999}',
        '{"weekly": -1e999, "swept": NaN}',
        '{"weekly": 4611686018427387000, "swept": 99999999999}',
        "2999-01-01T00:00:00+00:00 2999-01-01T00:00:00+00:00",
        "2999-01-01T00:00:00+00:00",
        "[" * 100_000,
        "9999-12-31T23:59:59-14:00 9999-12-31T23:59:59-14:00",
    ],
)
def test_a_cursor_set_by_hand_neither_stops_a_tick_nor_silences_one(crank: Crank, cursor: str) -> None:
    for name in SENSORS:
        crank.cursors[name] = cursor
    crank.complete()
    assert crank.edition_state() == "completed"
    assert len(crank.mailed()) == len(crank.jobs())


@pytest.mark.parametrize("text", ['{"weekly": 1e999}', '{"swept": 1e18}', '{"weekly": -1}', '{"swept": NaN}'])
def test_a_position_that_no_database_counts_to_is_none(text: str) -> None:
    assert _read_cursor(text, datetime(2026, 11, 23, tzinfo=UTC)) == {}


def test_a_materialization_that_somebody_else_reported_stops_no_mail(crank: Crank) -> None:
    for key in ("not ours", "2026-11-16|a|b", "nonsense|sub_1", "", "2026-11-17|sub_alpha"):
        crank.instance.report_runless_asset_event(
            AssetMaterialization(AssetKey(["weekly", "subscriber_reports"]), partition=key or None)
        )
    crank.complete()
    assert len(crank.mailed()) == len(crank.jobs())


def test_an_edition_older_than_what_is_kept_is_closed_with_its_reason_and_asks_for_nothing(
    crank: Crank,
) -> None:
    open_edition(crank.database, Cadence.WEEKLY, "2020-01-06", "by hand", crank.clock.at)
    assert crank.sensor("edition_sensor") == []
    edition = get_edition(crank.database, "weekly:2020-01-06")
    assert edition.state.value == "failed"
    assert "kept" in edition.reason


def test_fifty_dead_wishes_starve_nobody_and_end_with_their_reason(crank: Crank) -> None:
    crank.complete()
    job = crank.jobs()["sub_alpha"]
    dead = [
        {**job, "_id": f"job_dead{n}", "occurrence": f"dead-{n}", "subscription": f"sub_dead{n}"}
        for n in range(60)
    ]
    for each in dead:
        each |= {"state": "pending", "on_demand": True, "due_at": crank.clock.at - timedelta(days=1)}
    crank.database.jobs.insert_many(dead)
    standing = get_subscription(crank.database, ORGANISATION, "sub_gamma")
    assert standing is not None
    asked = run_now(crank.database, standing, crank.period(), "usr_gamma", crank.clock.at)
    crank.settle()
    ended = crank.jobs_by_id()
    assert ended[asked["_id"]]["state"] == "completed"
    assert {ended[one["_id"]]["error"] for one in dead} == {"the subscription does not exist any more"}


def test_a_job_whose_subscription_left_by_mail_keeps_no_edition_open(crank: Crank) -> None:
    crank.open()
    crank.sensor("subscription_sync")
    crank.database.subscriptions.update_one({"_id": "sub_beta"}, {"$set": {"status": "ended"}})  # raced by
    crank.settle()
    assert crank.edition_state() == "completed"
    assert crank.jobs()["sub_beta"]["error"] in ("the subscription was ended", "the subscription has ended")
    end_whatever_stands(crank.database, ["sub_beta"], "unsubscribed", crank.clock.at)
    assert "beta@example.org" not in crank.mailed()


def test_a_run_now_takes_in_what_arrived_since_the_snapshot(crank: Crank) -> None:
    crank.complete()
    crank.clock.forward(minutes=5)
    late = usual_documents("T-ALPHA", crank.period())[1] | {"_id": document_id("T-ALPHA", "late")}
    crank.arrive(late)
    before = crank.results("documents")["T-ALPHA"].version
    standing = get_subscription(crank.database, ORGANISATION, "sub_alpha")
    assert standing is not None
    run_now(crank.database, standing, crank.period(), "usr_alpha", crank.clock.at)
    crank.forget()
    crank.settle()
    assert crank.results("documents")["T-ALPHA"].version != before
    fetched = [span for job, span, _ in crank.ran if job == "weekly_documents_job"]
    assert len(fetched) == 1, "its own trial, once"
    assert "T-BETA" not in fetched[0]
