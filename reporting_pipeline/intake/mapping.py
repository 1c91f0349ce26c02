"""Tables that are not SDTM, read through a mapping in YAML: other names, other codes, study days.

    trial: T-1                       # optional; --trial wins
    reference:                       # what study days count from: day 1 is this date, there is no day 0
      file: subjects.csv
      subject: PATNO
      date: FIRST_DOSE
    tables:
      - file: labs*.csv              # a name or a pattern, below the folder
        kind: lab                    # a kind of document
        subject: PATNO
        site: CENTRE                 # a column; or {value: "701"} for all rows
        collected: {day: STUDYDAY}   # a column of dates; or a column of study days
        columns: {test_code: PARAM, value: RESULT, unit: UNIT}    # field of the payload: column
        constants: {specimen: SERUM}                              # field: the same for all rows
        codes: {indicator: {"1": LOW, "2": HIGH}}                 # field: what a code stands for
        decimal: ","                 # of numbers written as text

What makes an adverse event serious stands in one column that names the criteria (`seriousness_criteria`), or
in one for each (`seriousness_criteria.hospitalisation: SAE_HOSP`).

A mapped table becomes a table of the domain that has its kind, and goes the same way as SDTM from there.
Dates must be ISO 8601. What the mapping names and no table has is an error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reporting_pipeline.domain.clinical.payloads import PAYLOADS
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.wrong_values import words_of
from reporting_pipeline.intake.sdtm.columns import NAMED_CRITERIA, STATED, Domain, number, text
from reporting_pipeline.intake.sdtm.domains import CRITERIA, DOMAINS
from reporting_pipeline.intake.sdtm.other_results import MAPPED, other_results
from reporting_pipeline.intake.sdtm.tables import FORMATS, Table, read_tables
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline.intake.yaml_texts import Place, YamlProblem, texts_of


class MappingProblem(ValueError):
    """A mapping that cannot be used; the message names the place and what to do."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Same(_Shape):
    """One value for all rows."""

    value: str


class Day(_Shape):
    """A column of study days."""

    day: str


class Reference(_Shape):
    file: str
    subject: str
    date: str


class MappedTable(_Shape):
    file: str
    kind: Kind
    subject: str
    site: str | Same | None = None
    collected: str | Day | None = None
    visit: str | None = None
    sequence: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    constants: dict[str, str | float] = Field(default_factory=dict)
    codes: dict[str, dict[str, str]] = Field(default_factory=dict)
    decimal: Annotated[str, Field(pattern=r"^[.,]$")] = "."


class TableMapping(_Shape):
    trial: str | None = None
    reference: Reference | None = None
    tables: list[MappedTable]


