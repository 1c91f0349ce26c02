"""How the columns of a domain of SDTM become the fields of a payload: cells, columns, measurements.

`--` in a column's name stands for the domain's two letters, as in the SDTM Implementation Guide 3.4. Which
domains there are is `domains`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reporting_pipeline.domain.clinical.dates import iso
from reporting_pipeline.domain.clinical.numbers import plain

Row = Mapping[str, Any]
Payload = dict[str, Any]

#: Values that mean "nothing" in a column of numbers.
_NO_NUMBER = frozenset({"", ".", "NA", "NAN", "NULL"})


def text(value: Any) -> str:
    """A cell as text; "" when it is empty. Whole numbers are written without a point."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def number(value: Any) -> float | str | None:
    """A cell as a number; a text that is none stays text, so that it is told and not lost."""
    if value is None or isinstance(value, float):
        return value
    written = str(value).strip()
    if written.upper() in _NO_NUMBER:
        return None
    read = plain(written)  # "88,4" as well
    return written if read is None else read


def flag(value: Any) -> bool | str | None:
    """Y and N as true and false; empty is not known; any other word stays as it came."""
    written = text(value).strip()
    return {"Y": True, "N": False, "": None}.get(written.upper(), written)


def grade(value: Any) -> float | str | None:
    """A toxicity grade: "3", "GRADE 3" and 3 are one."""
    written = text(value).strip()
    return number(written.upper().removeprefix("GRADE").strip()) if written else None


#: Answers that SDTM's own columns give in several ways, and a mapped table in a column of its own: field of
#: the payload -> column of the table. No name of SDTM begins so.
STATED = {"ongoing": "=ongoing", "occurred": "=occurred", "planned": "=planned"}
#: A mapped column that names the criteria of seriousness that are met, with commas.
NAMED_CRITERIA = "=seriousness_criteria"


@dataclass(frozen=True)
class DomainColumn:
    """One field of a payload: the first of `names` that has a value, read by `read`."""

    field: str
    names: tuple[str, ...]  # "--TESTCD", "VISIT"
    read: Callable[[Any], Any] = text


def column(field_name: str, *names: str, read: Callable[[Any], Any] = text) -> DomainColumn:
    return DomainColumn(field_name, names, read)


@dataclass(frozen=True)
class Domain:
    """One domain: its kind, its columns, when it was collected, and how one document is told from others.

    `grouped`: one document holds the results of one subject and day. `finish` sees the payload and the
    row after the columns were read. `also` names columns that `finish` or the reader use.
    """

    code: str
    kind: str  # of Kind
    columns: tuple[DomainColumn, ...]
    collected: tuple[str, ...]  # the first that has a value says when the row was collected
    title: Callable[[Payload, str], str]  # of the payload, and the visit of the row
    grouped: bool = False
    key: tuple[str, ...] = ("--SEQ",)
    finish: Callable[[Payload, Row], None] = lambda payload, row: None
    also: tuple[str, ...] = ()
    second: bool = False  # another domain has this kind, too: the letters are part of a document's key

    def name(self, column_name: str) -> str:
        return column_name.replace("--", self.code)

    @cached_property
    def used(self) -> frozenset[str]:
        """Every column that has a place."""
        names = [name for one in self.columns for name in one.names]
        stated = STATED.values()
        return frozenset(
            self.name(name) for name in (*names, *self.collected, *self.key, *self.also, *stated)
        )

    def payload(self, row: Row) -> Payload:
        """The payload's fields of one row; of a grouped domain, one result."""
        made = {field: read(_first(names, row)) for field, names, read in self._readers}
        self.finish(made, row)
        for field, name in STATED.items():
            if (said := flag(row.get(name))) is not None:
                made[field] = said
        return made

    def when(self, row: Row) -> str:
        """When the row was collected, ISO 8601 as it stands; "" when it does not say."""
        return iso(text(_first(self._when, row)))

    def key_of(self, row: Row) -> tuple[str, ...]:
        """What tells the row from the others of its subject; "" where the row does not say."""
        return tuple(_key_part(name, row.get(self.name(name))) for name in self.key)

    @cached_property
    def _readers(self) -> list[tuple[str, tuple[str, ...], Callable[[Any], Any]]]:
        return [(one.field, tuple(map(self.name, one.names)), one.read) for one in self.columns]

    @cached_property
    def _when(self) -> tuple[str, ...]:
        return tuple(map(self.name, self.collected))


