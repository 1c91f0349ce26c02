"""Secrets with names, so that one can follow another: the first signs, all of them still verify.

Written `2026b:secret,2026a:older secret` (names of letters, digits, - and _); a bare secret has the
name "0". A secret so written holds neither ":" nor ",".
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

_NAME = re.compile(r"[A-Za-z0-9_-]{1,16}", re.ASCII)
BARE = "0"


@dataclass(frozen=True)
class Keyring:
    """The keys of one purpose. `current` names the one that signs."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def read(cls, text: str) -> Keyring:
        """From its written form. ValueError says what is wrong without repeating a secret."""
        if ":" not in text:
            return cls(BARE, {BARE: text.encode()})
        keys: dict[str, bytes] = {}
        for part in text.split(","):
            name, colon, secret = part.strip().partition(":")
            if not colon or not _NAME.fullmatch(name) or not secret:
                raise ValueError("several secrets are written name:secret,name:secret, the newest first")
            if name in keys:
                raise ValueError(f"the secret {name} is given twice")
            keys[name] = secret.encode()
        return cls(next(iter(keys)), keys)

    def derived(self, purpose: str) -> Keyring:
        """Keys of the same names for another purpose: one never passes for the other."""
        label = f"reporting-pipeline/{purpose}".encode()
        return Keyring(
            self.current, {name: hmac.digest(key, label, sha256) for name, key in self.keys.items()}
        )

    def sign(self, message: bytes, name: str | None = None) -> bytes:
        """HMAC-SHA256 with the current key, or the one of `name`. KeyError for one that is not known."""
        return hmac.digest(self.keys[self.current if name is None else name], message, sha256)

    def verifies(self, message: bytes, signature: bytes, name: str) -> bool:
        """Whether `signature` (or its beginning, 16 bytes at least) is that of the key `name`."""
        if name not in self.keys or len(signature) < 16:
            return False
        return hmac.compare_digest(self.sign(message, name)[: len(signature)], signature)
