"""Stored reports: the file in S3 first, then the record in `reports` that names it.

The record holds what makes a report checkable later: SHA-256, size, pages, data-as-of, the versions
of the datasets and of the code it was made from.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from reporting_pipeline.domain.entitlements import Extent
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.proof import Envelope
from reporting_pipeline.stores.jobs.states import SENT
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
    #: The rendering that was sent and that this one says it takes the place of: {sha256, rendered_at,
    #: dataset_versions}; None where nobody had one.
    restates: Mapping[str, Any] | None = None
    code: str = ""  # of the page that tells whether it is genuine; "" of one made before there were any
    report_type: str = ""
    #: What it was made from: {trial, documents, dataset, media, status: versions; media_key, status_prefix:
    #: where they lie; where it stands on the trial so far, sites_seen of its reader (`domain.entitlements`)}.
    inputs: Sequence[Mapping[str, Any]] = ()
    #: What else its bytes follow from: {name, owner_name, organisation_name, branding, parameters, timezone,
    #: verify_prefix, console_url}; {} of one made before it was kept.
    worded: Mapping[str, Any] = field(default_factory=dict)
    #: The signed manifest: {payload, key, signature}; the last is base64.
    proof: Mapping[str, str] | None = None
    #: Why a person must release it before anybody gets it: {concern, trial, said} each; () when nobody must.
    awaiting_release: Sequence[Mapping[str, str]] = ()
    #: What is out of the usual, for a person, where its policy is to tell it: as `awaiting_release`.
    unusual: Sequence[Mapping[str, str]] = ()
    released: Mapping[str, Any] | None = None  # {name, meaning, at}: who signed for it before it was sent
    revoked: Mapping[str, Any] | None = None  # {by, at, reason} of one that must not be relied on

    @property
    def envelope(self) -> Envelope | None:
        """Its manifest as it was signed."""
        return envelope_of(self.__dict__)

    @property
    def extent(self) -> Extent:
        """What it was made from, as rights look at it."""
        return Extent.of_report(self.__dict__)


#: So many renderings that were superseded are named; their files lie in S3 as long as the period is kept.
MOST_SUPERSEDED = 20
_OF_SUPERSEDED = ("sha256", "key", "rendered_at", "data_as_of", "dataset_versions")
#: What it showed and to whom, and its proof: kept where it was known.
_SHOWN_BY_SUPERSEDED = (
    "shown",
    "subject",
    "audience",
    "code",
    "proof",
    "revoked",
    "awaiting_release",
    "restates",
)

#: The folder of what tells who gets which treatment; a bucket policy can close `reports/*/unblinded/*`.
UNBLINDED = "unblinded/"


def report_key(
    period: Period, subscription: str, sha256: str, extension: str, *, unblinded: bool = False
) -> str:
    """The S3 key; it holds the content's hash, so a new rendering never overwrites what was sent."""
    apart = UNBLINDED if unblinded else ""
    return f"reports/{period.cadence}/{period.key}/{subscription}/{apart}{sha256[:16]}.{extension}"


def envelope_of(rendering: Mapping[str, Any]) -> Envelope | None:
    """The signed manifest of a report's record, or of a rendering in its `superseded`; None where none is."""
    proof = rendering.get("proof")
    if not isinstance(proof, Mapping) or not {"payload", "key", "signature"} <= set(proof):
        return None
    return Envelope(str(proof["payload"]).encode(), str(proof["key"]), b64decode(str(proof["signature"])))


def proof_record(envelope: Envelope) -> Record:
    """An envelope as a record holds it."""
    signature = b64encode(envelope.signature).decode()
    return {"payload": envelope.payload.decode(), "key": envelope.key, "signature": signature}


def save_reports(database: Database, reports: Iterable[StoredReport]) -> None:
    """Write records in a few requests; the newest rendering of a subscription and period stands.

    It names those it took the place of.
    """
    reports = list(reports)
    ids = [report.id for report in reports]
    shown = dict.fromkeys((*_OF_SUPERSEDED, *_SHOWN_BY_SUPERSEDED, "superseded", "released"), 1)
    standing = {one["_id"]: one for one in find_any(database.reports, "_id", ids, None, shown)}
    records = []
    for report in reports:
        record: Record = {**report.__dict__, "dataset_versions": dict(report.dataset_versions)}
        record["shown"] = [dict(one) for one in report.shown]
        record["omissions"] = [dict(one) for one in report.omissions]
        record["filters"] = dict(report.filters)
        record["restates"] = dict(report.restates) if report.restates else None
        record["inputs"] = [dict(one) for one in report.inputs]
        record["worded"] = dict(report.worded)
        record["awaiting_release"] = [dict(one) for one in report.awaiting_release]
        record["unusual"] = [dict(one) for one in report.unusual]
        record["proof"] = dict(report.proof) if report.proof else None
        before = standing.get(report.id)
        if before is not None and before.get("sha256") == report.sha256:
            # The same file again is no other.
            record["revoked"], record["released"] = before.get("revoked"), before.get("released")
        record["superseded"] = _superseded(report, before)
        # One look-up finds what a code stands for, now or before.
        record["codes"] = [
            code
            for one in (record, *record["superseded"])
            if isinstance(code := one.get("code"), str) and code
        ]
        records.append({"_id": record.pop("id"), **record})
    put_records(database.reports, records)


