"""Generated files are what their names say, repeat byte for byte, and are found out where they are not."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pypdfium2
import pytest
from PIL import Image, ImageOps

from reporting_pipeline.samples.files import FileDocument, WeekOfFiles, pending
from reporting_pipeline.samples.pictures import ecg_strip, lab_sheet, scan
from reporting_pipeline.samples.seeds import seeded
from reporting_pipeline.samples.synthetic_trial import note_of_site, trial_record, week_records
from reporting_pipeline.stores.documents import ingest_many, upsert_trial, validated
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectMissing, ObjectStore
from reporting_pipeline_tests.media.here import verify_file

MONDAY = date(2026, 11, 16)
UTC_ZONE = ZoneInfo("UTC")
LATER = datetime(2026, 11, 24, tzinfo=UTC)


def week() -> list[Record]:
    return list(week_records("default", MONDAY, UTC_ZONE))


def week_of_files(records: list[Record]) -> WeekOfFiles:
    return WeekOfFiles("SYN-ONC-02", MONDAY, records, UTC_ZONE, "chest", note_of_site)


@pytest.fixture(scope="module")
def made() -> list[FileDocument]:
    return list(week_of_files(week()).documents(20, faults=True))


def test_a_file_is_decodable_and_of_its_type_unless_its_title_says_otherwise(
    made: list[FileDocument],
) -> None:
    wrong = 0
    for one in made:
        content = one.make()
        record = validated(one.record, content, LATER)
        file = record["file"]
        verdict = verify_file(content if one.stored else None, file["name"], file["sha256"], file["size"])
        fault = "Deliberate fault" in one.record["title"]
        assert (verdict.status != "ok") is fault, (one.record["title"], verdict)
        wrong += fault
    assert wrong == 3
    assert {one.record["kind"] for one in made} == {"ecg", "imaging", "lab_sheet", "note"}
    assert all(one.record["synthetic"] for one in made)


def test_the_same_week_makes_the_same_files_in_whatever_order_its_documents_come(
    made: list[FileDocument],
) -> None:
    again = list(week_of_files(week()[::-1]).documents(20, faults=True))
    assert [one.record for one in again] == [one.record for one in made]
    assert [one.make() for one in again[:8]] == [one.make() for one in made[:8]]
    assert len({one.record["_id"] for one in made}) == len(made)


def test_a_file_arrives_after_its_document_and_on_the_same_day(made: list[FileDocument]) -> None:
    by_subject: dict[str, list[datetime]] = {}
    for record in week():
        by_subject.setdefault(record["subject"], []).append(record["received_at"])
    for one in made:
        at = one.record["received_at"]
        assert any(
            before <= at <= before + timedelta(minutes=90) and before.date() == at.date()
            for before in by_subject[one.record["subject"]]
        )


def test_a_turned_scan_is_the_upright_one_after_its_exif_tag() -> None:
    upright = Image.open(io.BytesIO(scan(seeded(1), "chest", "x")))
    turned = Image.open(io.BytesIO(scan(seeded(1), "chest", "x", turned=True)))
    assert turned.getexif()[0x0112] == 6
    straight = ImageOps.exif_transpose(turned)
    pairs = zip(upright.resize((32, 32)).tobytes(), straight.resize((32, 32)).tobytes(), strict=True)
    assert max(abs(one - other) for one, other in pairs) < 12
    untouched = zip(upright.resize((32, 32)).tobytes(), turned.resize((32, 32)).tobytes(), strict=True)
    assert max(abs(one - other) for one, other in untouched) > 60


def test_an_ecg_strip_is_ten_seconds_at_25_mm_per_second() -> None:
    picture = Image.open(io.BytesIO(ecg_strip(seeded(1), "x")))
    assert picture.width == (10 * 25 + 2 * 5) * 4


def test_a_lab_sheet_shows_every_standard_result_of_its_document() -> None:
    laboratory = next(record for record in week() if record["kind"] == "lab")
    with pypdfium2.PdfDocument(lab_sheet(laboratory)) as document:
        text = "".join(page.get_textpage().get_text_bounded() for page in document)
    for result in laboratory["data"]["results"]:
        assert result["test"] in text
        shown = f"{result['value']:.5g}" if result["value"] is not None else result["text_result"]
        assert shown in text
    assert laboratory["_id"] in text
    assert "Synthetic" in text


def test_only_what_is_new_is_made_and_the_missing_file_is_really_missing(
    database: Database, objects: ObjectStore, made: list[FileDocument]
) -> None:
    upsert_trial(database, trial_record("default"))
    ingest_many(database, objects, pending(database, made, LATER), LATER)
    assert database.documents.count_documents({}) == len(made)
    for one in made:
        stored = database.documents.find_one({"_id": one.record["_id"]})
        assert stored is not None
        if one.stored:
            assert len(objects.get(stored["file"]["key"])) == stored["file"]["size"]
        else:
            with pytest.raises(ObjectMissing):
                objects.get(stored["file"]["key"])
    assert list(pending(database, made, LATER)) == []
    assert list(pending(database, made, datetime(2026, 11, 16, tzinfo=UTC))) == []
