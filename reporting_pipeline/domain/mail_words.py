"""An organisation's own words in the mails of its reports: before the subject, above the report, at the end.

They are one line each and plain text: no markup, nothing that a header could be made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The fields of an organisation's record.
MAIL_WORDS = ("mail_subject_prefix", "mail_greeting", "mail_footer")
LONGEST_PREFIX = 40
LONGEST_WORDS = 200


@dataclass(frozen=True)
class MailWords:
    """ "" where an organisation has none."""

    subject_prefix: str = ""
    greeting: str = ""
    footer: str = ""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> MailWords:
        """From an organisation's record. What could not have been saved counts as none."""
        longest = (LONGEST_PREFIX, LONGEST_WORDS, LONGEST_WORDS)
        given = zip(MAIL_WORDS, longest, strict=True)
        return cls(*(_kept(record.get(name), most) for name, most in given))


#: Of an organisation that said none.
NO_WORDS = MailWords()


def checked_words(text: str) -> str:
    """The words without blanks around them. Raises ValueError for what is not one line of plain text."""
    line = text.strip()
    if not line.isprintable():
        raise ValueError("write one line, without line breaks, tabs and marks that cannot be seen")
    if "<" in line or ">" in line:
        raise ValueError("write plain words without < and >; they are shown as they are")
    if "=?" in line:  # an encoded word (RFC 2047) is decoded where it stands in a header
        raise ValueError("leave out =?, by which a mail program would take the words for encoded ones")
    return line


def _kept(value: Any, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        return ""
    try:
        return checked_words(value)
    except ValueError:
        return ""
