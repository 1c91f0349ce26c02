"""Records of reports: a new rendering takes the place of the one that stands, whatever that holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.reports import (
    StoredReport,
    basis_of,
    reports_by_id,
    save_reports,
    sent_reports,
    shows_the_same,
    went_out,
)

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


@pytest.mark.parametrize(
    ("broken", "sent"), [((), "a"), (({"sha256": "z"}, 7, {"rendered_at": "yesterday"}), "a")]
)
def test_what_was_sent_is_told_apart_from_what_was_made_since_and_went_to_nobody(
    database: Database, broken: tuple[object, ...], sent: str
) -> None:
    save_reports(database, [report("rep_1", "a" * 64)])
    job = {"_id": "job_1", "subscription": "sub_rep_1", "period": "2026-11-16", "cadence": "weekly"}
    made = {"report": "rep_1", "state": "completed", "rendered_at": NOW + timedelta(seconds=1)}
    database.jobs.insert_one({**job, **made})
    later = replace(report("rep_1", "b" * 64), rendered_at=NOW + timedelta(hours=3))
    save_reports(database, [later])
    database.reports.update_one({"_id": "rep_1"}, {"$push": {"superseded": {"$each": list(broken)}}})
    found = sent_reports(database, Cadence.WEEKLY, ["2026-11-16"], ["sub_rep_1"])["rep_1"]
    assert found.sha256 == sent * 64
    basis = basis_of(found, {"T": "new"})
    assert (basis or {})["sha256"] == sent * 64
    newer = {"rendered_at": NOW + timedelta(hours=4), "occurrence": "2"}
    database.jobs.insert_one({**job, **made, **newer, "_id": "job_2"})
    again = sent_reports(database, Cadence.WEEKLY, ["2026-11-16"], ["sub_rep_1"])["rep_1"]
    assert again.sha256 == "b" * 64


_SHOWN = [{"sites": ["701"], "subject": None}]


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"data_as_of": NOW}, True),
        ({"audience": "sponsor"}, False),
        ({"subject": "701-1"}, False),
        ({"dataset_versions": {"T": "1", "T2": "2"}}, False),
        ({"dataset_versions": {"T": "of another day"}}, True),
        ({"shown": []}, False),
    ],
)
def test_the_same_rights_open_two_renderings_of_the_same_for_the_same_alone(
    changed: dict[str, Any], same: bool
) -> None:
    was = {"subject": None, "audience": "site", "dataset_versions": {"T": "1"}, "shown": _SHOWN}

    assert shows_the_same(was, was | changed) is same
    assert shows_the_same(was | changed, was) is same


def test_while_a_rendering_awaits_its_release_readers_have_the_newest_that_showed_the_same() -> None:
    plain = report("rep_1", "c" * 64)
    earlier = [
        {"sha256": digest * 64, "key": f"reports/{digest}.pdf", "rendered_at": NOW, "data_as_of": NOW}
        | {"dataset_versions": {"T": digest}, "shown": [], "subject": "", "audience": ""}
        for digest in "ab"
    ]
    waits = replace(plain, awaiting_release=[{"concern": "total_fell"}], superseded=earlier)

    assert went_out(plain) is plain
    found = went_out(waits)
    assert found is not None
    assert found.sha256 == "b" * 64
    assert went_out(replace(waits, audience="sponsor")) is None
