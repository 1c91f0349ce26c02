"""Figures against small tables whose answers can be counted by hand."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import pytest

from reporting_pipeline.domain.clinical.reading import Reading
from reporting_pipeline.domain.clinical.rows import rows_of
from reporting_pipeline.domain.datasets import TABLES, TrialDataset, table_from_rows
from reporting_pipeline.domain.figures import Figure, TrialFigures, Value, figures_for, total
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.domain.thumbnails import Thumbnail

WEEK = Period(Cadence.WEEKLY, date(2026, 11, 16))
NAN = float("nan")


def row(number: int, kind: str, site: str, subject: str, **more: object) -> dict[str, object]:
    return {
        "document_id": f"doc_{number}",
        "window": "current",
        "site": site,
        "subject": subject,
        "day": "2026-11-16",
        "kind": kind,
        "received_at": datetime(2026, 11, 16, 9, tzinfo=UTC),
        "synthetic": False,
        **more,
    }


def fact(number: int, site: str, subject: str, **more: object) -> dict[str, object]:
    return {
        "document_id": f"doc_{number}",
        "window": "current",
        "site": site,
        "subject": subject,
        "day": "2026-11-16",
        **more,
    }


def lab(number: int, test: str, value: float, low: float, high: float, **more: object) -> dict[str, object]:
    """A row as a document's payload makes it. NaN in a limit or value: there is none."""
    given = {"value": value, "low": low, "high": high}
    result = {"test_code": test, **{name: one for name, one in given.items() if one == one}}
    (made,) = rows_of("lab", {"results": [result]}, Reading())
    return fact(number, "701", "s1", **made, **more)


def dataset() -> TrialDataset:
    rows: dict[str, list[dict[str, object]]] = {
        "documents": [
            row(1, "lab", "701", "s1"),
            row(2, "adverse_event", "701", "s1", day="2026-11-17"),
            row(3, "adverse_event", "702", "s2"),
            row(4, "visit", "702", "s3"),
            row(
                5,
                "ecg",
                "702",
                "s3",
                file_status="ok",
                file_type="png",
                file_sha256="a" * 64,
                synthetic=True,
                note="calm",
            ),
            row(6, "imaging", "703", "", file_status="corrupt", file_type="jpg"),
            row(7, "lab_sheet", "703", "", file_status="missing", file_type="pdf"),
            row(8, "lab", "701", "s9", window="previous"),
            row(9, "adverse_event", "701", "s1", window="previous"),
        ],
        "adverse_events": [
            fact(2, "701", "s1", system_organ_class="CARDIAC", severity="SEVERE", serious="yes"),
            fact(3, "702", "s2", system_organ_class="CARDIAC", severity="MILD", serious="no"),
            fact(3, "702", "s2", system_organ_class="", severity="", serious="unknown"),
            fact(
                9, "701", "s1", system_organ_class="SKIN", severity="MILD", serious="yes", window="previous"
            ),
        ],
        "labs": [
            lab(1, "ALT", 10, 5, 40),  # within
            lab(1, "ALT", 40, 5, 40),  # on the limit: within
            lab(1, "ALT", 41, 5, 40),  # above, by 1/35
            lab(1, "ALT", 4, 5, NAN),  # below, by 1/5 of the limit
            lab(1, "K", 9, NAN, 5),  # above, by 4/5 of the limit
            lab(1, "K", 9, NAN, NAN),  # no range: not assessed
            lab(1, "K", NAN, 3, 5),  # no number: not assessed
            lab(8, "K", 4, 3, 5, window="previous"),
        ],
        "visits": [
            fact(4, "702", "s3", planned=True, visit_status="done"),
            fact(4, "702", "s3", planned=False, visit_status="done"),
            fact(4, "702", "s3", planned=True, visit_status="missed"),
            fact(4, "702", "s3", planned=True, visit_status="not stated"),
        ],
        "findings": [
            {"document_id": "doc_1", "window": "current", "site": "701", "code": "wrong_type"},
            {"document_id": "doc_4", "window": "current", "site": "702", "code": "partial_date"},
            {"document_id": "", "window": "current", "site": "", "code": "missing_field"},
            {"document_id": "doc_8", "window": "previous", "site": "701", "code": "wrong_type"},
        ],
    }
    return TrialDataset(
        trial="T1",
        title="A trial",
        period=WEEK,
        tables={name: table_from_rows(name, rows.get(name, [])) for name in TABLES},
        version="v",
        data_as_of=WEEK.end_at,
        media={"a" * 64: Thumbnail("a" * 64, "media/a.jpg", 10, 10)},
    )


