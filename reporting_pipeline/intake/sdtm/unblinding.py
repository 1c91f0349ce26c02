"""Results of a folder of SDTM that tell who gets the treatment, though their domain is open to everybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from reporting_pipeline.domain.clinical.blinding import is_unblinding, names_treatment
from reporting_pipeline.intake.sdtm.columns import Payload, text
from reporting_pipeline.intake.sdtm.tables import Table
from reporting_pipeline.intake.understanding import Understanding, counted

_MOST_NAMED = 10


class UnblindingResults:
    """Marks them while they are read, by the treatments that EX and EC name; counts them by test."""

    def __init__(self, tables: Mapping[str, list[Table]]) -> None:
        self._treatments = frozenset(
            text(name)
            for domain in ("EX", "EC")
            for table in tables.get(domain, [])
            if f"{domain}TRT" in table.columns
            for name in table.frame[f"{domain}TRT"].drop_nulls().unique()
        )
        self._found: Counter[str] = Counter()
        self._names: dict[str, bool] = {}

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
