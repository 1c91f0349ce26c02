"""Scheduled reports over HTTP: preview equals execution, whole replacement, pause, run now, downloads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from reporting_pipeline.stores import audit
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.reports import reports_by_id, save_reports
from reporting_pipeline_tests.api.conftest import Api, weekly
from reporting_pipeline_tests.api.world import SUBSCRIPTION, populate
from reporting_pipeline_tests.waiting import PATIENCE

BODY: dict[str, Any] = {
    "name": "Safety",
    "description": "For the safety group",
    "report_type": "trial_activity",
    "schedule_config": {
        "cadence": "weekly",
        "time": "06:30",
        "timezone": "America/New_York",
        "day_of_week": 7,
        "business_days": "next",
        "holidays": "US",
    },
    "recipients": [
        {"type": "user", "value": "usr_default_manager"},
        {"type": "email", "value": "team@default.example"},
    ],
    "report_parameters": {"trials": ["T1", "T2"], "kinds": ["adverse_event"]},
    "output_format": "xlsx",
}
AGAIN = {"allow_duplicate": True}


def made(api: Api, **changed: Any) -> dict[str, Any]:
    answer = api.post("/api/scheduled-reports", json={**BODY, **AGAIN, **changed})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_it_is_the_same_subscription_in_both_vocabularies(manager: Api) -> None:
    report = made(manager)
    assert {name: report[name] for name in ("name", "description", "output_format", "recipients")} == {
        name: BODY[name] for name in ("name", "description", "output_format", "recipients")
    }
    assert report["report_parameters"]["trials"] == ["T1", "T2"]
    seen = manager.get(f"/api/subscriptions/{report['id']}").json()
    assert seen["reportType"] == "weekly"
    assert seen["schedule"]["businessDays"] == "next"
    assert seen["nextRun"] == report["next_run"]


def test_the_preview_is_what_is_executed(serve: Callable[..., Api]) -> None:
    """Across New York's change on 2026-11-01, on a fixed clock: the preview's first is the next run."""
    now = datetime(2026, 10, 30, 12, tzinfo=UTC)
    manager = serve(clock=lambda: now).as_("usr_default_manager")
    schedule = {"cadence": "daily", "time": "01:30", "timezone": "America/New_York"}
    preview = manager.post("/api/scheduled-reports/preview", json={"schedule_config": schedule}).json()
    shown = preview["occurrences"]
    assert [one["utc"] for one in shown[:3]] == [
        "2026-10-31T05:30:00Z",
        "2026-11-01T05:30:00Z",
        "2026-11-02T06:30:00Z",
    ]
    assert [one["clock_change"] for one in shown] == [False, False, True, False, False]
    assert shown[1]["moved"]
    assert "comes twice" in shown[1]["note"]
    assert shown[2]["local"] == "2026-11-02T01:30:00-05:00"
    assert made(manager, schedule_config=schedule)["next_run"] == shown[0]["utc"]


def test_a_short_month_is_said_in_the_preview(serve: Callable[..., Api]) -> None:
    manager = serve(clock=lambda: datetime(2027, 1, 31, 12, tzinfo=UTC)).as_("usr_default_manager")
    schedule = {"cadence": "monthly", "day_of_month": 31, "time": "07:00"}
    first = manager.post("/api/scheduled-reports/preview", json={"schedule_config": schedule}).json()
    assert first["occurrences"][0]["local_date"] == "2027-02-28"
    assert "28 days" in first["occurrences"][0]["note"]


def test_an_occurrence_that_never_happens_is_refused_when_saved(manager: Api) -> None:
    for expression in ("0 0 30 2 *", "*/5 * * * *", "* * * * *", "nonsense", "@reboot"):
        schedule = {"cadence": "cron", "cron_expression": expression}
        answer = manager.post("/api/scheduled-reports", json={**BODY, "schedule_config": schedule})
        assert answer.status_code == 422, expression
        assert answer.json()["errors"][0]["pointer"] == "#/schedule_config/cron_expression"


def test_put_replaces_all_and_respects_if_match(manager: Api) -> None:
    report = made(manager)
    path = f"/api/scheduled-reports/{report['id']}"
    slim = {name: BODY[name] for name in ("name", "schedule_config", "recipients")}
    replaced = manager.put(path, json=slim, headers={"If-Match": '"1"'})
    assert replaced.status_code == 200, replaced.text
    assert replaced.json()["description"] == ""
    assert replaced.json()["output_format"] == "pdf"
    assert replaced.json()["report_parameters"]["trials"] == []
    assert replaced.headers["ETag"] == '"2"'
    assert manager.put(path, json=slim, headers={"If-Match": '"1"'}).status_code == 412


def test_pause_takes_it_off_and_resume_puts_it_back(manager: Api, database: Database) -> None:
    path = f"/api/scheduled-reports/{made(manager)['id']}"
    paused = manager.post(f"{path}/pause").json()
    assert (paused["status"], paused["next_run"]) == ("paused", None)
    assert manager.post(f"{path}/pause").json()["version"] == paused["version"], "again changes nothing"
    assert manager.post(f"{path}/run").status_code == 409
    assert [one["id"] for one in manager.get("/api/scheduled-reports?status=paused").json()["items"]]
    assert manager.get("/api/scheduled-reports?status=active").json()["total"] == 0
    resumed = manager.post(f"{path}/resume").json()
    assert resumed["status"] == "active"
    assert resumed["next_run"] is not None


def test_a_pause_may_end_on_a_day_by_itself(serve: Callable[..., Api]) -> None:
    now = datetime(2026, 11, 24, 9, tzinfo=UTC)
    manager = serve(clock=lambda: now).as_("usr_default_manager")
    identifier = made(manager)["id"]
    path = f"/api/scheduled-reports/{identifier}"
    refused = manager.post(f"{path}/pause", json={"until": "2026-11-24"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "#/until"
    paused = manager.post(f"{path}/pause", json={"until": "2026-12-24"}).json()
    told = {name: paused[name] for name in ("status", "paused_until", "next_run", "is_active")}
    assert told == {"status": "paused", "paused_until": "2026-12-24", "next_run": None, "is_active": False}
    assert manager.get(f"/api/subscriptions/{identifier}").json()["pausedUntil"] == "2026-12-24"
    resumed = manager.post(f"{path}/resume").json()
    assert (resumed["status"], resumed["paused_until"]) == ("active", None)

    own = f"/api/subscriptions/{identifier}"
    for wrong in (
        {"pausedUntil": "2026-12-24"},
        {"status": "active", "pausedUntil": "2026-12-24"},
        {"status": "paused", "pausedUntil": "2026-11-24"},
    ):
        refused = manager.patch(own, json=wrong)
        assert refused.status_code == 422, wrong
        assert refused.json()["errors"][0]["pointer"] == "#/pausedUntil"
    asked = {"status": "paused", "pausedUntil": "2026-12-24"}
    assert {**manager.patch(own, json=asked).json(), **asked} == manager.get(own).json()
    assert manager.patch(own, json={"pausedUntil": None}).json()["pausedUntil"] is None
    assert manager.patch(own, json={"status": "active"}).json()["pausedUntil"] is None


def test_run_now_makes_one_job_ahead_of_the_batch(manager: Api, database: Database) -> None:
    path = f"/api/scheduled-reports/{made(manager)['id']}"
    planned = manager.get(f"{path}/executions").json()
    assert planned["total"] == 1  # there from the start; brought forward where it is due today anyway
    first, second = manager.post(f"{path}/run"), manager.post(f"{path}/run")
    assert (first.status_code, second.status_code) == (202, 409)
    assert second.json()["job"] == first.json()["id"]
    job = database.jobs.find_one({"_id": first.json()["id"]})
    assert job is not None
    assert (job["on_demand"], job["state"], job["requested_by"]) == (
        True,
        "pending",
        "usr_default_manager",
    )
    assert job["priority"] > 0
    assert job["due_at"] <= datetime.now(UTC)
    database.jobs.update_one({"_id": job["_id"]}, {"$set": {"state": "completed"}})
    assert manager.post(f"{path}/run").status_code == 202
    listed = manager.get(f"{path}/executions?page=1&limit=1").json()
    brought_forward = first.json()["id"] == planned["items"][0]["id"]
    assert (listed["total"], len(listed["items"]), listed["page"]) == (2 if brought_forward else 3, 1, 1)
    both = {manager.get(f"{path}/executions?page={n}&limit=1").json()["items"][0]["id"] for n in (1, 2)}
    assert len(both) == 2


def test_a_download_is_the_file_for_a_minute_and_is_in_the_log(
    api: Api, database: Database, objects: ObjectStore
) -> None:
    names = populate(database, objects)
    answer = api.as_("usr_default_subscriber").get(f"/api/report-executions/{names['job']}/download")
    assert answer.status_code == 307
    file = requests.get(answer.headers["Location"], timeout=PATIENCE)
    assert file.content == b"%PDF-1.7 world"
    assert file.headers["Content-Disposition"] == 'attachment; filename="world.pdf"'
    assert "X-Amz-Expires=60" in answer.headers["Location"]
    events = audit.events_of(database, "default", action="report.downloaded")
    assert [(event["actor"], event["subject"]) for event in events] == [
        ("usr_default_subscriber", names["report"])
    ]


def test_a_withdrawn_trial_is_not_downloaded_any_more(
    api: Api, database: Database, objects: ObjectStore
) -> None:
    names = populate(database, objects)
    database.users.update_one({"_id": "usr_default_subscriber"}, {"$set": {"trials": ["T2"]}})
    subscriber = api.as_("usr_default_subscriber")
    assert subscriber.get(f"/api/report-executions/{names['job']}/download").status_code == 404
    assert subscriber.get(f"/api/subscriptions/{names['subscription']}").status_code == 200


def test_numbered_pages_hold_each_once(manager: Api) -> None:
    for _ in range(5):
        manager.post("/api/subscriptions", json=weekly("usr_default_manager"))
    pages = [manager.get(f"/api/scheduled-reports?page={n}&limit=2").json() for n in (1, 2, 3, 4)]
    assert [len(page["items"]) for page in pages] == [2, 2, 1, 0]
    assert {page["total"] for page in pages} == {5}
    assert len({one["id"] for page in pages for one in page["items"]}) == 5


def test_the_next_run_moves_with_the_timezone(manager: Api) -> None:
    report = made(manager)
    schedule = {**BODY["schedule_config"], "timezone": "Asia/Tokyo"}
    moved = manager.put(
        f"/api/scheduled-reports/{report['id']}", json={**BODY, "schedule_config": schedule}
    ).json()
    before, after = (datetime.fromisoformat(one["next_run"]) for one in (report, moved))
    assert timedelta(hours=12) <= abs(before - after) <= timedelta(days=8)


def test_parameters_are_checked_by_the_type_when_saved_and_named(manager: Api) -> None:
    def options(report_type: str, **given: Any) -> requests.Response:
        parameters = {**BODY["report_parameters"], "options": given}
        body = {**BODY, "report_type": report_type, "report_parameters": parameters}
        return manager.post("/api/scheduled-reports", json=body)

    listing = {"table": "labs", "columns": ["subject", "value"], "where": {"flag": ["HIGH"]}}
    saved = options("data_listing", **listing)
    assert saved.status_code == 201, saved.text
    assert saved.json()["report_parameters"]["options"] == listing
    for report_type, given, pointer in (
        ("trial_activity", {"table": "labs"}, "#/report_parameters/options/table"),
        ("data_listing", {"table": "secrets"}, "#/report_parameters/options/table"),
        ("data_listing", {"columns": ["password"]}, "#/report_parameters/options"),
        ("safety_summary", {"attach": "perhaps"}, "#/report_parameters/options/attach"),
    ):
        answer = options(report_type, **given)
        assert answer.status_code == 422, (given, answer.text)
        assert answer.json()["errors"][0]["pointer"] == pointer


def test_another_type_keeps_the_parameters_it_knows_and_every_schema_is_told(manager: Api) -> None:
    parameters = {"options": {"table": "labs", "attach": True}}
    first = made(manager, report_type="data_listing", report_parameters=parameters)
    body = {**BODY, "report_type": "data_listing", "report_parameters": {"options": {"table": "nothing"}}}
    assert manager.put(f"/api/scheduled-reports/{first['id']}", json=body).status_code == 422
    items = {one["name"]: one for one in manager.get("/api/report-types").json()["items"]}
    assert items["data_listing"]["parameters"]["properties"]["table"]["default"] == "adverse_events"
    assert all(one["parameters"]["additionalProperties"] is False for one in items.values())
    assert "participant" in items["trial_activity"]["audiences"]


def test_executions_tell_whose_place_their_file_took_and_what_took_theirs(
    serve: Callable[..., Api], database: Database, objects: ObjectStore
) -> None:
    names = populate(database, objects)
    subscriber = serve().as_("usr_default_subscriber")

    def told() -> tuple[str | None, str | None]:
        one = subscriber.get(f"/api/scheduled-reports/{SUBSCRIPTION}/executions").json()["items"][0]
        return one["supersedes"], one["superseded_by"]

    assert told() == (None, None)
    database.jobs.update_one({"_id": names["job"]}, {"$set": {"restates": "a" * 64}})
    report = database.reports.find_one({"_id": names["report"]}) or {}
    kept = ("sha256", "key", "rendered_at", "data_as_of", "dataset_versions")
    anew = {
        "superseded": [{name: report[name] for name in kept}],
        "rendered_at": report["rendered_at"] + timedelta(hours=1),
        "sha256": "b" * 64,
    }
    database.reports.update_one({"_id": names["report"]}, {"$set": anew})
    assert told() == ("a" * 64, None), "drawn again from the same data"
    changed = {"dataset_versions": {"T1": "1" * 16}}
    database.reports.update_one({"_id": names["report"]}, {"$set": changed})
    assert told() == ("a" * 64, "b" * 64)
    skipped = {"state": "skipped", "rendered_at": None}
    database.jobs.update_one({"_id": names["job"]}, {"$set": skipped})
    assert told() == (None, None), "nothing changed for its reader: it has no file"


def test_a_run_that_was_asked_for_tells_whose_place_its_file_took_as_long_as_it_is_named(
    serve: Callable[..., Api], database: Database, objects: ObjectStore
) -> None:
    """It took in what came late by itself, and its file says so; no job was planned as a restatement."""
    names = populate(database, objects)
    subscriber = serve().as_("usr_default_subscriber")

    def told() -> tuple[str | None, str | None]:
        one = subscriber.get(f"/api/report-executions/{names['job']}").json()
        return one["supersedes"], one["superseded_by"]

    report = database.reports.find_one({"_id": names["report"]}) or {}
    before = {"sha256": "a" * 64, "rendered_at": report["rendered_at"], "dataset_versions": {"T1": "0" * 16}}
    database.reports.update_one({"_id": names["report"]}, {"$set": {"restates": before}})
    assert told() == ("a" * 64, None)
    stands = reports_by_id(database, [names["report"]])[names["report"]]
    later = report["rendered_at"] + timedelta(hours=1)
    save_reports(
        database,
        [
            replace(
                stands, sha256="b" * 64, rendered_at=later, dataset_versions={"T1": "1" * 16}, restates=None
            )
        ],
    )
    assert told() == ("a" * 64, "b" * 64), "what took its place does not take its word away"


def test_jobs_and_executions_name_the_report_whose_figures_can_be_traced(
    serve: Callable[..., Api], database: Database, objects: ObjectStore
) -> None:
    """A PDF has its id printed on it; whoever gets a table or JSON has it from here."""
    names = populate(database, objects)
    subscriber = serve().as_("usr_default_subscriber")
    for path in (f"/api/jobs/{names['job']}", f"/api/report-executions/{names['job']}"):
        assert subscriber.get(path).json()["report"] == names["report"]


def test_of_eight_equal_ones_at_once_one_is_made_and_the_others_name_it(
    manager: Api, database: Database
) -> None:
    body = {**BODY, "name": "Eight at once"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: manager.post("/api/scheduled-reports", json=body), range(8)))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    made = next(answer.json()["id"] for answer in answers if answer.status_code == 201)
    refused = {answer.json().get("existing") for answer in answers if answer.status_code == 409}
    assert refused == {made}
    assert database.subscriptions.count_documents({"name": "Eight at once"}) == 1
    counted = database.subscription_counts.find_one({"_id": "default"}) or {}
    assert counted["count"] == database.subscriptions.count_documents({"organisation": "default"})


def test_a_change_or_resumption_that_makes_two_alike_names_the_other(manager: Api) -> None:
    first = made(manager)
    assert first["existing"] is None
    body = {**BODY, "schedule_config": {**BODY["schedule_config"], "timezone": "Asia/Tokyo"}}
    other = made(manager, schedule_config=body["schedule_config"])
    path = f"/api/scheduled-reports/{other['id']}"
    assert manager.put(path, json=BODY).json()["existing"] == first["id"]
    zone = {"timezone": BODY["schedule_config"]["timezone"]}
    patched = manager.patch(f"/api/subscriptions/{other['id']}", json={"schedule": zone, "catchUp": "all"})
    assert patched.json()["existing"] == first["id"]
    assert manager.post(f"{path}/pause").json()["existing"] is None
    assert manager.post(f"{path}/resume").json()["existing"] == first["id"]
    assert manager.put(path, json=body).json()["existing"] is None
