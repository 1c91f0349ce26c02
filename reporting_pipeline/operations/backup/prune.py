"""Which backups lie in a place, and the end of those that are older than they need be.

Nothing is opened, so no key is needed: a backup's name tells when it was taken, its manifest, which is
written last, that it is whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reporting_pipeline.operations.backup.take import MANIFEST
from reporting_pipeline.operations.backup.vault import Place

_NAME = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{8}")
#: A backup without a manifest may still be written; after so long it was cut off.
CUT_OFF_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class KeptBackup:
    """A backup that lies in a place."""

    name: str
    taken_at: datetime
    whole: bool  # else it is being written, or was cut off


def kept_backups(place: Place) -> list[KeptBackup]:
    """Those in `place`, the oldest first. What has another's name is not ours."""
    return sorted(_backups(place), key=lambda one: (one.taken_at, one.name))


def outlived(backups: Iterable[KeptBackup], keep: timedelta, now: datetime) -> list[KeptBackup]:
    """Those that may go: taken longer than `keep` ago, or cut off. The newest whole one always stays."""
    standing = list(backups)
    newest = max((one for one in standing if one.whole), key=lambda one: one.taken_at, default=None)
    return [
        one
        for one in standing
        if one is not newest and now - one.taken_at > (keep if one.whole else CUT_OFF_AFTER)
    ]


def prune_backups(place: Place, keep: timedelta, now: datetime) -> list[KeptBackup]:
    """Delete what is outlived, and return it. Where it was killed, the next call ends what it began."""
    gone = outlived(kept_backups(place), keep, now)
    for one in gone:
        place.delete(f"{one.name}/{MANIFEST}")
        place.delete_all(one.name)
    return gone


def _backups(place: Place) -> Iterator[KeptBackup]:
    for name in place.folders():
        named = _NAME.fullmatch(name)
        if named is None:
            continue
        try:
            taken_at = datetime.strptime(named[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:  # no such day
            continue
        yield KeptBackup(name, taken_at, place.has(f"{name}/{MANIFEST}"))
