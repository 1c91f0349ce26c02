"""Release of a report by a person, or its refusal: two eyes, a signature's meaning, a fresh sign-in.

Whether a report awaits a release is decided when it is made (`domain.content_gate`, the organisation's
`release`). Whoever releases it answers for it, so they are neither its owner nor who made or asked for it,
they have signed in shortly before, and what they sign is one file (21 CFR 11.50, 11.70): name, time and
meaning are kept with its hash, stand in the audit log and in the mail.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from reporting_pipeline.domain.access import User
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.stores import audit, jobs, releases, reports
from reporting_pipeline.stores.deliveries import plan_for_jobs
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.reports import StoredReport
from reporting_pipeline.stores.subscriptions import records_by_id

#: A sign-in is asked again for a signature after so long.
RECENT = timedelta(minutes=10)


class NotReleasable(ValueError):
    """Why this person may not decide of it; the message is for them."""


class SignInAgain(NotReleasable):
    """The sign-in is too long ago for a signature."""


def refusal_to_decide(
    database: Database, job: JobRecord, person: User, authenticated_at: datetime | None, now: datetime
) -> NotReleasable | None:
    """Why `person` may not decide of the job's report now; None when they may."""
    if job["state"] != "awaiting_release":
        return NotReleasable(f"it awaits no release: it is {job['state']}")
    made_by = records_by_id(database, [job["subscription"]]).get(job["subscription"], {}).get("created_by")
    # What is decided holds for every job of the report, whoever asked for each.
    concerned = jobs.awaiting_release_of(
        database, job["subscription"], job["period"], str(job.get("report") or "")
    )
    asked = {who for one in (job, *concerned) for who in (one.get("owner"), one.get("requested_by"))}
    if person.id in {*asked, made_by}:
        return NotReleasable("it is your own report, or you asked for it: a second person must look")
    if authenticated_at is None or now - authenticated_at > RECENT:
        minutes = int(RECENT.total_seconds() // 60)
        return SignInAgain(f"sign in again: a release is signed within {minutes} minutes of signing in")
    return None


def release(
    database: Database,
    job: JobRecord,
    report: StoredReport,
    person: User,
    authenticated_at: datetime | None,
    meaning: releases.Meaning,
    reason: str,
    now: datetime,
) -> Record:
    """Let the report go to whom it is for. Raises NotReleasable, releases.DecidedAlready.

    Of several at once one decides, and the others are told who. The decision first, then the jobs: one that
    dies between them is found by deciding again.
    """
    return _decide(database, job, report, person, authenticated_at, "released", meaning, reason, now)


def refuse(
    database: Database,
    job: JobRecord,
    report: StoredReport,
    person: User,
    authenticated_at: datetime | None,
    reason: str,
    now: datetime,
) -> Record:
    """Keep the report from everybody: its jobs end, its code says revoked. Raises as `release`."""
    return _decide(database, job, report, person, authenticated_at, "refused", "refusal", reason, now)


def _decide(
    database: Database,
    job: JobRecord,
    report: StoredReport,
    person: User,
    authenticated_at: datetime | None,
    decision: releases.Decision,
    meaning: str,
    reason: str,
    now: datetime,
) -> Record:
    problem = refusal_to_decide(database, job, person, authenticated_at, now)
    if problem is not None or authenticated_at is None:
        raise problem or NotReleasable("nobody signed in")
    try:
        kept = releases.decide(
            database,
            report.id,
            report.sha256,
            decision,
            organisation=report.organisation,
            job=job["_id"],
            by=person.id,
            name=person.name or person.id,
            meaning=meaning,
            reason=reason,
            # All of them, whatever of the job's is open to the person.
            reasons=[dict(one) for one in report.awaiting_release],
            authenticated_at=authenticated_at,
            now=now,
        )
    except releases.DecidedAlready as earlier:
        left = releases.claim(database, report.id, report.sha256, now)
        if left is None:
            raise
        _follow(database, report, left, now)
        if (left["by"], left["decision"]) != (person.id, decision):
            raise earlier from None
        return left
    _follow(database, report, kept, now)
    return kept


def _follow(database: Database, report: StoredReport, decision: Record, now: datetime) -> None:
    """What follows from a decision. Any step done again comes to the same."""
    stands = True
    if decision["decision"] == "released":
        signature = {name: decision[name] for name in ("name", "meaning", "at")}
        stands = reports.let_go(database, report.id, report.sha256, signature)
        if stands:
            released = jobs.release(database, report.subscription, report.period, report.id, now)
            plan_for_jobs(database, released, now)
    else:
        revoked = {"by": decision["by"], "at": decision["at"], "reason": decision["reason"]}
        reports.revoke(database, report.id, report.sha256, revoked)
        told = f"its release was refused: {decision['reason']}"
        jobs.refuse(database, report.subscription, report.period, report.id, told, now)
    _note(database, report, decision, now)
    releases.finish(database, decision)
    if not stands:
        raise NotReleasable("it was made again since you looked at it: look at the new one")


def _note(database: Database, report: StoredReport, decision: Record, now: datetime) -> None:
    released = decision["decision"] == "released"
    action = audit.AuditAction.RELEASE_GIVEN if released else audit.AuditAction.RELEASE_REFUSED
    rows = audit.events_of(database, report.organisation, action=action, subject=report.id)
    if any(row["details"].get("sha256") == report.sha256 for row in rows):
        return
    audit.record(
        database,
        action,
        decision["by"],
        report.id,
        now,
        organisation=report.organisation,
        details={"sha256": report.sha256, "meaning": decision["meaning"], "job": decision["job"]},
    )
