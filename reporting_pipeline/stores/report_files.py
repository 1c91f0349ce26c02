"""The files of reports: as they are, or sealed for one person where their organisation asks for it.

A key that ends with `.sealed` says that a file is; `reports` keeps size and SHA-256 of what a reader gets.
Who seals and opens goes through here, so that no way to a file forgets it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import IO

from reporting_pipeline.domain.access import User
from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.domain.sealing import (
    HEADER_BYTES,
    SEALED,
    SealBroken,
    is_sealed,
    key_id_of,
    opened,
    seal,
    sealed_size,
)
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectMissing, ObjectStore
from reporting_pipeline.stores.person_keys import KeyUnknown, key_for, key_of, wrapping_keys


@dataclass(frozen=True)
class ReportFiles:
    """The files of a deployment's reports. Safe to share between threads."""

    database: Database
    objects: ObjectStore
    ring: Keyring | None = None  # of REPORTING_SEAL_SECRET; None: nothing is sealed or opened

    @classmethod
    def of(cls, database: Database, objects: ObjectStore, settings: Settings) -> ReportFiles:
        return cls(database, objects, wrapping_keys(settings))

    def put(
        self, key: str, content: bytes | IO[bytes], content_type: str, owner: User, now: datetime
    ) -> None:
        """Store a file; under a key of `sealed_key` it is sealed for its owner. Raises KeyUnknown."""
        if not is_sealed(key):
            self.objects.put_file(key, content, content_type)
            return
        key_id, data_key = key_for(self.database, self.ring, owner.organisation, owner.id, now)
        self.objects.put_file(key, seal(_whole(content), data_key, key_id, key), "application/octet-stream")

    def get(self, key: str, max_bytes: int | None = None) -> bytes:
        """A file's bytes. Raises ObjectMissing, also where its key is gone, ObjectTooLarge, SealBroken."""
        if not is_sealed(key):
            return self.objects.get(key, max_bytes)
        most = None if max_bytes is None else sealed_size(max_bytes)
        sealed = self.objects.get(key, most)
        return b"".join(self._opened(key, sealed[:HEADER_BYTES], iter([sealed[HEADER_BYTES:]])))

    def pieces(self, key: str) -> Iterator[bytes]:
        """A file, one piece in memory at a time. Raises as `get`: at once, or at a piece that is broken."""
        header, rest = self.objects.begun(key, HEADER_BYTES if is_sealed(key) else 0)
        return self._opened(key, header, rest) if is_sealed(key) else rest

    def openable(self, key: str) -> bool:
        """Whether a file stands, and the key that opens it."""
        if not is_sealed(key):
            return self.objects.exists(key)
        try:
            key_of(self.database, self.ring, key_id_of(self.objects.begun(key, HEADER_BYTES)[0]))
        except (ObjectMissing, KeyUnknown, SealBroken):
            return False
        return True

    def digest(self, key: str) -> str:
        """The SHA-256 of a file in hexadecimal. Raises as `get`."""
        found = sha256()
        for piece in self.pieces(key):
            found.update(piece)
        return found.hexdigest()

    def _opened(self, key: str, header: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
        try:
            data_key = key_of(self.database, self.ring, key_id_of(header))
        except KeyUnknown as problem:
            raise ObjectMissing(f"{key}: {problem}") from None
        return opened(header, rest, data_key, key)


def _whole(content: bytes | IO[bytes]) -> bytes:
    if isinstance(content, bytes):
        return content
    content.seek(0)
    return content.read()


def sealed_key(key: str, *, sealed: bool) -> str:
    """The key of a report's file, which says whether it is sealed."""
    return f"{key}{SEALED}" if sealed else key
