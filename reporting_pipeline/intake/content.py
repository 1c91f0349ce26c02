"""A file's bytes, and its bytes as text: gzip and encodings, the same for tables and for lines of JSON."""

from __future__ import annotations

import gzip
import re
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from pathlib import Path

Notes = list[tuple[str, str]]  # (code of a finding, sentence)

#: The longer mark first: that of UTF-32 begins like that of UTF-16.
_MARKS = (
    (BOM_UTF32_LE, "utf-32"),
    (BOM_UTF32_BE, "utf-32"),
    (BOM_UTF16_LE, "utf-16"),
    (BOM_UTF16_BE, "utf-16"),
)
_HEAD = 200  # bytes that tell UTF-16 without a mark
#: What Windows-1252 does not have, four letters beyond ASCII in a row, and one of them between two signs of
#: print: Shift-JIS, GB 18030, EUC, KOI8, Windows-1251.
_OF_ANOTHER_ALPHABET = re.compile(rb"[\x81\x8d\x8f\x90\x9d]|[\xa1-\xff]{4}|[\x80-\x9f][\xa0-\xff][\x80-\x9f]")


class UnreadableFile(ValueError):
    """A file that cannot be read; the message names it and says why, for a person."""


def content_of(path: Path) -> bytes:
    """A file's bytes, those inside for a `.gz`. Raises UnreadableFile."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFile(f"{path.name}: cannot be read ({error})") from None


def head_of(path: Path, size: int) -> tuple[str, bool]:
    """(A file's first bytes as text, whether they are all of it); of what is cut within a letter, without it.

    Raises UnreadableFile.
    """
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if is_gzip:
                with gzip.GzipFile(fileobj=file) as inside:
                    content = inside.read(size + 1)
            else:
                content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFile(f"{path.name}: cannot be read ({error})") from None
    if len(content) <= size:
        return text_of(content)[0], True
    content = content[:size]
    end = max(content.rfind(sign) for sign in b"\n,{}[]:")
    return text_of(content[: end + 1])[0], False


def text_of(content: bytes) -> tuple[str, Notes]:
    """`content` as text, and what should be told: by its mark, else by its bytes."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace"), []
    if encoding := _utf16_without_mark(content[:_HEAD]):
        told = "has no mark of its encoding; by its bytes it was read as UTF-16"
        return content.decode(encoding, "replace"), [("encoding", told)]
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        if _OF_ANOTHER_ALPHABET.search(content):
            told = (
                f"line {line} is neither UTF-8 nor, by its bytes, Windows-1252; letters beyond ASCII are not "
                "read and stand as \ufffd. Save the file as UTF-8"
            )
            return content.decode("ascii", "replace"), [("encoding", told)]
        told = f"line {line} is not UTF-8; the file was read as Windows-1252"
        return content.decode("cp1252", "replace"), [("encoding", told)]


def _utf16_without_mark(head: bytes) -> str:
    """UTF-16's name where every second byte of ASCII in it is empty; "" for everything else."""
    even, odd = head[::2], head[1::2]
    if len(odd) > 1 and not any(odd) and all(even):
        return "utf-16-le"
    return "utf-16-be" if len(odd) > 1 and not any(even) and all(odd) else ""
