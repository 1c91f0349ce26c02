"""CSV and XLSX: the right values, no formulas, the same bytes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO, StringIO
from typing import Any
from zipfile import ZipFile, ZipInfo
from zlib import DEFLATED, compressobj

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import load_workbook

from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.domain.subscriptions import Filters, Format
from reporting_pipeline.reports import csv as csv_tables_of_reports
from reporting_pipeline.reports import json as json_of_reports
from reporting_pipeline.reports import rows as row_batches
from reporting_pipeline.reports import xlsx, xlsx_rows
from reporting_pipeline.reports.csv import harmless
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline.reports.request import ReportError, ReportRequest
from reporting_pipeline.reports.rows import CellNotes, RowTable
from reporting_pipeline.reports.types import data_listing
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


@pytest.mark.parametrize(
    ("cell", "stands"),
    [
        ("pain;=1+1", "pain;'=1+1"),
        ("x\t@SUM(A1)", "x\t'@SUM(A1)"),
        ('a";\uff1dcmd', "a\";'\uff1dcmd"),
        (';"=1"', ';"\'=1"'),
        ("a;+3.1;=1", "a;+3.1;'=1"),
        ("\t=1", "'\t'=1"),
        ("a; -5;b", "a; -5;b"),
        ("left; - ; right", "left; - ; right"),
        ("nausea; vomiting", "nausea; vomiting"),
    ],
)
def test_no_formula_begins_where_a_spreadsheet_of_another_country_splits(cell: str, stands: str) -> None:
    """Where the comma is a decimal sign, Excel opens a CSV at the semicolons (OWASP, CSV Injection)."""
    assert harmless(cell) == stands
    schema = pa.schema([("text", pa.string())])
    table = RowTable("texts", schema, 1, lambda: iter([pa.record_batch([[cell]], schema=schema)]))
    file = BytesIO()
    csv_tables_of_reports.write_rows(table, file, CellNotes())
    assert list(csv.reader(StringIO(file.getvalue().decode("utf-8-sig"), newline="")))[1] == [stands]


def test_no_cell_of_the_csv_begins_a_formula(renderer: ReportRenderer) -> None:
    data = make_dataset(term=EVIL, note=EVIL, title="@x", subject="-cmd", unit="+x")
    tables = csv_tables(renderer.render(make_request(data, format=Format.CSV)).content)
    assert f"'{EVIL}" in [row["term"] for row in tables["adverse_events"]]
    for rows in tables.values():
        for row in rows:
            assert not any(value[:1] in ("=", "+", "@", "\t", "\r") for value in row.values())
            assert row.get("subject", "'-cmd") in ("'-cmd",)


@pytest.mark.parametrize("most_joined", [1 << 29, 0], ids=["32-bit offsets", "64-bit offsets"])
def test_cells_are_in_quotes_where_they_must_be_and_come_back_as_they_were(
    monkeypatch: pytest.MonkeyPatch, most_joined: int
) -> None:
    monkeypatch.setattr(csv_tables_of_reports, "_MOST_JOINED", most_joined)
    texts = ["plain", 'say "so"', "a,b", "two\nlines", "a\r\nb", '"', "", None, "é😀", "=1+1", "tab\tin"]
    schema = pa.schema([("text", pa.string()), ("number", pa.float64()), ("again", pa.string())])
    half = len(texts) // 2
    columns = [(some, [1e6] * len(some), some) for some in (texts[:half], texts[half:], [])]
    batches = [
        pa.record_batch([pa.array(c, f.type) for c, f in zip(one, schema, strict=True)], schema)
        for one in columns
    ]
    table = RowTable("texts", schema, len(texts), lambda: iter(batches))
    file, notes = BytesIO(), CellNotes()
    csv_tables_of_reports.write_rows(table, file, notes)
    rows = list(csv.reader(StringIO(file.getvalue().decode("utf-8-sig"), newline="")))
    expected = ["'=1+1" if text == "=1+1" else text or "" for text in texts]
    assert rows == [["text", "number", "again"], *([text, "1000000", text] for text in expected)]
    assert (notes.apostrophes, notes.replaced, notes.overlong) == (2, 0, 0)


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


@pytest.mark.parametrize("few", [50_000, 0])
def test_a_workbook_counts_the_cells_that_it_changed(
    renderer: ReportRenderer, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both writers, each cell as often as it stands there."""
    monkeypatch.setattr(xlsx, "FEW_ROWS", few)
    odd = make_dataset(note="y" * 40_000, term="a\x07b")
    report = renderer.render(make_request(odd, format=Format.XLSX))
    told = [row[1].value for row in load_workbook(BytesIO(report.content))["Definitions"].iter_rows()][-2:]
    assert told == [
        "Cells cut to the 32,767 characters that Excel holds, with [cut] at the end: 9",
        "Cells with control characters, which stand as U+FFFD: 3",
    ]
    plain = renderer.render(make_request(format=Format.XLSX))
    names = [row[0].value for row in load_workbook(BytesIO(plain.content))["Definitions"].iter_rows()]
    assert "Cells changed" not in names


