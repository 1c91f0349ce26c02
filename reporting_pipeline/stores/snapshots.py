"""Snapshots: a trial's documents of one period as they were read, with the verdicts on their files.

One object per snapshot, in the format of `mongodump`: BSON records one after the other, gzipped
without a clock inside, so that the same records give the same bytes. Everything after the fetch
works from the snapshot and never from MongoDB, so it can be made again later with the same result.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import bson

from reporting_pipeline.domain.documents import FileVerdict
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.trial_keys import trial_key
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.stores.objects import ObjectStore

_DECODING: bson.CodecOptions[Record] = bson.CodecOptions(tz_aware=True)


@dataclass(frozen=True)
class Snapshot:
    """What was read of one trial and period."""

    trial: Record  # the trial's own record
    records: list[Record]  # the documents of the period and of the one before
    verdicts: Mapping[str, FileVerdict]  # by document id, for the period's documents with a file


def save_snapshot(objects: ObjectStore, snapshot: Snapshot, period: Period) -> tuple[str, str]:
    """Store a snapshot; returns (S3 key, version). The version is 16 hex characters of its SHA-256."""
    content = b"".join(_encoded(snapshot))
    version = hashlib.sha256(content).hexdigest()[:16]
    key = f"snapshots/{period.cadence}/{period.key}/{trial_key(snapshot.trial['_id'])}/{version}.bson.gz"
    objects.put(key, gzip.compress(content, compresslevel=1, mtime=0), "application/gzip")
    return key, version


def load_snapshot(objects: ObjectStore, key: str) -> Snapshot:
    """Raises ObjectMissing when there is no such snapshot."""
    header, *records = bson.decode_all(gzip.decompress(objects.get(key)), _DECODING)
    verdicts = {identifier: FileVerdict(**fields) for identifier, fields in header["verdicts"].items()}
    return Snapshot(trial=header["trial"], records=records, verdicts=verdicts)


def _encoded(snapshot: Snapshot) -> Iterable[bytes]:
    verdicts = {identifier: asdict(verdict) for identifier, verdict in sorted(snapshot.verdicts.items())}
    yield bson.encode({"trial": snapshot.trial, "verdicts": verdicts})
    for record in snapshot.records:
        yield bson.encode(record)
