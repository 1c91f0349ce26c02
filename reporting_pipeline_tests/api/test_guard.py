"""What every request passes and every answer carries: sizes, types, headers, and no word too much."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from reporting_pipeline.api import guard
from reporting_pipeline.stores.mongo import Database, server_time
from reporting_pipeline_tests.api.conftest import Api, weekly
from reporting_pipeline_tests.waiting import PATIENCE


def slug(answer: Any) -> str:
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    return str(body["type"].rpartition(":")[2])


@pytest.mark.parametrize(
    ("method", "path", "arguments", "status", "expected"),
    [
        ("GET", "/api/nothing", {}, 404, "not-found"),
        ("PUT", "/api/subscriptions", {"json": {}}, 405, "method-not-allowed"),
        ("POST", "/healthz", {}, 405, "method-not-allowed"),
        (
            "POST",
            "/api/subscriptions",
            {"data": "{}", "headers": {"Content-Type": "text/plain"}},
            415,
            "unsupported-media-type",
        ),
        ("POST", "/api/documents", {"json": {}}, 415, "unsupported-media-type"),
        ("POST", "/api/subscriptions", {"json": {"x": "y" * 1_000_001}}, 413, "body-too-large"),
        (
            "POST",
            "/api/subscriptions",
            {"data": "{", "headers": {"Content-Type": "application/json"}},
            422,
            "validation",
        ),
        (
            "POST",
            "/api/subscriptions",
            {"data": b"\xff\xfe", "headers": {"Content-Type": "application/json"}},
            422,
            "validation",
        ),
        (
            "POST",
            "/api/subscriptions",
            {"data": "[" * 100_000, "headers": {"Content-Type": "application/json"}},
            400,
            "bad-request",
        ),
        ("POST", "/api/subscriptions", {}, 422, "validation"),
        ("GET", "/api/subscriptions/sub_x%00y", {}, 422, "validation"),
        ("GET", "/api/subscriptions/..%2f..%2fetc", {}, 404, "not-found"),
        ("GET", "/api/subscriptions?limit=1&limit=999", {}, 422, "validation"),
        ("POST", "/webhooks/sendgrid", {"json": []}, 403, "forbidden"),
        ("GET", "/r/nonsense", {}, 404, "not-found"),
    ],
)
def test_every_refusal_is_a_problem(
    subscriber: Api, method: str, path: str, arguments: dict[str, Any], status: int, expected: str
) -> None:
    answer = subscriber.call(method, path, **arguments)
    assert answer.status_code == status, answer.text
    assert slug(answer) == expected


def test_a_body_without_a_length_is_cut_off_too(subscriber: Api) -> None:
    def endless() -> Any:
        for _ in range(200):
            yield b" " * 10_000

    for key in ({}, {"Idempotency-Key": "k"}):
        answer = subscriber.post(
            "/api/subscriptions", data=endless(), headers={"Content-Type": "application/json", **key}
        )
        assert answer.status_code == 413
        assert slug(answer) == "body-too-large"
        assert answer.json()["detail"] == "The limit here is 1,000,000 bytes."


@pytest.mark.parametrize("path", ["/healthz", "/api/subscriptions", "/api/nothing", "/unsubscribe/x", "/r/x"])
def test_every_answer_is_safe_to_show(api: Api, path: str) -> None:
    answer = api.get(path, headers={"Origin": "https://evil.example", "X-Request-ID": "abc"})
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Request-ID"] == "abc"
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    injected = api.get(path, headers={"X-Request-ID": "a b<script>"})
    assert injected.headers["X-Request-ID"] != "a b<script>"


def test_https_is_remembered(serve: Callable[..., Api]) -> None:
    secure = serve(public_url="https://reports.example.org")
    assert "max-age" in secure.get("/healthz").headers["Strict-Transport-Security"]
    assert "Strict-Transport-Security" not in serve().get("/healthz").headers


def test_a_failure_of_ours_tells_nothing_but_its_id(subscriber: Api, database: Database) -> None:
    database.subscriptions.insert_one(
        {
            "_id": "sub_broken",
            "organisation": "default",
            "owner": "usr_default_subscriber",
            "status": "active",
        }
    )
    answer = subscriber.get("/api/subscriptions/sub_broken", headers={"X-Request-ID": "find-me"})
    assert answer.status_code == 500
    assert slug(answer) == "internal"
    assert answer.json()["request_id"] == "find-me"
    for word in ("Traceback", "pydantic", "mongo", "File ", "schedule"):
        assert word not in answer.text


def test_a_401_says_how_to_come_in(api: Api) -> None:
    answer = api.get("/api/subscriptions")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert slug(answer) == "unauthenticated"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/subscriptions", "GET, HEAD, POST"),  # the router knows one route of an address
        ("/api/scheduled-reports/sub_x", "DELETE, GET, HEAD, PUT"),
        ("/api/reports/emails/weekly:2026-11-16", "GET, HEAD, PATCH"),
        ("/api/report-executions/job_x/download", "GET"),
        ("/healthz", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
    ],
)
def test_a_405_names_every_method_of_the_address(subscriber: Api, path: str, methods: str) -> None:
    for method in ("OPTIONS", "TRACE"):
        answer = subscriber.call(method, path)
        assert (slug(answer), answer.headers["Allow"]) == ("method-not-allowed", methods)


def test_head_is_get_without_the_body(subscriber: Api) -> None:
    made = subscriber.post("/api/subscriptions", json=weekly())
    for path in (made.headers["Location"], "/api/subscriptions?limit=5", "/api/subscriptions/sub_none"):
        asked, read = (subscriber.call(method, path) for method in ("HEAD", "GET"))
        assert (asked.status_code, asked.content) == (read.status_code, b"")
        told = ("Content-Type", "Content-Length", "ETag", "X-Content-Type-Options")
        assert [asked.headers.get(one) for one in told] == [read.headers.get(one) for one in told]
    assert subscriber.with_token(None).call("HEAD", "/api/subscriptions").status_code == 401
    assert subscriber.call("HEAD", "/api/subscriptions?limit=0").status_code == 422


@pytest.mark.parametrize("path", ["/api/events", "/api/report-executions/job_x/download", "/r/x"])
def test_what_would_be_noted_as_a_download_or_never_ends_has_no_head(subscriber: Api, path: str) -> None:
    assert subscriber.call("HEAD", path).status_code == 405


def test_a_condition_where_nothing_is_held_against_it_is_refused(api: Api) -> None:
    """Who sends If-Match counts on a 412 when somebody else was faster."""
    admin = api.as_("usr_default_admin")
    body = {"name": "Other"}
    refused = admin.put("/api/organisations/other", json=body, headers={"If-Match": '"1"'})
    assert refused.json()["errors"][0]["parameter"] == "If-Match"
    assert admin.put("/api/organisations/other", json=body).status_code == 200
    assert admin.get("/api/organisations/other", headers={"If-Match": '"1"'}).status_code == 200


def test_health_ready_and_metrics(api: Api, database: Database) -> None:
    assert api.get("/healthz").json() == {"status": "ok"}
    for path in ("/healthz", "/readyz"):  # as some load balancers probe
        probed = api.call("HEAD", path)
        assert (probed.status_code, probed.content) == (200, b""), path
    assert api.get("/readyz").json() == {"status": "ready", "stores": {"mongodb": "ok", "s3": "ok"}}
    api.as_("usr_default_subscriber").post("/api/subscriptions", json=weekly())
    answer = api.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'reporting_subscriptions{status="active"} 1.0\n' in answer.text
    assert "# TYPE reporting_jobs gauge\n" in answer.text


def test_metrics_may_need_their_own_token(serve: Callable[..., Api]) -> None:
    api = serve(metrics_token=SecretStr("scrape-me"))
    assert api.get("/metrics").status_code == 401
    assert api.as_("usr_default_admin").get("/metrics").status_code == 401
    assert api.with_token("scrape-me").get("/metrics").status_code == 200


@pytest.mark.parametrize("hours", [2, -2])
def test_an_api_whose_clock_is_off_tells_true_ages(
    serve: Callable[..., Api], database: Database, hours: int
) -> None:
    """Else its alert says that no run shows a sign of life, or none that nobody does."""
    an_hour_ago = server_time(database) - timedelta(hours=1)
    database.heartbeats.insert_one({"_id": "run", "at": an_hour_ago, "stage": "render"})
    api = serve(clock=lambda: datetime.now(UTC) + timedelta(hours=hours))
    (age,) = re.findall(r"^reporting_heartbeat_age_seconds(?:\{.*\})? (\S+)$", api.get("/metrics").text, re.M)
    assert 3600 <= float(age) < 2 * 3600


def test_a_store_that_is_gone_makes_it_unready_not_dead(serve: Callable[..., Api], objects: Any) -> None:
    api = serve()
    objects.client.delete_bucket(Bucket=objects.bucket)
    try:
        answer = api.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["stores"] == {"mongodb": "ok", "s3": "failing"}
        assert api.get("/healthz").status_code == 200
    finally:
        objects.ensure_bucket()


def test_unsubscribing_is_by_post_alone(api: Api) -> None:
    page = api.get("/unsubscribe/not-a-token")
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    form = api.post("/unsubscribe/not-a-token", data={"List-Unsubscribe": "One-Click"})
    assert form.status_code == 200
    browser = api.get("/r/not-a-token", headers={"Accept": "text/html,*/*"})
    assert browser.status_code == 404
    assert "no longer good" in browser.text
    assert json.loads(api.get("/r/not-a-token").text)["status"] == 404


def test_a_parameter_that_an_address_does_not_have_is_refused_by_name(api: Api) -> None:
    """A misspelt filter that is passed over would list everything."""
    answer = api.as_("usr_default_admin").get("/api/subscriptions?stauts=active")
    assert answer.status_code == 422
    (problem,) = answer.json()["errors"]
    assert (problem["in"], problem["parameter"]) == ("query", "stauts")
    assert "status" in problem["detail"]


def test_a_body_that_stops_coming_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_PAUSE_SECONDS", 0.2)
    address = urlsplit(api.base)
    assert address.hostname is not None
    headers = {
        "Authorization": f"Bearer {api.as_('usr_default_admin').token}",
        "Content-Type": "application/json",
        "Content-Length": "1000",
    }
    connection = HTTPConnection(address.hostname, address.port or 80, timeout=PATIENCE)
    with closing(connection):
        connection.putrequest("POST", "/api/subscriptions")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(b'{"userId": ')
        answer = connection.getresponse()
        said = json.loads(answer.read())
    assert (answer.status, said.get("detail")) == (400, "The body stopped coming."), said
