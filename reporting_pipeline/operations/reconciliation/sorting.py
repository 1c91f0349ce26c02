"""Names and objects put in the order of their keys on disk: millions in the memory of a few pages.

SQLite sorts in temporary files and compares texts by their UTF-8 bytes, as S3 orders keys. The file is
private, without a name, and gone when it is closed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice

from reporting_pipeline.domain.reconciliation import Named, Source, Stored

WRITTEN_AT_ONCE = 5_000
_LAYOUT = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA temp_store = FILE;
    PRAGMA cache_size = -8000;
    CREATE TABLE names (key TEXT, source TEXT, record TEXT, size INTEGER, sha256 TEXT);
    CREATE TABLE objects (key TEXT, size INTEGER, modified_at REAL);
"""
_LARGEST = 2**63 - 1  # what SQLite takes as a number


class SortedOnDisk:
    """Takes names and objects in any order and gives them back in order. To be closed."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("")
        self._file.executescript(_LAYOUT)

    def close(self) -> None:
        self._file.close()

    def add_names(self, names: Iterable[Named]) -> int:
        """Returns how many there were."""
        rows = ((one.key, one.source.value, one.record, _number(one.size), one.sha256) for one in names)
        return self._insert("INSERT INTO names VALUES (?, ?, ?, ?, ?)", rows)

    def add_objects(self, objects: Iterable[Stored]) -> int:
        rows = ((one.key, one.size, one.modified_at.timestamp()) for one in objects)
        return self._insert("INSERT INTO objects VALUES (?, ?, ?)", rows)

    def names(self) -> Iterator[Named]:
        for key, source, record, size, sha256 in self._file.execute("SELECT * FROM names ORDER BY key"):
            yield Named(key, Source(source), record, size, sha256)

    def objects(self) -> Iterator[Stored]:
        for key, size, at in self._file.execute("SELECT * FROM objects ORDER BY key"):
            yield Stored(key, size, datetime.fromtimestamp(at, UTC))

    def _insert(self, statement: str, rows: Iterator[tuple[object, ...]]) -> int:
        count = 0
        while some := list(islice(rows, WRITTEN_AT_ONCE)):
            self._file.executemany(statement, some)
            count += len(some)
        self._file.commit()
        return count


def _number(size: int | None) -> int | None:
    """No object is larger than SQLite's largest number; whoever says so is wrong in any case."""
    return None if size is None else max(-1, min(size, _LARGEST))
