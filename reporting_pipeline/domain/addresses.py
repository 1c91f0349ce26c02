"""One mailbox, many spellings: finding an address in a text whatever way it is written.

`access.normal_address` refuses what is not written plainly; here it is recognised all the same, so that
what was once let in, or came from elsewhere, is found when it must go.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from reporting_pipeline.domain.access import normal_address

ERASED = "[erased]"
# Whatever may be an address: no blanks, brackets, quotes or list marks around one @ of any width. It begins
# where such a run begins, else a long text without any takes the square of its length.
_PART = r"[^\s<>()\[\]{}\"'`,;:|\\/=?&]"
_CANDIDATE = re.compile(rf"(?<!{_PART}){_PART}+[@＠﹫]{_PART}+")
_EDGES = ".!?…。"


def same_mailbox(value: str) -> str | None:
    """The normal spelling of an address written in full width, decomposed, upper case, IDNA; else None."""
    folded = unicodedata.normalize("NFKC", value).strip().strip(_EDGES).casefold()
    try:
        return normal_address(folded)
    except ValueError:
        return None


def without_detail(address: str) -> str:
    """A normal address without a `+detail` before the @ (RFC 5233): most servers have one mailbox."""
    local, at, domain = address.partition("@")
    return f"{local.partition('+')[0] or local}{at}{domain}"


def holds(text: str, addresses: Collection[str]) -> bool:
    """Whether one of `addresses` (normal spelling) stands in `text` as a whole address."""
    return any(same_mailbox(found.group()) in addresses for found in _CANDIDATE.finditer(text))


def without(text: str, addresses: Collection[str]) -> str:
    """`text` with each of `addresses` (normal spelling) taken out; longer addresses around one stay."""

    def replaced(found: re.Match[str]) -> str:
        return ERASED if same_mailbox(found.group()) in addresses else found.group()

    return _CANDIDATE.sub(replaced, text)
