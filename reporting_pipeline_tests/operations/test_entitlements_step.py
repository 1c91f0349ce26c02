"""The step that says what users may see: all where it was meant, nothing where it was taken away since."""

from __future__ import annotations

from reporting_pipeline.domain.entitlements import ALL, Audience, Entitlements
from reporting_pipeline.operations.migrations import m0002_entitlements
from reporting_pipeline.stores.mongo import Database

STEP = m0002_entitlements.STEP


def beat() -> None:
    """Nobody else migrates."""


def user(name: str, **fields: object) -> dict[str, object]:
    return {"_id": f"usr_{name}", "organisation": "o", "email": f"{name}@o.example", "active": True, **fields}


def seen(database: Database, name: str) -> Entitlements:
    return Entitlements.from_record(database.users.find_one({"_id": f"usr_{name}"}) or {})


def test_what_was_meant_is_said_once_and_a_withdrawal_stays_one(database: Database) -> None:
    database.users.insert_many(
        [
            user("absent"),
            user("none", trials=None),
            user("empty", trials=[]),
            user("named", trials=["T1"]),
            user("closed", **Entitlements().as_record()),
            user("board", **Entitlements(ALL, audience=Audience.SAFETY_BOARD).as_record()),
        ]
    )
    assert STEP.count(database) == 4
    assert STEP.up(database, beat) == 4
    for name in ("absent", "none", "empty"):
        assert seen(database, name) == Entitlements(ALL)
    assert seen(database, "named") == Entitlements(("T1",))
    assert seen(database, "closed") == Entitlements()
    assert seen(database, "board").audience is Audience.SAFETY_BOARD
    database.users.update_one({"_id": "usr_named"}, {"$set": {"trials": []}})
    assert STEP.up(database, beat) == 0
    assert not seen(database, "named").covers_trial("T1")


def test_taken_back_nobody_sees_more(database: Database) -> None:
    database.users.insert_many(
        [
            user("all", **Entitlements(ALL).as_record()),
            user("named", **Entitlements(("T1",)).as_record()),
            user("nothing", **Entitlements().as_record()),
            user("site", **Entitlements(("T1",), {"T1": ("701",)}).as_record()),
        ]
    )
    assert STEP.down is not None
    assert STEP.down(database, beat) == 4
    rows = {row["_id"]: row for row in database.users.find()}
    assert (rows["usr_all"]["trials"], rows["usr_all"]["active"]) == ([], True)
    assert (rows["usr_named"]["trials"], rows["usr_named"]["active"]) == (["T1"], True)
    assert not rows["usr_nothing"]["active"]
    assert not rows["usr_site"]["active"]
    assert not any("audience" in row for row in rows.values())
