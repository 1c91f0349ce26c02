"""Rows that do not fit into memory while a dataset is made: the same tables, findings and counts."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from reporting_pipeline.domain import tidying
from reporting_pipeline.domain.content_shape import rowless, shape_of
from reporting_pipeline.domain.datasets import TABLES, TrialDataset
from reporting_pipeline.domain.documents import FileVerdict
from reporting_pipeline.domain.tidying import Tidied, tidy_documents, tidy_in_order
from reporting_pipeline.stores.datasets import load_dataset, save_dataset
from reporting_pipeline.stores.objects import ObjectMissing, ObjectStore
from reporting_pipeline.stores.rows_on_disk import RowsOnDisk
from reporting_pipeline.stores.snapshots import Snapshot, StoredRecords, load_snapshot, save_snapshot
from reporting_pipeline_tests.domain.test_tidying import ARRIVED, WEEK, document, result


def records() -> Iterator[dict[str, Any]]:
    """Results of both windows in two units, without a unit, after a death, out of range, in words."""
    for number in range(60):
        arrived = ARRIVED - timedelta(days=7 * (number < 20)) + timedelta(minutes=number)
        about = {"received_at": arrived, "subject": f"01-701-{number % 5}", "collected": "2026-11-18"}
        unit = {7: "ukat/L", 31: "", 44: ""}.get(number, "U/L")
        given = [
            result("ALT", number + 0.5, unit, indicator="", specimen="SERUM"),
            result("AST", 20.0, "U/L", indicator="HIGH" if number % 3 else ""),
            result("K", None, "", text_result="hemolysed", unblinding=number % 4 == 0),
            result("GLUC", 5.0 + number, "" if number % 2 else "mmol/L", indicator=""),
        ]
        yield document(number, "lab", data={"results": given}, **about)
        if number % 6 == 0:
            yield document(
                100 + number, "vitals", data={"results": [result("PULSE", 70, "beats/min")]}, **about
            )
    dead = {"died": True, "death": "2026-11-10", "enrolled": "2026-01-01"}
    yield document(500, "subject", data=dead, subject="01-701-3", received_at=ARRIVED + timedelta(hours=3))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "ROWS_IN_MEMORY", 25)
    monkeypatch.setattr(tidying, "_ROWS_AT_ONCE", 8)


def tidied() -> Tidied:
    return tidy_in_order(records(), {}, WEEK, put_aside=RowsOnDisk)


def whole(found: Tidied, name: str) -> pd.DataFrame:
    if name not in found.aside:
        return found.tables[name]
    assert found.tables[name].empty
    return pd.concat(list(found.aside[name].frames(list(TABLES[name]))), ignore_index=True)


def dataset(found: Tidied) -> TrialDataset:
    return TrialDataset("T1", "A trial", WEEK, found.tables, "0" * 16, WEEK.end_at, deferred=found.aside)


@pytest.mark.usefixtures("few")
def test_rows_aside_are_those_of_memory_with_what_was_found_over_all_of_them() -> None:
    in_memory, found = tidy_documents(records(), {}, WEEK), tidied()
    assert set(found.aside) == {"labs"}
    for name, frame in in_memory.items():
        pd.testing.assert_frame_equal(whole(found, name), frame, obj=name)
    codes = in_memory["findings"]["code"].value_counts()
    assert {"mixed_units", "missing_unit", "after_death"} <= set(codes.index)
    assert in_memory["labs"]["units_differ"].sum() == 60
    assert dataset(found).rows == {name: len(frame) for name, frame in in_memory.items()}


@pytest.mark.usefixtures("few")
def test_what_the_content_gate_remembers_is_counted_over_rows_aside() -> None:
    in_memory = TrialDataset("T1", "A trial", WEEK, tidy_documents(records(), {}, WEEK), "", WEEK.end_at)
    on_disk = dataset(tidied())
    assert shape_of(on_disk) == shape_of(in_memory)
    assert shape_of(on_disk).totals["results_assessed"] > 60
    assert rowless(on_disk) == ""
    before = [one for one in records() if one["received_at"] < WEEK.start_at]
    old = dataset(
        tidy_in_order([*before, document(900, "lab", data={"results": []})], {}, WEEK, put_aside=RowsOnDisk)
    )
    assert old.deferred
    assert "1 documents arrived (lab) and none of them gave a row" in rowless(old)


@pytest.mark.usefixtures("few")
def test_a_dataset_with_rows_aside_is_stored_whole(objects: ObjectStore) -> None:
    in_memory = tidy_documents(records(), {}, WEEK)
    loaded = load_dataset(objects, save_dataset(objects, dataset(tidied())))
    for name, frame in in_memory.items():
        pd.testing.assert_frame_equal(loaded.tables[name], frame, obj=name)


def test_a_snapshot_is_read_as_it_was_stored_as_often_as_is_needed(objects: ObjectStore) -> None:
    at = datetime(2026, 11, 18, 10, tzinfo=UTC)
    kept = [
        {"_id": f"doc_{number}", "received_at": at, "data": {"results": [number]}} for number in range(40)
    ]
    verdicts = {"doc_3": FileVerdict("missing", "not in the store", "pdf")}
    snapshot = Snapshot({"_id": "T 1", "title": "A trial"}, StoredRecords.of(kept), verdicts)
    key, version = save_snapshot(objects, snapshot, WEEK)
    assert save_snapshot(objects, snapshot, WEEK) == (key, version)
    loaded = load_snapshot(objects, key)
    assert (loaded.trial, loaded.verdicts, len(loaded.records)) == (snapshot.trial, verdicts, 40)
    for _ in range(2):
        assert list(loaded.records) == kept
    assert save_snapshot(objects, loaded, WEEK) == (key, version)
    none = Snapshot({"_id": "T1"}, StoredRecords.of([]), {})
    empty = load_snapshot(objects, save_snapshot(objects, none, WEEK)[0])
    assert (list(empty.records), len(empty.records)) == ([], 0)


@pytest.mark.usefixtures("few")
def test_what_breaks_off_leaves_no_file_open(objects: ObjectStore) -> None:
    """An open file that nobody reads is a warning, and a warning fails a test."""

    def cut_off() -> Iterator[dict[str, Any]]:
        yield from list(records())[:50]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        StoredRecords.of(cut_off())
    with pytest.raises(ConnectionError):
        tidy_in_order(cut_off(), {}, WEEK, put_aside=RowsOnDisk)
    objects.put("snapshots/broken", b"no gzip")
    with pytest.raises(zlib.error):
        load_snapshot(objects, "snapshots/broken")
    with pytest.raises(ObjectMissing):
        load_snapshot(objects, "snapshots/none")