def _key_part(name: str, value: Any) -> str:
    """1, 1.0 and "1.0" are one number in every format; visits are numbered in fractions."""
    numbered = number(value)
    if not isinstance(numbered, float):
        return text(value)
    return str(numbered) if name == "VISITNUM" else text(numbered)


def _first(names: tuple[str, ...], row: Row) -> Any:
    for name in names:
        value = row.get(name)
        if value is not None and value != "":
            return value
    return None


def sentence(written: str) -> str:
    """The source shouts; a title is read by people."""
    return written[:1].upper() + written[1:].lower() if written.upper() == written else written


def at_visit(what: str) -> Callable[[Payload, str], str]:
    return lambda payload, visit: f"{what}, {sentence(visit)}" if visit else what


def titled(*fields: str) -> Callable[[Payload, str], str]:
    def title(payload: Payload, visit: str) -> str:
        return sentence(next((str(payload[name]) for name in fields if payload.get(name)), ""))

    return title


# --- measurements --------------------------------------------------------------------------------

_RESULT = (
    column("test_code", "--TESTCD"),
    column("test", "--TEST"),
    column("category", "--CAT"),
    column("specimen", "--SPEC"),
    column("method", "--METHOD"),
    column("position", "--POS"),
    column("laterality", "--LAT"),
    column("visit", "VISIT"),
    column("visit_number", "VISITNUM", read=number),
    column("time_point", "--TPT"),
    column("collected", "--DTC"),
    column("original_result", "--ORRES"),
    column("original_unit", "--ORRESU"),
    column("original_low", "--ORNRLO", read=number),
    column("original_high", "--ORNRHI", read=number),
    column("value", "--STRESN", read=number),
    column("unit", "--STRESU"),
    column("low", "--STNRLO", read=number),
    column("high", "--STNRHI", read=number),
    column("reference_text", "--STNRC"),
    column("derived", "--DRVFL", read=flag),
    column("baseline", "--BLFL", "--LOBXFL", read=flag),
    column("indicator", "--NRIND"),
    column("grade", "--TOXGR", read=grade),
    column("clinically_significant", "--CLSIG", read=flag),
    column("status", "--STAT"),
    column("reason_not_done", "--REASND"),
)
_BELOW_LIMIT = frozenset({"BLQ", "BLOQ", "LLOQ", "LLQ", "BQL"})


def without_empty(payload: Payload, *names: str) -> None:
    """Leave out fields that came later than the first imports: an empty one makes no row another."""
    for name in names:
        if payload[name] in (None, ""):
            del payload[name]


def _result(code: str) -> Callable[[Payload, Row], None]:
    """A result that is no number is one in words; one under the limit of quantification is censored."""

    def finish(result: Payload, row: Row) -> None:
        without_empty(result, "reference_text", "derived", "baseline", "time_point")
        result["text_result"] = ""
        if isinstance(result["value"], float):
            return
        standard = text(row.get(f"{code}STRESC"))
        result["text_result"] = standard or result["original_result"] or result["status"]
        lowest = number(row.get(f"{code}LLOQ"))
        written = result["text_result"].upper().replace("<", "").strip()
        if isinstance(lowest, float) and written in _BELOW_LIMIT:
            result["comparator"], result["value"] = "<", lowest

    return finish


def measurements(
    code: str,
    kind: str,
    title: str,
    second: bool = False,
    more: tuple[DomainColumn, ...] = (),
    finish: Callable[[Payload, Row], None] = lambda result, row: None,
    also: tuple[str, ...] = (),
) -> Domain:
    """A domain of results; `more`, `finish` and `also` are what it has beside those of all measurements."""
    as_result = _result(code)

    def finish_both(result: Payload, row: Row) -> None:
        as_result(result, row)
        finish(result, row)

    return Domain(
        code=code,
        kind=kind,
        columns=(*_RESULT, *more),
        collected=("--DTC",),
        title=at_visit(title),
        grouped=True,
        finish=finish_both,
        also=("--STRESC", "--LLOQ", *also),
        second=second,
    )
