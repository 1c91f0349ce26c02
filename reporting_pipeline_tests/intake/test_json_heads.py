"""What a file of JSON holds is told by its beginning: a large one is read once, when it is read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from reporting_pipeline.intake import content
from reporting_pipeline.intake.sources import open_source
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline_tests.intake.test_strangers import rows
from reporting_pipeline_tests.intake.written import dataset_json, ndjson

MANY = 3_000  # rows: more than the beginning that is looked at
TABLE = pl.from_dicts([*rows("VS", *({"VSTESTCD": "PULSE", "VSORRES": str(one)} for one in range(MANY)))])
DOCUMENT = {"id": "1", "trial": "T", "kind": "note", "title": "Visit", "note": "é" * 100_000}


def _pretty(path: Path) -> None:
    dataset_json(TABLE, path, "VS")
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))


def _gzipped(path: Path) -> None:
    dataset_json(TABLE, path, "VS")
    path.write_bytes(gzip.compress(path.read_bytes()))


@pytest.fixture
def whole_readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read as a whole, as often as they are."""
    read: list[str] = []
    plain = content.content_of

    def counted(path: Path) -> bytes:
        read.append(path.name)
        return plain(path)

    for module in ("sources", "exchange", "sdtm.tables"):
        monkeypatch.setattr(f"reporting_pipeline.intake.{module}.content_of", counted)
    return read


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("vs.json", lambda path: dataset_json(TABLE, path, "VS")),
        ("vs.ndjson", lambda path: dataset_json(TABLE, path, "VS", lines=True)),
        ("vs.json", _pretty),
        ("vs.json.gz", _gzipped),
    ],
)
def test_a_table_of_json_is_read_once(
    name: str, write: object, tmp_path: Path, whole_readings: list[str]
) -> None:
    assert callable(write)
    write(tmp_path / name)
    source = open_source(tmp_path, Understanding())
    assert ([len(one) for one in source.tables["VS"]], whole_readings) == ([MANY], [name])


def test_documents_are_told_by_their_first_line(tmp_path: Path, whole_readings: list[str]) -> None:
    ndjson([{**DOCUMENT, "id": str(one), "note": "x"} for one in range(MANY)], tmp_path / "all.json")
    source = open_source(tmp_path, Understanding())
    assert ([one.name for one in source.files], whole_readings) == (["all.json"], [])


@pytest.mark.parametrize(
    "text", [json.dumps(DOCUMENT), json.dumps([DOCUMENT]), json.dumps(DOCUMENT, indent=2)]
)
def test_what_the_beginning_does_not_say_is_looked_up_in_the_whole(text: str, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(text.replace("\\u00e9", "é"), encoding="utf-8")
    assert [one.name for one in open_source(tmp_path, Understanding()).files] == ["one.json"]


def test_a_table_whose_rows_stand_before_its_name_is_one(tmp_path: Path) -> None:
    dataset_json(TABLE, tmp_path / "vs.json", "VS")
    told = json.loads((tmp_path / "vs.json").read_text())
    (tmp_path / "vs.json").write_text(json.dumps({"rows": told.pop("rows"), **told}))
    assert len(open_source(tmp_path, Understanding()).tables["VS"][0]) == MANY
