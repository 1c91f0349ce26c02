"""The contract as its first readers wrote it: their bodies are taken, their answers are in ours.

Each case is named by where it was asked for: `001` automated reports, `002` and `003` architecture and
worker flow, `004` scheduled reports; then the line.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reporting_pipeline.domain.entitlements import ALL, Entitlements
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.stores import users
from reporting_pipeline.stores.documents import upsert_trial
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.registrations import register
from reporting_pipeline.stores.results import AssetResult, results_of, save_results
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.api.world import EDITION, FILE, NOW, OWNER, REGISTERED, populate

SUBSCRIPTION = {
    "userId": "123456",
    "reportType": "weekly",
    "filters": {"dateRange": "last_week", "fileTypes": ["pdf", "jpg"]},
}
SCHEDULED: dict[str, Any] = {
    "name": "Weekly",
    "report_type": "trial_activity",
    "schedule_config": {
        "cadence": "weekly",
        "time": "09:00",
        "timezone": "America/New_York",
        "day_of_week": 1,
    },
    "recipients": [{"type": "user_id", "value": "usr_default_manager"}],
    "report_parameters": {},
    "output_format": "pdf",
}
#: where it was asked for -> member of an answer
OF_A_SCHEDULED_REPORT = {
    "004:33": "id",
    "004:34": "user_id",
    "004:35": "organization_id",
    "004:36": "report_type",
    "004:37": "name",
    "004:38": "description",
    "004:39": "schedule_config",
    "004:46": "recipients",
    "004:49": "report_parameters",
    "004:50": "output_format",
    "004:51": "is_active",
    "004:52": "last_run_at",
    "004:53": "next_run_at",
    "004:54": "created_at",
    "004:55": "updated_at",
    "004:56": "created_by",
}
OF_AN_EXECUTION = {
    "004:61": "id",
    "004:62": "scheduled_report_id",
    "004:63": "status",
    "004:64": "started_at",
    "004:65": "completed_at",
    "004:66": "error_message",
    "004:67": "file_url",
    "004:68": "file_size",
    "004:69": "execution_time_ms",
    "004:70": "retry_count",
    "004:71": "metadata",
    "002:177": "generation_status",
    "002:178": "download_url",
    "002:228": "deliveries",
}
OF_A_DELIVERY = {
    "004:76": "id",
    "004:77": "report_execution_id",
    "004:78": "recipient_type",
    "004:79": "recipient_value",
    "004:80": "status",
    "004:81": "delivered_at",
    "004:82": "error_message",
    "004:83": "metadata",
    "002:228": "sent_at",
    "002:450": "delivered_at",
}
OF_A_JOB = {
    "001:127": "jobId",
    "001:128": "subscriptionId",
    "001:129": "status",
    "001:130": "createdAt",
    "001:131": "completedAt",
    "001:132": "reportUrl",
    "001:133": "error",
}


@pytest.fixture
def own_id(database: Database, api: Api) -> Api:
    """As the person whose id is the deployment's own."""
    users.create_user(
        database,
        "default",
        "p123456@default.example",
        datetime.now(UTC),
        name="P",
        roles=["subscriber"],
        entitlements=Entitlements(ALL),
        user_id="123456",
    )
    return api.as_("123456")


def test_001_97_a_deployments_own_user_id_subscribes(own_id: Api) -> None:
    answer = own_id.post("/api/subscriptions", json=SUBSCRIPTION)
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "active"
    assert answer.json()["filters"]["fileTypes"] == ["pdf", "jpg"]
    # 000:8, 001:64: the job is there with the subscription.
    jobs = own_id.get(f"/api/subscriptions/{answer.json()['subscriptionId']}/jobs").json()["items"]
    assert jobs
    assert jobs[0]["status"] == "pending"


