"""What of a folder of SDTM tells who gets the treatment, though its domain is open to everybody: results, and
visits that are named after a treatment or an arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from reporting_pipeline.domain.clinical import codes
from reporting_pipeline.domain.clinical.blinding import (
    is_unblinding,
    names_treatment,
    visit_is_unblinding,
    visit_names_treatment,
)
from reporting_pipeline.intake.sdtm.columns import Payload, text
from reporting_pipeline.intake.sdtm.tables import Table
from reporting_pipeline.intake.understanding import Understanding, counted

_MOST_NAMED = 10
#: What stands in ARM of who is in none (SDTMIG 3.4, 5.2).
_NO_ARM = frozenset(
    {*("SCREEN FAILURE", "NOT ASSIGNED", "NOT TREATED", "UNPLANNED TREATMENT"), "ASSIGNED, NOT TREATED"}
)
_Tables = Mapping[str, list[Table]]


class Unblinding:
    """Marks it while rows are read, by the treatments, arms and elements that EX, EC, DM and TA name; counts
    results by test."""

    def __init__(self, tables: _Tables) -> None:
        self._treatments = frozenset(
            name for code in ("EX", "EC") for name in _values(tables, code, f"{code}TRT")
        )
        arms = {
            arm
            for code, column in (("DM", "ARM"), ("DM", "ACTARM"), ("TA", "ARM"))
            for arm in _values(tables, code, column)
            if codes.folded(arm) not in _NO_ARM
        }
        names = self._treatments | arms | _elements_of_some(tables)
        self._of_visits = names if len(arms) != 1 else frozenset()  # in one arm there is nothing to tell
        self._found: Counter[str] = Counter()
        self._visits: dict[str, bool] = {}
        self._names: dict[str, bool] = {}

    def mark_visits(self, payloads: Iterable[Payload]) -> None:
        """Say it of each payload or result whose visit is named after a treatment, an arm or an element."""
        for payload in payloads:
            visit = text(payload.get("visit"))
            if visit not in self._visits:
                self._visits[visit] = visit_names_treatment(visit, self._of_visits)
            if self._visits[visit]:
                payload["visit_unblinding"] = True

    def tell_visits(self, understanding: Understanding) -> None:
        """How many visits' names tell; which, a blinded reader must not know. To be asked at the end."""
        names = sum(tells or visit_is_unblinding({"visit": one}) for one, tells in self._visits.items())
        if names:
            detail = (
                f"Who gets the treatment can be told from the names of {counted(names, 'visit')}: no report "
                "shows these but an unblinded one."
            )
            understanding.finding("VISIT", "unblinding", "VISIT", detail)

    def mark(self, results: Iterable[Payload]) -> None:
        """Say it of each result whose test is named after a treatment."""
        for result in results:
            test = text(result.get("test"))
            if test not in self._names:
                self._names[test] = names_treatment(test, self._treatments)
            if self._names[test]:
                result["unblinding"] = True
            if is_unblinding(result):
                self._found[test or text(result.get("test_code"))] += 1

    def tell(self, domain: str, understanding: Understanding) -> None:
        """How many there are. To be asked after all rows of a domain were read, which are then forgotten."""
        if self._found:
            tests = ", ".join(sorted(self._found)[:_MOST_NAMED])
            detail = (
                f"Who gets the treatment can be told from {counted(self._found.total(), 'result')} of "
                f"{domain} ({tests}): no report shows that but an unblinded one."
            )
            understanding.finding(domain, "unblinding", domain, detail)
        self._found.clear()


def _values(tables: _Tables, code: str, column: str) -> Iterator[str]:
    for table in tables.get(code, []):
        if column in table.columns:
            yield from filter(None, map(text, table.frame[column].drop_nulls().unique()))


def _elements_of_some(tables: _Tables) -> frozenset[str]:
    """Elements of TA that not all arms have at the same place: of a crossover they tell the sequence."""
    by_arm: dict[str, set[tuple[str, str]]] = {}
    for row in (row for table in tables.get("TA", []) for row in table.rows()):
        element = text(row.get("ELEMENT"))
        by_arm.setdefault(text(row.get("ARMCD")), set()).add((element, text(row.get("TAETORD"))))
    everybody = set.intersection(*by_arm.values()) if by_arm else set()
    common = {element for element, _ in everybody}
    return frozenset(one for placed in by_arm.values() for one, _ in placed if one and one not in common)
