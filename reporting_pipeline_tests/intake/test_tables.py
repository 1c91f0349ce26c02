"""A table is the same whatever format it stands in, and a file that is none says why and where."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import Literal

import pandas as pd
import polars as pl
import pyreadstat
import pytest

from reporting_pipeline.intake.content import UnreadableFile
from reporting_pipeline.intake.sdtm.tables import read_tables, table_of
from reporting_pipeline_tests.intake import written

LB = pl.DataFrame(
    {
        "STUDYID": ["T1", "T1", "T1"],
        "DOMAIN": ["LB", "LB", "LB"],
        "USUBJID": ["T1-001", "T1-001", "T1-002"],
        "LBSEQ": [1.0, 2.0, 1.0],
        "LBTESTCD": ["GLUC", "CK", "GLUC"],
        "LBORRES": ["5.1", "<40", "5,2"],
        "LBSTRESN": [5.1, None, 5.2],
        "LBDTC": ["2026-11-16T09:30", "2026-11", "2026-11-17"],
        "LBSPEC": ["SERUM", "", "SERUM"],
    }
)


def zipped(path: Path) -> Path:
    target = path.with_name(path.name + ".gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    return target


WRITERS: dict[str, Callable[[Path], Path]] = {
    "xpt5": lambda folder: written.xpt(LB, folder / "lb.xpt", "LB"),
    "xpt8, name in capitals": lambda folder: written.xpt(LB, folder / "LB.XPT", "LB", version=8),
    "xpt, zipped": lambda folder: zipped(written.xpt(LB, folder / "lb.xpt", "LB")),
    "dataset-json": lambda folder: written.dataset_json(LB, folder / "lb.json", "LB"),
    "dataset-ndjson": lambda folder: written.dataset_json(LB, folder / "lb.ndjson", "LB", lines=True),
    "csv": lambda folder: written.csv(LB, folder / "lb.csv"),
    "csv with a mark": lambda folder: written.csv(LB, folder / "lb.csv", encoding="utf-8-sig"),
    "tsv": lambda folder: written.csv(LB, folder / "lb.tsv", separator="\t"),
    "csv in UTF-32": lambda folder: written.csv(LB, folder / "lb.csv", encoding="utf-32"),
    "csv in UTF-16": lambda folder: written.csv(LB, folder / "lb.csv", encoding="utf-16"),
    "csv with semicolons": lambda folder: written.csv(LB, folder / "lb.csv", separator=";"),
    "csv with tabs": lambda folder: written.csv(LB, folder / "lb.csv", separator="\t"),
    "csv, lower-case columns": lambda folder: written.csv(
        LB.rename({name: name.lower() for name in LB.columns}), folder / "results.csv"
    ),
}


@pytest.mark.parametrize("form", WRITERS)
def test_a_table_is_the_same_in_every_format(form: str, tmp_path: Path) -> None:
    (table,) = read_tables(WRITERS[form](tmp_path))
    assert table.name == "LB"
    assert table.columns == LB.columns
    rows = list(table.rows())
    assert [row["LBORRES"] for row in rows] == ["5.1", "<40", "5,2"]
    assert [row["LBSPEC"] for row in rows] == ["SERUM", None, "SERUM"]
    assert [row["LBDTC"] for row in rows] == LB["LBDTC"].to_list()
    values = [row["LBSTRESN"] for row in rows]
    assert [None if value is None else float(value) for value in values] == [5.1, None, 5.2]


def test_what_is_not_utf8_is_read_as_windows_1252_and_told(tmp_path: Path) -> None:
    frame = LB.with_columns(pl.lit("Zürich").alias("SITEID"))
    (table,) = read_tables(written.csv(frame, tmp_path / "lb.csv", encoding="cp1252"))
    assert next(iter(table.rows()))["SITEID"] == "Zürich"
    assert [code for code, _ in table.notes] == ["encoding"]
    assert "line 2" in table.notes[0][1]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("lb.xpt", b"not a transport file", "lb.xpt: is no SAS transport file"),
        ("lb.xpt", b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!", "lb.xpt: is no readable"),
        ("lb.xpt.gz", b"\x1f\x8bbroken", "lb.xpt.gz: cannot be read"),
        ("lb.csv", b"", "lb.csv: has no header line"),
        ("lb.json", b"{", "lb.json: is no JSON"),
        ("lb.json", b"[1]", "lb.json: is no Dataset-JSON"),
        ("lb.json", b'{"columns":[{"label":"A"}],"rows":[]}', "no list `columns` with names"),
        ("lb.ndjson", b'{"columns":[{"name":"A"}]\n[1]\n', "lb.ndjson, line 1: is no JSON"),
        ("lb.ndjson", b"[1]\n[1]\n", "lb.ndjson, line 1: holds no metadata"),
        ("lb.json", b'{"clinicalData":[1]}', "no `itemGroupData`"),
        ("lb.csv", b'A,B\n1,"' + b"x" * 10_000_001 + b'"\n', "lb.csv: line 2: field larger"),
        ("lb.csv", b"A" + b",A" * 10_000 + b"\n", "lb.csv: has 10,001 columns"),
        ("lb.xpt", b"**COMPRESSED** **COMPRESSED**", "by its head a CPORT file"),
        ("lb.json", b'{"clinicalData":{"itemGroupData":{}}}', "no `itemGroupData`"),
    ],
)
def test_a_file_that_is_no_table_says_which_and_where(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=words.replace("(", r"\(")):
        read_tables(path)


def test_a_number_that_no_float_holds_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "lb.json"
    path.write_text('{"columns":[{"name":"A"},{"name":"B"}],"rows":[[1,%s],[2,3]]}' % ("9" * 400))
    (table,) = read_tables(path)
    assert list(table.rows()) == [{"A": 1.0, "B": "9" * 400}, {"A": 2.0, "B": "3"}]


@pytest.mark.parametrize("version", [5, 8])
def test_each_member_of_a_transport_file_is_a_table(version: Literal[5, 8], tmp_path: Path) -> None:
    """A reader of one member takes the next one's head and rows for rows of it."""
    events = pl.DataFrame({"STUDYID": ["T1"], "DOMAIN": ["AE"], "USUBJID": ["T1-001"], "AETERM": ["FALL"]})
    first = written.xpt(events, tmp_path / "ae.xpt", "AE", version=version).read_bytes()
    second = written.xpt(LB, tmp_path / "lb.xpt", "LB", version=version).read_bytes()
    path = tmp_path / "all.xpt"
    path.write_bytes(first + second[240:])  # after the head of the library
    ae, lb = read_tables(path)
    assert [ae.name, lb.name] == ["AE", "LB"]
    assert list(ae.rows()) == list(events.iter_rows(named=True))
    assert [row["LBTESTCD"] for row in lb.rows()] == ["GLUC", "CK", "GLUC"]
    path.write_bytes(first + second[240:-500])
    (ae,) = read_tables(path)
    assert [code for code, _ in ae.notes] == ["unreadable_file"]