def test_001_97_such_a_user_is_made_and_read_by_the_api(manager: Api) -> None:
    person = {"name": "P", "email": "p@default.example", "roles": ["subscriber"], "trials": "all"}
    assert manager.put("/api/users/123456", json=person).status_code == 201
    assert manager.get("/api/users/123456").json()["id"] == "123456"
    assert manager.put("/api/users/schedule", json=person).status_code == 422
    assert manager.put("/api/users/a..b", json=person).status_code == 422


@pytest.mark.parametrize(("asked", "name"), OF_A_SCHEDULED_REPORT.items())
def test_a_scheduled_report_says(asked: str, name: str, scheduled: dict[str, Any]) -> None:
    assert name in scheduled, asked


@pytest.fixture
def scheduled(manager: Api) -> dict[str, Any]:
    answer = manager.post("/api/scheduled-reports", json=SCHEDULED)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_004_47_the_third_vocabularys_recipients_are_ours(manager: Api, scheduled: dict[str, Any]) -> None:
    assert scheduled["recipients"] == [{"type": "user", "value": "usr_default_manager"}]
    assert scheduled["created_by"] == scheduled["user_id"] == "usr_default_manager"
    assert scheduled["organization_id"] == "default"
    assert scheduled["is_active"] is True
    paused = manager.post(f"/api/scheduled-reports/{scheduled['id']}/pause").json()
    assert paused["is_active"] is False
    channel = {**SCHEDULED, "recipients": [{"type": "slack_channel", "value": "#safety"}]}
    made = manager.post("/api/scheduled-reports", json=channel)
    assert made.status_code == 201, made.text
    assert made.json()["recipients"] == [{"type": "slack", "value": "#safety"}]


def test_004_63_executions_jobs_and_deliveries_say(
    api: Api, database: Database, objects: ObjectStore
) -> None:
    ids = populate(database, objects)
    manager = api.as_("usr_default_manager")
    path = f"/api/scheduled-reports/{ids['subscription']}/executions"
    began, arrived = NOW - timedelta(milliseconds=740), NOW + timedelta(minutes=1)
    database.jobs.update_one({"_id": ids["job"]}, {"$set": {"started_at": began}})
    way = {"sent_at": NOW, "delivered_at": arrived, "provider_id": "msg-1", "attempt": 2}
    database.deliveries.update_one({"_id": ids["delivery"]}, {"$set": {**way, "state": "delivered"}})
    (execution,) = [one for one in manager.get(path).json()["items"] if one["id"] == ids["job"]]
    assert not set(OF_AN_EXECUTION.values()) - set(execution)
    assert execution["status"] == "completed"
    assert execution["generation_status"] == "completed"
    assert execution["delivery_status"] == "partly_delivered"
    assert execution["file_size"] == len(FILE)
    assert (execution["started_at"], execution["completed_at"]) == (written(began), written(NOW))
    assert (execution["execution_time_ms"], execution["error_message"]) == (740, None)
    assert execution["file_url"].endswith(f"/api/report-executions/{ids['job']}/download")
    assert execution["metadata"]["filters_applied"] == {"trials": ["T1"]}
    (delivery,) = [one for one in execution["deliveries"] if one["id"] == ids["delivery"]]
    assert not set(OF_A_DELIVERY.values()) - set(delivery)
    assert delivery["report_execution_id"] == ids["job"]
    assert (delivery["recipient_type"], delivery["recipient_value"]) == ("email", "a@default.example")
    assert (delivery["sent_at"], delivery["delivered_at"]) == (written(NOW), written(arrived))
    assert delivery["metadata"] == {"attempts": 2, "provider_id": "msg-1"}
    (scheduled,) = manager.get("/api/scheduled-reports").json()["items"][:1]
    assert scheduled["last_run_at"] == written(NOW)
    assert manager.get(f"/api/report-executions/{ids['job']}").json() == execution
    (told,) = manager.get(f"/api/reports/emails/{EDITION}?limit=1").json()["items"]
    assert {"sentAt", "deliveredAt"} <= set(told)
    job = manager.get(f"/api/jobs/{ids['job']}").json()
    assert not set(OF_A_JOB.values()) - set(job)
    assert job["reportUrl"] == execution["file_url"]
    assert (execution["attempts"], execution["retry_count"]) == (1, 0)
    database.jobs.update_one({"_id": ids["job"]}, {"$set": {"error": "it broke", "attempts": 2}})
    for state, word, of_a_job in (
        ("processing", "running", "processing"),
        ("delivering", "running", "processing"),
        ("failed", "failed", "failed"),
        ("skipped", "failed", "failed"),
        ("pending", "pending", "pending"),
    ):
        database.jobs.update_one({"_id": ids["job"]}, {"$set": {"state": state}})
        (execution,) = [one for one in manager.get(path).json()["items"] if one["id"] == ids["job"]]
        assert (execution["status"], manager.get(f"/api/jobs/{ids['job']}").json()["status"]) == (
            word,
            of_a_job,
        )
        assert (execution["error_message"], execution["retry_count"]) == ("it broke", 2)
    # History stays when the subscription has ended.
    assert manager.delete(f"/api/scheduled-reports/{ids['subscription']}").status_code == 204
    assert manager.get(path).json()["total"] > 0


