"""The `holds` collection: reports that no rule deletes, and why.

    _id            the report
    cadence, period, subscription, organisation   of the report
    kind           legal_hold (a duty: only who placed it or an administrator lifts it) | critical
    reason, by, at

A record apart from the report's own, because a report that is rendered again is written anew. A hold
covers every file of the report and whatever its period's reports were made from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from reporting_pipeline.stores import audit
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import HELD, STANDARD, ObjectMissing, ObjectStore

HoldKind = Literal["legal_hold", "critical"]


class ReportMissing(KeyError):
    """No report has this id (in this organisation)."""

    def __str__(self) -> str:
        return f"no report has the id {self.args[0]!r}; it stands on the cover and on its page in the console"


def place_hold(
    database: Database,
    objects: ObjectStore,
    report: str,
    kind: HoldKind,
    reason: str,
    by: str,
    now: datetime,
    organisation: str | None = None,
) -> Record:
    """Hold a report. Again with another kind or reason changes the hold. Audited.

    Raises ReportMissing, and ValueError for a hold without a reason.
    """
    reason = " ".join(reason.split())
    if not 3 <= len(reason) <= 500:
        raise ValueError("reason: say in 3 to 500 characters why the report is held")
    found = _report(database, report, organisation)
    hold: Record = {
        "cadence": found["cadence"],
        "period": found["period"],
        "subscription": found["subscription"],
        "organisation": found["organisation"],
        "kind": kind,
        "reason": reason,
        "by": by,
        "at": now,
    }
    database.holds.replace_one({"_id": report}, hold, upsert=True)
    _mark(objects, found, HELD)
    _audited(database, audit.AuditAction.REPORT_HELD, hold | {"_id": report}, by, now)
    return {"_id": report, **hold}


def lift_hold(
    database: Database,
    objects: ObjectStore,
    report: str,
    by: str,
    now: datetime,
    organisation: str | None = None,
) -> bool:
    """Let the rules have the report again. False when it was not held. Audited."""
    query = {"_id": report} | ({"organisation": organisation} if organisation is not None else {})
    hold = database.holds.find_one_and_delete(query)
    if hold is None:
        return False
    _mark(objects, hold, STANDARD)
    _audited(database, audit.AuditAction.REPORT_RELEASED, hold, by, now)
    return True


def holds(database: Database, organisation: str | None = None) -> list[Record]:
    """Every hold, oldest first."""
    query = {} if organisation is None else {"organisation": organisation}
    return list(database.holds.find(query).sort([("at", 1), ("_id", 1)]))


def holds_after(database: Database, organisation: str, after: str | None, limit: int) -> list[Record]:
    """Holds of an organisation by the report's id, those behind `after`."""
    query: Record = {"organisation": organisation} | ({"_id": {"$gt": after}} if after else {})
    return list(database.holds.find(query).sort("_id", 1).limit(limit))


def hold_of(database: Database, report: str, organisation: str) -> Record | None:
    """The hold of a report, if it is held."""
    return database.holds.find_one({"_id": report, "organisation": organisation})


def report_folder(report: Record) -> str:
    """Where every rendering of a report lies (`stores.reports.report_key`)."""
    return f"reports/{report['cadence']}/{report['period']}/{report['subscription']}/"


def _report(database: Database, report: str, organisation: str | None) -> Record:
    query = {"_id": report} | ({"organisation": organisation} if organisation is not None else {})
    found = database.reports.find_one(query)
    if found is None:
        raise ReportMissing(report)
    return found


def _mark(objects: ObjectStore, report: Record, value: str) -> None:
    """The bucket's own rules see the tag and nothing else."""
    for key in list(objects.keys(report_folder(report))):
        try:
            objects.mark(key, value)
        except ObjectMissing:  # gone meanwhile
            continue


def _audited(database: Database, action: audit.AuditAction, hold: Record, by: str, now: datetime) -> None:
    audit.record(
        database,
        action,
        by,
        hold["_id"],
        now,
        organisation=hold["organisation"],
        details={"kind": hold["kind"], "period": hold["period"], "cadence": hold["cadence"]},
    )
