"""Stored reports: the file in S3 first, then the record in `reports` that names it.

The record holds what makes a report checkable later: SHA-256, size, pages, data-as-of, the versions
of the datasets and of the code it was made from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reporting_pipeline.domain.entitlements import Extent
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.stores.mongo import Database, Record, find_any, put_records


@dataclass(frozen=True)
class StoredReport:
    """A report of one subscription and period, as kept in `reports` (`_id` is `id` there)."""

    id: str
    subscription: str
    organisation: str
    cadence: str
    period: str
    key: str
    sha256: str
    size: int  # bytes
    pages: int
    format: str
    content_type: str
    file_name: str
    data_as_of: datetime
    dataset_versions: Mapping[str, str]
    code_version: str
    rendered_at: datetime
    #: What of the trials it shows: [{trial, sites}], sites None for all; one not named is shown whole.
    shown: Sequence[Mapping[str, Any]] = ()
    subject: str = ""  # whose own record it is; "": of nobody alone
    audience: str = ""  # whom it was written for
    omissions: Sequence[Mapping[str, str]] = ()  # {trial, part, reason} of what it leaves out
    #: The subscription's filters when it was made; {} in records that were written before they were kept.
    filters: Mapping[str, Any] = field(default_factory=dict)
    #: The renderings whose place it took, oldest first: {sha256, key, rendered_at, data_as_of,
    #: dataset_versions}.
    superseded: Sequence[Mapping[str, Any]] = ()

    @property
    def extent(self) -> Extent:
        """What it was made from, as rights look at it."""
        return Extent.of_report(self.__dict__)


#: So many renderings that were superseded are named; their files lie in S3 as long as the period is kept.
MOST_SUPERSEDED = 20
_OF_SUPERSEDED = ("sha256", "key", "rendered_at", "data_as_of", "dataset_versions")

#: The folder of what tells who gets which treatment; a bucket policy can close `reports/*/unblinded/*`.
UNBLINDED = "unblinded/"


def report_key(
    period: Period, subscription: str, sha256: str, extension: str, *, unblinded: bool = False
) -> str:
    """The S3 key; it holds the content's hash, so a new rendering never overwrites what was sent."""
    apart = UNBLINDED if unblinded else ""
    return f"reports/{period.cadence}/{period.key}/{subscription}/{apart}{sha256[:16]}.{extension}"


def save_reports(database: Database, reports: Iterable[StoredReport]) -> None:
    """Write records in a few requests; the newest rendering of a subscription and period stands.

    It names those it took the place of.
    """
    reports = list(reports)
    ids = [report.id for report in reports]
    shown = dict.fromkeys((*_OF_SUPERSEDED, "superseded"), 1)
    standing = {one["_id"]: one for one in find_any(database.reports, "_id", ids, None, shown)}
    records = []
    for report in reports:
        record: Record = {**report.__dict__, "dataset_versions": dict(report.dataset_versions)}
        record["shown"] = [dict(one) for one in report.shown]
        record["omissions"] = [dict(one) for one in report.omissions]
        record["filters"] = dict(report.filters)
        record["superseded"] = _superseded(report, standing.get(report.id))
        records.append({"_id": record.pop("id"), **record})
    put_records(database.reports, records)


def _superseded(report: StoredReport, before: Record | None) -> list[Record]:
    """Of a record as it stands, whoever broke it by hand: it keeps no new one from being written."""
    if before is None:
        return []
    kept = before.get("superseded")
    earlier = [one for one in kept if isinstance(one, dict)] if isinstance(kept, list) else []
    if before.get("sha256") != report.sha256 and all(name in before for name in _OF_SUPERSEDED):
        earlier.append({name: before[name] for name in _OF_SUPERSEDED})
    return earlier[-MOST_SUPERSEDED:]


def reports_by_id(database: Database, ids: Sequence[str]) -> dict[str, StoredReport]:
    return {record["_id"]: _report(record) for record in find_any(database.reports, "_id", ids)}


def reports_of(database: Database, cadence: Cadence, period: str) -> Iterator[StoredReport]:
    """Every stored report of a period."""
    for record in database.reports.find({"cadence": cadence.value, "period": period}):
        yield _report(record)


def _report(record: Record) -> StoredReport:
    fields = {name: record[name] for name in StoredReport.__dataclass_fields__ if name in record}
    return StoredReport(id=record["_id"], **fields)