def written(moment: datetime) -> str:
    """As the API writes a time: UTC, with Z."""
    return moment.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/subscriptions", {**SUBSCRIPTION, "colour": 1}),
        ("/api/subscriptions", {**SUBSCRIPTION, "filters": {"colour": 1}}),
        ("/api/scheduled-reports", {**SCHEDULED, "colour": 1}),
        ("/api/scheduled-reports", {**SCHEDULED, "report_parameters": {"colour": 1}}),
        ("/api/scheduled-reports", {**SCHEDULED, "schedule_config": {"cadence": "weekly", "colour": 1}}),
    ],
)
def test_004_172_unknown_members_are_refused(manager: Api, path: str, body: dict[str, Any]) -> None:
    body = body | ({"userId": "usr_default_manager"} if "userId" in body else {})
    refused = manager.post(path, json=body)
    assert refused.status_code == 422
    assert "colour" in refused.json()["errors"][0]["pointer"]


def test_an_identical_subscription_is_told(manager: Api, scheduled: dict[str, Any]) -> None:
    again = manager.post("/api/scheduled-reports", json=SCHEDULED)
    assert again.status_code == 409
    assert again.json()["type"].endswith(":duplicate-subscription")
    assert again.json()["existing"] == scheduled["id"]
    other = {**SCHEDULED, "schedule_config": {**SCHEDULED["schedule_config"], "time": "10:00"}}
    assert manager.post("/api/scheduled-reports", json=other).status_code == 201
    wanted = manager.post("/api/scheduled-reports", json={**SCHEDULED, "allow_duplicate": True})
    assert wanted.status_code == 201
    named = manager.post("/api/scheduled-reports", json={**SCHEDULED, "name": "By another name"})
    assert named.status_code == 201
    for each in (scheduled["id"], wanted.json()["id"]):  # ended and paused ones stand in nobody's way
        manager.delete(f"/api/scheduled-reports/{each}")
    assert manager.post("/api/scheduled-reports", json=SCHEDULED).status_code == 201


@pytest.mark.parametrize("said", [{}, {"json": {}}, {"json": {"reportType": "weekly"}}])
def test_003_38_a_cron_service_opens_the_weekly_report_without_a_word(api: Api, said: dict[str, Any]) -> None:
    service = api.as_("usr_default_service")
    opened = service.post("/api/reports", **said)
    assert opened.status_code == 201, opened.text
    assert opened.json()["reportType"] == "weekly"
    assert service.post("/api/reports", **said).status_code == 409


