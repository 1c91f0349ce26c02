"""SUPP--: qualifiers of rows of another table, joined to the rows they name.

A qualifier becomes one more column of its row (QNAM), as if the domain had it. One that names no row
is told and kept out. One that contradicts its row, or another, is told; where it is a matter of seriousness,
death or severity neither answer hides the other (`_both`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from reporting_pipeline.domain.clinical import codes
from reporting_pipeline.intake.sdtm.columns import text
from reporting_pipeline.intake.sdtm.domains import CRITERIA
from reporting_pipeline.intake.sdtm.tables import Row, Table
from reporting_pipeline.intake.understanding import Understanding

MOST_TOLD = 100  # of a kind; the rest is counted
_Key = tuple[str, str, str]  # study, subject, value of the identifying variable


class Supplements:
    """The qualifiers of one domain, by the row they belong to."""

    def __init__(self, tables: Iterable[Table], domain: str = "") -> None:
        self._domain = domain
        self._by_variable: dict[str, dict[_Key, dict[str, str]]] = {}
        self._left: set[tuple[str, _Key]] = set()
        self._odd: list[tuple[str, str]] = []  # (column, what is told), the first MOST_TOLD
        self._more_odd = 0
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
        key = (
            text(row.get("STUDYID")),
            text(row.get("USUBJID")),
            _same(variable, text(row.get("IDVARVAL")) if variable else ""),
        )
        said = self._by_variable.setdefault(variable, {}).setdefault(key, {})
        self._put(said, name, text(value), key[1])
        self._left.add((variable, key))
        self.names[name] += 1

    def _put(self, said: dict[str, str], name: str, value: str, subject: str) -> None:
        """Take a qualifier of a row in, of which another may have been given."""
        before = said.get(name, value)
        said[name] = value
        if before == value:
            return
        both = _both(self._domain, name, before, value)
        became = "the later one was read" if both is None else f"{both!r} was read"
        self._tell(name, subject, f"{before!r} and {value!r} are both given; {became}")
        said[name] = value if both is None else both

    def joined(self, rows: Iterable[Row]) -> Iterator[Row]:
        """`rows` with their qualifiers; a column of the domain itself is never overwritten."""
        if not self._by_variable:
            yield from rows
            return
        for row in rows:
            study, subject = text(row.get("STUDYID")), text(row.get("USUBJID"))
            more: dict[str, str] = {}
            for variable, by_key in self._by_variable.items():
                value = _same(variable, text(row.get(variable)) if variable else "")
                for key in {("", subject, value), (study, subject, value)} & by_key.keys():
                    for name, said in by_key[key].items():
                        self._put(more, name, said, subject)
                    self._left.discard((variable, key))
            settled: dict[str, str] = {}
            for name in sorted(more.keys() & row.keys()):
                if row[name] is not None and text(row[name]).upper() != more[name].upper():
                    both = _both(self._domain, name, text(row[name]), more[name])
                    became = "the row's was read" if both is None else f"{both!r} was read"
                    told = f"the row has {text(row[name])!r}, its qualifier {more[name]!r}; {became}"
                    self._tell(name, subject, told)
                    if both is not None:
                        settled[name] = both
            yield {
                **more,
                **{name: value for name, value in row.items() if value is not None},
                **settled,
            }

    def _tell(self, name: str, subject: str, told: str) -> None:
        if len(self._odd) < MOST_TOLD:
            self._odd.append((name, f"{subject or 'no subject'}: {told}"))
        else:
            self._more_odd += 1

    def tell(self, understanding: Understanding) -> None:
        """What named no row, or contradicts one. To be asked after all rows were joined."""
        source = ", ".join(self._sources)
        for name, told in self._odd:
            understanding.finding(source, "supplement_contradicts", name, f"{told}.")
        if self._more_odd:
            understanding.finding(source, "supplement_contradicts", "", f"And {self._more_odd:,} more.")
        for variable, (_, subject, value) in sorted(self._left)[:MOST_TOLD]:
            where = f"{variable} {value}" if variable else "the subject's row"
            told = f"{subject or 'no subject'}: {where} is in no row of the domain"
            understanding.finding(source, "unmatched_supplement", variable, told)
        if (more := len(self._left) - MOST_TOLD) > 0:
            understanding.finding(source, "unmatched_supplement", "", f"And {more:,} more.")


def supplements_of(tables: Mapping[str, list[Table]], domain: str) -> Supplements:
    return Supplements(tables.get(f"SUPP{domain}", []), domain)


#: Columns of yes and no where one yes counts: somebody died, a criterion is met.
_ONE_YES = frozenset({"DTHFL", *CRITERIA})
#: Those where a yes beside a no leaves the answer open.
_OPEN = ("SER", "OCCUR", "TRTEM", "CLSIG")


def _both(domain: str, name: str, first: str, second: str) -> str | None:
    """What two answers to one question come to, where one must not hide the other; None where it may.

    A death or a criterion counts that one of them states. Otherwise both stand beside each other, which is no
    answer of a code list: yes and no are not known then, and the rest is shown as it came.
    """
    flags = {codes.read_flag(first), codes.read_flag(second)}
    suffix = name.removeprefix(domain)
    if name in _ONE_YES:
        return "Y" if codes.YES in flags and len(flags) > 1 else None
    if suffix in _OPEN:
        differs = len(flags) > 1 or None in flags
    elif suffix in ("OUT", "DECOD", "TERM"):
        differs = codes.says_subject_died(first) != codes.says_subject_died(second) or (
            suffix == "OUT" and codes.is_not_over(first) != codes.is_not_over(second)
        )
    elif suffix in ("SEV", "TOXGR"):
        differs = codes.severity_level(first) != codes.severity_level(second)
    elif suffix == "NRIND":
        differs = codes.judgement(first) != codes.judgement(second)
    else:
        differs = suffix == "REL" and codes.folded(first) != codes.folded(second)
    return f"{first} / {second}" if differs else None


def _same(variable: str, value: str) -> str:
    """ "1", "1.0" and " 1" name one row; of a number, as --SEQ is, so does "01"."""
    stripped = value.strip().removesuffix(".0")
    return stripped.lstrip("0") or "0" if variable.endswith("SEQ") and stripped.isdigit() else stripped