def test_a_number_with_a_sas_format_of_a_date_is_its_date(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "AESTDT": [date(2026, 11, 17), None],
            "AESTDTM": [datetime(2026, 11, 17, 8, 30), None],  # noqa: DTZ001 (SAS has no zones)
            "AESTTM": [time(8, 30), None],
            "AESEQ": [1.0, 2.0],
        }
    )
    path = tmp_path / "ae.xpt"
    pyreadstat.write_xport(frame, path, table_name="AE", file_format_version=5)
    (table,) = read_tables(path)
    dated, empty = table.rows()
    assert dated == {
        "AESTDT": "2026-11-17", "AESTDTM": "2026-11-17T08:30:00", "AESTTM": "08:30:00", "AESEQ": 1.0
    }  # fmt: skip
    assert empty == {"AESTDT": None, "AESTDTM": None, "AESTTM": None, "AESEQ": 2.0}


def test_columns_whose_names_differ_in_their_case_alone_are_not_told_apart() -> None:
    with pytest.raises(UnreadableFile, match="more than one column LBSTRESN"):
        table_of(LB.with_columns(pl.lit("7").alias("lbstresn")), "lb")


@pytest.mark.parametrize(
    ("name", "content", "rows", "told"),
    [
        (
            "lb.csv",
            b"A,B\n1,2\n1,2,3\n4,5\n6\n",
            [{"A": "1", "B": "2"}, {"A": "4", "B": "5"}, {"A": "6", "B": None}],
            ("unreadable_row", "line 3 has 3 cells, the header 2 columns; the row was left out"),
        ),
        (
            "lb.csv",
            b"A,a,B\n1,1,2\n",
            [{"A": "1", "B": "2"}],
            ("duplicate_column", "has 2 columns A; the first was read"),
        ),
        (
            "lb.csv",
            b"A,a,B\n1,1,2\n1,9,3\n",
            [{"B": "2"}, {"B": "3"}],
            ("duplicate_column", "has 2 columns A; they differ and were left out"),
        ),
        (
            "lb.json",
            b'{"columns":[{"name":"A"}],"rows":[["x"],["y","z"],{"A":"w"},[null]]}',
            [{"A": "x"}, {"A": None}],
            ("unreadable_row", "row 2 is no list of 1 values; the row was left out"),
        ),
        (
            "lb.json",
            b'{"columns":[{"name":"A"}],"rows":[["x"],[["y"]]]}',
            [{"A": "x"}, {"A": None}],
            ("wrong_type", "row 2 has a list in A; the value was left out"),
        ),
        (
            "lb.json",
            b'{"records":3,"columns":[{"name":"A"}],"rows":[["x"]]}',
            [{"A": "x"}],
            ("record_count", "says that it has 3 records and has 1"),
        ),
        (
            "lb.json",
            b'{"records":3,"columns":[{"name":"A"}],"rows":null}',
            [],
            ("record_count", "says that it has 3 records and has 0"),
        ),
        (
            "lb.ndjson",
            b'{"columns":[{"name":"A"}]}\n["x"]\n["y\n["z\xe2\x80\xa8z"]\n["cut o',
            [{"A": "x"}, {"A": "z\u2028z"}],
            (
                "unreadable_row",
                "line 3 is no JSON (Unterminated string starting at: line 1 column 2 (char 1)); "
                "the row was left out",
            ),
        ),
        (
            "lb.csv",
            b'A,B\n"x\ny",1\n"FALL,2\nRASH,3\n',
            [{"A": "x\ny", "B": "1"}, {"A": "RASH", "B": "3"}],
            ("unreadable_row", "line 4 has a quotation mark that nothing closes; the row was left out"),
        ),
        (
            "lb.csv",
            b"A,B,C\n1,2,3\n4,5\n",
            [{"A": "1", "B": "2", "C": "3"}, {"A": "4", "B": "5", "C": None}],
            ("short_row", "line 3 has 2 cells, the header 3 columns; what is missing was read as empty"),
        ),
        (
            "lb.csv",
            b"# made on Monday, by hand\n\n,\nA,B\n1,.\n",
            [{"A": "1", "B": None}],
            ("comment", "1 comments (#) before the header were left out"),
        ),
        (
            "lb.csv",
            "A,B\n1,2\n".encode("utf-16-le"),
            [{"A": "1", "B": "2"}],
            ("encoding", "has no mark of its encoding; by its bytes it was read as UTF-16"),
        ),
        (
            "lb.csv",
            b"A,,\n1,,\n2,,x\n",
            [{"A": "1"}, {"A": "2"}],
            ("no_place", "1 values stand in columns without a name; they were left out"),
        ),
    ],
    ids=[
        *("long row", "twin columns", "twins that differ", "odd rows", "a list in a cell", "fewer rows"),
        *("no rows", "bad lines", "a quotation mark that nothing closes", "short row", "comments"),
        *("UTF-16 without a mark", "a column without a name"),
    ],
)
def test_what_is_odd_in_a_table_is_told_and_the_rest_is_read(
    name: str, content: bytes, rows: list[dict[str, str | None]], told: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    (table,) = read_tables(path)
    assert list(table.rows()) == rows
    assert table.notes[0] == told