def test_003_76_a_customer_registers_and_removes_themselves(api: Api, manager: Api) -> None:
    customer, path = api.as_("usr_default_subscriber"), "/api/reports/registered-users"
    mine = {"email": "Subscriber@default.example"}
    made = customer.post(path, json=mine)
    assert made.status_code == 201, made.text
    assert customer.post(path, json=mine).status_code == 200
    assert customer.post(path, json={"email": "manager@default.example"}).status_code == 403
    assert manager.post(path, json={"email": "manager@default.example"}).status_code == 201
    assert [one["email"] for one in customer.get(path).json()["items"]] == ["subscriber@default.example"]
    assert len(api.as_("usr_default_service").get(path).json()["items"]) == 2  # 003:84, the worker
    assert customer.delete(f"{path}/manager@default.example").status_code == 403
    assert customer.delete(f"{path}/subscriber@default.example").status_code == 204
    assert customer.get(f"/api/subscriptions/{made.json()['subscriptionId']}").status_code == 404


def test_003_79_the_workers_flow(serve: Callable[..., Api], database: Database, objects: ObjectStore) -> None:
    """Started, the result with a path that stands, and the sending, once."""
    ids = populate(database, objects)
    database.jobs.update_one({"_id": ids["job"]}, {"$set": {"state": "rendered"}})
    database.deliveries.delete_many({})
    worker, path = serve().as_("usr_default_service"), f"/api/reports/{EDITION}"
    started = worker.patch(f"{path}/state", json={"state": "started"})
    assert started.status_code == 200, started.text
    assert started.json()["state"] == "open"
    first = started.json()["startedAt"]
    assert first
    assert worker.patch(f"{path}/state", json={"state": "running"}).json()["startedAt"] == first
    key = "editions/weekly/2026-11-16/all.pdf"
    missing = worker.patch(f"{path}/result", json={"path": key})
    assert missing.status_code == 422
    assert missing.json()["errors"][0]["pointer"] == "#/path"
    for foreign in ("reports/weekly/2026-11-16/sub_world/x.pdf", "editions/weekly/2026-11-16/../x"):
        assert worker.patch(f"{path}/result", json={"path": foreign}).status_code == 422
    objects.put(key, b"%PDF-1.7 all", "application/pdf")
    done = worker.patch(f"{path}/result", json={"path": f"s3://{objects.bucket}/{key}"})
    assert done.status_code == 200, done.text
    assert done.json()["path"] == key
    sending_at = done.json()["sendingAt"]
    assert sending_at
    planned = [row["_id"] for row in database.deliveries.find()]
    assert planned
    again = worker.patch(f"{path}/result", json={"path": key, "note": "again"})
    assert again.json()["sendingAt"] == sending_at
    assert [row["_id"] for row in database.deliveries.find()] == planned
    assert worker.get(path).json()["path"] == key


def test_003_62_a_worker_notes_the_mail_of_a_registered_user(
    serve: Callable[..., Api], database: Database, objects: ObjectStore
) -> None:
    """It knows the report and the address, and no job of ours."""
    ids = populate(database, objects)
    register(database, "default", REGISTERED, Cadence.WEEKLY, OWNER, ids["subscription"], NOW)
    worker, path = serve().as_("usr_default_service"), "/api/reports/emails"
    body = {"reportId": EDITION, "email": REGISTERED}
    noted = worker.post(path, json=body)
    assert noted.status_code == 201, noted.text
    told = {name: noted.json()[name] for name in ("jobId", "reportId", "recipient")}
    assert told == {"jobId": ids["job"], "reportId": EDITION, "recipient": REGISTERED}
    again = worker.post(path, json=body)
    assert (again.status_code, again.json()["existing"]) == (409, noted.json()["deliveryId"])
    wrong = [
        ({**body, "email": "stranger@default.example"}, "#/email"),
        ({**body, "email": "nonsense"}, "#/email"),
        ({**body, "reportId": "weekly:2020-01-06"}, "#/email"),
        ({**body, "jobId": ids["job"]}, "#"),
        ({"email": REGISTERED}, "#"),
        ({}, "#"),
    ]
    for given, pointer in wrong:
        refused = worker.post(path, json=given)
        assert refused.status_code == 422, given
        assert refused.json()["errors"][0]["pointer"] == pointer, given


