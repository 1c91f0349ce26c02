"""A report that takes another's place, and one of a period that is still open: what they say of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import BytesIO, TextIOWrapper
from zipfile import ZipFile

import openpyxl
import pypdfium2 as pdfium
import pytest

from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.restatements import Restated
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.reports.renderer import ReportRenderer, shows_what_was_sent
from reporting_pipeline_tests.reports.conftest import WEEK, make_dataset, make_request
from reporting_pipeline_tests.reports.reading import page_texts

BEFORE = Restated("a1" * 32, WEEK.end_at + timedelta(hours=6), {"T1": "v1"}, (make_dataset(events=2),))


def test_what_changed_stands_after_the_cover_with_figures_old_and_new(renderer: ReportRenderer) -> None:
    request = replace(make_request(make_dataset(events=5)), restates=BEFORE)
    pages = page_texts(renderer.render(request).content)
    assert "What changed" in pages[1]
    assert "a1a1a1a1a1a1a1a1" in pages[1]
    assert "Adverse events\n2\n5" in pages[1] or "Adverse events 2 5" in " ".join(pages[1].split())
    assert "Visits done" not in pages[1], "a figure that is as it was"


def test_a_report_on_the_trial_so_far_does_not_say_that_nothing_of_it_changed(
    renderer: ReportRenderer,
) -> None:
    same = make_dataset(events=2)
    asked = make_request(same, report_type="medical_review")
    page = page_texts(renderer.render(replace(asked, restates=BEFORE, statuses=(same,))).content)[1]
    said = " ".join(page.split())
    assert "What this report says of the trial so far is not compared; it may have changed." in said
    assert "No figure of this report changed" not in said


def test_json_has_the_changes_with_their_documents(renderer: ReportRenderer) -> None:
    request = replace(make_request(make_dataset(events=5), format=Format.JSON), restates=BEFORE)
    restates = json.loads(renderer.render(request).content)["restates"]
    assert (restates["sha256"], restates["complete"]) == ("a1" * 32, True)
    changes = {(one["trial"], one["figure"]): (one["before"], one["after"]) for one in restates["changes"]}
    assert changes["T1", "adverse_events"] == (2, 5)
    assert ("T1", "visits") not in changes


def test_a_document_that_is_gone_has_its_own_id_as_one_that_came(renderer: ReportRenderer) -> None:
    """One that counts in another figure since its correction has one name in both lists."""
    whole, less = _named(make_dataset()), _named(make_dataset(), without="doc_7")
    for old, new, where in ((whole, less, "documents_gone"), (less, whole, "documents_added")):
        before = replace(BEFORE, datasets=(old,))
        request = replace(make_request(new, format=Format.JSON), restates=before)
        changes = json.loads(renderer.render(request).content)["restates"]["changes"]
        (counted,) = [one for one in changes if one["figure"] == "documents"]
        assert counted[where] == ["own-doc_7"]


def _named(dataset: TrialDataset, without: str = "") -> TrialDataset:
    documents = dataset.tables["documents"]
    named = documents.assign(external_id="own-" + documents["document_id"])
    tables = {**dataset.tables, "documents": named[named["document_id"] != without]}
    return replace(dataset, tables=tables, version=(without or "whole").ljust(16, "0"))


def test_what_changed_of_the_period_before_is_not_said_of_the_period(renderer: ReportRenderer) -> None:
    request = replace(make_request(make_dataset(events=2)), restates=BEFORE)
    said = " ".join(page_texts(renderer.render(request).content)[1].split())
    assert "documents of the period, or of the one before it, came late" in said
    assert (
        "No figure of the period changed; rows of its tables, or what it is compared with, may have" in said
    )


def table_of(content: bytes, format: Format) -> list[dict[str, object]]:
    """The table "what changed" of a file, [] where it has none; and every text before the tables."""
    with ZipFile(BytesIO(content)) as archive:
        if format is Format.CSV:
            if "what_changed.csv" not in archive.namelist():
                return []
            with TextIOWrapper(archive.open("what_changed.csv"), "utf-8-sig") as file:
                return [dict(row) for row in csv.DictReader(file)]
    book = openpyxl.load_workbook(BytesIO(content))
    if "What changed" not in book.sheetnames:
        return []
    head, *rows = book["What changed"].values
    return [dict(zip((str(one).replace(" ", "_") for one in head), row, strict=True)) for row in rows]


@pytest.mark.parametrize("format", [Format.CSV, Format.XLSX])
@pytest.mark.parametrize("report_type", ["trial_activity", "data_listing"])
def test_tables_have_the_changes_with_their_documents(
    format: Format, report_type: str, renderer: ReportRenderer
) -> None:
    plain = make_request(make_dataset(events=5), format=format, report_type=report_type)
    assert table_of(renderer.render(plain).content, format) == []
    changes = table_of(renderer.render(replace(plain, restates=BEFORE)).content, format)
    (events,) = [one for one in changes if one["figure"] == "adverse_events"]
    assert (float(str(events["before"])), float(str(events["after"]))) == (2, 5)
    assert {"documents_added", "documents_gone"} <= events.keys()
    assert "visits" not in {one["figure"] for one in changes}


@pytest.mark.parametrize("format", [Format.PARQUET, Format.DATASET_JSON])
def test_other_tables_take_the_changes_too(format: Format, renderer: ReportRenderer) -> None:
    request = replace(make_request(make_dataset(events=5), format=format), restates=BEFORE)
    with ZipFile(BytesIO(renderer.render(request).content)) as archive:
        assert any(name.lower().startswith("what_changed") for name in archive.namelist())


@pytest.mark.parametrize("format", [Format.CSV, Format.XLSX])
def test_tables_say_whose_place_they_take_and_that_a_period_is_open(
    format: Format, renderer: ReportRenderer
) -> None:
    request = replace(
        make_request(format=format), restates=BEFORE, preliminary_at=WEEK.start_at + timedelta(days=2)
    )
    content = renderer.render(request).content
    with ZipFile(BytesIO(content)) as archive:
        if format is Format.CSV:
            said = archive.read("README.txt").decode()
        else:
            said = " ".join(
                str(cell)
                for row in openpyxl.load_workbook(BytesIO(content))["Overview"].values
                for cell in row
            )
    assert "SHA-256 a1a1a1a1a1a1a1a1" in said
    assert "still open. This is what had arrived by 2026-11-18 00:00 UTC" in said


def test_a_trial_that_was_in_one_of_the_two_alone_is_told(renderer: ReportRenderer) -> None:
    request = replace(make_request(make_dataset("T2"), format=Format.JSON), restates=BEFORE)
    changes = json.loads(renderer.render(request).content)["restates"]["changes"]
    counted = [one for one in changes if one["figure"] == "documents"]
    documents = {one["trial"]: (one["before"], one["after"]) for one in counted}
    assert documents == {"T1": (9, None), "T2": (None, 9)}


def test_data_that_is_kept_no_longer_makes_no_figure_up(renderer: ReportRenderer) -> None:
    gone = replace(BEFORE, datasets=(), complete=False)
    request = replace(make_request(format=Format.JSON), restates=gone)
    restates = json.loads(renderer.render(request).content)["restates"]
    assert (restates["complete"], restates["changes"]) == (False, [])
    pages = page_texts(renderer.render(replace(make_request(), restates=gone)).content)
    assert "is kept no longer" in pages[1]


def test_a_report_that_takes_nobodys_place_says_nothing_of_it(renderer: ReportRenderer) -> None:
    assert "restates" not in json.loads(renderer.render(make_request(format=Format.JSON)).content)
    assert "What changed" not in "".join(page_texts(renderer.render(make_request()).content))


def test_a_period_that_is_still_open_is_marked_on_cover_footers_name_and_metadata(
    new_renderer: Callable[[], ReportRenderer],
) -> None:
    request = replace(make_request(), preliminary_at=WEEK.start_at + timedelta(days=2))
    rendered = new_renderer().render(request)
    pages = page_texts(rendered.content)
    assert "Preliminary" in pages[0]
    assert "2026-11-18 00:00 UTC" in pages[0]
    assert all("PRELIMINARY" in page for page in pages)
    assert pdfium.PdfDocument(rendered.content).get_metadata_value("Title").startswith("Preliminary: ")
    assert rendered.file_name == "monday-safety-desk-2026-11-16-preliminary.pdf"
    whole = json.loads(
        new_renderer()
        .render(replace(request, subscription=make_request(format=Format.JSON).subscription))
        .content
    )
    assert whole["preliminary_as_of"] == "2026-11-18T00:00:00+00:00"
    again = new_renderer().render(make_request())
    assert "Preliminary" not in "".join(page_texts(again.content))


def test_what_a_reader_does_not_see_of_a_change_is_no_change_for_them() -> None:
    same = replace(make_request(make_dataset(events=2)), restates=BEFORE)
    other = replace(make_request(make_dataset(events=5)), restates=BEFORE)
    assert shows_what_was_sent(same)
    assert not shows_what_was_sent(other)
    assert not shows_what_was_sent(replace(same, restates=None))
    assert not shows_what_was_sent(replace(same, restates=replace(BEFORE, complete=False)))
    assert not shows_what_was_sent(replace(same, statuses=(make_dataset(),))), (
        "the trial so far is not compared"
    )
    one_more = make_request(make_dataset(events=2), make_dataset("T2"))
    assert not shows_what_was_sent(replace(one_more, restates=BEFORE))
