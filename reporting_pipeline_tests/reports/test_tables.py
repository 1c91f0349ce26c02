"""CSV and XLSX: the right values, no formulas, the same bytes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import BytesIO, StringIO
from zipfile import ZipFile

import pytest
from openpyxl import load_workbook

from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.domain.subscriptions import Filters, Format
from reporting_pipeline.reports.csv import harmless
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline_tests.reports.conftest import make_dataset, make_request

NewRenderer = Callable[[], ReportRenderer]
EVIL = '=HYPERLINK("http://evil.example","click")'


def csv_tables(content: bytes) -> dict[str, list[dict[str, str]]]:
    with ZipFile(BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {
            name.removesuffix(".csv"): list(csv.DictReader(StringIO(archive.read(name).decode("utf-8-sig"))))
            for name in archive.namelist()
            if name.endswith(".csv")
        }


def test_the_csv_holds_every_row_of_the_period(renderer: ReportRenderer) -> None:
    report = renderer.render(make_request(make_dataset(events=500), format=Format.CSV))
    tables = csv_tables(report.content)
    assert report.content_type == "application/zip"
    assert report.file_name.endswith(".zip")
    assert len(tables["adverse_events"]) == 500
    assert len(tables["documents"]) == 9
    assert [row["value"] for row in tables["labs"][:2]] == ["-2", "3"]
    figures = {row["figure"]: row for row in tables["key_figures"] if row["trial"] == "all"}
    assert figures["documents"]["current"] == "9"
    assert figures["documents"]["previous"] == "3"
    assert set(figures) == {figure.value for figure in Figure}


def test_the_csv_says_what_it_is(renderer: ReportRenderer) -> None:
    content = renderer.render(make_request(format=Format.CSV, filters=Filters(sites=("701",)))).content
    with ZipFile(BytesIO(content)) as archive:
        readme = archive.read("README.txt")
        assert readme.startswith(b"\xef\xbb\xbf")
        for text in ("Dr. Ada Byron", "rep_0123456789", "Sites: 701", "adverse_events.csv"):
            assert text in readme.decode("utf-8-sig")


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        EVIL,
        "+1-2",
        "-a",
        "＝1+1",
        "＠SUM(A1)",
        "=A1",
        "- none",
    ],
)
def test_formula_cells_are_neutralized(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize(
    "cell", ["-5", "-0.25", "+3.1", "-1e-7", "plain", "", "5-3", "a=b", -5.0, True, "-", "+++", "=", "- -"]
)
def test_numbers_and_plain_text_stay_as_they_are(cell: object) -> None:
    assert harmless(cell) == cell


def test_no_cell_of_the_csv_begins_a_formula(renderer: ReportRenderer) -> None:
    data = make_dataset(term=EVIL, note=EVIL, title="@x", subject="-cmd", unit="+x")
    for rows in csv_tables(renderer.render(make_request(data, format=Format.CSV)).content).values():
        for row in rows:
            assert not any(value[:1] in ("=", "+", "@", "\t", "\r") for value in row.values())
            assert row.get("subject", "'-cmd") in ("'-cmd",)


def test_the_workbook_reopens_with_the_right_values_and_no_formula(renderer: ReportRenderer) -> None:
    data = make_dataset(term=EVIL, note=EVIL)
    report = renderer.render(make_request(data, format=Format.XLSX))
    book = load_workbook(BytesIO(report.content))
    assert book.sheetnames[0] == "Overview"
    assert book.sheetnames[-1] == "Definitions"
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not any(cell.data_type == "f" for cell in cells)
    assert not any(cell.hyperlink for cell in cells)
    events = book["Adverse events"]
    header = [cell.value for cell in events[1]]
    assert events.cell(2, header.index("term") + 1).value == EVIL
    assert events.freeze_panes == "A2"
    labs = book["Labs"]
    value = [cell.value for cell in labs[1]].index("value") + 1
    assert labs.cell(2, value).value == -2
    documents = book["Documents"]
    received = [cell.value for cell in documents[1]].index("received at (UTC)") + 1
    assert documents.cell(2, received).is_date
    overview = {row[0].value: row[1].value for row in book["Overview"].iter_rows()}
    assert overview["Documents received"] == 9
    assert overview["Prepared for"] == "Dr. Ada Byron"


def test_a_note_longer_than_a_cell_is_cut_with_a_mark(renderer: ReportRenderer) -> None:
    report = renderer.render(make_request(make_dataset(note="y" * 1_000_000), format=Format.XLSX))
    sheet = load_workbook(BytesIO(report.content))["Documents"]
    column = [cell.value for cell in sheet[1]].index("note") + 1
    text = sheet.cell(2, column).value
    assert len(text) == 32_767
    assert text.endswith("[cut]")


@pytest.mark.parametrize("format", [Format.CSV, Format.XLSX])
def test_tables_are_the_same_bytes_again(new_renderer: NewRenderer, format: Format) -> None:
    first, second = (new_renderer().render(make_request(format=format)) for _ in range(2))
    assert first.content == second.content
    assert first.pages == 0


@pytest.mark.parametrize("format", [Format.CSV, Format.XLSX])
@pytest.mark.parametrize("text", ["\x00\x0b\ud800", "", "😀" * 40_000, "﷽\u202e"])
def test_odd_texts_make_readable_tables(renderer: ReportRenderer, format: Format, text: str) -> None:
    request = make_request(make_dataset(note=text, term=text, site=text), name=text, format=format)
    content = renderer.render(request).content
    if format is Format.CSV:
        assert csv_tables(content)["documents"]
    else:
        assert load_workbook(BytesIO(content))["Documents"].max_row == 10


@pytest.mark.parametrize("format", [Format.CSV, Format.XLSX])
def test_an_empty_period_makes_tables_with_headers(renderer: ReportRenderer, format: Format) -> None:
    content = renderer.render(make_request(filters=Filters(sites=("999",)), format=format)).content
    if format is Format.XLSX:
        assert load_workbook(BytesIO(content))["Documents"].max_row == 1
    else:
        with ZipFile(BytesIO(content)) as archive:
            assert b"No document that matches the filters" in archive.read("README.txt")
            assert archive.read("documents.csv").startswith(b"\xef\xbb\xbftrial,document_id")