def test_a_sending_that_was_cut_off_is_started_by_the_next_result(
    serve: Callable[..., Api], database: Database, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = populate(database, objects)
    database.jobs.update_one({"_id": ids["job"]}, {"$set": {"state": "rendered"}})
    database.deliveries.delete_many({})
    worker, result = serve().as_("usr_default_service"), {"path": "editions/weekly/2026-11-16/all.pdf"}
    objects.put(result["path"], b"%PDF-1.7 all", "application/pdf")
    with monkeypatch.context() as cut_off:
        cut_off.setattr("reporting_pipeline.stores.mailings.plan_deliveries", lambda *_: 1 / 0)
        assert worker.patch(f"/api/reports/{EDITION}/result", json=result).status_code == 500
    assert worker.get(f"/api/reports/{EDITION}").json()["sendingAt"] is None
    assert worker.patch(f"/api/reports/{EDITION}/result", json=result).json()["sendingAt"]
    assert database.deliveries.count_documents({}) > 0


@pytest.mark.parametrize("word", ["anonymous", "schedule", "system", "command-line"])
def test_what_stands_for_nobody_in_the_audit_log_is_no_persons_id(api: Api, word: str) -> None:
    body = {"name": "N", "email": "n@default.example", "roles": ["subscriber"]}
    assert api.as_("usr_default_admin").put(f"/api/users/{word}", json=body).status_code == 422


def test_an_organisations_policies_are_set_and_told(api: Api) -> None:
    admin = api.as_("usr_default_admin")
    fields = {"name": "Other", "attachments": "always", "on_omission": "hold"}
    changed = admin.put("/api/organisations/other", json=fields)
    assert changed.status_code == 200, changed.text
    assert {**changed.json(), **fields} == changed.json()
    assert admin.put("/api/organisations/other", json={"name": "O", "attachments": "x"}).status_code == 422


def test_a_closed_organisation_gets_nothing_and_signs_in_no_more(api: Api, database: Database) -> None:
    theirs, admin = api.as_("usr_other_subscriber"), api.as_("usr_default_admin")
    body = {"userId": "usr_other_subscriber", "reportType": "weekly"}
    made = theirs.post("/api/subscriptions", json=body).json()["subscriptionId"]
    assert admin.post("/api/organisations/default/close").status_code == 409
    assert admin.post("/api/organisations/nowhere/close").status_code == 404
    assert api.as_("usr_other_admin").post("/api/organisations/other/close").status_code == 403
    closed = admin.post("/api/organisations/other/close").json()["closed_at"]
    assert closed
    assert admin.post("/api/organisations/other/close").json()["closed_at"] == closed
    assert theirs.get("/api/subscriptions").status_code == 403
    assert (database.subscriptions.find_one({"_id": made}) or {})["status"] == "ended"
    assert not database.jobs.count_documents({"subscription": made, "state": "pending"})


def test_a_closed_trial_ends_who_asked_for_it_alone(api: Api, database: Database) -> None:
    """Also where the closing was cut off before: it is finished by the next."""
    admin = api.as_("usr_default_admin")
    body = {"userId": "usr_default_admin", "reportType": "weekly"}
    only = admin.post("/api/subscriptions", json={**body, "filters": {"trials": ["T1"]}}).json()
    both = admin.post("/api/subscriptions", json={**body, "filters": {"trials": ["T1", "T2"]}}).json()
    database.trials.update_one({"_id": "T1"}, {"$set": {"closed_at": datetime.now(UTC)}})
    assert admin.post("/api/trials/T1/close").status_code == 200
    states = {row["_id"]: row["status"] for row in database.subscriptions.find()}
    assert states == {only["subscriptionId"]: "ended", both["subscriptionId"]: "active"}


def test_002_126_catch_up_and_lateness_are_set_and_told(manager: Api) -> None:
    body = {**SCHEDULED, "catch_up": "all", "lateness_hours": 48}
    made = manager.post("/api/scheduled-reports", json=body).json()
    assert (made["catch_up"], made["lateness_hours"]) == ("all", 48)
    path = f"/api/subscriptions/{made['id']}"
    changed = manager.patch(path, json={"catchUp": "skip", "latenessHours": None}).json()
    assert (changed["catchUp"], changed["latenessHours"]) == ("skip", None)
    assert manager.patch(path, json={"catchUp": "never"}).status_code == 422
    assert manager.patch(path, json={"latenessHours": 0}).status_code == 422


@pytest.mark.parametrize(
    ("asked", "caught_up"),
    [
        ({}, [False, False, False, False, True]),
        ({"catch_up": "all"}, [True] * 5),
        ({"catch_up": "all", "lateness_hours": 30}, [False, False, False, True, True]),
        ({"catch_up": "skip"}, [False] * 5),
    ],
)
def test_002_126_the_preview_says_what_catch_up_would_do(
    manager: Api, asked: dict[str, Any], caught_up: list[bool]
) -> None:
    schedule = {"cadence": "daily", "time": "07:00", "timezone": "Europe/Zurich"}
    shown = manager.post("/api/scheduled-reports/preview", json={"schedule_config": schedule, **asked})
    assert shown.status_code == 200, shown.text
    told = shown.json()["occurrences"]
    assert [one["caught_up"] for one in told] == caught_up
    assert [not one["catch_up_note"] for one in told] == caught_up


def test_004_255_every_second_week_between_two_dates(serve: Callable[..., Api]) -> None:
    manager = serve(clock=lambda: datetime(2026, 11, 20, tzinfo=UTC)).as_("usr_default_manager")
    schedule = {
        "cadence": "weekly",
        "every_weeks": 2,
        "starts_on": "2026-11-30",
        "ends_on": "2026-12-31",
        "timezone": "Europe/Zurich",
    }
    shown = manager.post("/api/scheduled-reports/preview", json={"schedule_config": schedule}).json()
    assert [one["local_date"] for one in shown["occurrences"]] == ["2026-11-30", "2026-12-14", "2026-12-28"]
    made = manager.post("/api/scheduled-reports", json={**SCHEDULED, "schedule_config": schedule}).json()
    assert made["next_run"] == "2026-11-30T06:00:00Z"
    changed = manager.patch(f"/api/subscriptions/{made['id']}", json={"schedule": {"endsOn": "2026-12-14"}})
    assert changed.json()["schedule"]["endsOn"] == "2026-12-14"
    over = {**schedule, "starts_on": "2026-01-01", "ends_on": "2026-02-01"}
    answer = manager.post("/api/scheduled-reports", json={**SCHEDULED, "schedule_config": over})
    assert answer.json()["errors"][0]["pointer"] == "#/schedule_config/ends_on"
    refused = manager.patch(f"/api/subscriptions/{made['id']}", json={"schedule": {"endsOn": "2026-01-01"}})
    assert refused.json()["errors"][0]["pointer"] == "#/schedule/endsOn"


def test_002_616_a_job_that_waits_is_cancelled_for_good(manager: Api, scheduled: dict[str, Any]) -> None:
    job = manager.post(f"/api/scheduled-reports/{scheduled['id']}/run").json()
    cancelled = manager.post(f"/api/jobs/{job['id']}/cancel")
    assert cancelled.status_code == 200, cancelled.text
    assert cancelled.json()["state"] == "skipped"
    assert cancelled.json()["error"] == "it was cancelled"
    assert manager.post(f"/api/jobs/{job['id']}/cancel").status_code == 409
    manager.post(f"/api/scheduled-reports/{scheduled['id']}/pause")
    manager.post(f"/api/scheduled-reports/{scheduled['id']}/resume")
    assert manager.get(f"/api/jobs/{job['id']}").json()["error"] == "it was cancelled"


def test_002_617_an_older_period_is_run_and_an_execution_replayed(
    serve: Callable[..., Api], database: Database
) -> None:
    manager = serve(clock=lambda: datetime(2026, 11, 24, 9, tzinfo=UTC)).as_("usr_default_manager")
    made = manager.post("/api/scheduled-reports", json=SCHEDULED).json()["id"]
    path = f"/api/scheduled-reports/{made}/run"
    older = manager.post(path, json={"period": "2026-11-02"})
    assert older.status_code == 202, older.text
    assert older.json()["period"] == "2026-11-02"
    for wrong in ("2026-11-03", "2026-11-23", "2019-01-07"):  # no Monday, not over, not kept any more
        refused = manager.post(path, json={"period": wrong})
        assert refused.status_code == 422, wrong
        assert refused.json()["errors"][0]["pointer"] == "#/period"
    assert manager.post(f"/api/report-executions/{older.json()['id']}/replay").status_code == 409
    database.jobs.update_one({"_id": older.json()["id"]}, {"$set": {"state": "completed"}})
    again = manager.post(f"/api/report-executions/{older.json()['id']}/replay")
    assert again.status_code == 202, again.text
    assert again.json()["period"] == "2026-11-02"
    assert again.json()["id"] != older.json()["id"]


def test_004_381_schedules_move_with_their_owners_timezone(manager: Api, api: Api) -> None:
    person = {"name": "M", "email": "manager@default.example", "roles": ["manager"], "trials": "all"}
    in_zurich = {**SCHEDULED["schedule_config"], "timezone": "Europe/Zurich"}
    own = manager.post("/api/scheduled-reports", json={**SCHEDULED, "schedule_config": in_zurich})
    elsewhere = manager.post("/api/scheduled-reports", json={**SCHEDULED, "name": "New York"})
    assert (own.status_code, elsewhere.status_code) == (201, 201), own.text + elsewhere.text
    admin = api.as_("usr_default_admin")
    path = "/api/users/usr_default_manager"
    assert admin.get(path).json()["timezone"] == "Europe/Zurich"

    left_out = admin.put(path, json=person)
    assert left_out.status_code == 200, left_out.text
    assert (left_out.json()["timezone"], left_out.json()["schedules_moved"]) == ("Europe/Zurich", None)

    moved = admin.put(path, json={**person, "timezone": "Asia/Tokyo"})
    assert (moved.json()["timezone"], moved.json()["schedules_moved"]) == ("Asia/Tokyo", 1)
    now = manager.get(f"/api/scheduled-reports/{own.json()['id']}").json()
    assert now["schedule_config"] == {**own.json()["schedule_config"], "timezone": "Asia/Tokyo"}
    assert now["next_run_at"] != own.json()["next_run_at"]
    there = manager.get(f"/api/scheduled-reports/{elsewhere.json()['id']}").json()
    assert there["schedule_config"]["timezone"] == "America/New_York"


def test_004_395_people_and_their_schedules_move_with_the_organisations_timezone(api: Api) -> None:
    admin = api.as_("usr_default_admin")
    path = "/api/organisations/default"
    standing = admin.get(path).json()
    assert standing["timezone"] == "UTC"
    fields = {
        name: standing[name]
        for name in ("name", "allowed_domains", "allowed_hosts", "attachments", "on_omission")
    }
    person = {"name": "N", "email": "n@default.example", "roles": ["subscriber"], "trials": "all"}
    assert admin.put("/api/users/usr_n", json=person).json()["timezone"] == "UTC"
    made = api.as_("usr_n").post("/api/subscriptions", json={"userId": "usr_n", "reportType": "weekly"})
    assert made.status_code == 201, made.text
    assert admin.put(path, json={**fields, "timezone": "Mars"}).status_code == 422
    moved = admin.put(path, json={**fields, "timezone": "Asia/Tokyo"})
    assert moved.status_code == 200, moved.text
    told = {name: moved.json()[name] for name in ("timezone", "people_moved", "schedules_moved")}
    assert told == {"timezone": "Asia/Tokyo", "people_moved": 1, "schedules_moved": 1}
    assert admin.get("/api/users/usr_n").json()["timezone"] == "Asia/Tokyo"
    subscription = api.as_("usr_n").get(f"/api/subscriptions/{made.json()['subscriptionId']}").json()
    assert subscription["schedule"]["timezone"] == "Asia/Tokyo"
    assert admin.put(path, json=fields).json()["timezone"] == "Asia/Tokyo"  # left out: as it is
    assert admin.put("/api/users/usr_o", json={**person, "email": "o@default.example"}).json()[
        "timezone"
    ] == ("Asia/Tokyo")


def test_001_159_each_stage_has_its_dead_letters(
    manager: Api, database: Database, objects: ObjectStore
) -> None:
    """A trial that could not be fetched or aggregated, a job not rendered, a delivery not sent."""
    job = database.jobs.find_one({"_id": populate(database, objects)["job"]}) or {}
    failed = {"_id": "job_lost", "occurrence": "lost", "state": "failed", "failed_in": "rendering"}
    database.jobs.insert_one({**job, **failed})
    period = EDITION.partition(":")[2]
    odd = "Ünlike / any other"
    for organisation, trial in (("default", "F1"), ("default", odd), ("other", "X9")):
        upsert_trial(database, {"_id": trial, "organisation": organisation, "title": "T", "sites": []})
    save_results(
        database,
        [
            _failed("weekly/documents", period, "F1", permanent=True),
            _failed("weekly/trial_dataset", period, odd, attempts=4),
            _failed("weekly/trial_dataset", period, "F1", attempts=2),  # it is tried again by itself
            _failed("weekly/documents", period, "X9", permanent=True),  # another organisation's
        ],
    )
    letters = manager.get("/api/dead-letters?limit=100").json()["items"]
    assert {one["stage"]: one["kind"] for one in letters} == {
        "fetch": "trial",
        "aggregate": "trial",
        "render": "job",
        "notify": "delivery",
    }
    (fetch,) = manager.get("/api/dead-letters?stage=fetch").json()["items"]
    assert (fetch["trial"], fetch["edition"], fetch["error"]) == ("F1", EDITION, "it broke")
    (aggregate,) = manager.get("/api/dead-letters?kind=trial&stage=aggregate").json()["items"]
    assert (aggregate["trial"], aggregate["attempts"]) == (odd, 4)
    assert manager.get("/api/dead-letters?kind=job&stage=fetch").json()["items"] == []
    paged: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        page = manager.get(f"/api/dead-letters?limit=1{cursor and f'&cursor={cursor}'}").json()
        paged, cursor = paged + page["items"], page["next_cursor"]
    assert paged == letters

    again = manager.post(f"/api/dead-letters/{fetch['id']}/requeue")
    assert again.json() == {"requeued": 1, "waiting": 0}
    assert manager.post(f"/api/dead-letters/{fetch['id']}/requeue").status_code == 404
    assert manager.post("/api/dead-letters/stage_nonsense/requeue").status_code == 404
    database.editions.update_one({"_id": EDITION}, {"$set": {"state": "completed"}})
    over = manager.post("/api/dead-letters/requeue", json={"stage": "aggregate"})
    assert over.json() == {"requeued": 1, "waiting": 1}
    assert results_of(database, "weekly/documents", period).keys() == {"X9"}
    row = database.audit.find_one({"action": "requeued", "subject": "F1"})
    assert (row or {})["details"]["stage"] == "fetch"


def _failed(
    asset: str, period: str, trial: str, attempts: int = 1, *, permanent: bool = False
) -> AssetResult:
    return AssetResult(
        asset,
        period,
        trial,
        "failed",
        "v1",
        datetime(2026, 11, 23, 7, tzinfo=UTC),
        reason="it broke",
        permanent=permanent,
        attempts=attempts,
    )
