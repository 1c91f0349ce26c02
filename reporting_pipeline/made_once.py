"""A file of a home that one of several processes makes, once, for all: keys and secrets of one machine."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def make_once(path: Path, text: str) -> None:
    """Write `text` (ASCII) to `path`, for its owner's eyes alone, unless the file stands already.

    Of several processes that begin at once one's text stays, whole: each reads the file afterwards.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    own = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    try:
        os.link(own, path)
    except FileExistsError:
        pass
    finally:
        own.unlink()
