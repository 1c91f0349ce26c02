"""One standard unit per test, over all rows of a table of measurements, whether they are in memory or not.

A test with several units is set apart; a number without a unit, of a test that has one elsewhere, is compared
with nothing. Both need all rows of a test, so they are gone through twice: once for the units of each test,
once to mark the rows of the few that are in doubt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reporting_pipeline.domain.clinical import codes, measurements
from reporting_pipeline.domain.clinical.numbers import digits
from reporting_pipeline.domain.clinical.reading import shown
from reporting_pipeline.domain.clinical.result_domains import domain_in_words
from reporting_pipeline.domain.clinical.rows import TEST_IDENTITY
from reporting_pipeline.domain.clinical.units import unit_key

_LISTED_UNITS = 4  # that a message names
_NAMED = ("document_id", "window", "site", "subject")


@dataclass(frozen=True)
class UnitFinding:
    """What to tell of one row: its key columns, a code of `FINDING_CODES`, a message."""

    row: Mapping[str, Any]
    code: str
    message: str


@dataclass
class DoubtfulTest:
    """A test whose results have several units, or of which some numbers have none."""

    columns: list[str]  # of TEST_IDENTITY that the table has
    identity: tuple[str, ...]
    label: str
    units: pd.DataFrame  # a row for each spelling that is a unit: unit, its key, and the first row with it
    some_without: bool
    without: list[UnitFinding] = field(default_factory=list)  # of rows that were settled

    @property
    def several(self) -> bool:
        return bool(self.units["key"].nunique() > 1)

    @property
    def omission(self) -> str:
        """Why no figure is made of it, where it has several units."""
        return (
            f"the test has more than one standard unit ({self._listed}), so no figure over its results can "
            "be right; each result is shown beside its own range. Send the results in one unit"
        )

    @property
    def findings(self) -> Iterator[UnitFinding]:
        """Of the first document with each unit; then of each number without one."""
        if self.several:
            for row in self._spelled.to_dict("records"):
                message = f"{self.label} is in {shown(row['unit'])} here; the trial has {self._listed}."
                yield UnitFinding({str(name): one for name, one in row.items()}, "mixed_units", message)
        yield from self.without

    @property
    def _spelled(self) -> pd.DataFrame:
        return self.units.drop_duplicates("key")

    @property
    def _listed(self) -> str:
        spelled = self._spelled
        listed = " and ".join(shown(unit) for unit in spelled["unit"].head(_LISTED_UNITS))
        more = len(spelled) - _LISTED_UNITS
        return f"{listed} and {more} more" if more > 0 else listed

    def settle(self, frame: pd.DataFrame) -> None:
        """Mark the rows of this test in a part of the table, in place."""
        rows = (frame[self.columns] == list(self.identity)).all(axis=1)
        if self.several:
            frame.loc[rows, "units_differ"] = True
        if self.some_without:
            for position in frame.index[rows & (frame["unit"] == "") & frame["value"].notna()]:
                self.without.append(_take_out(frame, position))


def doubtful_tests(
    parts: Callable[[Sequence[str]], Iterable[pd.DataFrame]],
    columns: Iterable[str],
) -> list[DoubtfulTest]:
    """The tests of a table in doubt, by their identity. `parts` gives its rows with the columns asked for;
    `columns` are those that it has."""
    has = set(columns)
    names = [name for name in TEST_IDENTITY if name in has]
    asked = [*names, "unit", "value", *_NAMED]
    parted = (
        frame[frame["value"].notna()].groupby([*names, "unit"], sort=True)[list(_NAMED)].first().reset_index()
        for frame in parts(asked)
    )
    firsts = [one for one in parted if len(one)]
    if not firsts:
        return []
    by_unit = pd.concat(firsts, ignore_index=True).groupby([*names, "unit"], sort=True)
    kinds = by_unit[list(_NAMED)].first().reset_index()
    kinds["key"] = [unit_key(unit) for unit in kinds["unit"]]
    doubtful = []
    for found, spelled in kinds.groupby(names, sort=True):
        identity, units = tuple(map(str, found)), spelled[spelled["key"] != ""]
        some_without = 0 < len(units) < len(spelled)
        if units["key"].nunique() > 1 or some_without:
            label = label_of_test(*identity)
            doubtful.append(DoubtfulTest(names, identity, label, units, some_without))
    return doubtful


def _take_out(frame: pd.DataFrame, position: Any) -> UnitFinding:
    """A number of unknown unit: kept as text, judged by its flag alone."""
    row = {str(name): value for name, value in frame.loc[position].items()}
    message = f"{row['test_code']} {digits(row['value'])} has no unit; it is compared with nothing."
    judged = measurements.assess(
        codes.judgement(row["indicator"]),
        measurements.Quantity(math.nan),
        measurements.Quantity(math.nan),
        None if math.isnan(row["grade"]) else int(row["grade"]),
        row["clinically_significant"] == codes.YES,
    )
    columns = ["value", "text_result", "flag", "assessed", "out_of_range", "tier", "ratio"]
    frame.loc[position, columns] = [
        math.nan,
        row["text_result"] or row["value_text"],
        judged.flag,
        judged.assessed,
        judged.listed,
        float(judged.tier),
        judged.ratio,
    ]
    return UnitFinding(row, "missing_unit", message)


def label_of_test(
    code: str, specimen: str, category: str, method: str, domain: str = "", about: str = ""
) -> str:
    """A test as a person names it: "GLUC (urine)"; category and method where there is no specimen."""
    beside = [part.lower() for part in ((specimen,) if specimen else (category, method)) if part]
    beside = [part for part in (domain_in_words(domain).lower(), about.lower()) if part] + beside
    return f"{code} ({', '.join(beside)})" if beside else code
