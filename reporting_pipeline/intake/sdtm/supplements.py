"""SUPP--: qualifiers of rows of another table, joined to the rows they name.

A qualifier becomes one more column of its row (QNAM), as if the domain had it. One that names no row
is told and kept out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from reporting_pipeline.intake.sdtm.domains import text
from reporting_pipeline.intake.sdtm.tables import Row, Table
from reporting_pipeline.intake.understanding import Understanding

_Key = tuple[str, str]  # subject, value of the identifying variable


class Supplements:
    """The qualifiers of one domain, by the row they belong to."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self._by_variable: dict[str, dict[_Key, dict[str, str]]] = {}
        self._left: set[tuple[str, _Key]] = set()
        self.names: Counter[str] = Counter()  # QNAM -> values
        self._sources = []
        for table in tables:
            self._sources.append(table.source)
            for row in table.rows():
                self._add(row)

    def _add(self, row: Row) -> None:
        name, value = text(row.get("QNAM")).upper(), row.get("QVAL")
        if not name or value is None:
            return
        variable = text(row.get("IDVAR")).upper()
        key = (text(row.get("USUBJID")), _same(text(row.get("IDVARVAL")) if variable else ""))
        self._by_variable.setdefault(variable, {}).setdefault(key, {})[name] = text(value)
        self._left.add((variable, key))
        self.names[name] += 1

    def joined(self, rows: Iterable[Row]) -> Iterator[Row]:
        """`rows` with their qualifiers; a column of the domain itself is never overwritten."""
        if not self._by_variable:
            yield from rows
            return
        for row in rows:
            subject = text(row.get("USUBJID"))
            more: dict[str, str] = {}
            for variable, by_key in self._by_variable.items():
                key = (subject, _same(text(row.get(variable)) if variable else ""))
                if key in by_key:
                    more |= by_key[key]
                    self._left.discard((variable, key))
            yield {**more, **{name: value for name, value in row.items() if value is not None}}

    def tell_unmatched(self, understanding: Understanding) -> None:
        """To be asked after all rows were joined."""
        for variable, (subject, value) in sorted(self._left)[:100]:
            where = f"{variable} {value}" if variable else "the subject's row"
            understanding.finding(
                ", ".join(self._sources),
                "unmatched_supplement",
                variable,
                f"{subject or 'no subject'}: {where} is in no row of the domain",
            )


def supplements_of(tables: Mapping[str, list[Table]], domain: str) -> Supplements:
    return Supplements(tables.get(f"SUPP{domain}", []))


def _same(value: str) -> str:
    """ "1", "1.0" and " 1" name one row."""
    stripped = value.strip()
    return stripped[:-2] if stripped.endswith(".0") else stripped
