"""Whom a physician looks at first, by a stated rule, and when a person's events took place.

The rule sorts by signs, not by a score: a person stands where their gravest sign does, then by how many
signs they have, then by site and subject. The order of the signs follows ICH E3 (12.3.1: deaths, other
serious events, other significant ones, as those that led to withdrawal and marked laboratory
abnormalities), with Hy's law range beside the serious ones (FDA, Drug-Induced Liver Injury, 2009: to be
reported as serious before all is known), ICH E14 2.1.3 for QTc and FDA's Standard Safety Tables and Figures
(2022) for blood pressure. An event that meets a criterion of seriousness (ICH E2A) and is not stated to be
serious, and one of unknown seriousness, may be serious: they stand right behind those that are.

Pure: in go the tables of a `trial_status` as its audience may see them. What names nobody is counted apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum

import numpy as np

from reporting_pipeline.domain import trial_so_far as so_far
from reporting_pipeline.domain.clinical.measurements import CRITICAL
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.facts import Facts, Listing
from reporting_pipeline.domain.followed import Followed, Person, followed, full_date

QTC_OF_CONCERN, QTC_RISE_OF_CONCERN = so_far.QTC_LIMITS[-1], so_far.QTC_RISES[-1]  # ms


class Sign(IntEnum):
    """Why somebody is looked at, gravest first."""

    DEATH = 1
    LIVER = 2
    SERIOUS = 3
    CRITERION_MET = 4
    UNKNOWN_SERIOUSNESS = 5
    WITHDRAWN = 6
    CRITICAL_RESULT = 7
    QTC = 8
    PRESSURE = 9


@dataclass(frozen=True)
class LookFirst:
    """One person with a sign; `signs` says each in words, gravest first."""

    person: Followed
    signs: Mapping[Sign, str]

    @property
    def place(self) -> tuple[int, int, str, str]:
        return min(self.signs), -len(self.signs), self.person.site, self.person.subject


def look_first(status: TrialDataset) -> list[LookFirst]:
    """Everybody with a sign, in the order in which to look at them."""
    people = {(one.site, one.subject): one for one in followed(status)}
    found: dict[Person, dict[Sign, str]] = {}
    for person, sign, words in sorted(_signs(status, people), key=lambda one: one[1]):
        if person[1]:
            found.setdefault(person, {}).setdefault(sign, words)
    known = [LookFirst(people[person], signs) for person, signs in found.items() if person in people]
    return sorted(known, key=lambda one: one.place)


def nameless(status: TrialDataset) -> int:
    """Events that are fatal, serious, may be or meet a criterion of it, and name nobody: in no profile."""
    events = status.facts["adverse_events"]
    may_be = (events["serious"] != "no") | (events["seriousness_criteria"] != "")
    grave = events["fatal"].astype(bool) | may_be
    return int((grave & (events["subject"] == "")).sum())


def _signs(status: TrialDataset, people: Mapping[Person, Followed]) -> Iterator[tuple[Person, Sign, str]]:
    for person, one in people.items():
        if one.died:
            yield person, Sign.DEATH, "died"
    for point in so_far.liver_points(status)[0]:
        if point.in_hys_range:
            yield (
                (point.site, point.subject),
                Sign.LIVER,
                f"peaks in Hy's law range (ALT or AST {point.transaminase:.1f}, bilirubin "
                f"{point.bilirubin:.1f} times the limit)",
            )
    yield from _event_signs(status)
    yield from _withdrawals(status)
    yield from _result_signs(status)
    for outlier in so_far.qtc_outliers(status):
        if outlier.value > QTC_OF_CONCERN or outlier.risen > QTC_RISE_OF_CONCERN:
            yield (outlier.site, outlier.subject), Sign.QTC, f"{outlier.test} {outlier.why}"
    for outlier in so_far.pressure_outliers(status):
        if outlier.value >= so_far.PRESSURES[outlier.test][1]:
            yield (outlier.site, outlier.subject), Sign.PRESSURE, f"{outlier.test} {outlier.why}"


def _event_signs(status: TrialDataset) -> Iterator[tuple[Person, Sign, str]]:
    events = status.facts["adverse_events"]
    serious = events["serious"]
    criterion_met = (serious != "yes") & (events["seriousness_criteria"] != "")
    unknown = ~np.isin(serious, so_far.STATED) & ~criterion_met
    without_end = (events["end"] == "") & ~events["fatal"].astype(bool)
    for sign, rows, what in (
        (Sign.SERIOUS, serious == "yes", "serious adverse event"),
        (
            Sign.CRITERION_MET,
            criterion_met,
            "adverse event not stated to be serious that meets a criterion of seriousness",
        ),
        (Sign.UNKNOWN_SERIOUSNESS, unknown, "adverse event of unknown seriousness"),
    ):
        for person, number, still in _counted(status, events, rows, without_end):
            words = f"{number} {_many(number, what)}"
            yield person, sign, f"{words}, {still} without an end date" if still else words


def _many(number: int, what: str) -> str:
    if number == 1:
        return what
    return what.replace("event", "events", 1).replace("result", "results", 1).replace(" meets ", " meet ", 1)


def _withdrawals(status: TrialDataset) -> Iterator[tuple[Person, Sign, str]]:
    """Left for an adverse event by the disposition, or the treatment was withdrawn for one."""
    left, events = status.facts["dispositions"], status.facts["adverse_events"]
    decoded = np.array([text.strip().upper() for text in left["decoded"].tolist()], dtype=object)
    before_its_end = left["discontinued"].astype(bool) | left["discontinued_treatment"].astype(bool)
    rows = before_its_end & (decoded == "ADVERSE EVENT")
    for person, _, _ in _counted(status, left, rows, left.none):
        yield person, Sign.WITHDRAWN, "left the trial or the treatment because of an adverse event"
    action = np.array([text.strip().upper() for text in events["action_taken"].tolist()], dtype=object)
    for person, number, _ in _counted(status, events, action == "DRUG WITHDRAWN", events.none):
        yield person, Sign.WITHDRAWN, f"treatment withdrawn for {number} {_many(number, 'adverse event')}"


def _result_signs(status: TrialDataset) -> Iterator[tuple[Person, Sign, str]]:
    results = status.facts["out_of_range"]
    for person, number, _ in _counted(status, results, results["tier"] == CRITICAL, results.none):
        yield person, Sign.CRITICAL_RESULT, f"{number} critical {_many(number, 'result')} or of grade 4 or 5"


def _counted(
    status: TrialDataset, facts: Facts, rows: np.ndarray, among: np.ndarray
) -> Iterator[tuple[Person, int, int]]:
    """(person, how many of `rows`, how many of those in `among`)."""
    counts: dict[Person, list[int]] = {}
    columns = (facts["site"][rows].tolist(), facts["subject"][rows].tolist(), among[rows].tolist())
    for site, subject, inside in zip(*columns, strict=True):
        own = counts.setdefault(status.people[site, subject], [0, 0])
        own[0] += 1
        own[1] += bool(inside)
    for person, (number, inside) in counts.items():
        yield person, number, inside


# --- one person ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stretch:
    """Something that lasted, both days known; `open`: no end is known, it is drawn to the end of the data."""

    name: str
    start: date
    end: date
    open: bool = False
    grave: bool = False


@dataclass(frozen=True)
class Course:
    """One person's time in the trial."""

    events: tuple[Stretch, ...]  # gravest first
    visits: tuple[date, ...]  # done
    without_day: int  # events that start later or not on a known day: in the table, not on the line


