"""What records name and what a bucket holds, side by side: two streams in the order of their keys.

Nothing is held but the one entry of each stream that is looked at, so that millions take no more memory
than ten. What comes out is only suspected: the streams were read at different moments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar


class Source(StrEnum):
    """What kind of record names an object."""

    REPORT = "report"
    DOCUMENT = "document"
    DOCUMENT_VERSION = "document_version"
    PICTURE = "picture"
    SNAPSHOT = "snapshot"
    DATASET = "dataset"
    MEDIA_LIST = "media_list"


class DifferenceKind(StrEnum):
    """How a record and the bucket differ."""

    MISSING = "missing"  # a record names an object that is not there
    WRONG_SIZE = "wrong_size"
    WRONG_HASH = "wrong_hash"
    UNREADABLE = "unreadable"  # a record should name an object and does not say which
    ORPHAN = "orphan"  # an object that no record names


#: What cannot be made again from something else: only a person can bring it back.
IRREPLACEABLE = frozenset({Source.REPORT, Source.DOCUMENT, Source.DOCUMENT_VERSION})


@dataclass(frozen=True)
class Named:
    """An object as a record names it."""

    key: str
    source: Source
    record: str  # the record's `_id`
    size: int | None = None  # bytes; None where the record does not say
    sha256: str = ""  # hex; "" where the record does not say


@dataclass(frozen=True)
class Stored:
    """An object as the bucket lists it."""

    key: str
    size: int  # bytes
    modified_at: datetime  # UTC


Pair = tuple[Named | None, Stored | None]
_Entry = TypeVar("_Entry", Named, Stored)


class OutOfOrder(ValueError):
    """A stream is not in the order of its keys; what came of it would be false."""


def paired(named: Iterable[Named], stored: Iterable[Stored]) -> Iterator[Pair]:
    """Every name with its object, or None beside it; every object that nothing names with None.

    Both streams are in the order of their keys' UTF-8 bytes; several records may name one object, and it
    comes once with each. Raises OutOfOrder.
    """
    names, objects = _in_order(named, "names"), _in_order(stored, "objects")
    name, standing = next(names, None), next(objects, None)
    while standing is not None:
        if name is not None and name.key < standing.key:
            yield name, None
            name = next(names, None)
        elif name is None or name.key > standing.key:
            yield None, standing
            standing = next(objects, None)
        else:
            while name is not None and name.key == standing.key:
                yield name, standing
                name = next(names, None)
            standing = next(objects, None)
    while name is not None:
        yield name, None
        name = next(names, None)


def suspicion(pair: Pair, orphans_before: datetime) -> DifferenceKind | None:
    """How the two differ; None where they do not, or where the object is younger than `orphans_before`."""
    name, standing = pair
    if standing is None:
        return DifferenceKind.MISSING
    if name is None:
        return DifferenceKind.ORPHAN if standing.modified_at < orphans_before else None
    return DifferenceKind.WRONG_SIZE if name.size is not None and name.size != standing.size else None


def _in_order(entries: Iterable[_Entry], what: str) -> Iterator[_Entry]:
    last = ""
    for entry in entries:
        if entry.key < last:  # the order of code points is that of the UTF-8 bytes
            raise OutOfOrder(f"the {what} are not in the order of their keys: {entry.key!r} after {last!r}")
        last = entry.key
        yield entry
