"""Who is followed in a trial so far, since when and until when: the denominators of its rates.

Pure: in go the tables of a `trial_status` (as its audience may see them). Unknown stays unknown: a person
without an enrolment date is in no rate over time and is counted as such.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pandas as pd

from reporting_pipeline.domain.clinical.codes import ends_participation
from reporting_pipeline.domain.datasets import TrialDataset

Person = tuple[str, str]  # (site, subject)


@dataclass(frozen=True)
class Followed:
    """One person of the trial."""

    site: str
    subject: str
    arm: str  # "" where the audience must not know, or nobody said
    enrolled: date | None  # None: not said, or not to the day
    ended: date | None  # the last day of observation; None: still under it, or `end_unknown`
    died: bool
    known_as: tuple[Person, ...] = ()  # (site, subject) as rows name them
    end_unknown: bool = False  # died or left the trial, on a day that nobody said

    def days(self, until: date) -> int | None:
        """Days from enrolment to the end or `until`; None while it is not known since when or until when."""
        if self.enrolled is None or self.end_unknown:
            return None
        last = min(self.ended or until, until)
        return (last - self.enrolled).days + 1 if last >= self.enrolled else None


def followed(status: TrialDataset) -> list[Followed]:
    """Everybody whom a document names, by site and subject; what the newest record of each says."""
    people: dict[Person, dict[str, str]] = {}
    names: dict[Person, list[Person]] = {}
    for name, person in status.people.items():
        names.setdefault(person, []).append(name)
    documents = status.tables["documents"]
    for site, subject in zip(documents["site"], documents["subject"], strict=True):
        if subject:
            people.setdefault(status.people[site, subject], {})
    columns = ("site", "subject", "actual_arm", "arm", "enrolled", "ended", "died", "death")
    for row in status.tables["subjects"][list(columns)].to_dict("records"):
        if row["subject"]:
            known = people.setdefault(status.people[row["site"], row["subject"]], {})
            known.update({str(name): value for name, value in row.items() if value})
    deaths, exits = _deaths(status), _exits(status)
    found = []
    for person, said in sorted(people.items()):
        died = said.get("died") == "yes" or person in deaths
        deathdays = [full_date(said.get("death", "")), *deaths.get(person, ())] if died else []
        ended, unknown = _end(full_date(said.get("ended", "")), deathdays, exits.get(person, []))
        found.append(
            Followed(
                *person,
                said.get("actual_arm") or said.get("arm") or "",
                full_date(said.get("enrolled", "")),  # who consented may never have been enrolled
                ended,
                died,
                tuple(sorted(names[person])),
                unknown,
            )
        )
    return found


def _end(
    ended: date | None, deathdays: list[date | None], exits: list[date | None]
) -> tuple[date | None, bool]:
    """(the last day of observation, whether there is one that nobody said).

    The day that is stated as the end of participation, else that of the disposition that ended it; nobody is
    observed after the day of their death.
    """
    left = min((day for day in exits if day), default=None) if ended is None else ended
    death = min((day for day in deathdays if day), default=None)
    last = min((day for day in (left, death) if day), default=None)
    return last, last is None and bool(deathdays or exits)


def _deaths(status: TrialDataset) -> dict[Person, list[date | None]]:
    """Whom an event or a disposition says to be dead, with the days that dispositions have for it."""
    events, dispositions = status.tables["adverse_events"], status.tables["dispositions"]
    found: dict[Person, list[date | None]] = {
        person: [] for person in persons_of(status, events[events["fatal"].astype(bool)])
    }
    _add_days(status, dispositions[dispositions["death"].astype(bool)], found)
    return found


def _exits(status: TrialDataset) -> dict[Person, list[date | None]]:
    """Who left the trial before its end or came to it, with the days that are said."""
    rows = status.tables["dispositions"]
    said = zip(rows["category"], rows["subcategory"], rows["decoded"], rows["term"], strict=True)
    completed = [ends_participation(group, part, code.strip() or term) for group, part, code, term in said]
    ended = rows["discontinued"].astype(bool) | pd.Series(completed, index=rows.index, dtype=bool)
    found: dict[Person, list[date | None]] = {}
    _add_days(status, rows[ended], found)
    return found


def _add_days(status: TrialDataset, rows: pd.DataFrame, found: dict[Person, list[date | None]]) -> None:
    for person, start in zip(persons_of(status, rows), rows["start"], strict=True):
        found.setdefault(person, []).append(full_date(start))


def full_date(text: str) -> date | None:
    """A date that is known to the day; None for a partial one and for an interval of uncertainty."""
    try:
        return date.fromisoformat(text[:10]) if len(text) >= 10 and "/" not in text else None
    except ValueError:
        return None


def persons_of(status: TrialDataset, rows: pd.DataFrame) -> list[Person]:
    """Of whom each row is."""
    return [status.people[pair] for pair in zip(rows["site"], rows["subject"], strict=True)]
