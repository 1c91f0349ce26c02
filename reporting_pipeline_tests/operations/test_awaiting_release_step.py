"""The step that gives what waits for a person one word: records of before are read, and are theirs again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from reporting_pipeline.operations.migrations import m0004_awaiting_release
from reporting_pipeline.stores.mongo import Database

STEP = m0004_awaiting_release.STEP
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
WHY = [{"concern": "total_fell", "trial": "T1", "said": "visits were 12 and are 3 now"}]
EARLIER = {"sha256": "a" * 64, "rendered_at": NOW}

#: collection -> (as the version before wrote them, as they are read now), by id
CHANGED: dict[str, dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "jobs": {
        "waits": (
            {"state": "held", "held": {"reasons": WHY, "at": NOW}},
            {"state": "awaiting_release", "awaiting_release": {"reasons": WHY, "at": NOW}},
        ),
        "paused": (
            {"state": "skipped", "held": {"reasons": WHY, "at": NOW}},
            {"state": "skipped", "awaiting_release": {"reasons": WHY, "at": NOW}},
        ),
        "sent": ({"state": "completed", "held": None}, {"state": "completed", "awaiting_release": None}),
        "bare": ({"state": "held"}, {"state": "awaiting_release"}),
    },
    "reports": {
        "waits": ({"held": WHY, "superseded": []}, {"awaiting_release": WHY, "superseded": []}),
        "again": (
            {"held": [], "superseded": [{**EARLIER, "held": WHY}, EARLIER]},
            {"awaiting_release": [], "superseded": [{**EARLIER, "awaiting_release": WHY}, EARLIER]},
        ),
        "older": (
            {"superseded": [{**EARLIER, "held": []}]},
            {"superseded": [{**EARLIER, "awaiting_release": []}]},
        ),
        "odd": ({"held": [], "superseded": "?"}, {"awaiting_release": [], "superseded": "?"}),
    },
    "deliveries": {
        "waits": (
            {"state": "unknown", "held_for": "rst_1"},
            {"state": "unknown", "awaiting_release_after": "rst_1"},
        ),
        "decided": (
            {"state": "sent", "held_for": None},
            {"state": "sent", "awaiting_release_after": None},
        ),
    },
}
UNTOUCHED: dict[str, dict[str, Any]] = {
    "jobs": {"state": "pending"},
    "reports": {"superseded": {"held": "broken by hand"}},
    "deliveries": {"state": "pending"},
    "holds": {"kind": "legal_hold", "reason": "held for the inspection"},
    "audit": {"action": "held.decided", "seq": 1},
}
CASES = [(name, key, case) for name, cases in CHANGED.items() for key, case in cases.items()]


def beat() -> None:
    """Nobody else migrates."""


@pytest.fixture
def old(database: Database) -> Database:
    for name, cases in CHANGED.items():
        # What is unique among them follows from nothing that the step looks at.
        database[name].insert_many(
            [unique(name, key) | {"_id": key} | before for key, (before, _) in cases.items()]
        )
    for name, record in UNTOUCHED.items():
        database[name].insert_one(unique(name, "other") | {"_id": "other"} | record)
    return database


def unique(collection: str, key: str) -> dict[str, Any]:
    """Fields that the collection's unique indexes want different."""
    fields = {
        "jobs": ("subscription", "period", "occurrence"),
        "reports": ("subscription", "period"),
        "deliveries": ("job", "channel", "recipient"),
    }
    return {field: f"{field} of {key}" for field in fields.get(collection, ())}


def standing(database: Database, collection: str, key: str) -> dict[str, Any]:
    record = database[collection].find_one({"_id": key}) or {}
    return {field: value for field, value in record.items() if field not in unique(collection, key)}


def test_every_record_of_before_is_read_now_and_taken_back_it_is_as_it_was(
    old: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(m0004_awaiting_release, "BATCH", 2)
    assert STEP.down is not None
    # One report that somebody broke by hand is counted, and has nothing to rename.
    assert STEP.count(old) == len(CASES) + 1
    assert STEP.up(old, beat) == len(CASES)
    for name, key, (_, after) in CASES:
        assert standing(old, name, key) == {"_id": key, **after}
    assert STEP.up(old, beat) == 0
    assert STEP.down(old, beat) == len(CASES)
    for name, key, (before, _) in CASES:
        assert standing(old, name, key) == {"_id": key, **before}
    for name, record in UNTOUCHED.items():
        assert standing(old, name, "other") == {"_id": "other", **record}


def test_a_step_that_was_killed_between_two_batches_is_begun_again(
    old: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(m0004_awaiting_release, "BATCH", 1)
    beats = iter([None, None, None, ConnectionError("killed")])

    def beat_and_die() -> None:
        if (error := next(beats)) is not None:
            raise error

    with pytest.raises(ConnectionError):
        STEP.up(old, beat_and_die)
    assert STEP.up(old, beat) == len(CASES) - 4
    for name, key, (_, after) in CASES:
        assert standing(old, name, key) == {"_id": key, **after}
