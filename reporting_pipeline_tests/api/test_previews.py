"""What a draft would have given, as a file for who asks alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.tidying import tidy_documents
from reporting_pipeline.stores import documents
from reporting_pipeline.stores.datasets import save_dataset
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.results import AssetResult, save_results
from reporting_pipeline.usecases.callers import previewing
from reporting_pipeline.usecases.preview import PreviewedReport, preview_report
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.api.world import NOW, PERIOD
from reporting_pipeline_tests.one_document import ingest

BODY: dict[str, Any] = {
    "name": "Safety",
    "schedule_config": {"cadence": "weekly", "time": "06:30", "timezone": "UTC", "day_of_week": 1},
    "recipients": [{"type": "user", "value": "usr_default_subscriber"}],
    "report_parameters": {"trials": ["T1"]},
    "output_format": "csv",
}
PREVIEW = "/api/reports/preview"


def prepare(database: Database, objects: ObjectStore, trial: str, **detail: Any) -> None:
    """The trial's dataset of the newest closed week, without a row; `detail` of its result."""
    period = Period.from_key(Cadence.WEEKLY, PERIOD)
    tables = tidy_documents([], {}, period)
    prefix = save_dataset(
        objects, TrialDataset(trial, f"Trial {trial}", period, tables, "0" * 16, period.end_at)
    )
    made = AssetResult(
        *("weekly/trial_dataset", PERIOD, trial, "done", "v1", NOW),
        version="0" * 16,
        detail={"prefix": prefix, **detail},
    )
    save_results(database, [made])


def test_a_draft_gives_the_file_it_would_have_given_and_nothing_is_kept(
    serve: Callable[..., Api], database: Database, objects: ObjectStore
) -> None:
    subscriber = serve(clock=lambda: NOW).as_("usr_default_subscriber")
    none = subscriber.post(PREVIEW, json=BODY)
    assert none.status_code == 409
    assert "has been prepared yet" in none.json()["detail"]
    prepare(database, objects, "T1")
    shown = subscriber.post(PREVIEW, json=BODY)
    assert shown.status_code == 200, shown.text
    assert shown.headers["Content-Type"].startswith(("text/csv", "application/zip"))
    assert "attachment" in shown.headers["Content-Disposition"]
    assert shown.content
    assert database.subscriptions.count_documents({}) == database.jobs.count_documents({}) == 0
    assert database.reports.count_documents({}) == 0
    keyed = {"Idempotency-Key": "k"}
    for _ in range(2):  # a file is made again: nothing keeps it for whoever has lost the right
        again = subscriber.post(PREVIEW, json=BODY, headers=keyed)
        assert (again.status_code, "Idempotency-Replayed" in again.headers) == (200, False)
    assert database.idempotency.find_one({"body": {"$exists": True}}) is None


def test_a_preview_is_refused_as_the_subscription_would_be(serve: Callable[..., Api]) -> None:
    subscriber = serve(clock=lambda: NOW).as_("usr_default_subscriber")
    for changed, pointer in (
        ({"report_parameters": {"trials": ["X1"]}}, "#/report_parameters/trials/0"),
        ({"report_type": "nothing"}, "#/report_type"),
        ({"recipients": [{"type": "email", "value": "a@evil.example"}]}, "#/recipients/0/value"),
        ({"unknown": 1}, "#/unknown"),
    ):
        answer = subscriber.post(PREVIEW, json={**BODY, **changed})
        assert answer.status_code == 422, changed
        assert answer.json()["errors"][0]["pointer"] == pointer


def test_previews_are_limited_as_runs_of_now_are(serve: Callable[..., Api]) -> None:
    subscriber = serve(clock=lambda: NOW, run_now_per_hour=1).as_("usr_default_subscriber")
    assert subscriber.post(PREVIEW, json=BODY).status_code == 409
    assert subscriber.post(PREVIEW, json=BODY).status_code == 429


def arrive(database: Database, objects: ObjectStore, trial: str, received_at: datetime, **more: Any) -> str:
    """One serious adverse event of subject 1; the id of its document."""
    identifier = documents.document_id(trial, received_at.isoformat())
    record = {
        "_id": identifier,
        "organisation": "default",
        "trial": trial,
        "site": "701",
        "subject": "1",
        "kind": "adverse_event",
        "title": "Fall",
        "received_at": received_at,
        "data": {"term": "FALL", "serious": True},
        **more,
    }
    ingest(database, objects, record, b"a file" if "file" in more else None, NOW)
    return identifier


JSON = {**BODY, "output_format": "json"}
EARLY = f"{PREVIEW}?preliminary=true"


def test_the_period_that_is_still_open_is_reported_as_it_stands_and_says_so(
    serve: Callable[..., Api], database: Database, objects: ObjectStore
) -> None:
    arrive(database, objects, "T1", NOW - timedelta(days=2))  # in the week before
    arrive(database, objects, "T1", NOW - timedelta(hours=1))
    arrive(database, objects, "T1", NOW + timedelta(hours=1))  # not there yet
    api = serve(clock=lambda: NOW)
    shown = api.as_("usr_default_subscriber").post(EARLY, json=JSON)
    assert shown.status_code == 200, shown.text
    made = shown.json()
    assert made["preliminary_as_of"] == NOW.isoformat()
    assert made["figures"]["T1"]["serious_adverse_events"]["value"] == 1
    assert "preliminary" in shown.headers["Content-Disposition"]
    assert database.asset_results.count_documents({}) == database.reports.count_documents({}) == 0


