"""Self-service subscriptions over HTTP: what is said back, what is refused, and lost updates."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline_tests.api.conftest import Api, weekly


def created(api: Api, **more: Any) -> dict[str, Any]:
    answer = api.post("/api/subscriptions", json=weekly(**more))
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def pointers(answer: Any) -> list[str]:
    assert answer.headers["content-type"].startswith("application/problem+json")
    return [error.get("pointer") or error["parameter"] for error in answer.json()["errors"]]


def test_without_a_schedule_it_is_monday_seven_local_time_to_oneself(subscriber: Api) -> None:
    body = created(
        subscriber,
        filters={"dateRange": "last_week", "fileTypes": ["pdf", "jpg"], "trials": ["T1"]},
    )
    assert body["subscriptionId"].startswith("sub_")
    assert body["status"] == "active"
    assert body["schedule"]["dayOfWeek"] == 1
    assert body["schedule"]["time"] == "07:00"
    assert body["schedule"]["timezone"] == "Europe/Zurich"
    assert body["recipients"] == [{"type": "user", "value": "usr_default_subscriber"}]
    assert body["filters"]["fileTypes"] == ["pdf", "jpg"]
    assert body["nextRun"].endswith("Z")


def test_what_was_created_is_read_back_the_same(subscriber: Api) -> None:
    answer = subscriber.post("/api/subscriptions", json=weekly())
    read = subscriber.get(answer.headers["Location"])
    first = answer.json()["firstMail"]  # what comes first is told once
    assert first["period"] <= first["dueAt"]
    assert read.json() == answer.json() | {"firstMail": None}
    assert read.headers["ETag"] == answer.headers["ETag"] == '"1"'


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"reportType": "yearly"}, "#/reportType"),
        ({"filters": {"trials": ["X1"]}}, "#/filters/trials/0"),
        ({"filters": {"trials": ["T1", "nope"]}}, "#/filters/trials/1"),
        ({"filters": {"sites": ["999"]}}, "#/filters/sites/0"),
        ({"filters": {"fileTypes": ["../../etc"]}}, "#/filters/fileTypes/0"),
        ({"filters": {"dateRange": "last_month"}}, "#/filters/dateRange"),
        ({"filters": {"$where": "1"}}, "#/filters/$where"),
        ({"schedule": {"cadence": "monthly"}}, "#/schedule/cadence"),
        ({"schedule": {"time": "25:00"}}, "#/schedule/time"),
        ({"schedule": {"timezone": "Mars/Olympus"}}, "#/schedule/timezone"),
        (
            {"schedule": {"cadence": "cron", "cronExpression": "0 0 30 2 *"}},
            "#/schedule/cronExpression",
        ),
        ({"recipients": [{"value": "a@elsewhere.example"}]}, "#/recipients/0/value"),
        ({"recipients": [{"value": "a@default.example\r\nBcc: x@y.z"}]}, "#/recipients/0/value"),
        ({"recipients": [{"type": "user", "value": "usr_other_manager"}]}, "#/recipients/0/value"),
        ({"recipients": [{"type": "webhook", "value": "http://h.example/x"}]}, "#/recipients/0/value"),
        ({"name": "two\nlines"}, "#/name"),
        ({"name": "\ud800"}, "#/name"),
        ({"format": "exe"}, "#/format"),
        ({"surprise": 1}, "#/surprise"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(subscriber: Api, change: dict[str, Any], pointer: str) -> None:
    answer = subscriber.post("/api/subscriptions", json={**weekly(), **change})
    assert answer.status_code == 422, answer.text
    assert pointer in pointers(answer)
    assert subscriber.get("/api/subscriptions").json()["items"] == []


def test_a_patch_changes_only_what_it_names(subscriber: Api) -> None:
    body = created(subscriber, schedule={"time": "09:30", "dayOfWeek": 3, "timezone": "Asia/Tokyo"})
    path = f"/api/subscriptions/{body['subscriptionId']}"
    changed = subscriber.patch(path, json={"schedule": {"time": "10:00"}, "filters": {"sites": ["701"]}})
    assert changed.status_code == 200, changed.text
    after = changed.json()
    assert after["schedule"] == {**body["schedule"], "time": "10:00"}
    assert after["filters"] == {**body["filters"], "sites": ["701"]}
    assert after["version"] == 2
    assert after["nextRun"] != body["nextRun"], "a changed schedule says to when the next run moved"


def test_another_report_type_brings_its_schedule(subscriber: Api) -> None:
    body = created(subscriber, schedule={"time": "09:30", "dayOfWeek": 3})
    after = subscriber.patch(
        f"/api/subscriptions/{body['subscriptionId']}", json={"reportType": "monthly"}
    ).json()
    assert after["schedule"]["cadence"] == "monthly"
    assert after["schedule"]["dayOfMonth"] == 1
    assert after["schedule"]["time"] == "09:30"
    assert after["filters"]["dateRange"] == "last_month"


def test_a_cron_subscription_covers_its_report_type(subscriber: Api) -> None:
    body = created(
        subscriber,
        reportType="daily",
        schedule={"cadence": "cron", "cronExpression": "0 7 * * MON-FRI", "timezone": "UTC"},
    )
    assert body["reportType"] == "daily"
    assert body["filters"]["dateRange"] == "last_day"


def test_a_lost_update_is_a_412_and_changes_nothing(subscriber: Api) -> None:
    path = f"/api/subscriptions/{created(subscriber)['subscriptionId']}"
    tag = subscriber.get(path).headers["ETag"]
    assert subscriber.patch(path, json={"name": "first"}, headers={"If-Match": tag}).status_code == 200
    second = subscriber.patch(path, json={"name": "second"}, headers={"If-Match": tag})
    assert second.status_code == 412
    assert second.json()["current_version"] == 2
    assert subscriber.get(path).json()["name"] == "first"
    assert subscriber.delete(path, headers={"If-Match": tag}).status_code == 412
    assert subscriber.patch(path, json={"name": "x"}, headers={"If-Match": "nonsense"}).status_code == 422
    assert subscriber.patch(path, json={"name": "x"}, headers={"If-Match": 'W/"2"'}).status_code == 412
    several = subscriber.patch(path, json={"name": "x"}, headers={"If-Match": '"1", "2"'})
    assert several.json()["errors"][0]["detail"] == 'one entity tag such as "3"'


def test_of_many_writers_with_one_etag_one_wins(subscriber: Api) -> None:
    path = f"/api/subscriptions/{created(subscriber)['subscriptionId']}"

    def change(number: int) -> int:
        return subscriber.patch(
            path, json={"name": f"writer {number}"}, headers={"If-Match": '"1"'}
        ).status_code

    with ThreadPoolExecutor(12) as pool:
        answers = sorted(pool.map(change, range(24)))
    assert answers == [200] + [412] * 23


def test_patches_without_an_etag_are_all_kept(subscriber: Api) -> None:
    """Each names another member; none may be overwritten by what another read before."""
    path = f"/api/subscriptions/{created(subscriber)['subscriptionId']}"
    patches = [
        {"name": "N"},
        {"format": "xlsx"},
        {"filters": {"sites": ["701"]}},
        {"schedule": {"time": "11:11"}},
    ]
    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda body: subscriber.patch(path, json=body).status_code, patches))
    after = subscriber.get(path).json()
    assert statuses == [200] * 4
    assert (after["name"], after["format"], after["filters"]["sites"], after["schedule"]["time"]) == (
        "N",
        "xlsx",
        ["701"],
        "11:11",
    )
    assert after["version"] == 5


def test_unsubscribing_removes_it_from_everything(subscriber: Api, database: Database) -> None:
    body = created(subscriber)
    path = f"/api/subscriptions/{body['subscriptionId']}"
    run = subscriber.post(f"/api/scheduled-reports/{body['subscriptionId']}/run")
    assert run.status_code == 202, run.text
    assert subscriber.delete(path).status_code == 204
    assert subscriber.get(path).status_code == 404
    assert subscriber.delete(path).status_code == 404
    assert subscriber.get("/api/subscriptions").json()["items"] == []
    assert {job["state"] for job in database.jobs.find()} == {"skipped"}


def test_a_job_is_followed_to_its_report(subscriber: Api, database: Database) -> None:
    body = created(subscriber)
    job = subscriber.post(f"/api/scheduled-reports/{body['subscriptionId']}/run").json()
    path = f"/api/jobs/{job['id']}"
    assert subscriber.get(path).json()["status"] == "pending"
    assert subscriber.get(path).json()["reportUrl"] is None
    for state, said in (("processing", "processing"), ("rendered", "processing"), ("skipped", "failed")):
        rendered_at = datetime(2026, 11, 23, tzinfo=UTC)
        database.jobs.update_one({"_id": job["id"]}, {"$set": {"state": state, "rendered_at": rendered_at}})
        answer = subscriber.get(path).json()
        assert answer["status"] == said
        # The report can be opened as soon as it stands, whatever becomes of its recipients.
        assert (answer["reportUrl"] is None) == (state == "processing")
    database.jobs.update_one({"_id": job["id"]}, {"$set": {"state": "completed"}})
    answer = subscriber.get(path).json()
    assert answer["status"] == "completed"
    assert answer["reportUrl"].endswith(f"/api/report-executions/{job['id']}/download")
    listed = subscriber.get(f"/api/subscriptions/{body['subscriptionId']}/jobs").json()
    assert [one["jobId"] for one in listed["items"]] == [job["id"]]


def test_one_sees_ones_own_and_managers_the_organisations(api: Api) -> None:
    subscriber, manager = api.as_("usr_default_subscriber"), api.as_("usr_default_manager")
    analyst, stranger = api.as_("usr_default_analyst"), api.as_("usr_other_manager")
    own = created(subscriber)["subscriptionId"]
    theirs = created(manager, user="usr_default_manager")["subscriptionId"]

    def seen(who: Api, query: str = "") -> set[str]:
        return {one["subscriptionId"] for one in who.get(f"/api/subscriptions{query}").json()["items"]}

    assert seen(subscriber) == {own}
    assert seen(subscriber, "?userId=usr_default_manager") == set()
    assert seen(analyst) == seen(manager) == {own, theirs}
    assert seen(manager, "?userId=usr_default_subscriber") == {own}
    assert seen(stranger) == set()
    assert analyst.patch(f"/api/subscriptions/{own}", json={"name": "x"}).status_code == 404
    assert manager.patch(f"/api/subscriptions/{own}", json={"name": "x"}).status_code == 200


def test_a_limited_manager_reaches_no_further_than_their_trials(api: Api, database: Database) -> None:
    database.users.update_one({"_id": "usr_default_manager"}, {"$set": {"trials": ["T2"]}})
    manager = api.as_("usr_default_manager")
    own = created(api.as_("usr_default_subscriber"))["subscriptionId"]  # of T1
    assert manager.get(f"/api/subscriptions/{own}").status_code == 404
    assert manager.get("/api/subscriptions").json()["items"] == []
    for filters in ({"trials": ["T1"]}, {}):
        answer = manager.post("/api/subscriptions", json={**weekly(), "filters": filters})
        assert answer.status_code == 422, answer.text
    assert manager.post("/api/subscriptions", json={**weekly(), "filters": {"trials": ["T2"]}}).ok


def test_pages_hold_each_subscription_once(subscriber: Api) -> None:
    made = {created(subscriber)["subscriptionId"] for _ in range(7)}
    found: list[str] = []
    path = "/api/subscriptions?limit=3"
    sizes = []
    while True:
        page = subscriber.get(path).json()
        found += [one["subscriptionId"] for one in page["items"]]
        sizes.append(len(page["items"]))
        if page["nextCursor"] is None:
            break
        path = f"/api/subscriptions?limit=3&cursor={page['nextCursor']}"
    assert sizes == [3, 3, 1]
    assert len(found) == 7
    assert set(found) == made


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", ""])
def test_a_page_has_one_to_two_hundred(subscriber: Api, limit: str) -> None:
    assert subscriber.get(f"/api/subscriptions?limit={limit}").status_code == 422


def test_a_cursor_is_good_for_its_own_list_only(api: Api) -> None:
    subscriber, manager = api.as_("usr_default_subscriber"), api.as_("usr_default_manager")
    for _ in range(2):
        created(subscriber)
    cursor = subscriber.get("/api/subscriptions?limit=1").json()["nextCursor"]
    assert subscriber.get(f"/api/subscriptions?limit=1&cursor={cursor}").status_code == 200
    for who, path in (
        (manager, f"/api/subscriptions?cursor={cursor}"),
        (subscriber, f"/api/subscriptions?status=active&cursor={cursor}"),
        (subscriber, f"/api/documents?cursor={cursor}"),
        (subscriber, f"/api/subscriptions?cursor={cursor[:-2]}AA"),
        (subscriber, "/api/subscriptions?cursor=%00"),
        (subscriber, "/api/subscriptions?cursor=e30"),
    ):
        assert who.get(path).status_code == 422, path


def test_a_user_has_so_many_subscriptions(serve: Callable[..., Api]) -> None:
    subscriber = serve(subscriptions_per_user=2).as_("usr_default_subscriber")
    created(subscriber)
    created(subscriber)
    refused = subscriber.post("/api/subscriptions", json=weekly())
    assert refused.status_code == 429
    assert refused.json()["type"].endswith(":quota-exceeded")
    assert refused.json()["quota"] == 2


def test_an_organisation_has_so_many_subscriptions(serve: Callable[..., Api]) -> None:
    api = serve(subscriptions_per_organisation=1)
    created(api.as_("usr_default_subscriber"))
    second = api.as_("usr_default_manager").post("/api/subscriptions", json=weekly("usr_default_manager"))
    assert second.status_code == 429
    other = api.as_("usr_other_manager").post(
        "/api/subscriptions", json={**weekly("usr_other_manager"), "filters": {}}
    )
    assert other.status_code == 201


def test_every_change_is_in_the_audit_log(api: Api) -> None:
    subscriber, manager = api.as_("usr_default_subscriber"), api.as_("usr_default_manager")
    body = created(subscriber)
    path = f"/api/subscriptions/{body['subscriptionId']}"
    subscriber.patch(path, json={"recipients": [{"value": "list@default.example"}]})
    subscriber.patch(path, json={"status": "paused"})
    subscriber.patch(path, json={"status": "active", "name": "again"})
    subscriber.delete(path)
    events = manager.get(f"/api/audit?subject={body['subscriptionId']}").json()["items"]
    assert [event["action"] for event in reversed(events)] == [
        "subscription.created",
        "recipient.added",
        "recipient.added",
        "recipient.removed",
        "subscription.paused",
        "subscription.resumed",
        "subscription.changed",
        "subscription.deleted",
    ]
    assert {event["actor"] for event in events} == {"usr_default_subscriber"}
    assert "@" not in str(events)


def test_what_was_asked_about_is_confirmed(subscriber: Api, database: Database) -> None:
    body = created(subscriber)
    address = f"/api/subscriptions/{body['subscriptionId']}"
    assert (body["confirmedAt"], body["confirmBy"]) == (None, None)
    asked = datetime(2026, 12, 1, tzinfo=UTC)
    long_ago = datetime(2025, 12, 1, tzinfo=UTC)
    database.subscriptions.update_one(
        {"_id": body["subscriptionId"]}, {"$set": {"confirmation_asked_at": asked, "created_at": long_ago}}
    )
    assert subscriber.get(address).json()["confirmBy"] == "2026-12-31T00:00:00Z"
    answer = subscriber.post(f"{address}/confirm")
    assert answer.status_code == 200
    assert answer.json()["confirmBy"] is None
    assert answer.json()["confirmedAt"]
    assert answer.headers["ETag"] == '"2"'
    assert subscriber.get(address).json() == answer.json()
    assert database.audit.count_documents({"action": "subscription.confirmed"}) == 1
    assert subscriber.delete(address).status_code == 204
    assert subscriber.post(f"{address}/confirm").status_code == 404
