"""Where a backup lies, and its seal: AES-256-GCM over each part, bound to its name and its backup.

A part that was changed, swapped with another or taken from another backup does not open.
"""

from __future__ import annotations

import base64
import os
import shutil
from binascii import Error as Base64Error
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reporting_pipeline.settings import Settings, SettingsError
from reporting_pipeline.stores.objects import ObjectStore, open_object_store

NONCE_BYTES = 12


class BackupDamaged(ValueError):
    """A part is missing, was changed, or was sealed with another key; nothing is restored from it."""


class Place(Protocol):
    """Holds named parts. A name has letters, digits, dots, dashes and slashes."""

    def write(self, name: str, content: bytes) -> None: ...

    def read(self, name: str) -> bytes:
        """Raises KeyError when there is no such part."""
        ...

    def has(self, name: str) -> bool: ...

    def folders(self) -> Iterable[str]:
        """The first parts of names that have a slash, each once."""
        ...

    def delete(self, name: str) -> None:
        """Delete a part, where there is one."""
        ...

    def delete_all(self, folder: str) -> None:
        """Delete every part whose name begins with `folder` and a slash."""
        ...


@dataclass(frozen=True)
class Folder:
    root: Path

    def write(self, name: str, content: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            raise KeyError(name) from None

    def has(self, name: str) -> bool:
        return (self.root / name).is_file()

    def folders(self) -> Iterable[str]:
        if not self.root.is_dir():
            raise ValueError(f"there is no folder {self.root}")
        return [path.name for path in self.root.iterdir() if path.is_dir() and not path.is_symlink()]

    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def delete_all(self, folder: str) -> None:
        shutil.rmtree(self.root / folder)


@dataclass(frozen=True)
class Prefix:
    objects: ObjectStore
    prefix: str  # ends with a slash, or is empty

    def write(self, name: str, content: bytes) -> None:
        self.objects.put(self.prefix + name, content)

    def read(self, name: str) -> bytes:
        return self.objects.get(self.prefix + name)

    def has(self, name: str) -> bool:
        return self.objects.exists(self.prefix + name)

    def folders(self) -> Iterable[str]:
        """Some stores tell of folders in which nothing is left."""
        for folder in self.objects.folders(self.prefix):
            if next(self.objects.keys(folder), None) is not None:
                yield folder.removeprefix(self.prefix).rstrip("/")

    def delete(self, name: str) -> None:
        self.objects.delete(self.prefix + name)

    def delete_all(self, folder: str) -> None:
        self.objects.delete_many(list(self.objects.keys(f"{self.prefix}{folder}/")))


def open_place(target: str, settings: Settings) -> Place:
    """A folder, or `s3://bucket/prefix` on the deployment's own S3. ValueError for anything else."""
    if not target.startswith("s3://"):
        if "://" in target:
            raise ValueError(f"{target!r} is neither a folder nor s3://bucket/prefix")
        return Folder(Path(target).expanduser())
    bucket, _, prefix = target.removeprefix("s3://").partition("/")
    if not bucket or not prefix.strip("/"):
        raise ValueError(f"{target!r} needs a bucket and a prefix: s3://bucket/prefix")
    own = open_object_store(settings)
    if bucket == own.bucket:
        raise ValueError(
            f"{target!r} lies in the bucket that it is to protect; give another bucket of another account"
        )
    return Prefix(ObjectStore(own.client, bucket, own.encryption, own.kms_key_id), f"{prefix.strip('/')}/")


def backup_key(settings: Settings) -> bytes:
    """The 32 bytes that seal backups. SettingsError when none is set or it is no key."""
    text = settings.backup_key.get_secret_value() if settings.backup_key else ""
    if settings.backup_key_file is not None:
        try:
            text = settings.backup_key_file.read_text()
        except OSError as error:
            raise SettingsError(f"REPORTING_BACKUP_KEY_FILE cannot be read: {error.strerror}") from None
    if not text.strip():
        raise SettingsError(
            "REPORTING_BACKUP_KEY_FILE (or REPORTING_BACKUP_KEY) is not set: a backup is always encrypted. "
            "Make one with `openssl rand -base64 32`, and keep it apart from the backups"
        )
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except Base64Error:
        key = b""
    if len(key) != 32:
        raise SettingsError("the backup's key must be 32 bytes in base64: `openssl rand -base64 32`")
    return key


@dataclass(frozen=True)
class Vault:
    """Sealed parts of one backup; `backup` is its id."""

    place: Place
    key: bytes
    backup: str

    def write(self, name: str, content: bytes) -> None:
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self.key).encrypt(nonce, content, self._bound(name))
        self.place.write(f"{self.backup}/{name}", nonce + sealed)

    def read(self, name: str) -> bytes:
        try:
            sealed = self.place.read(f"{self.backup}/{name}")
        except KeyError:
            raise BackupDamaged(f"the backup {self.backup} has no part {name}") from None
        try:
            return AESGCM(self.key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._bound(name))
        except (InvalidTag, ValueError):
            raise BackupDamaged(
                f"the part {name} of the backup {self.backup} was changed or sealed with another key"
            ) from None

    def _bound(self, name: str) -> bytes:
        return f"reporting-pipeline backup 1/{self.backup}/{name}".encode()
