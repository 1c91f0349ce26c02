"""Snapshots: a trial's documents of one period as they were read, with the verdicts on their files.

One object per snapshot, in the format of `mongodump`: BSON records one after the other, gzipped
without a clock inside, so that the same records give the same bytes. Everything after the fetch
works from the snapshot and never from MongoDB, so it can be made again later with the same result.

Its records are many and large: here and in the stages after it they lie on disk, one in memory at a time.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from tempfile import TemporaryFile
from typing import IO
from weakref import finalize

import bson

from reporting_pipeline.domain.documents import FileVerdict
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.trial_keys import trial_key
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.stores.objects import READ_BYTES, ObjectStore

_DECODING: bson.CodecOptions[Record] = bson.CodecOptions(tz_aware=True)
_GZIP = zlib.MAX_WBITS | 16  # the form of gzip, whose header zlib writes without a clock
_LENGTH_BYTES = 4  # with which a BSON record begins: its length, these four included


class StoredRecords:
    """Records in a file without a name that goes with this object, to be gone through as often as is needed.

    One loop at a time: they share the file's place.
    """

    def __init__(self, file: IO[bytes], begin: int, count: int) -> None:
        self._file, self._begin, self._count = file, begin, count
        finalize(self, file.close)

    @classmethod
    def of(cls, records: Iterable[Record]) -> StoredRecords:
        """The records in their order."""
        kept = cls(TemporaryFile(), 0, 0)  # noqa: SIM115 - closed with what reads it
        for record in records:
            kept._file.write(bson.encode(record))
            kept._count += 1
        return kept

    @classmethod
    def packed(cls, pieces: Iterable[bytes]) -> tuple[Record, StoredRecords]:
        """(The first, the others) of records that are gzipped."""
        kept = cls(TemporaryFile(), 0, 0)  # noqa: SIM115 - closed with what reads it
        unpacking = zlib.decompressobj(_GZIP)
        file = kept._file
        for piece in pieces:
            file.write(unpacking.decompress(piece))
        file.write(unpacking.flush())
        first = next(iter(kept))
        kept._begin = place = file.tell()
        size = file.seek(0, 2)
        while place < size:
            file.seek(place)
            place += int.from_bytes(file.read(_LENGTH_BYTES), "little")
            kept._count += 1
        return first, kept

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Record]:
        self._file.seek(self._begin)
        yield from bson.decode_file_iter(self._file, _DECODING)

    def encoded(self) -> Iterator[bytes]:
        """The same as BSON, a piece at a time."""
        self._file.seek(self._begin)
        while piece := self._file.read(READ_BYTES):
            yield piece


@dataclass(frozen=True)
class Snapshot:
    """What was read of one trial and period."""

    trial: Record  # the trial's own record
    records: StoredRecords  # the documents of the period and of the one before, by arrival and then by id
    verdicts: Mapping[str, FileVerdict]  # by document id, for the period's documents with a file


def save_snapshot(objects: ObjectStore, snapshot: Snapshot, period: Period) -> tuple[str, str]:
    """Store a snapshot; returns (S3 key, version). The version is 16 hex characters of its SHA-256."""
    digest, packing = hashlib.sha256(), zlib.compressobj(1, wbits=_GZIP)
    with TemporaryFile() as packed:
        for piece in _encoded(snapshot):
            digest.update(piece)
            packed.write(packing.compress(piece))
        packed.write(packing.flush())
        version = digest.hexdigest()[:16]
        key = f"snapshots/{period.cadence}/{period.key}/{trial_key(snapshot.trial['_id'])}/{version}.bson.gz"
        objects.put_file(key, packed, "application/gzip")
    return key, version


def load_snapshot(objects: ObjectStore, key: str) -> Snapshot:
    """Raises ObjectMissing when there is no such snapshot."""
    header, records = StoredRecords.packed(objects.begun(key, 0)[1])
    verdicts = {identifier: FileVerdict(**fields) for identifier, fields in header["verdicts"].items()}
    return Snapshot(header["trial"], records, verdicts)


def _encoded(snapshot: Snapshot) -> Iterator[bytes]:
    verdicts = {identifier: asdict(verdict) for identifier, verdict in sorted(snapshot.verdicts.items())}
    yield bson.encode({"trial": snapshot.trial, "verdicts": verdicts})
    yield from snapshot.records.encoded()
