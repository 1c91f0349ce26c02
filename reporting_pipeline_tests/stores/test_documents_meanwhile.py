"""A document is written to by two at once: nothing is overwritten that nobody kept, and no version twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from reporting_pipeline.domain.access import Role, User
from reporting_pipeline.domain.entitlements import Entitlements
from reporting_pipeline.intake.checking import DocumentRefused, SubmittedDocument, stored_id
from reporting_pipeline.stores import document_versions
from reporting_pipeline.stores.documents import (
    Arrival,
    Ingested,
    ingest_many,
    upsert_trial,
    validated,
)
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore, StoredObject
from reporting_pipeline.usecases.documents import Caller, submit
from reporting_pipeline_tests.one_document import ingest
from reporting_pipeline_tests.stores.test_documents import NOW, PICTURE, trial, with_file

LATER = NOW + timedelta(hours=1)


class Meanwhile(ObjectStore):
    """The object store, while whose work somebody else does something: between reading and writing."""

    def __init__(self, objects: ObjectStore, deed: Callable[[], object]) -> None:
        super().__init__(objects.client, objects.bucket)
        self._deed = deed

    def put(self, key: str, body: bytes, content_type: str = "application/octet-stream") -> StoredObject:
        self._deed()
        return super().put(key, body, content_type)


@pytest.fixture
def standing(database: Database, objects: ObjectStore) -> Record:
    upsert_trial(database, trial())
    ingest(database, objects, {**with_file(), "title": "first"}, PICTURE, NOW)
    return found(database)


def found(database: Database) -> Record:
    (one,) = database.documents.find()
    return one


def taken_in(database: Database, objects: ObjectStore, deed: Callable[[], object]) -> Ingested:
    arrivals = [Arrival({**with_file(), "title": "taken in"}, PICTURE)]
    return ingest_many(database, Meanwhile(objects, deed), arrivals, LATER)


def test_a_correction_meanwhile_is_kept_as_a_version(
    database: Database, objects: ObjectStore, standing: Record
) -> None:
    corrected = {**standing, "title": "corrected"}
    done = taken_in(
        database,
        objects,
        lambda: document_versions.correct(database, standing, corrected, "usr_1", "wrong", LATER),
    )
    assert done.changed == [standing["_id"]]
    assert (found(database)["version"], found(database)["title"]) == (3, "taken in")
    kept = document_versions.versions_of(database, "default", standing["_id"])
    assert [(one["version"], one["record"]["title"]) for one in kept] == [(2, "corrected"), (1, "first")]


def test_what_is_withdrawn_meanwhile_stays_withdrawn(
    database: Database, objects: ObjectStore, standing: Record
) -> None:
    done = taken_in(
        database, objects, lambda: document_versions.withdraw(database, standing, "usr_1", "wrong", LATER)
    )
    assert (done.changed, done.created, done.withdrawn) == ([], [], 1)
    assert database.documents.count_documents({}) == 0


def test_of_two_that_take_in_one_new_document_the_later_keeps_the_earlier(
    database: Database, objects: ObjectStore
) -> None:
    upsert_trial(database, trial())
    first = {**with_file(), "title": "first"}
    done = taken_in(database, objects, lambda: ingest(database, objects, first, PICTURE, NOW))
    assert (len(done.changed), done.created) == (1, [])
    assert (found(database)["version"], found(database)["title"]) == (2, "taken in")


def test_who_writes_all_the_time_is_not_overwritten(
    database: Database, objects: ObjectStore, standing: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it happens at every attempt; the rest of the import can be made again."""
    keep = document_versions.keep

    def always(*given: object) -> None:
        keep(*given)  # type: ignore[arg-type]
        database.documents.update_one({}, {"$inc": {"version": 1}})

    monkeypatch.setattr(document_versions, "keep", always)
    with pytest.raises(document_versions.DocumentChanged, match="somebody else"):
        ingest(database, objects, {**with_file(), "title": "taken in"}, PICTURE, LATER)
    assert found(database)["title"] == "first"


@pytest.mark.parametrize("title", ["Note", "Another"])
def test_of_two_callers_with_one_id_the_first_stands(
    title: str, database: Database, objects: ObjectStore
) -> None:
    upsert_trial(database, trial())
    given = SubmittedDocument.model_validate(
        {"id": "n-1", "trial": "T-1", "site": "701", "kind": "note", "title": "Note"}
    )
    theirs = {
        **with_file(),
        "kind": "note",
        "_id": stored_id("default", "T-1", "n-1"),
        "external_id": "n-1",
        "title": title,
    }
    file = theirs["file"]
    kept = validated({**theirs, "received_at": LATER}, PICTURE, LATER)
    user = User(
        id="usr_1",
        organisation="default",
        roles=frozenset({Role.MANAGER.value}),
        entitlements=Entitlements(trials=("T-1",)),
    )
    caller = Caller(
        database,
        Meanwhile(objects, lambda: ingest(database, objects, kept, PICTURE, NOW)),
        user,
        LATER,
        ZoneInfo("UTC"),
    )
    if title == given.title:
        assert submit(caller, given, file, PICTURE).state == "unchanged"
    else:
        with pytest.raises(DocumentRefused, match="stands for another content"):
            submit(caller, given, file, PICTURE)
    assert (found(database)["title"], found(database)["version"]) == (title, 1)
    assert database.audit.count_documents({"action": "document.created"}) == 0
