"""Names of files as they are shown to people: letters of every script kept, nothing that a system obeys."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

LONGEST_NAME = 120  # characters
LONGEST_ENDING = 12
_NEVER = frozenset('/\\:*?"<>|')  # some system takes these for a path or a pattern


def shown_file_name(text: str) -> str:
    """`text` fit to name a file anywhere: NFC, no path, no invisible or direction mark, ending kept."""
    normal = unicodedata.normalize("NFC", text[: LONGEST_NAME * 8])
    name = "".join("_" if c in _NEVER else c for c in normal if c.isprintable())
    name = " ".join(name.split()).strip(" .") or "file"
    if len(name) <= LONGEST_NAME:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > LONGEST_ENDING:
        return name[:LONGEST_NAME]
    return f"{stem[: LONGEST_NAME - len(ending) - 1]}.{ending}"


def content_disposition(file_name: str) -> str:
    """The header that saves a download under its name (RFC 6266): for old readers in ASCII, then in full."""
    name = shown_file_name(file_name)
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ()") else "_" for c in name)
    value = f'attachment; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe='')}"