def _superseded(report: StoredReport, before: Record | None) -> list[Record]:
    """Of a record as it stands, whoever broke it by hand: it keeps no new one from being written."""
    if before is None:
        return []
    kept = before.get("superseded")
    earlier = [one for one in kept if isinstance(one, dict)] if isinstance(kept, list) else []
    if before.get("sha256") != report.sha256 and all(name in before for name in _OF_SUPERSEDED):
        known = (*_OF_SUPERSEDED, *(name for name in _SHOWN_BY_SUPERSEDED if name in before))
        earlier.append({name: before[name] for name in known})
    return earlier[-MOST_SUPERSEDED:]


def reports_by_id(database: Database, ids: Sequence[str]) -> dict[str, StoredReport]:
    return {record["_id"]: _report(record) for record in find_any(database.reports, "_id", ids)}


def sent_reports(
    database: Database, cadence: Cadence, periods: Iterable[str], subscriptions: Iterable[str]
) -> dict[str, StoredReport]:
    """Those reports of the subscriptions and period keys that somebody was sent, or is being sent, by id.

    As they were sent: where one was made anew since and went to nobody, the rendering before it.
    """
    query: Record = {"cadence": cadence.value, "period": {"$in": sorted(periods)}, "state": {"$in": SENT}}
    shown = {"report": 1, "rendered_at": 1}
    made: dict[str, datetime | None] = {}
    for job in find_any(database.jobs, "subscription", sorted(subscriptions), query, shown):
        times = [at for at in (made.get(job["report"]), job.get("rendered_at")) if at is not None]
        made[job["report"]] = max(times, default=None)
    return {name: _as_of(one, made[name]) for name, one in reports_by_id(database, sorted(made)).items()}


def rendering_at(report: Mapping[str, Any], at: datetime) -> Mapping[str, Any] | None:
    """What stood of a report (a record, or its fields) at an instant: itself, or a rendering before it.

    None where none that is named is as old. What somebody broke by hand of those before it is passed over.
    """
    if report["rendered_at"] <= at:
        return report
    kept = report.get("superseded")
    earlier = [
        one
        for one in (kept if isinstance(kept, Sequence) else ())
        if isinstance(one, Mapping) and all(name in one for name in _OF_SUPERSEDED)
        if isinstance(one["rendered_at"], datetime) and one["rendered_at"] <= at
    ]
    return max(earlier, key=lambda one: one["rendered_at"], default=None)


def shows_the_same(was: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the same rights open two renderings: the same of the same trials, for the same audience."""

    def shown(one: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [dict(each) for each in one.get("shown") or ()]

    return (
        all(was.get(name) == now.get(name) for name in ("subject", "audience"))
        and set(was.get("dataset_versions") or ()) == set(now.get("dataset_versions") or ())
        and shown(was) == shown(now)
    )


def went_out(report: StoredReport) -> StoredReport | None:
    """The newest rendering that awaits no release: what readers have while another waits, or None.

    None as well where it showed other than the report does now: rights have changed since.
    """
    if not report.awaiting_release:
        return report
    for one in reversed(report.superseded):
        if one.get("awaiting_release") or not all(name in one for name in _OF_SUPERSEDED):
            continue
        if not shows_the_same(one, report.__dict__):
            return None
        known = {name: one[name] for name in _SHOWN_BY_SUPERSEDED if name in one and name != "shown"}
        return replace(
            report,
            **{name: one[name] for name in _OF_SUPERSEDED}
            | known
            | {"awaiting_release": (), "restates": None},
        )
    return None


def _as_of(report: StoredReport, at: datetime | None) -> StoredReport:
    """The rendering that stood at an instant; the one that stands, where none that is named is as old."""
    was = rendering_at(report.__dict__, at) if at is not None else None
    if was is None or was["sha256"] == report.sha256:
        return report
    return replace(report, restates=None, superseded=(), **{name: was[name] for name in _OF_SUPERSEDED})


def basis_of(standing: StoredReport, versions: Mapping[str, str]) -> Mapping[str, Any] | None:
    """What a report made from `versions` takes the place of, where `standing` was sent: itself if its data
    differ, else what it took the place of itself, so that the same data make the same file again."""
    if dict(standing.dataset_versions) == dict(versions):
        return standing.restates
    return {
        "sha256": standing.sha256,
        "rendered_at": standing.rendered_at,
        "dataset_versions": dict(standing.dataset_versions),
    }


def let_go(database: Database, report: str, sha256: str, signature: Mapping[str, Any]) -> bool:
    """Note that a rendering awaits its release no longer, and who signed for it: {name, meaning, at}.

    False where it does not stand any more: another was made since.
    """
    change: Record = {"awaiting_release": [], "released": dict(signature)}
    standing: Record = {"_id": report, "sha256": sha256}
    return database.reports.update_one(standing, {"$set": change}).matched_count == 1


def revoke(database: Database, report: str, sha256: str, revoked: Mapping[str, Any]) -> None:
    """Note of a rendering {by, at, reason}: it must not be relied on. It is released to nobody."""
    database.reports.update_one({"_id": report, "sha256": sha256}, {"$set": {"revoked": dict(revoked)}})


def report_with_code(database: Database, code: str) -> StoredReport | None:
    """The report whose rendering, standing or superseded, has a code."""
    record = database.reports.find_one({"codes": code})
    return _report(record) if record else None


def reports_of(database: Database, cadence: Cadence, period: str) -> Iterator[StoredReport]:
    """Every stored report of a period."""
    for record in database.reports.find({"cadence": cadence.value, "period": period}):
        yield _report(record)


def _report(record: Record) -> StoredReport:
    fields = {name: record[name] for name in StoredReport.__dataclass_fields__ if name in record}
    return StoredReport(id=record["_id"], **fields)