def test_line_ends_of_a_note_are_line_ends_in_a_cell(renderer: ReportRenderer) -> None:
    report = renderer.render(make_request(make_dataset(note="one\r\ntwo\rthree"), format=Format.XLSX))
    sheet = load_workbook(BytesIO(report.content))["Documents"]
    column = [cell.value for cell in sheet[1]].index("note") + 1
    assert sheet.cell(2, column).value == "one\ntwo\nthree"


def test_what_the_filters_leave_out_is_empty_and_not_a_zero(renderer: ReportRenderer) -> None:
    request = make_request(format=Format.CSV, filters=Filters(kinds=("visit",)))
    (row, *_) = csv_tables(renderer.render(request).content)["site_activity"]
    assert (row["documents"], row["visits"], row["bad_files"]) == ("1", "0", "0")
    for column in ("adverse_events", "serious", "results", "out_of_range"):
        assert row[column] == ""


@pytest.mark.parametrize("format", list(Format))
def test_every_format_can_be_made_of_what_filters_leave(renderer: ReportRenderer, format: Format) -> None:
    request = make_request(format=format, filters=Filters(kinds=("visit",)))
    assert renderer.render(request).content


@pytest.mark.parametrize("format", [Format.CSV, Format.XLSX, Format.PARQUET, Format.DATASET_JSON])
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


