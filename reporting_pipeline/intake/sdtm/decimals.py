"""Numbers that can be read in two ways: "250.000" beside decimal commas, "1,234" beside decimal points.

A number of one to three digits, a sign and three more may be thousands or a fraction. The other numbers of
its table decide: what is collected (--ORRES and its limits, doses) and what is standard (--STRESN and its
limits) each by its own, by those of the other where it has none. Where both signs are decimal ones, the
number is kept as text with both readings, and told. Without any other number the point is a decimal one, as
SDTM has it, and the comma is left open (`numbers.plain`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from reporting_pipeline.intake.sdtm.columns import text
from reporting_pipeline.intake.sdtm.tables import Table
from reporting_pipeline.intake.understanding import Understanding, counted

_COLLECTED = ("ORRES", "ORNRLO", "ORNRHI", "DOSE", "DOSTXT")
_STANDARD = ("STRESN", "STRESC", "STNRLO", "STNRHI", "STNRC", "LLOQ", "ULOQ")
_SHOWN = 3  # examples in a message
#: One number in a cell, with whatever stands between its digits.
_NUMBER = re.compile(
    r"(?<![\w.,])[+-]?(?:\d+(?:[ '\u2019\u00a0\u2009\u202f]\d{3}(?!\d))*(?:[.,]\d+)*|[.,]\d+)(?![\w.,])",
    re.ASCII,
)
#: What a cell of numbers holds beside them: signs of limits and ranges.
_BESIDE = re.compile(r"(?:[\s<>=≤≥~～()\[\]\-–—]|\b(?:TO|BIS|UP|AT LEAST|AT MOST)\b)*", re.IGNORECASE)
_OPEN = re.compile(r"[+-]?[1-9]\d{0,2}([.,])\d{3}", re.ASCII)
#: A sign of which only one reading is left, `,` or `.` as the decimal one in {0} and the other in {1}.
_DECIDED = (
    r"[+-]?\d+{0}(?:\d{{1,2}}|\d{{4,}})|[+-]?0{0}\d{{3}}|[+-]?\d{{4,}}{0}\d{{3}}|[+-]?{0}\d+"
    r"|[+-]?\d{{1,3}}(?:{1}\d{{3}})+{0}\d+|[+-]?[1-9]\d{{0,2}}(?:{1}\d{{3}}){{2,}}"
    r"|[+-]?\d{{1,3}}(?:[ '\u2019\u00a0\u2009\u202f]\d{{3}})+{0}\d+"
)
_SIGNS: Mapping[str, re.Pattern[str]] = {
    ",": re.compile(_DECIDED.format(",", r"\."), re.ASCII),
    ".": re.compile(_DECIDED.format(r"\.", ","), re.ASCII),
}


@dataclass
class _Evidence:
    """What the numbers of some columns say, and those that say nothing by themselves."""

    signs: set[str] = field(default_factory=set)  # the decimal signs of which one number at least speaks
    has_open: bool = False

    def see(self, cell: str) -> None:
        for number in _numbers_in(cell):
            if _OPEN.fullmatch(number):
                self.has_open = True
            else:
                self.signs |= {sign for sign, shape in _SIGNS.items() if shape.fullmatch(number)}


def with_one_reading(code: str, table: Table, understanding: Understanding) -> Table:
    """`table` of the domain `code` with each number that has two readings written in its one, or in both."""
    groups = [_present(code, names, table) for names in (_COLLECTED, _STANDARD)]
    found = [_evidence(table.frame, names) for names in groups]
    if not any(one.has_open for one in found):
        return table
    frame, examples, doubtful = table.frame, list[str](), list[str]()
    for names, own, other in zip(groups, found, reversed(found), strict=True):
        signs = own.signs or other.signs
        if own.has_open and signs:
            told = examples if len(signs) == 1 else doubtful
            frame = frame.with_columns(_settled(frame[name], signs, told) for name in names)
    _tell(code, table.source, examples, doubtful, understanding)
    return replace(table, frame=frame)


def _present(code: str, names: Sequence[str], table: Table) -> list[str]:
    """The columns of texts among them; what a file holds as numbers has one reading."""
    called = (code + name for name in names)
    return [name for name in called if name in table.columns and table.frame[name].dtype == pl.String]


def _evidence(frame: pl.DataFrame, names: Sequence[str]) -> _Evidence:
    evidence = _Evidence()
    for name in names:
        for cell in map(text, frame[name].drop_nulls().unique()):
            if "," in cell or "." in cell:
                evidence.see(cell)
    return evidence


def _numbers_in(cell: str) -> Iterator[str]:
    """The numbers of a cell that holds nothing but numbers and limits; none of any other."""
    if _BESIDE.fullmatch(_NUMBER.sub("", cell)):
        yield from (match[0] for match in _NUMBER.finditer(cell))


def _settled(column: pl.Series, signs: set[str], told: list[str]) -> pl.Series:
    """The column with its open numbers written by the one decimal sign, or with both readings beside them."""
    return pl.Series(column.name, [_rewritten(cell, signs, told) for cell in column], dtype=pl.String)


def _rewritten(cell: str | None, signs: set[str], told: list[str]) -> str | None:
    if cell is None or not any(map(_OPEN.fullmatch, _numbers_in(cell))):
        return cell
    if len(signs) > 1:
        fraction, thousands = (_by(cell, decimal) for decimal in (True, False))
        told.append(cell)
        return f"{cell} ({fraction} or {thousands})"
    (sign,) = signs
    read = _NUMBER.sub(lambda number: _by(number[0], number[0].count(sign) == 1), cell)
    if read != cell:
        told.append(f"{cell} as {read}")
    return read


def _by(written: str, decimal: bool) -> str:
    """The open numbers of `written` as fractions, or as thousands."""
    return _NUMBER.sub(
        lambda number: number[0].replace(",", ".") if decimal and _OPEN.fullmatch(number[0])
        else re.sub("[.,]", "", number[0]) if _OPEN.fullmatch(number[0]) else number[0],
        written,
    )  # fmt: skip


def _tell(
    code: str, source: str, examples: list[str], doubtful: list[str], understanding: Understanding
) -> None:
    if examples:
        detail = (
            f"{code}: {counted(len(examples), 'number')} with two readings were read by the decimal sign of "
            f"the others: {', '.join(dict.fromkeys(examples[:_SHOWN]))}."
        )
        understanding.finding(source, "decimal_sign", "", detail)
    if doubtful:
        detail = (
            f"{code}: {counted(len(doubtful), 'number')} with two readings stand beside decimal points and "
            f"decimal commas: {', '.join(dict.fromkeys(doubtful[:_SHOWN]))}; they were kept as text."
        )
        understanding.finding(source, "ambiguous_number", "", detail)
