"""Texts that people write hold no character that ends a line, hides, or turns what stands around it."""

from __future__ import annotations

from typing import Any

import pytest

from reporting_pipeline_tests.attacks.world import World, document_id

HOSTILE = ("a\0b", "a\x1b[31mb", "a\u202eb", "a\u2028b", "a\U000e0041b")
SCHEDULED = {
    "name": "n",
    "schedule_config": {"cadence": "daily", "time": "06:00", "timezone": "UTC"},
    "recipients": [{"type": "user", "value": "usr_admin_all"}],
}
DOCUMENT = {"trial": "T1", "site": "701", "subject": "S1", "kind": "note", "title": "t"}
#: method, address, a body that is good but for its text, the field of the text
WRITTEN: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "/api/scheduled-reports", SCHEDULED, "name"),
    ("POST", "/api/scheduled-reports", SCHEDULED, "description"),
    ("PUT", "/api/scheduled-reports/sub_whole", SCHEDULED, "description"),
    ("PATCH", "/api/subscriptions/sub_whole", {}, "name"),
    ("PUT", "/api/organisations/default", {"name": "n"}, "name"),
    ("PUT", "/api/organisations/default", {"name": "n"}, "report_footer"),
    ("PUT", "/api/organisations/default", {"name": "n"}, "mail_footer"),
    ("POST", "/api/trials", {"id": "T9", "title": "t"}, "title"),
    ("POST", "/api/trials/T1/sites", {"id": "799", "name": "n"}, "name"),
    ("PUT", "/api/holds/{report}", {"kind": "legal_hold"}, "reason"),
    ("POST", "/api/report-executions/{job}/release", {"sha256": "0" * 64, "meaning": "review"}, "reason"),
    ("PUT", f"/api/documents/{document_id('D1')}", {"document": DOCUMENT}, "reason"),
    ("PATCH", "/api/reports/emails/{sent}", {"status": "delivered"}, "error"),
    ("PATCH", "/api/reports/emails/{sent}", {"status": "delivered"}, "providerId"),
    ("PATCH", "/api/reports/weekly:2026-11-16/result", {}, "note"),
]


@pytest.mark.parametrize(("method", "path", "body", "field"), WRITTEN, ids=lambda one: str(one)[:60])
def test_no_text_that_people_write_holds_what_nobody_writes(
    world: World, method: str, path: str, body: dict[str, Any], field: str
) -> None:
    person, job = world.person("admin", "all"), world.jobs["whole"]
    report = (world.database.jobs.find_one({"_id": job}) or {})["report"]
    address = path.format(report=report, job=job, sent=world.sent["whole"])
    for text in HOSTILE:
        refused = person.call(method, address, json={**body, field: text})
        assert refused.status_code == 422, refused.text
        assert [one["pointer"] for one in refused.json()["errors"]] == [f"#/{field}"]


def test_a_reason_in_the_address_is_held_to_the_same(world: World) -> None:
    for text in HOSTILE:
        path = f"/api/documents/{document_id('D1')}"
        refused = world.person("manager", "all").delete(path, params={"reason": text})
        assert refused.status_code == 422, refused.text
