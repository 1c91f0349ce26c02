"""Single values of a document, taken as their field needs them; what cannot be is told, never fatal.

A `Reading` is made for each document. Its methods take a mapping and the name of a field, return a value
that every file format can hold, and note a `Finding` when something was odd.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from reporting_pipeline.domain.clinical import codes, qualitative
from reporting_pipeline.domain.clinical.dates import before, is_before, iso, parse_iso
from reporting_pipeline.domain.clinical.findings import MALFORMED_CODES, Finding
from reporting_pipeline.domain.clinical.numbers import censored, plain

Data = Mapping[str, Any]  # a payload, or a record in it
Row = dict[str, object]  # of a tidy table: column -> value

_SHOWN = 60  # characters of an odd value that a message shows


def shown(value: object) -> str:
    """An odd value as a message shows it: short, on one line, safe to encode."""
    if isinstance(value, (dict, list, tuple, set, bytes)):
        return f"a {type(value).__name__}"
    if isinstance(value, int) and abs(value) > 10**_SHOWN:
        return "a very large number"
    text = clean(str(value))
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def clean(text: str) -> str:
    """`text` without lone surrogates, which no file format can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@lru_cache(maxsize=1024)
def _tomorrow(day: date) -> tuple[int, int, int]:
    after = day + timedelta(days=1)
    return after.year, after.month, after.day


class Reading:
    """One document while it is read. `arrived` is its local day of arrival, None when it is not known."""

    def __init__(self, arrived: date | None = None) -> None:
        self.findings: list[Finding] = []
        self.arrived = arrived
        self._told: set[tuple[str, str]] = set()

    @property
    def malformed(self) -> bool:
        return any(finding.code in MALFORMED_CODES for finding in self.findings)

    def finding(self, code: str, name: str, detail: str) -> None:
        self.findings.append(Finding(code, name, detail))

    def unknown_fields(self, source: Data, known: frozenset[str], where: str = "") -> None:
        """Tell the fields of `source` that are none of `known`."""
        for name in sorted(map(str, source.keys() - known)):
            field = where + (name if len(name) <= _SHOWN else name[:_SHOWN] + "…")
            self.finding("unknown_field", field, f"There is no field {shown(name)}; it is not reported.")

    def tell_a_death(self, text: str, name: str) -> None:
        """Tell words that say that the subject died, in a field of which no death is counted."""
        if text and codes.may_say_subject_died(text):
            detail = f"{shown(text)} names a death; it is not counted as one by this field alone."
            self.finding("death_in_words", name, detail)

    # --- values ----------------------------------------------------------------------------------

    def text(self, source: Data, name: str, where: str = "") -> str:
        value = source.get(name)
        if type(value) is str and value.isascii():  # nearly all: a million documents hold ten millions
            return value
        if value is None:
            return ""
        if isinstance(value, str):
            return clean(value)
        self.finding("wrong_type", where + name, f"Expected text, found {shown(value)}; it was left out.")
        return ""

    def required(self, source: Data, name: str, where: str = "") -> str:
        text = self.text(source, name, where)
        if not text.strip() and (source.get(name) is None or isinstance(source.get(name), str)):
            self.finding("missing_field", where + name, f"The field {name} is missing or empty.")
            return ""
        return text

    def number(self, source: Data, name: str, where: str = "") -> float:
        """NaN when there is none. A text is read as `numbers.plain` does; "1,234" is not guessed."""
        value = source.get(name)
        if value is None:
            return math.nan
        if type(value) is float and math.isfinite(value):
            return value
        if isinstance(value, str):
            if codes.is_not_stated(value):
                return math.nan
            if (digits := plain(value)) is not None:
                return digits
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.finding(
                "wrong_type", where + name, f"Expected a number, found {shown(value)}; it was left out."
            )
            return math.nan
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
        self.finding("not_finite", where + name, f"{shown(value)} is no finite number; it was left out.")
        return math.nan

    def limit(self, source: Data, name: str, sign: str, where: str = "") -> float:
        """One limit of a range: a number, or "<200" for a high one (`sign` "<") and ">4" for a low one.

        NaN, and told, for any other text; a word as NEGATIVE, which is a sound range, is not told here.
        """
        value = source.get(name)
        if isinstance(value, str) and not codes.is_not_stated(value) and plain(value) is None:
            told = censored(value)
            if told is not None and told.comparator[0] == sign and told.limit == told.limit:
                return told.limit
            if qualitative.is_of_words(value):
                return math.nan
            detail = f"The limit {shown(value)} is no number; the result is not compared with it."
            self.finding("range_not_read", where + name, detail)
            return math.nan
        return self.number(source, name, where)

    def flag(self, source: Data, name: str, where: str = "") -> str:
        """codes.YES, NO or UNKNOWN; what means none of them is told and is UNKNOWN."""
        value = source.get(name)
        answer = codes.read_flag(value)
        if answer is None:
            code = "unknown_value" if isinstance(value, (str, int, float)) else "wrong_type"
            self.finding(
                code, where + name, f"Expected yes or no, found {shown(value)}; it counts as not known."
            )
            return codes.UNKNOWN
        return answer

    def grade(self, source: Data, name: str, where: str = "", least: int = 0) -> int | None:
        """A toxicity grade from `least` to 5."""
        value = source.get(name)
        if value is None or (isinstance(value, str) and codes.is_not_stated(value)) or value != value:
            return None
        grade = codes.read_grade(value)
        if grade is None or grade < least:
            self.finding("unknown_value", where + name, f"{shown(value)} is no grade from {least} to 5.")
            return None
        return grade

    # --- dates -----------------------------------------------------------------------------------

    def date(self, source: Data, name: str, where: str = "") -> tuple[str, tuple[int, ...]]:
        """The date as collected, in ISO 8601, and its known parts; ("", ()) when there is none to use."""
        text = iso(self.text(source, name, where))
        if codes.is_nothing(text):
            return "", ()
        parsed = parse_iso(text)
        if parsed.finding == "impossible_date":
            self._tell_once(parsed.finding, where + name, text, "is no date; it was left out.")
            return "", ()
        if parsed.finding == "partial_date":
            self._tell_once(
                parsed.finding, where + name, text, "is not a full date; it is shown as collected."
            )
        if self.is_after_arrival(parsed.parts):
            self._tell_once(
                "future_date", where + name, text, f"lies after the document's arrival on {self.arrived}."
            )
        return text, parsed.parts

    def is_after_arrival(self, parts: tuple[int, ...]) -> bool:
        """Whether a date lies more than a day after arrival; a day is what timezones explain."""
        if self.arrived is None or not parts:
            return False
        return before(_tomorrow(self.arrived), parts)

    def _tell_once(self, code: str, name: str, text: str, what: str) -> None:
        """Thirty results of one document share a date: one finding says it."""
        field = name.rpartition(".")[2]
        if (code + field, text) not in self._told:
            self._told.add((code + field, text))
            self.finding(code, name, f"{shown(text)} {what}")

    def interval(self, source: Data) -> tuple[str, str, tuple[int, ...]]:
        """`start` and `end` as collected, and the known parts of the start."""
        start, first = self.date(source, "start")
        end, last = self.date(source, "end")
        if before(last, first) or is_before(end, start):
            self.finding("ends_before_start", "end", f"Ends on {end}, before it starts on {start}.")
        return start, end, first
