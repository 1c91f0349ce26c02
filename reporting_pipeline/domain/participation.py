"""How far a trial has come, in totals that a person who takes part in it may know.

Pure: in goes the whole `trial_status`, out come numbers that say nothing of a few people. They are told
week after week, and the difference of two would be a small number again: they go up in steps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.disclosure import SMALLEST_CELL

#: Numbers are told as "at least", in steps of this: not below the smallest cell, so no step is a small cell.
STEP = 20


@dataclass(frozen=True)
class TrialProgress:
    """Totals of a trial, rounded down to `STEP`; None: not told, because too few or not known."""

    joined: int | None = None
    ended: int | None = None  # of those, who have come to the end of their time in the trial
    visits: int | None = None  # done, by all together

    def said(self) -> dict[str, int | None]:
        return asdict(self)


def progress_of(status: TrialDataset) -> TrialProgress:
    """The totals of a whole trial so far.

    Joined is who has an enrolment date, however exact, that is not after the period; ended is who of them has
    an end date, of whom as many are told as leave `SMALLEST_CELL` others: a total that vanished when the
    others became fewer would say by that how many they are.
    """
    subjects, people = status.tables["subjects"], status.people
    said = zip(
        *(subjects[name].tolist() for name in ("site", "subject", "enrolled", "ended")),
        strict=True,
    )
    last_day = status.period.last_day.isoformat()
    joined: set[tuple[str, str]] = set()
    ended: set[tuple[str, str]] = set()
    for site, subject, enrolled, end in said:
        if subject and enrolled and enrolled[:10] <= last_day[: len(enrolled)]:
            joined.add(people[site, subject])
        if subject and end:
            ended.add(people[site, subject])
    ended &= joined
    if len(joined) < SMALLEST_CELL:
        return TrialProgress()
    visits = status.tables["visits"]
    done = visits[visits["visit_status"] == "done"]
    visitors = {people[pair] for pair in zip(done["site"], done["subject"], strict=True)}
    return TrialProgress(
        _step(len(joined)),
        _step(min(len(ended), len(joined) - SMALLEST_CELL)),
        _step(len(done)) if len(visitors) >= SMALLEST_CELL else None,
    )


def _step(count: int) -> int | None:
    return count - count % STEP or None