def test_files_of_an_open_period_are_told_not_to_have_been_looked_at(
    serve: Callable[..., Api], database: Database, objects: ObjectStore
) -> None:
    arrive(database, objects, "T1", NOW - timedelta(hours=1), file={"name": "a.txt"})
    made = serve(clock=lambda: NOW).as_("usr_default_subscriber").post(EARLY, json=JSON).json()
    assert [one["part"] for one in made["omissions"]] == ["files"]


def test_more_than_can_be_read_at_once_is_refused_with_what_to_do(
    serve: Callable[..., Api], database: Database, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(database, objects, "T1", NOW - timedelta(hours=1))
    monkeypatch.setattr("reporting_pipeline.usecases.open_period.MOST_DOCUMENTS", 0)
    refused = serve(clock=lambda: NOW).as_("usr_default_subscriber").post(EARLY, json=JSON)
    assert (refused.status_code, "Choose fewer trials" in refused.json()["detail"]) == (409, True)


@pytest.mark.parametrize("policy", [{"release": "by_person"}, {"content_gate": "hold"}], ids=str)
def test_an_open_period_nobody_has_looked_at_is_shown_to_those_alone_who_may_release(
    serve: Callable[..., Api], database: Database, objects: ObjectStore, policy: dict[str, str]
) -> None:
    arrive(database, objects, "T1", NOW - timedelta(hours=1))
    database.organisations.update_one({"_id": "default"}, {"$set": policy})
    api = serve(clock=lambda: NOW)
    assert api.as_("usr_default_subscriber").post(EARLY, json=JSON).status_code == 409
    assert api.as_("usr_default_manager").post(EARLY, json=JSON).status_code == 200


UNUSUAL = {"concern": "total_fell", "trial": "T1", "said": "visits were 12 and are 3 now"}


@pytest.mark.parametrize(
    ("policy", "trials"),
    [
        ({"release": "by_person"}, ["T1"]),
        ({"content_gate": "hold"}, ["T1"]),
        ({"content_gate": "hold"}, ["T1", "T2"]),  # what it leaves out is out of the usual, too
    ],
    ids=str,
)
def test_what_would_wait_for_its_release_is_shown_to_those_alone_who_may_release(
    serve: Callable[..., Api],
    database: Database,
    objects: ObjectStore,
    policy: dict[str, str],
    trials: list[str],
) -> None:
    api = serve(clock=lambda: NOW)
    prepare(database, objects, "T1", unusual=[UNUSUAL] if trials == ["T1"] else [])
    database.organisations.update_one({"_id": "default"}, {"$set": policy})
    body = {**BODY, "report_parameters": {"trials": trials}}
    refused = api.as_("usr_default_subscriber").post(PREVIEW, json=body)
    assert refused.status_code == 409
    assert "waits until somebody" in refused.json()["detail"]
    assert api.as_("usr_default_manager").post(PREVIEW, json=body).status_code == 200


def test_the_file_itself_says_which_trial_it_leaves_out(
    serve: Callable[..., Api], database: Database, objects: ObjectStore
) -> None:
    prepare(database, objects, "T1")
    body = {**BODY, "report_parameters": {"trials": ["T1", "T2"]}, "output_format": "json"}
    shown = serve(clock=lambda: NOW).as_("usr_default_subscriber").post(PREVIEW, json=body)
    assert [one["trial"] for one in shown.json()["omissions"]] == ["T2"]


def test_a_large_file_is_read_to_its_end(
    serve: Callable[..., Api], database: Database, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(database, objects, "T1")
    monkeypatch.setattr("reporting_pipeline.reports.renderer.KEPT_IN_MEMORY", 0)
    shown = serve(clock=lambda: NOW).as_("usr_default_subscriber").post(PREVIEW, json=BODY)
    assert shown.status_code == 200
    assert shown.content


def test_a_right_that_ends_while_it_is_made_gives_no_file(
    serve: Callable[..., Api], database: Database, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawing a report takes seconds."""
    prepare(database, objects, "T1")

    def withdrawn_meanwhile(*given: Any, **named: Any) -> PreviewedReport:
        made = preview_report(*given, **named)
        database.users.update_one({"_id": "usr_default_subscriber"}, {"$set": {"trials": []}})
        return made

    monkeypatch.setattr(previewing, "preview_report", withdrawn_meanwhile)
    refused = serve(clock=lambda: NOW).as_("usr_default_subscriber").post(PREVIEW, json=BODY)
    assert refused.status_code == 403
    assert "changed while the report was made" in refused.json()["detail"]


def test_a_preview_says_that_the_report_would_have_too_many_rows(
    serve: Callable[..., Api], database: Database, objects: ObjectStore
) -> None:
    prepare(database, objects, "T1")
    database.organisations.update_one({"_id": "default"}, {"$set": {"report_rows": 1}})
    subscriber = serve(clock=lambda: NOW).as_("usr_default_subscriber")
    refused = subscriber.post(PREVIEW, json=BODY)
    assert refused.status_code == 409
    assert "allows 1: select fewer trials" in refused.json()["detail"]
    shown = subscriber.post(PREVIEW, json={**BODY, "output_format": "pdf"})
    assert shown.status_code == 200, "pages have limits of their own"
