"""A table is the same whatever format it stands in, and a file that is none says why and where."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from reporting_pipeline.intake.sdtm.tables import UnreadableTable, read_table, table_of
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
    "csv in UTF-16": lambda folder: written.csv(LB, folder / "lb.csv", encoding="utf-16"),
    "csv with semicolons": lambda folder: written.csv(LB, folder / "lb.csv", separator=";"),
    "csv with tabs": lambda folder: written.csv(LB, folder / "lb.csv", separator="\t"),
    "csv, lower-case columns": lambda folder: written.csv(
        LB.rename({name: name.lower() for name in LB.columns}), folder / "results.csv"
    ),
}


@pytest.mark.parametrize("form", WRITERS)
def test_a_table_is_the_same_in_every_format(form: str, tmp_path: Path) -> None:
    table = read_table(WRITERS[form](tmp_path))
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
    table = read_table(written.csv(frame, tmp_path / "lb.csv", encoding="cp1252"))
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
        ("lb.ndjson", b'{"columns":[{"name":"A"}]}\n[1]\n[1\n', "lb.ndjson, line 3"),
        ("lb.json", b'{"clinicalData":{"itemGroupData":{}}}', "no `itemGroupData`"),
    ],
)
def test_a_file_that_is_no_table_says_which_and_where(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableTable, match=words.replace("(", r"\(")):
        read_table(path)


def test_columns_whose_names_differ_in_their_case_alone_are_not_told_apart() -> None:
    with pytest.raises(UnreadableTable, match="more than one column LBSTRESN"):
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
    ],
    ids=["long row", "twin columns", "twins that differ", "odd rows", "a list in a cell", "fewer rows"],
)
def test_what_is_odd_in_a_table_is_told_and_the_rest_is_read(
    name: str, content: bytes, rows: list[dict[str, str | None]], told: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    table = read_table(path)
    assert list(table.rows()) == rows
    assert table.notes[0] == told
