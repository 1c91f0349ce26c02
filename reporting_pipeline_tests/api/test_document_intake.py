"""Documents sent in, one and ten thousand at a time, corrected and withdrawn, over the real server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.stores import audit, documents
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.usecases import documents as usecase
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.one_document import ingest

FORM = {"trial": "T1", "site": "701", "kind": "adverse_event", "title": "Syncope"}
UNKNOWN = {"term": "SYNCOPE", "severity": "MODERATE"}
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def service(api: Api) -> Api:
    return api.as_("usr_default_service")


def send(api: Api, headers: dict[str, str] | None = None, **fields: Any) -> requests.Response:
    form = {name: (None, value) for name, value in {**FORM, **fields}.items()}
    return api.post("/api/documents", files=form, headers=headers or {})


def line(identifier: str | None, **changed: Any) -> dict[str, Any]:
    document = {**FORM, "subject": "701-001", "data": {"term": "SYNCOPE", "serious": "Y", "severity": "MILD"}}
    return {**document, **({"id": identifier} if identifier else {}), **changed}


def batch(api: Api, lines: list[Any], **more: Any) -> list[dict[str, Any]]:
    body = "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines)
    answer = api.post("/api/documents:batch", data=body.encode(), headers=LINES, **more)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    return [json.loads(one) for one in answer.text.splitlines()]


# --- one ------------------------------------------------------------------------------------------


def test_what_is_odd_about_a_payload_is_answered_at_once(manager: Api) -> None:
    answer = send(manager, data=json.dumps(UNKNOWN))
    assert answer.status_code == 201, answer.text
    found = {(one["code"], one["field"]) for one in answer.json()["findings"]}
    assert ("seriousness_not_stated", "data.serious") in found
    assert send(manager, data=json.dumps({**UNKNOWN, "serious": "Y"})).json()["findings"] == []


def test_a_field_that_no_document_has_is_refused_and_named(manager: Api, database: Database) -> None:
    answer = send(manager, subjekt="701-001")
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == ["#/subjekt"]
    assert database.documents.count_documents({}) == 0


def test_the_callers_own_id_is_one_in_its_trial(manager: Api) -> None:
    data = json.dumps(UNKNOWN)
    first = send(manager, id="ae-1", data=data)
    assert (first.status_code, first.json()["external_id"]) == (201, "ae-1")
    again = send(manager, id="ae-1", data=data)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    other = send(manager, id="ae-1", data=json.dumps({**UNKNOWN, "serious": "Y"}))
    assert other.status_code == 409
    assert f"PUT /api/documents/{first.json()['id']}" in other.json()["errors"][0]["detail"]
    elsewhere = send(manager, id="ae-1", trial="T2", data=data)
    assert elsewhere.status_code == 201
    assert elsewhere.json()["id"] != first.json()["id"]


def test_only_the_service_says_when_a_document_arrived_and_it_is_audited(
    manager: Api, service: Api, database: Database
) -> None:
    then = "2026-10-05T08:00:00+02:00"
    refused = send(manager, received_at=then)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "#/received_at"
    stored = send(service, received_at=then)
    assert stored.status_code == 201, stored.text
    assert stored.json()["received_at"] == "2026-10-05T06:00:00Z"
    (event,) = audit.events_of(database, "default", subject=stored.json()["id"])
    assert event["details"] == {"received_at": "2026-10-05T06:00:00+00:00"}
    assert send(service, received_at="2026-10-05T08:00:00").status_code == 422  # no offset


@pytest.mark.parametrize(
    "data",
    [
        '{"$where": 1}',
        '{"a": {"$gt": ""}}',
        '{"a": 9223372036854775808}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"": 1}',
        '{"a\\u0000b": 1}',
        '{"a": "\\ud800"}',
        '{"a": ' * 51 + "1" + "}" * 51,
        '{"a": ' + "[" * 200 + "]" * 200 + "}",
    ],
)
def test_what_the_database_would_not_give_back_is_refused(
    manager: Api, database: Database, data: str
) -> None:
    answer = send(manager, kind="note", data=data)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith("#/data")
    assert database.documents.count_documents({}) == 0
    (outcome,) = batch(
        manager, [json.dumps(line(None, kind="note", data=0)).replace('"data": 0', f'"data": {data}')]
    )
    assert outcome["state"] == "refused"
    assert manager.get("/api/documents").status_code == 200


def test_a_payload_as_deep_as_may_be_comes_back(manager: Api) -> None:
    deep: dict[str, Any] = {"a": 2**63 - 1}
    for _ in range(48):
        deep = {"a": deep}
    answer = send(manager, kind="note", data=json.dumps(deep))
    assert answer.status_code == 201, answer.text
    assert manager.get(f"/api/documents/{answer.json()['id']}").json()["data"] == deep


def test_the_same_multipart_request_again_is_answered_again(manager: Api, database: Database) -> None:
    key = {"Idempotency-Key": "upload-1"}
    first = send(manager, key, data=json.dumps(UNKNOWN))
    again = send(manager, key, data=json.dumps(UNKNOWN))  # requests draws another boundary
    assert first.request.headers["Content-Type"] != again.request.headers["Content-Type"]
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert send(manager, key, data="{}").status_code == 409
    assert database.documents.count_documents({}) == 1


# --- corrected and withdrawn ------------------------------------------------------------------------


def test_a_correction_is_a_new_version_and_the_old_one_is_kept(manager: Api, database: Database) -> None:
    before = send(manager, id="ae-1", subject="701-001", data=json.dumps(UNKNOWN)).json()
    window = Period.containing(Cadence.WEEKLY, datetime.fromisoformat(before["received_at"]))
    state = documents.newest_update(database, "T1", window.start_at, window.end_at)
    content = line("ae-1", data={**UNKNOWN, "serious": "Y"})
    answer = manager.put(
        f"/api/documents/{before['id']}", json={"document": content, "reason": "Site corrected it"}
    )
    assert answer.status_code == 200, answer.text
    after = answer.json()
    assert (after["version"], after["data"]["serious"]) == (2, "Y")
    assert after["received_at"] == before["received_at"]
    assert documents.newest_update(database, "T1", window.start_at, window.end_at) != state
    versions = manager.get(f"/api/documents/{before['id']}/versions").json()["items"]
    assert [(one["version"], one["state"]) for one in versions] == [(2, "current"), (1, "corrected")]
    assert versions[1]["document"]["data"] == UNKNOWN
    assert (versions[1]["by"], versions[1]["reason"]) == ("usr_default_manager", "Site corrected it")
    actions = [one["action"] for one in audit.events_of(database, "default", subject=before["id"])]
    assert actions == ["document.corrected", "document.created"]


def test_a_withdrawn_document_counts_no_more_and_stays_withdrawn(
    manager: Api, database: Database, objects: ObjectStore
) -> None:
    sent = send(manager, id="ae-1", data=json.dumps(UNKNOWN)).json()
    kept = send(manager, id="ae-2", data=json.dumps(UNKNOWN)).json()
    path = f"/api/documents/{sent['id']}"
    assert manager.delete(path).status_code == 422
    assert manager.delete(f"{path}?reason=Wrong+subject").status_code == 204
    assert manager.get(path).status_code == 404
    assert [one["id"] for one in manager.get("/api/documents").json()["items"]] == [kept["id"]]
    (version,) = manager.get(f"{path}/versions").json()["items"]
    assert (version["state"], version["reason"]) == ("withdrawn", "Wrong subject")
    assert send(manager, id="ae-1", data=json.dumps(UNKNOWN)).status_code == 422
    record = version["document"]
    arrival = {
        "_id": sent["id"],
        "organisation": "default",
        "received_at": datetime.now(UTC),
        **{name: record[name] for name in ("trial", "site", "kind", "title", "data", "external_id")},
    }
    again = ingest(database, objects, arrival, None, datetime.now(UTC))
    assert (again.created, again.withdrawn) == ([], 1)


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"trial": "T2"}, "#/trial"),
        ({"id": "ae-2"}, "#/id"),
        ({"received_at": "2026-10-05T08:00:00Z"}, "#/received_at"),
    ],
)
def test_a_correction_moves_nothing(manager: Api, changed: dict[str, Any], pointer: str) -> None:
    sent = send(manager, id="ae-1", data=json.dumps(UNKNOWN)).json()
    answer = manager.put(
        f"/api/documents/{sent['id']}", json={"document": line("ae-1", **changed), "reason": "x"}
    )
    assert answer.status_code == 422
    assert pointer in [one["pointer"] for one in answer.json()["errors"]]


def test_the_service_moves_no_arrival_by_a_correction(service: Api) -> None:
    then = "2026-10-05T08:00:00Z"
    sent = send(service, id="ae-1", data=json.dumps(UNKNOWN), received_at=then).json()

    def corrected(received_at: str) -> Any:
        document = line("ae-1", title="Mended", received_at=received_at)
        return service.put(f"/api/documents/{sent['id']}", json={"document": document, "reason": "x"})

    refused = corrected("2026-10-15T08:00:00Z")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/received_at")
    assert corrected(then).json()["received_at"] == then


# --- many -------------------------------------------------------------------------------------------


def test_each_line_has_an_answer_and_a_bad_one_keeps_no_other_out(manager: Api, database: Database) -> None:
    answers = batch(
        manager,
        [
            line("a"),
            "{broken",
            line("b", trial="X1"),
            line("c", colour="red", kind="virus"),
            "",
            line("a"),
            line("a", title="Other"),
            line("d", data={"term": "SYNCOPE"}),
            "[1]",
        ],
    )
    assert [(one["line"], one["state"]) for one in answers] == [
        (1, "stored"),
        (2, "refused"),
        (3, "refused"),
        (4, "refused"),
        (5, "unchanged"),
        (6, "refused"),
        (7, "stored"),
        (8, "refused"),
    ]
    assert {one["pointer"] for one in answers[3]["errors"]} == {"#/kind", "#/colour"}
    assert answers[2]["errors"][0]["pointer"] == "#/trial"
    assert "seriousness_not_stated" in {one["code"] for one in answers[6]["findings"]}
    assert database.documents.count_documents({}) == 2
    again = batch(manager, [line("a"), line("d", data={"term": "SYNCOPE"})])
    assert [one["state"] for one in again] == ["unchanged", "unchanged"]
    assert again[0]["id"] == answers[0]["id"]


def test_many_documents_arrive_in_one_request_and_one_too_many_is_told(
    service: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 1_600  # several groups; the real limit takes the embedded server a minute to forget
    assert usecase.MOST_IN_A_BATCH == 10_000
    monkeypatch.setattr(usecase, "MOST_IN_A_BATCH", count)

    def body() -> Iterator[bytes]:
        for number in range(count + 1):
            document = line(f"ae-{number}", received_at="2026-11-17T09:30:00Z")
            yield json.dumps(document).encode() + b"\n"

    answer = service.post("/api/documents:batch", data=body(), headers=LINES)
    assert answer.status_code == 200, answer.text
    answers = [json.loads(one) for one in answer.text.splitlines()]
    assert Counter(one["state"] for one in answers) == {"stored": count, "refused": 1}
    assert answers[-1]["line"] == count + 1
    assert database.documents.count_documents({"trial": "T1"}) == count
    assert database.audit.count_documents({"action": "document.created"}) == count


def test_a_closed_or_foreign_trial_takes_nothing_in(manager: Api, api: Api, database: Database) -> None:
    database.trials.update_one({"_id": "T1"}, {"$set": {"closed_at": datetime.now(UTC)}})
    (answer,) = batch(manager, [line("a")])
    assert "closed" in answer["errors"][0]["detail"]
    (foreign,) = batch(api.as_("usr_other_manager"), [line("a")])
    assert foreign["errors"][0]["pointer"] == "#/trial"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Content-Type": "application/json"}, 415), ({"Content-Type": "text/plain"}, 415)],
)
def test_a_batch_says_what_it_is(manager: Api, headers: dict[str, str], status: int) -> None:
    assert manager.post("/api/documents:batch", data=b"{}\n", headers=headers).status_code == status