def figures(**filters: tuple[str, ...]) -> TrialFigures:
    return figures_for(dataset(), Filters(**filters))


def test_every_key_figure_counts_what_its_definition_says() -> None:
    found = {
        name.value: value and (value.current, value.previous) for name, value in figures().values.items()
    }
    share = found.pop("abnormal_lab_share")
    assert found == {
        "documents": (7, 2),
        "subjects": (3, 2),
        "sites": (3, 1),
        "adverse_events": (3, 1),
        "serious_adverse_events": (1, 1),
        "adverse_events_of_unknown_seriousness": (1, 0),
        "deaths": (0, 0),
        "results_assessed": (5, 1),
        "out_of_range": (3, 0),
        "visits_missed": (1, 0),
        "visits_planned": (3, 0),
        "discontinuations": (0, 0),
        "deviations": (0, 0),
        "medications": (0, 0),
        "medical_history": (0, 0),
        "files_not_inspected": (0, 0),
        "subjects_with_adverse_events": (2, 1),
        "lab_results_assessed": (5, 1),
        "abnormal_labs": (3, 0),
        "visits": (2, 0),
        "dispositions": (0, 0),
        "files_ok": (1, 0),
        "files_missing": (1, 0),
        "files_corrupt": (1, 0),
    }
    assert share == pytest.approx((60.0, 0.0))


def test_every_figure_has_a_label_and_a_definition() -> None:
    assert all(figure.label and figure.definition.endswith(".") for figure in Figure)


def test_a_site_filter_leaves_only_that_site() -> None:
    found = figures(sites=("702",))
    assert found.values[Figure.DOCUMENTS] == Value(3, 0)
    assert found.values[Figure.ADVERSE_EVENTS] == Value(2, 0)
    assert found.values[Figure.FILES_CORRUPT] == Value(0, 0)
    assert list(found.site_activity.index) == ["702"]


def test_figures_of_kinds_that_are_left_out_are_absent_not_zero() -> None:
    found = figures(kinds=("adverse_event",))
    assert found.values[Figure.ABNORMAL_LABS] is None
    assert found.values[Figure.VISITS] is None
    assert found.values[Figure.ADVERSE_EVENTS] == Value(3, 1)
    assert found.values[Figure.DOCUMENTS] == Value(2, 1)
    assert found.labs_outside_range.empty


def test_file_types_choose_files_and_images_but_no_documents() -> None:
    found = figures(file_types=("jpg",))
    assert found.values[Figure.DOCUMENTS] == Value(7, 2)
    assert found.values[Figure.FILES_OK] == Value(0, 0)
    assert found.values[Figure.FILES_CORRUPT] == Value(1, 0)
    assert not found.media
    assert list(figures().media) == ["a" * 64]


def test_documents_are_counted_on_every_day_of_the_period() -> None:
    frame = figures().documents_by_day
    assert list(frame.index) == [day.isoformat() for day in WEEK.days()]
    assert frame.to_numpy().sum() == 7
    assert frame.loc["2026-11-17", "adverse_event"] == 1
    assert frame.loc["2026-11-22"].sum() == 0


def test_adverse_events_without_class_or_severity_are_counted_too() -> None:
    frame = figures().adverse_events_by_class
    assert list(frame.index) == ["CARDIAC", "Not coded"]
    found = frame.loc["CARDIAC"].to_dict()
    assert {name: count for name, count in found.items() if count} == {"MILD": 1, "SEVERE": 1}
    assert frame.loc["Not coded", "NOT STATED"] == 1


