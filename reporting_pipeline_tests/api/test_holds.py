"""Reports are held by the API: who may, what it says, and that a legal hold is not another's to loosen."""

from __future__ import annotations

import pytest

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import HELD, STANDARD, ObjectStore
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.api.world import populate

KEY = "reports/weekly/2026-11-16/sub_world/x.pdf"


@pytest.fixture
def report(database: Database, objects: ObjectStore) -> str:
    found = populate(database, objects)["report"]
    database.holds.delete_many({})
    return found


def test_a_hold_marks_the_files_is_listed_and_audited(
    api: Api, report: str, database: Database, objects: ObjectStore
) -> None:
    manager = api.as_("usr_default_manager")
    placed = manager.put(f"/api/holds/{report}", json={"reason": "  Inspection  of November "})
    assert placed.status_code == 200, placed.text
    assert placed.json()["kind"] == "legal_hold"
    assert placed.json()["reason"] == "Inspection of November"
    assert manager.get("/api/holds").json()["items"] == [placed.json()]
    assert objects.tags(KEY)["retention"] == HELD
    assert manager.delete(f"/api/holds/{report}").status_code == 204
    assert manager.delete(f"/api/holds/{report}").status_code == 404
    assert objects.tags(KEY)["retention"] == STANDARD
    mine = database.audit.find({"subject": report, "actor": "usr_default_manager"})
    assert {row["action"] for row in mine} >= {"report.held", "report.released"}


def test_a_legal_hold_of_somebody_else_is_an_admins_to_lift(api: Api, report: str) -> None:
    admin, manager = api.as_("usr_default_admin"), api.as_("usr_default_manager")
    assert admin.put(f"/api/holds/{report}", json={"reason": "Litigation"}).status_code == 200
    weaker = {"kind": "critical", "reason": "Not so bad"}
    assert manager.put(f"/api/holds/{report}", json=weaker).status_code == 403
    assert manager.delete(f"/api/holds/{report}").status_code == 403
    assert admin.put(f"/api/holds/{report}", json=weaker).status_code == 200
    assert manager.delete(f"/api/holds/{report}").status_code == 204


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/reason"),
        ({"reason": "      "}, "#/reason"),
        ({"reason": "x" * 501}, "#/reason"),
        ({"reason": "Inspection", "kind": "forever"}, "#/kind"),
        ({"reason": "Inspection", "until": "2027-01-01"}, "#/until"),
    ],
)
def test_a_hold_that_says_nothing_is_refused_by_its_field(
    api: Api, report: str, body: dict[str, str], pointer: str
) -> None:
    refused = api.as_("usr_default_manager").put(f"/api/holds/{report}", json=body)
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]


def test_who_may_not_see_the_trial_neither_holds_nor_hears_of_it(
    api: Api, report: str, database: Database
) -> None:
    admin, manager = api.as_("usr_default_admin"), api.as_("usr_default_manager")
    assert admin.put(f"/api/holds/{report}", json={"reason": "Litigation"}).status_code == 200
    database.users.update_one({"_id": "usr_default_manager"}, {"$set": {"trials": ["T2"]}})
    assert manager.get("/api/holds").json()["items"] == []
    assert manager.put(f"/api/holds/{report}", json={"reason": "Curious"}).status_code == 404
    assert manager.delete(f"/api/holds/{report}").status_code == 404


def test_a_list_of_holds_is_paged(api: Api, report: str, database: Database) -> None:
    manager = api.as_("usr_default_manager")
    manager.put(f"/api/holds/{report}", json={"reason": "Inspection"})
    hold = database.holds.find_one({"_id": report}) or {}
    others = [f"rep_{number:020x}" for number in range(1, 5)]  # their reports are gone
    database.holds.insert_many([{**hold, "_id": one} for one in others])
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = manager.get(f"/api/holds?limit=2{cursor and f'&cursor={cursor}'}").json()
        found, cursor = found + [one["report"] for one in page["items"]], page["next_cursor"]
    assert found == sorted([report, *others])
