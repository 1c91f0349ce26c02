"""Documents over HTTP: filters, pages, hostile uploads, and files that are fetched for a minute."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.one_document import ingest
from reporting_pipeline_tests.waiting import PATIENCE

NOW = datetime(2026, 11, 20, tzinfo=UTC)
FIELDS = {"trial": "T1", "site": "701", "kind": "ecg", "title": "Strip"}


def upload(
    api: Api, name: str = "strip.png", content: bytes = b"\x89PNG", **changed: Any
) -> requests.Response:
    return api.post(
        "/api/documents", data={**FIELDS, **changed}, files={"file": (name, content, "image/png")}
    )


def store(database: Database, objects: ObjectStore, number: int, **changed: Any) -> str:
    record = {
        "_id": f"doc_{number:024x}",
        "organisation": "default",
        "trial": "T1",
        "site": "701",
        "kind": "note",
        "title": f"Note {number}",
        # Three share each instant: pages must not lose or repeat one of them.
        "received_at": NOW - timedelta(hours=number // 3),
        **changed,
    }
    ingest(database, objects, record, None, NOW)
    return str(record["_id"])


def test_what_is_uploaded_is_stored_and_fetched(manager: Api, objects: ObjectStore) -> None:
    answer = upload(manager, collected="2026-11", note="seen", data='{"a": 1}')
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["kind"], body["collected"], body["note"], body["data"]) == (
        "ecg",
        "2026-11",
        "seen",
        {"a": 1},
    )
    assert body["file"]["size"] == 4
    assert {**manager.get(answer.headers["Location"]).json(), "findings": body["findings"]} == body
    file = manager.get(f"{answer.headers['Location']}/file")
    assert file.status_code == 307
    fetched = requests.get(file.headers["Location"], timeout=PATIENCE)
    assert fetched.content == b"\x89PNG"
    assert fetched.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "C:\\windows\\system32\\x.png",
        "a\r\nSet-Cookie: x=1.png",
        'quote".png',
        "‮gpj.exe",
        "né中.png",
        "x" * 200 + ".png",
        "-rf",
        "nul\x00.png",
    ],
)
def test_a_hostile_file_name_is_only_a_name(manager: Api, objects: ObjectStore, name: str) -> None:
    answer = upload(manager, name)
    assert answer.status_code in (201, 422), answer.text
    keys = list(objects.keys(""))
    assert all(key.startswith("files/T1/") and ".." not in key and key.isascii() for key in keys)
    if answer.status_code == 201:
        shown = answer.json()["file"]["name"]
        assert "/" not in shown
        assert "\\" not in shown
        assert shown.isprintable() or "‮" in shown
        link = manager.get(f"{answer.headers['Location']}/file").headers["Location"]
        disposition = requests.get(link, timeout=PATIENCE).headers["Content-Disposition"]
        assert disposition.count('"') == 2
        assert disposition.isascii()


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"trial": "X1"}, "#/trial"),
        ({"trial": "T|1"}, "#/trial"),
        ({"kind": "virus"}, "#/kind"),
        ({"data": "[1]"}, "#/data"),
        ({"data": "{"}, "#/data"),
        ({"data": '{"a": ' * 5000 + "1" + "}" * 5000}, "#/data"),
        ({"content": b""}, "#/file"),
    ],
)
def test_a_bad_upload_names_its_field_and_stores_nothing(
    manager: Api, objects: ObjectStore, database: Database, changed: dict[str, Any], pointer: str
) -> None:
    answer = upload(manager, **changed)
    assert answer.status_code == 422, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert list(objects.keys("")) == []
    assert database.documents.count_documents({}) == 0


def test_an_upload_has_a_limit(serve: Callable[..., Api], objects: ObjectStore) -> None:
    manager = serve(upload_limit_bytes=10_000).as_("usr_default_manager")
    assert upload(manager, content=b"x" * 10_000).status_code == 201
    assert upload(manager, content=b"x" * 10_001).status_code == 413
    assert upload(manager, content=b"x" * 200_000).status_code == 413

    def endless() -> Any:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for _ in range(100):
            yield b"x" * 10_000

    chunked = manager.post(
        "/api/documents", data=endless(), headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert chunked.status_code == 413
    assert len(list(objects.keys(""))) == 1


def test_pages_hold_each_document_once_newest_first(
    subscriber: Api, database: Database, objects: ObjectStore
) -> None:
    stored = {store(database, objects, number) for number in range(10)}
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = subscriber.get(f"/api/documents?limit=4{cursor}").json()
        found += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(found) == 10
    assert {one["id"] for one in found} == stored
    instants = [one["received_at"] for one in found]
    assert instants == sorted(instants, reverse=True)


def test_filters_select(subscriber: Api, database: Database, objects: ObjectStore) -> None:
    old = store(database, objects, 1, received_at=datetime(2026, 11, 15, 23, 59, tzinfo=UTC))
    lab = store(database, objects, 2, kind="lab", site="702")
    second = store(database, objects, 3, trial="T2")

    def ids(query: str) -> set[str]:
        return {one["id"] for one in subscriber.get(f"/api/documents?{query}").json()["items"]}

    assert ids("") == {old, lab, second}
    assert ids("kind=lab") == ids("site=702") == {lab}
    assert ids("trial=T2") == {second}
    assert ids("period=2026-11-16") == {lab, second}
    assert ids("period=2026-11-09") == {old}
    assert ids("period=2026-11-15&cadence=daily") == {old}
    assert ids("trial=X1") == set()
    assert subscriber.get("/api/documents?period=2026-11-17").status_code == 422
    assert subscriber.get("/api/documents?kind=virus").status_code == 422


def test_a_closed_trial_is_not_there(api: Api, database: Database, objects: ObjectStore) -> None:
    closed = store(database, objects, 1)
    open_ = store(database, objects, 2, trial="T2")
    database.users.update_one({"_id": "usr_default_analyst"}, {"$set": {"trials": ["T2"]}})
    analyst = api.as_("usr_default_analyst")
    assert [one["id"] for one in analyst.get("/api/documents").json()["items"]] == [open_]
    assert analyst.get("/api/documents?trial=T1").json()["items"] == []
    assert analyst.get(f"/api/documents/{closed}").status_code == 404
    assert analyst.get(f"/api/documents/{open_}").status_code == 200