def test_labs_out_of_range_are_counted_by_test_and_side() -> None:
    frame = figures().labs_outside_range
    assert frame.loc["ALT"].to_dict() == {"below": 1, "above": 1, "other": 0, "assessed": 4}
    assert frame.loc["K"].to_dict() == {"below": 0, "above": 1, "other": 0, "assessed": 1}


def test_results_out_of_range_come_farthest_outside_first() -> None:
    listed = figures().out_of_range
    assert list(listed["value"]) == [9, 4, 41]
    assert list(listed["ratio"]) == pytest.approx([9 / 5, 5 / 4, 41 / 40])


def test_adverse_events_are_listed_serious_first() -> None:
    assert list(figures().adverse_events["serious"]) == ["yes", "unknown", "no"]


def test_site_activity_adds_up_to_the_key_figures() -> None:
    found = figures()
    sums = found.site_activity.sum()
    for column, figure in (
        ("documents", Figure.DOCUMENTS),
        ("adverse_events", Figure.ADVERSE_EVENTS),
        ("serious", Figure.SERIOUS_ADVERSE_EVENTS),
        ("results", Figure.RESULTS_ASSESSED),
        ("out_of_range", Figure.OUT_OF_RANGE),
        ("visits", Figure.VISITS),
    ):
        value = found.values[figure]
        assert value is not None
        assert sums[column] == value.current
    assert found.site_activity.loc["703", "bad_files"] == 2


def test_findings_follow_the_filters_and_those_of_no_document_are_always_shown() -> None:
    assert set(figures().findings["code"]) == {"wrong_type", "partial_date", "missing_field"}
    assert set(figures(sites=("702",)).findings["code"]) == {"partial_date", "missing_field"}
    assert set(figures(kinds=("lab",)).findings["code"]) == {"wrong_type", "missing_field"}


def test_totals_are_sums_and_the_share_is_recomputed() -> None:
    summed = total([figures(), figures(), figures(kinds=("visit",))])
    assert summed[Figure.DOCUMENTS] == Value(15, 4)
    share = summed[Figure.ABNORMAL_LAB_SHARE]
    assert share is not None
    assert share.current == pytest.approx(60.0)


def test_a_share_of_nothing_is_not_a_number() -> None:
    share = figures(sites=("702",)).values[Figure.ABNORMAL_LAB_SHARE]
    assert share is not None
    assert math.isnan(share.current)


def test_no_document_for_the_filters_is_empty() -> None:
    assert figures(sites=("999",)).is_empty
    assert not figures().is_empty
    assert figures().synthetic_documents == 1


def test_a_part_of_a_listing_keeps_the_order_of_the_listing() -> None:
    documents = figures().documents
    every_second = [place % 2 == 0 for place in range(len(documents))]
    chosen = documents.only(every_second)
    assert list(chosen["document_id"]) == list(documents["document_id"])[::2]
    assert [row["document_id"] for row in chosen.records(2)] == list(chosen["document_id"])[:2]
    assert list(chosen.frame["document_id"]) == list(chosen["document_id"])


def test_adverse_events_stand_by_death_then_seriousness_with_unknown_before_no_then_severity() -> None:
    graver: list[dict[str, object]] = [
        {"serious": "no", "fatal": True},
        {"serious": "yes", "severity": "MODERATE"},
        {"serious": "no", "seriousness_criteria": "hospitalisation", "severity": "MILD"},
        {"serious": "unknown", "severity": "SEVERE"},
        {"serious": "", "severity": "MODERATE"},  # nobody answered: as unknown
        {"serious": "unknown", "severity": "MILD"},
        {"serious": "no", "severity": "SEVERE"},
        {"serious": "no"},  # of unknown severity: before mild
        {"serious": "no", "severity": "MILD"},
    ]
    events = [fact(number, "701", f"s{number}", term=str(number), **one) for number, one in enumerate(graver)]
    tables = {name: table_from_rows(name, []) for name in TABLES}
    tables["adverse_events"] = table_from_rows("adverse_events", events[::-1])
    made = TrialDataset("T", "T", WEEK, tables, "0" * 16, WEEK.end_at)
    assert figures_for(made, Filters()).adverse_events["term"].tolist() == [
        str(n) for n in range(len(graver))
    ]