def test_a_workbook_of_many_rows_says_the_same_as_one_of_few(
    new_renderer: NewRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two engines: the cells of every table are equal, the bytes the same again, nothing is a formula."""
    data = make_dataset(term=EVIL, note="a\x0bb" + "y" * 40_000)
    few = load_workbook(BytesIO(new_renderer().render(make_request(data, format=Format.XLSX)).content))
    monkeypatch.setattr(xlsx, "FEW_ROWS", 0)
    reports = [new_renderer().render(make_request(data, format=Format.XLSX)) for _ in range(2)]
    assert reports[0].content == reports[1].content
    many = load_workbook(BytesIO(reports[0].content))
    assert many.sheetnames == few.sheetnames
    for name in few.sheetnames[1:-1]:
        rows = [[c.value for row in book[name].iter_rows(min_row=2) for c in row] for book in (few, many)]
        assert rows[0] == [pytest.approx(one) if isinstance(one, float) else one for one in rows[1]], name
    assert not any(cell.data_type == "f" for sheet in many for row in sheet.iter_rows() for cell in row)
    assert many.properties.created == few.properties.created


def test_a_table_goes_on_in_a_second_sheet_where_excel_ends(
    renderer: ReportRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "FEW_ROWS", 0)
    monkeypatch.setattr(xlsx_rows, "MOST_ROWS", 7)
    report = renderer.render(make_request(make_dataset(), format=Format.XLSX))
    book = load_workbook(BytesIO(report.content))
    sheets = ["Labs", "Labs (2)", "Labs (3)"]
    assert [book[name].max_row - 1 for name in sheets] == [7, 7, 6]
    column = [cell.value for cell in book["Labs"][1]].index("value") + 1
    values = [
        book[name].cell(row, column).value for name in sheets for row in range(2, book[name].max_row + 1)
    ]
    assert values == [-2 + 5 * number for number in range(20)]


def test_the_readme_counts_what_was_done_to_cells(renderer: ReportRenderer) -> None:
    data = make_dataset(term=EVIL, note="\x07" + "y" * 40_000)
    with ZipFile(BytesIO(renderer.render(make_request(data, format=Format.CSV)).content)) as archive:
        readme = archive.read("README.txt").decode("utf-8-sig")
        documents = archive.read("documents.csv").decode("utf-8-sig")
    assert "Cells that have an apostrophe for that reason: 3." in readme
    assert "Cells that had control characters, which stand as U+FFFD: 9." in readme
    assert "Cells that are longer than the 32,767 characters that Excel holds in one: 9." in readme
    assert "\x07" not in documents
    assert "y" * 40_000 in documents


def test_parquet_holds_the_values_as_they_are(renderer: ReportRenderer) -> None:
    report = renderer.render(make_request(make_dataset(term=EVIL), format=Format.PARQUET))
    assert report.file_name.endswith(".parquet.zip")
    with ZipFile(BytesIO(report.content)) as archive:
        events = pq.read_table(BytesIO(archive.read("adverse_events.parquet")))
        documents = pq.read_table(BytesIO(archive.read("documents.parquet")))
        labs = pq.read_table(BytesIO(archive.read("labs.parquet")))
    assert set(events["term"].to_pylist()) == {EVIL}
    assert labs["value"].to_pylist()[:2] == [-2.0, 3.0]
    assert str(documents.schema.field("received_at").type) == "timestamp[us, tz=UTC]"
    assert "window" not in documents.column_names


def test_dataset_json_has_the_attributes_and_rows_of_the_standard(renderer: ReportRenderer) -> None:
    odd = 'a "quoted" \\ text\n\x00'
    report = renderer.render(make_request(make_dataset(term=odd), format=Format.DATASET_JSON))
    with ZipFile(BytesIO(report.content)) as archive:
        found = {name: json.loads(archive.read(name)) for name in archive.namelist()}
    events = found["adverse_events.json"]
    assert events["datasetJSONVersion"] == "1.1.0"
    assert events["records"] == len(events["rows"]) == 3
    names = [column["name"] for column in events["columns"]]
    assert {len(row) for row in events["rows"]} == {len(names)}
    assert events["rows"][0][names.index("term")] == odd
    types = {column["name"]: column["dataType"] for column in found["documents.json"]["columns"]}
    assert (types["received_at"], types["synthetic"], types["file_size"]) == ("datetime", "boolean", "double")
    assert found["deviations.json"]["rows"] == []


@pytest.mark.parametrize("format", [Format.CSV, Format.XLSX, Format.PARQUET, Format.DATASET_JSON])
def test_more_rows_than_the_organisation_allows_are_refused(renderer: ReportRenderer, format: Format) -> None:
    request = replace(make_request(make_dataset(), format=format), most_rows=10)
    with pytest.raises(ReportError, match=r"allows 10: select fewer trials"):
        renderer.render(request)


def test_json_takes_no_more_rows_than_memory_holds(
    renderer: ReportRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = make_request(make_dataset(), format=Format.JSON)
    with pytest.raises(ReportError, match=r"allows 10: select fewer trials"):
        renderer.render(replace(request, most_rows=10))
    monkeypatch.setattr(json_of_reports, "MOST_ROWS", 20)
    with pytest.raises(ReportError, match=r"JSON takes 20 at most: choose CSV"):
        renderer.render(request)


def test_the_files_of_a_zip_are_packed_quickly() -> None:
    """At zlib's usual level packing a table takes longer than writing it."""
    rows = "".join(f"{n},value {n * 7919 % 1000}\r\n" for n in range(5_000)).encode()

    def packed(file: ZipInfo) -> int:
        with ZipFile(BytesIO(), "w") as archive:
            with archive.open(file, "w") as member:
                member.write(rows)
            return archive.infolist()[0].compress_size

    entry = csv_tables_of_reports.entry(datetime(2026, 11, 23, tzinfo=UTC), "rows.csv")
    quick = compressobj(csv_tables_of_reports.DEFLATE_LEVEL, DEFLATED, -15)
    usual = compressobj(6, DEFLATED, -15)
    assert packed(deepcopy(entry)) == len(quick.compress(rows) + quick.flush())
    assert packed(deepcopy(entry)) != len(usual.compress(rows) + usual.flush())


LISTING: dict[str, Any] = {
    "table": "adverse_events",
    "columns": ["subject", "term", "severity"],
    "where": {"severity": ["MILD", "SEVERE", "MODERATE"]},
}


def listing_request(form: Format, parameters: dict[str, Any]) -> ReportRequest:
    request = make_request(make_dataset(events=25), make_dataset("T2", events=7), format=form)
    changed = {"report_type": "data_listing", "parameters": parameters}
    return replace(request, subscription=request.subscription.model_copy(update=changed))


@pytest.mark.parametrize("form", [Format.CSV, Format.XLSX, Format.PARQUET, Format.DATASET_JSON])
@pytest.mark.parametrize("parameters", [LISTING, {"table": "adverse_events"}, {"table": "exposures"}])
def test_a_listing_is_never_copied_as_a_whole(
    renderer: ReportRenderer, form: Format, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million rows would stand in memory several times."""

    def whole(*_: object) -> None:
        raise AssertionError("the table stands in memory as a whole")

    monkeypatch.setattr(data_listing, "listing", whole)
    monkeypatch.setattr(xlsx, "FEW_ROWS", -1)
    monkeypatch.setattr(row_batches, "BATCH_ROWS", 4)
    assert renderer.render(listing_request(form, parameters)).size > 0


@pytest.mark.parametrize("parameters", [LISTING, {"table": "adverse_events"}, {"table": "labs"}])
def test_a_listing_holds_the_same_rows_in_batches_and_as_a_whole(
    renderer: ReportRenderer, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_batches, "BATCH_ROWS", 4)
    name = parameters["table"]
    found = csv_tables(renderer.render(listing_request(Format.CSV, parameters)).content)[name]
    written = json.loads(renderer.render(listing_request(Format.JSON, parameters)).content)
    trials = {trial: tables[name] for trial, tables in written["listings"].items()}
    assert [row["trial"] for row in found] == [trial for trial, some in trials.items() for _ in some]
    column = "test" if name == "labs" else "term"
    assert [row[column] for row in found] == [row[column] for some in trials.values() for row in some]
    assert len(found) > 4
