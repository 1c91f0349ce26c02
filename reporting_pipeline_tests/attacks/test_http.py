"""What is sent before, around and instead of a request: the answer comes before the damage."""

from __future__ import annotations

import logging
import socket
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import jwt
import pytest
from pymongo import MongoClient

from reporting_pipeline.api.app import create_app
from reporting_pipeline.delivery.links.masking import LinkMask
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.usecases.callers.origins import network_of
from reporting_pipeline.usecases.callers.refusals import NOTED_OF_A_NETWORK
from reporting_pipeline_tests.api.conftest import Api, Server
from reporting_pipeline_tests.attacks.world import ENTITLED, World, document_id, mark
from reporting_pipeline_tests.waiting import PATIENCE


def answer_to_head(api: Api, method: str, path: str, content_type: str, length: int) -> str:
    """The status line of a request whose body is announced and never sent."""
    parts = urlsplit(api.base)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE) as connection:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {api.token}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {length}\r\nIdempotency-Key: k\r\n\r\n"
        )
        connection.sendall(head.encode())
        return connection.recv(200).split(b"\r\n")[0].decode()


BODIES = [
    ("POST", "/api/documents", "multipart/form-data; boundary=x", 45_000_000),
    ("POST", "/api/documents:batch", "application/x-ndjson", 45_000_000),
    ("POST", "/api/dead-letters/requeue", "application/json", 900_000),
    ("POST", "/api/reports/emails", "application/json", 900_000),
    ("PATCH", "/api/reports/weekly:2026-11-16/state", "application/json", 900_000),
]


@pytest.mark.parametrize(("method", "path", "content_type", "length"), BODIES)
def test_a_role_is_asked_before_the_body_comes(
    world: World, method: str, path: str, content_type: str, length: int
) -> None:
    """Else whoever may nothing fills the memory."""
    person = world.person("subscriber", "all")
    assert answer_to_head(person, method, path, content_type, length) == "HTTP/1.1 403 Forbidden"


@pytest.mark.parametrize("days", [31, 400, 36_500])
def test_a_token_that_lives_too_long_is_none(world: World, days: int) -> None:
    settings, now = world.api.settings, datetime.now(UTC)
    claims = {
        "sub": "usr_admin_all",
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "iat": int(now.timestamp()),
        "exp": int((now + timedelta(days=days)).timestamp()),
    }
    token = jwt.encode(claims, settings.jwt_secret.get_secret_value(), "HS256")
    assert world.api.with_token(token).get("/api/subscriptions").status_code == 401


def test_the_document_that_is_announced_is_served(world: World) -> None:
    answer = world.api.get("/openapi.json")
    assert answer.status_code == 200
    assert "/api/subscriptions" in answer.json()["paths"]


def test_forged_links_cost_no_look_at_a_store(world: World) -> None:
    before = world.database.rate_counters.count_documents({})
    for number in range(30):
        assert world.api.get(f"/r/forged-{number}.x").status_code == 404
    assert world.database.rate_counters.count_documents({}) == before


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("/r/eyJkIjoiZGx2XzEifQ.abc", "/r/<masked>"),
        ("/unsubscribe/eyJk.abc?x=1", "/unsubscribe/<masked>?x=1"),
        ("/confirm-address/eyJk.abc", "/confirm-address/<masked>"),
        ("/console/sign-in/callback?code=abc&state=def", "/console/sign-in/callback?<masked>"),
        ("/api/jobs/job_1", "/api/jobs/job_1"),
    ],
)
def test_no_token_stands_in_the_access_log(line: str, kept: str) -> None:
    record = logging.LogRecord("uvicorn.access", 20, "", 0, "%s %s %s", ("::1", line, 200), None)
    assert LinkMask().filter(record)
    assert record.getMessage() == f"::1 {kept} 200"


TURNING = ["\u202eevil", "a\u2066b", "x\u2028y", "x\u2029y", "\u202dz"]


@pytest.mark.parametrize("name", TURNING)
def test_a_name_turns_no_text_around(world: World, name: str) -> None:
    body = {"name": name, "email": "turning@default.example", "roles": ["subscriber"], "trials": []}
    answer = world.person("admin", "all").put("/api/users/usr_turning", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/name"


@pytest.mark.parametrize(
    "data", ['{"$ref": "users", "$id": "x"}', '{"a": {"$ref": "u", "$id": "x"}}', '{"$set": 1}']
)
def test_a_payload_that_reads_back_as_something_else_is_refused(world: World, data: str) -> None:
    form = {"trial": "T1", "site": "701", "kind": "note", "title": "x", "data": data}
    answer = world.person("manager", "all").post("/api/documents", data=form, files={"file": ("a.txt", b"x")})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    "broken",
    [
        {"data": {"$ref": "users", "$id": "x"}},
        {"title": None},
        {"kind": 7},
        {"received_at": "yesterday"},
        {"file": "a text"},
    ],
    ids=str,
)
def test_one_bad_record_takes_no_page_with_it(world: World, broken: dict[str, object]) -> None:
    """However it came there."""
    good = world.database.documents.find_one({"_id": document_id("D3")}) or {}
    identifier = "doc_" + "f" * 24
    world.database.documents.insert_one({**good, "_id": identifier, "title": "x", **broken})
    try:
        page = world.person("analyst", "all").get("/api/documents")
        assert page.status_code == 200, page.text
        assert mark("D1") in page.text
        alone = world.person("analyst", "all").get(f"/api/documents/{identifier}")
        assert alone.status_code < 500
    finally:
        world.database.documents.delete_one({"_id": identifier})