def read_mapping(path: Path) -> TableMapping:
    """The mapping of a file. Raises MappingProblem, which names the line and the key."""
    try:
        written = texts_of(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MappingProblem(f"{path}: cannot be read ({error.strerror})") from None
    except YamlProblem as error:
        raise MappingProblem(f"{path}{error}") from None
    except UnicodeDecodeError as error:
        raise MappingProblem(f"{path}: is not UTF-8 ({error.reason} at byte {error.start})") from None
    try:
        mapping = TableMapping.model_validate(written.value)
    except ValidationError as error:
        place, words = _first_problem(error)
        raise MappingProblem(f"{path}{written.where(place)}: {words}") from None
    for place, words in _unknown_fields(mapping):
        raise MappingProblem(f"{path}{written.where(place)}: {words}")
    return mapping


def _first_problem(error: ValidationError) -> tuple[Place, str]:
    """(where, what is wrong) of the first problem; where a text or an object may stand, of the one given."""
    found = error.errors()
    first = found[0]
    if first["loc"] and first["loc"][-1] == "str" and isinstance(first["input"], Mapping):
        kind = next((one for one in found if one["loc"][:-2] == first["loc"][:-1]), first)
        return (*first["loc"][:-1], *kind["loc"][len(first["loc"]) :]), words_of(kind)
    return tuple(part for part in first["loc"] if part not in ("str", "[key]")), words_of(first)


def _unknown_fields(mapping: TableMapping) -> Iterator[tuple[Place, str]]:
    """(where, what is wrong) of each field that documents of the table's kind do not have."""
    for position, table in enumerate(mapping.tables):
        domain = next((one for one in DOMAINS.values() if one.kind == table.kind.value), None)
        if domain is None:
            detail = f"documents of kind {table.kind.value} are files; no table holds them"
            yield ("tables", position, "kind"), detail
            continue
        known = {"text_result", *(one.field for one in domain.columns), *_stated(table.kind)}
        for part, given in (
            ("columns", table.columns),
            ("constants", table.constants),
            ("codes", table.codes),
        ):
            for field in given.keys() - known:
                detail = f"documents of kind {domain.kind} have no field {field!r}; they have "
                yield ("tables", position, part, field), detail + ", ".join(sorted(known))
        for field in table.codes.keys() - table.columns.keys():
            yield ("tables", position, "codes", field), "stands for no column; name it in columns, too"


def mapped(
    mapping: TableMapping, path: Path, files: Sequence[Path], understanding: Understanding
) -> tuple[list[Table], set[Path]]:
    """The tables that the mapping makes of `files`, and which of them it used. Raises MappingProblem."""
    reference = _reference_dates(mapping.reference, files, understanding)
    used: set[Path] = {file for file in files if mapping.reference and _is(file, mapping.reference.file)}
    tables: list[Table] = []
    for one in mapping.tables:
        found = [file for file in files if _is(file, one.file)]
        if not found:
            raise MappingProblem(f"there is no file {one.file!r} at {path}")
        for file in found:
            tables += (
                _table(one, table, mapping.trial, reference, understanding) for table in _tables_of(file)
            )
            used.add(file)
    return tables, used


def _tables_of(file: Path) -> list[Table]:
    try:
        return read_tables(file)
    except KeyError:
        raise MappingProblem(f"{file.name} is no table: give one of {', '.join(FORMATS)}") from None


def _is(file: Path, pattern: str) -> bool:
    return fnmatch(file.name.lower(), pattern.lower())


def _table(
    one: MappedTable,
    source: Table,
    trial: str | None,
    reference: Mapping[str, date],
    understanding: Understanding,
) -> Table:
    domain = _domain_of(one.kind)
    taker = _Taker(one, source, understanding)
    columns: dict[str, list[Any]] = {"USUBJID": taker.texts(one.subject)}
    if trial:
        columns["STUDYID"] = [trial] * len(source)
    if one.site is not None:
        site = one.site
        columns["SITEID"] = [site.value] * len(source) if isinstance(site, Same) else taker.texts(site)
    if one.visit is not None:
        columns["VISIT"] = taker.texts(one.visit)
    if one.sequence is not None:
        columns[f"{domain.code}SEQ"] = taker.texts(one.sequence)
    for field, name in one.columns.items():
        columns[_column_of(domain, field)] = taker.values(field, name)
    for field, value in one.constants.items():
        columns[_column_of(domain, field)] = [text(value)] * len(source)
    _results_apart(domain, columns)
    if one.collected is not None:
        columns[domain.name(domain.collected[0])] = taker.dates(one.collected, columns["USUBJID"], reference)
    taker.tell_unplaced()
    frame = pl.DataFrame({name: pl.Series(values, dtype=pl.String) for name, values in columns.items()})
    return Table(domain.code, frame.with_columns(pl.all().replace("", None)), source.source, source.notes)


class _Taker:
    """Columns of one source table, and which of them were taken."""

    def __init__(self, one: MappedTable, source: Table, understanding: Understanding) -> None:
        self._one = one
        self._source = source
        self._understanding = understanding
        self._taken: set[str] = set()

    def texts(self, name: str) -> list[str]:
        upper = name.strip().upper()
        if upper not in self._source.columns:
            known = ", ".join(self._source.columns[:30])
            raise MappingProblem(f"{self._source.source} has no column {name!r}; it has {known}")
        self._taken.add(upper)
        return [text(value) for value in self._source.frame[upper]]

    def values(self, field: str, name: str) -> list[str]:
        given = self.texts(name)
        codes = self._one.codes.get(field)
        if codes is not None:
            given = [codes.get(value, value) for value in given]
        written = self._source.frame[name.strip().upper()].dtype == pl.String  # a number has its sign
        if written and self._one.decimal == ",":
            given = [_with_point(value) for value in given]
        return given

    def dates(
        self, collected: str | Day, subjects: Sequence[str], reference: Mapping[str, date]
    ) -> list[str]:
        if isinstance(collected, str):
            return self.texts(collected)
        days = self.texts(collected.day)
        return [
            self._date(subject, day, reference.get(subject))
            for subject, day in zip(subjects, days, strict=True)
        ]

    def _date(self, subject: str, day: str, first: date | None) -> str:
        count = number(day)
        if count is None:
            return ""
        if first is None or not isinstance(count, float) or not count.is_integer() or count == 0:
            why = "has no reference date" if first is None else f"day {day!r} is no study day"
            self._understanding.finding(self._source.source, "no_arrival", "collected", f"{subject}: {why}.")
            return ""
        try:
            return (first + timedelta(days=count - 1 if count > 0 else count)).isoformat()
        except OverflowError:
            return ""

    def tell_unplaced(self) -> None:
        for name in self._source.columns:
            values = len(self._source) - self._source.frame[name].null_count()
            if name not in self._taken and values:
                self._understanding.unplaced[f"{self._source.source}.{name}"] += values


def _reference_dates(
    reference: Reference | None, files: Sequence[Path], understanding: Understanding
) -> dict[str, date]:
    """The reference date by subject; none of a subject of whom the file has several."""
    if reference is None:
        return {}
    found = next((file for file in files if _is(file, reference.file)), None)
    if found is None:
        raise MappingProblem(f"reference: there is no file {reference.file!r}")
    (table, *_) = _tables_of(found)
    dates: dict[str, set[date]] = {}
    for name in (reference.subject, reference.date):
        if name.upper() not in table.columns:
            raise MappingProblem(f"reference: {table.source} has no column {name!r}")
    for row in table.rows():
        try:
            day = date.fromisoformat(text(row[reference.date.upper()])[:10])
        except ValueError:
            continue
        dates.setdefault(text(row[reference.subject.upper()]), set()).add(day)
    for subject, days in dates.items():
        if len(days) > 1:
            listed = ", ".join(day.isoformat() for day in sorted(days)[:4])
            detail = f"{subject}: has several reference dates ({listed}); none was taken."
            understanding.finding(table.source, "no_arrival", reference.date, detail)
    return {subject: day for subject, (day, *others) in dates.items() if not others}


def _stated(kind: Kind) -> dict[str, str]:
    """The fields of the kind's payload that a mapped table states in a column of its own, and that column."""
    fields = PAYLOADS[kind].model_fields
    columns = {field: column for field, column in STATED.items() if field in fields}
    if _CRITERIA in fields:
        columns[_CRITERIA] = NAMED_CRITERIA
        columns |= {f"{_CRITERIA}.{criterion}": column for column, criterion in CRITERIA.items()}
    return columns


_CRITERIA = "seriousness_criteria"


def _results_apart(domain: Domain, columns: dict[str, list[Any]]) -> None:
    """One column of results holds numbers, "<40" and "POSITIVE": what is no number is a result in words.

    Where the mapping names a column of the words, that stands.
    """
    values, words = domain.name("--STRESN"), domain.name("--STRESC")
    if not domain.grouped or values not in columns:
        return
    given = columns[values]
    told = columns.get(words, [""] * len(given))
    columns[words] = [
        said or (value if isinstance(number(value), str) else "")
        for said, value in zip(told, given, strict=True)
    ]
    columns[values] = ["" if isinstance(number(value), str) else value for value in given]


def _domain_of(kind: Kind) -> Domain:
    if kind is Kind.OTHER_RESULT:
        return other_results(MAPPED)
    for domain in DOMAINS.values():
        if domain.kind == kind.value:
            return domain
    raise MappingProblem(f"documents of kind {kind.value} are files; no table holds them")


def _column_of(domain: Domain, field: str) -> str:
    """The column of the domain that the payload's `field` is read from."""
    if field == "text_result":
        return domain.name("--STRESC")
    for one in domain.columns:
        if one.field == field:
            return domain.name(one.names[0])
    if column := _stated(Kind(domain.kind)).get(field):
        return column
    known = ", ".join(one.field for one in domain.columns)
    raise MappingProblem(f"documents of kind {domain.kind} have no field {field!r}; they have {known}")


#: Where the comma is the decimal sign, points stand between thousands: 1.234 and 12.345.678,9.
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?", re.ASCII)


def _with_point(value: str) -> str:
    ungrouped = value.replace(".", "") if _GROUPED.fullmatch(value.strip()) else value
    pointed = ungrouped.replace(",", ".")
    return pointed if isinstance(number(pointed), float) else value