def rows_of_person(facts: Facts, person: Followed) -> Listing:
    """The rows of one table that are theirs, in a reader's order."""
    rows = facts.none
    for site, subject in person.known_as or ((person.site, person.subject),):
        rows = rows | ((facts["site"] == site) & (facts["subject"] == subject))
    return facts.listing(rows)


def course(status: TrialDataset, person: Followed, until: date) -> Course:
    """What of a person's events and visits can be placed in time, up to `until`.

    A start that is not known to the day is not placed. An end that is not, or lies before the start, is
    open. What starts after `until` is not in these tables but by mistake, and is not placed.
    """
    placed, without = [], 0
    for row in rows_of_person(status.facts["adverse_events"], person).records():
        start, end = full_date(row["start"]), full_date(row["end"])
        if start is None or start > until:
            without += 1
            continue
        known = end is not None and end >= start
        last = min(end, until) if known and end is not None else until
        grave = bool(row["fatal"] or row["serious"] == "yes" or row["seriousness_criteria"])
        name = row["preferred_term"] or row["term"] or "Not stated"
        placed.append(Stretch(name, start, last, not known, grave))
    visits = rows_of_person(status.facts["visits"], person)
    days = [
        full_date(start)
        for start, state in zip(visits["start"].tolist(), visits["visit_status"].tolist(), strict=True)
        if state == "done"
    ]
    return Course(tuple(placed), tuple(sorted({day for day in days if day and day <= until})), without)