def test_rights_in_the_audit_log_have_old_and_new_values(world: World) -> None:
    admin = world.person("admin", "all")
    body = {"name": "A", "email": "values@default.example", "roles": ["subscriber"], "trials": ["T1"]}
    assert admin.put("/api/users/usr_values", json=body).status_code == 201
    assert admin.put("/api/users/usr_values", json={**body, "trials": []}).status_code == 200
    row = world.database.audit.find_one({"subject": "usr_values", "action": "user.changed"}) or {}
    assert (row["details"]["before"]["trials"], row["details"]["after"]["trials"]) == (["T1"], [])
    assert "@" not in str(row["details"])


def test_a_download_of_a_document_is_noted(world: World) -> None:
    world.person("analyst", "trial").get(f"/api/documents/{document_id('D1')}/file")
    query = {"action": "document.downloaded", "actor": "usr_analyst_trial", "subject": document_id("D1")}
    assert world.database.audit.count_documents(query) >= 1


def test_a_store_that_is_away_is_said_to_be_away(world: World) -> None:
    """A 503 with a time to come back, not a fault of ours."""
    uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"
    with MongoClient[Record](uri) as client:
        app = create_app(world.api.settings, client.get_database("away"), world.objects)
        with Server(app) as server:
            answer = Api(server.base, world.api.settings).as_("usr_admin_all").get("/api/documents")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.json()["type"].endswith(":unavailable")


def test_everybody_of_the_table_is_there(world: World) -> None:
    assert world.database.users.count_documents({"organisation": "default"}) >= 5 * len(ENTITLED)


def refusals_of(world: World, actor: str, subject: str) -> list[Record]:
    query = {"action": "access.refused", "actor": actor, "subject": subject}
    return [row["details"] for row in world.database.audit.find(query)]


REACHED = [
    ("analyst", f"/api/documents/{document_id('D3')}", document_id("D3"), 404),
    ("manager", f"/api/documents/{document_id('D3')}/file", document_id("D3"), 404),
    ("analyst", "/api/jobs/job_that_is_not", "job_that_is_not", 404),
    ("subscriber", "/api/audit", "api.audit", 403),
    ("subscriber", "/api/users/usr_admin_all", "usr_admin_all", 403),
]


@pytest.mark.parametrize(("role", "path", "subject", "status"), REACHED)
def test_a_refused_access_is_noted(world: World, role: str, path: str, subject: str, status: int) -> None:
    """By the role, by the entitlement, and by what is not there: a 404 may hide a right."""
    answer = world.person(role, "site").get(path)
    noted = refusals_of(world, f"usr_{role}_site", subject)
    assert answer.status_code in (status, 403, 404)
    assert {"status": answer.status_code, "method": "GET"}.items() <= noted[-1].items()
    assert "@" not in str(noted)


def test_strangers_are_noted_and_fill_no_log(world: World) -> None:
    for number in range(40):
        assert world.api.with_token(f"forged.{number}.x").get("/api/audit").status_code == 401
    noted = refusals_of(world, "anonymous", "api.audit")
    assert 1 <= len(noted) <= 2 * NOTED_OF_A_NETWORK  # a minute may begin in between


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113"),
        ("2001:db8:1:2:3::4", "2001:0db8:0001:0002"),
        ("::ffff:203.0.113.77", "203.0.113"),
        ("203.0.113.77:4711", "203.0.113"),
        ("[2001:db8:1:2:3::4]:4711", "2001:0db8:0001:0002"),
        ("[2001:db8:1:2:3::4]", "2001:0db8:0001:0002"),
        ("", "unknown"),
        ("a name", "unknown"),
    ],
)
def test_strangers_are_counted_by_network(address: str, network: str) -> None:
    assert network_of(address) == network


def subscribed(recipient: dict[str, str], trials: list[str]) -> dict[str, object]:
    return {
        "name": "x",
        "userId": "usr_manager_all",
        "reportType": "weekly",
        "filters": {"trials": trials},
        "recipients": [recipient],
    }


LIMITED = [
    ({"type": "user", "value": "usr_analyst_trial"}, ["T2"]),
    ({"type": "user", "value": "usr_analyst_trial"}, []),
    ({"type": "user", "value": "usr_subscriber_site"}, ["T1"]),
    ({"type": "user", "value": "usr_subscriber_nothing"}, ["T1"]),
    ({"type": "user", "value": "usr_subscriber_participant"}, ["T1"]),
    ({"type": "user", "value": "usr_subscriber_gone"}, ["T1"]),
    ({"type": "email", "value": "analyst-trial@default.example"}, ["T2"]),
    ({"type": "email", "value": "Subscriber-Site@DEFAULT.example"}, ["T1"]),
    ({"type": "email", "value": "subscriber-gone@default.example"}, ["T1"]),
]


@pytest.mark.parametrize(("recipient", "trials"), LIMITED, ids=str)
def test_whoever_may_not_have_the_report_is_no_recipient(
    world: World, recipient: dict[str, str], trials: list[str]
) -> None:
    """At once, with the field, and not weeks later by silence."""
    answer = world.person("manager", "all").post("/api/subscriptions", json=subscribed(recipient, trials))
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == "#/recipients/0/value"


def test_wider_filters_are_asked_of_those_who_stand(world: World) -> None:
    manager = world.person("manager", "all")
    recipient = {"type": "user", "value": "usr_analyst_trial"}
    made = manager.post("/api/subscriptions", json=subscribed(recipient, ["T1"]))
    assert made.status_code == 201, made.text
    address = f"/api/subscriptions/{made.json()['subscriptionId']}"
    wider = manager.patch(address, json={"filters": {"trials": ["T1", "T2"]}})
    assert wider.status_code == 422
    assert wider.json()["errors"][0]["pointer"] == "#/recipients/0/value"
    manager.delete(address)
