"""A right that ends while something is under way ends that: an export, lines that are read, a log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from reporting_pipeline.console.pages import audit as audit_pages
from reporting_pipeline.domain.entitlements import ALL, Entitlements
from reporting_pipeline.stores import audit, users
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.usecases import documents as usecase
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline_tests.attacks.world import NOW, World
from reporting_pipeline_tests.waiting import wait_until

OWNER = "usr_owner_of_default"


@pytest.fixture(params=["withdrawn", "deactivated"])
def change(request: pytest.FixtureRequest) -> dict[str, Any]:
    changes: dict[str, dict[str, Any]] = {"withdrawn": {"trials": ["T2"]}, "deactivated": {"active": False}}
    return changes[request.param]


def somebody(world: World, role: str, name: str) -> str:
    """A person of this test alone, to whom everything is open."""
    identifier = f"usr_meanwhile_{name}"
    world.database.users.delete_one({"_id": identifier})
    users.create_user(
        world.database,
        "default",
        f"{name}@default.example",
        NOW,
        roles=[role],
        entitlements=Entitlements(ALL),
        user_id=identifier,
    )
    return identifier


@pytest.mark.parametrize("of", ["caller", "owner"])
def test_an_export_that_began_before_holds_nothing_that_is_closed_by_now(
    world: World, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], of: str
) -> None:
    admin = somebody(world, "admin", "exporting")
    before = world.database.users.find_one({"_id": OWNER})
    read = ObjectStore.get

    def changed_meanwhile(self: ObjectStore, key: str, *more: Any) -> bytes:
        if key.startswith("reports/"):
            changed = admin if of == "caller" else OWNER
            world.database.users.update_one({"_id": changed}, {"$set": change})
        return read(self, key, *more)

    monkeypatch.setattr(ObjectStore, "get", changed_meanwhile)
    try:
        answer = world.api.as_(admin).get(f"/api/users/{OWNER}/export")
    finally:
        assert before is not None
        world.database.users.replace_one({"_id": OWNER}, before)
    assert answer.status_code == 403
    assert "rights were changed while the files were read" in answer.json()["detail"]
    assert audit.events_of(world.database, "default", action="user.exported", actor=admin) == []


def test_lines_that_come_after_a_right_has_ended_are_not_taken_in(
    world: World, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    manager = somebody(world, "manager", "sending")
    name = f"late-{'-'.join(change)}"
    stored = {"trial": "T1", "external_id": {"$regex": f"^{name}"}}
    monkeypatch.setattr(usecase, "CHUNK", 3)

    def lines() -> Iterator[bytes]:
        for number in range(6):
            if number == 4:
                wait_until(
                    "the first group stands", lambda: world.database.documents.count_documents(stored) == 3
                )
                world.database.users.update_one({"_id": manager}, {"$set": change})
            told = {"trial": "T1", "site": "701", "kind": "note", "title": "A note", "id": f"{name}-{number}"}
            yield json.dumps(told).encode() + b"\n"

    answer = world.api.as_(manager).post(
        "/api/documents:batch", data=lines(), headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.status_code == 403, answer.text
    assert world.database.documents.count_documents(stored) == 3


def test_a_log_that_is_sent_ends_with_the_right_to_it_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    reader = users.get_user(world.database, somebody(world, "manager", "reading"))
    assert reader is not None
    monkeypatch.setattr(audit_pages, "EXPORTED_AT_ONCE", 2)
    for number in range(5):
        audit.record(
            world.database,
            audit.AuditAction.AUDIT_VERIFIED,
            reader.id,
            str(number),
            NOW,
            organisation="default",
        )
    parts = Context(world.api.settings, world.database, world.objects, None, None, lambda: NOW)  # type: ignore[arg-type]
    sent = audit_pages._lines(parts, reader, None, reader.id)
    assert [json.loads(next(sent))["subject"] for _ in range(2)] == ["4", "3"]
    world.database.users.update_one({"_id": reader.id}, {"$set": change})
    assert [list(json.loads(line)) for line in sent] == [["incomplete"]]
