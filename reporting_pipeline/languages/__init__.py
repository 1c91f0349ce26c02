"""The languages of what a reader gets by mail and link: words from catalogues, dates and numbers from CLDR.

`CODE.po` beside this file is a language (gettext; `msgid` is the English sentence); one more file is
one more language. English needs none. `babel` reads them and writes dates and numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_skeleton
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

FOLDER = Path(__file__).parent
ENGLISH = "en"


def known_languages(folder: Path = FOLDER) -> tuple[str, ...]:
    """English first, then those that have a catalogue."""
    return (ENGLISH, *sorted(file.stem for file in folder.glob("*.po")))


def name_of(language: str) -> str:
    """A language in its own words: Deutsch, English, español."""
    return str(Locale.parse(language).get_display_name() or language)


def checked_language(language: str) -> str:
    """`language` if it is known. Raises ValueError that names the known ones."""
    if language not in known_languages():
        raise ValueError(
            f"there is no language {language[:20]!r} here; known are {', '.join(known_languages())}"
        )
    return language


class Words:
    """The words of one language. What a catalogue does not have is said in English."""

    def __init__(self, language: str = ENGLISH, folder: Path = FOLDER) -> None:
        """Raises ValueError for a language without a catalogue."""
        if language not in known_languages(folder):
            raise ValueError(f"there is no catalogue of {language[:20]!r}")
        self.language = language
        self._locale = Locale.parse(language if language != ENGLISH else "en_GB")
        self._said = {} if language == ENGLISH else _catalogue(folder / f"{language}.po")

    def __call__(self, message: str, **values: object) -> str:
        """`message` in this language, with its placeholders filled in. Values are put in as they are."""
        said = self._said.get(message) or message
        return said.format(**values) if values else said

    def day(self, value: date) -> str:
        """ "17 November 2026"."""
        return str(format_date(value, "long", locale=self._locale))

    def moment(self, value: datetime, timezone: str) -> str:
        local = value.astimezone(ZoneInfo(timezone))
        return f"{self.day(local.date())}, {format_datetime(local, 'HH:mm', locale=self._locale)}"

    def collected(self, text: str) -> str:
        """A date as collected (ISO 8601), as far as it is known; what is none is shown as it came."""
        if full := _FULL.fullmatch(text):
            try:
                return self.day(date.fromisoformat(full[1]))
            except ValueError:
                return text
        if month := _MONTH.fullmatch(text):
            try:
                first = date(int(month[1]), int(month[2]), 1)
            except ValueError:
                return text
            return str(format_skeleton("yMMMM", first, locale=self._locale))
        return text

    def span(self, first: date, last: date) -> str:
        """ "16 November 2026 – 22 November 2026"; one day as such."""
        return self.day(first) if first == last else f"{self.day(first)} – {self.day(last)}"

    def number(self, text: str) -> str:
        """A result as it was written, with this language's decimal sign; words stay as they are.

        Every digit is kept: 5.0 says more than 5.
        """
        found = _NUMBER.fullmatch(text)
        if found is None:
            return text
        sign, whole, places = found.groups()
        shown = str(self._locale.number_symbols["latn"]["decimal"]) if places else ""
        return f"{sign}{whole.replace('-', '−')}{shown}{(places or '')[1:]}"

    def count(self, value: int) -> str:
        return str(format_decimal(value, locale=self._locale))


_FULL = re.compile(r"(\d{4}-\d\d-\d\d)(T[^/]*)?", re.ASCII)
_MONTH = re.compile(r"(\d{4})-(\d\d)", re.ASCII)
_NUMBER = re.compile(r"((?:<=|>=|<|>)?\s*)(-?\d+)(\.\d+)?", re.ASCII)


@lru_cache(maxsize=32)
def words_of(language: str) -> Words:
    """The words of a language, read once."""
    return Words(language)


def words_for(*wanted: str, browser: str = "") -> Words:
    """The words of the first of `wanted` that is known; else of what a browser asks for; else English.

    `browser`: its Accept-Language, whatever it holds.
    """
    known = known_languages()
    asked = (*wanted, *_asked_by(browser))
    return words_of(next((one for one in asked if one in known), ENGLISH))


def _asked_by(browser: str) -> list[str]:
    """The languages of an Accept-Language (RFC 9110, 12.5.4), the best first, without their regions."""
    found: list[tuple[float, str]] = []
    for each in browser[:LONGEST_ACCEPT].split(","):
        tag, _, weight = each.partition(";")
        quality = _WEIGHT.fullmatch(weight.strip()) if weight else None
        if weight and quality is None:
            continue
        found.append((float(quality[1]) if quality else 1.0, tag.strip().partition("-")[0].lower()))
    return [tag for quality, tag in sorted(found, key=lambda one: -one[0]) if quality > 0]


_WEIGHT = re.compile(r"q\s*=\s*(0(?:\.\d{1,3})?|1(?:\.0{1,3})?)", re.ASCII)
#: Characters of an Accept-Language that are read.
LONGEST_ACCEPT = 500


def _catalogue(file: Path) -> Mapping[str, str]:
    with file.open("rb") as opened:
        return {
            str(one.id): str(one.string) for one in read_po(opened) if one.id and one.string and not one.fuzzy
        }
