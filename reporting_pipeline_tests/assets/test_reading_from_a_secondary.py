"""Reports may read from a secondary; what it has not yet is read from the primary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pymongo.read_preferences import SecondaryPreferred

from reporting_pipeline.assets.documents import _documents
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.partitions import TrialPartition
from reporting_pipeline.stores.mongo import Database, read_from


def test_a_secondary_that_lags_behind_leaves_no_document_out(database: Database) -> None:
    period = Period.last_closed(Cadence.WEEKLY, datetime.now(UTC), "UTC")
    at = period.start_at + timedelta(hours=1)
    records = [
        {"_id": f"doc_{number}", "trial": "T1", "received_at": at, "updated_at": at} for number in range(3)
    ]
    database.documents.insert_many(records)
    partition = TrialPartition(period, "T1")
    behind = database.client.get_database(f"{database.name}_behind", codec_options=database.codec_options)
    try:
        for lacking, change in ((1, {}), (0, {"updated_at": at - timedelta(minutes=1), "note": "old"})):
            behind.documents.delete_many({})
            behind.documents.insert_many([one | change for one in records[lacking:]])
            found = _documents(database, behind, partition)
            assert sorted(one["_id"] for one in found) == ["doc_0", "doc_1", "doc_2"]
            assert not any("note" in one for one in found)
        behind.documents.delete_many({})
        behind.documents.insert_many([one | {"read_there": True} for one in records])
        there = {one["_id"]: one.get("read_there") for one in _documents(database, behind, partition)}
        assert there == dict.fromkeys(("doc_0", "doc_1", "doc_2"), True), "it is up to date"
    finally:
        database.client.drop_database(behind.name)


def test_the_setting_chooses_the_member(database: Database) -> None:
    assert read_from(database, "primary") is database
    secondary = read_from(database, "secondary")
    assert isinstance(secondary.read_preference, SecondaryPreferred)
    assert secondary.codec_options == database.codec_options
    assert list(secondary.documents.find()) == []
