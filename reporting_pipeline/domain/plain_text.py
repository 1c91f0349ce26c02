"""Texts that people write to be read by others: names of one line, and reasons or descriptions of several.

They come into mails, pages, files and logs, where a control character ends a line or a cell and a mark of
direction lets one name be read as another. Belongs here: what such a text may hold. Does not: data of a
trial, which is kept as it was sent.
"""

from __future__ import annotations

import unicodedata

#: Embeddings, overrides and isolates: with them a name can be read as another.
_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_UNWRITTEN = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_BETWEEN_LINES = frozenset("\n\r\t")
#: Letters that nobody sees and programs read (Unicode's block "Tags").
_TAGS = range(0xE0000, 0xE0080)


def one_line(value: str) -> str:
    """`value` without outer blanks. ValueError for line breaks, control characters and what nobody sees."""
    if _has_unwritten(value):
        raise ValueError("no line breaks or control characters")
    _refuse_turning(value)
    if not any(unicodedata.category(character)[0] in "LNPS" for character in value):
        raise ValueError("must not be empty: it holds nothing that is seen")
    return value.strip()


def one_line_or_none(value: str) -> str:
    """The same, where there need be none."""
    return one_line(value) if value else ""


def several_lines(value: str) -> str:
    """`value` as it is, which may be empty. ValueError for control characters, but line breaks and tabs."""
    if _has_unwritten("".join(each for each in value if each not in _BETWEEN_LINES)):
        raise ValueError("no control characters")
    _refuse_turning(value)
    return value


def _has_unwritten(value: str) -> bool:
    return any(unicodedata.category(each) in _UNWRITTEN or ord(each) in _TAGS for each in value)


def _refuse_turning(value: str) -> None:
    if any(unicodedata.bidirectional(each) in _TURNING for each in value):
        raise ValueError("no characters that turn the direction of the text around them")
