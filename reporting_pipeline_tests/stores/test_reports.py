"""Records of reports: a new rendering takes the place of the one that stands, whatever that holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.reports import StoredReport, reports_by_id, save_reports

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def report(identifier: str, digest: str) -> StoredReport:
    return StoredReport(
        id=identifier,
        organisation="default",
        subscription=f"sub_{identifier}",
        cadence="weekly",
        period="2026-11-16",
        key=f"reports/{digest}.pdf",
        sha256=digest,
        size=1,
        pages=1,
        format="pdf",
        content_type="application/pdf",
        file_name="report.pdf",
        dataset_versions={"T": digest},
        data_as_of=NOW,
        code_version="1",
        rendered_at=NOW,
    )


def test_a_rendering_names_those_that_it_took_the_place_of(database: Database) -> None:
    for digest in ("a" * 64, "b" * 64, "b" * 64, "c" * 64):
        save_reports(database, [report("rep_1", digest)])
    standing = reports_by_id(database, ["rep_1"])["rep_1"]
    assert [one["sha256"][0] for one in standing.superseded] == ["a", "b"]


@pytest.mark.parametrize("broken", [{}, {"sha256": 7, "superseded": "x"}, {"superseded": [1, None]}])
def test_a_record_that_somebody_broke_keeps_no_report_from_being_recorded(
    database: Database, broken: dict[str, Any]
) -> None:
    database.reports.insert_one({"_id": "rep_1", **broken})
    save_reports(database, [report("rep_1", "a" * 64), report("rep_2", "b" * 64)])
    assert set(reports_by_id(database, ["rep_1", "rep_2"])) == {"rep_1", "rep_2"}
