"""Lists in pages: an opaque cursor that cannot be forged or used on another list."""

from __future__ import annotations

import binascii
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.settings import Settings
from reporting_pipeline.usecases.callers.problems import FieldError, Problem

_SIGNATURE_BYTES = 16


class Cursors:
    """Signs and reads cursors. `scope` names the list and its filters: a cursor is good for it only."""

    def __init__(self, settings: Settings) -> None:
        # Keys of their own, derived, so that a cursor can never pass for a link token or the reverse.
        self._keys = Keyring.read(settings.link_secret.get_secret_value()).derived("api-cursor")

    def write(self, scope: str, position: Sequence[Any]) -> str:
        """The cursor after `position`, the sort values of the last row of a page."""
        payload = json.dumps(list(position), separators=(",", ":")).encode()
        signature = self._signature(scope, payload, self._keys.current)
        return urlsafe_b64encode(signature + payload).decode().rstrip("=")

    def read(self, scope: str, cursor: str | None) -> list[Any] | None:
        """The position of a cursor, None without one. Raises Problem (422)."""
        if cursor is None:
            return None
        try:
            raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        except (binascii.Error, ValueError):
            raw = b""
        signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not payload or not self._is_ours(scope, payload, signature):
            detail = "not a cursor of this list; start again without one"
            raise Problem("validation", f"cursor: {detail}", [FieldError("query:cursor", detail)])
        position: list[Any] = json.loads(payload)
        return position

    def _is_ours(self, scope: str, payload: bytes, signature: bytes) -> bool:
        """Signed with the current key or with one before it: a list goes on while keys change."""
        return any(
            hmac.compare_digest(signature, self._signature(scope, payload, name)) for name in self._keys.keys
        )

    def _signature(self, scope: str, payload: bytes, name: str) -> bytes:
        return self._keys.sign(scope.encode() + b"\0" + payload, name)[:_SIGNATURE_BYTES]
