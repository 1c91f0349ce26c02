"""One report: its stages, what it was made from, and each recipient's way; read in the page."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, get_args
from urllib.parse import quote

import pypdfium2
from fastapi import APIRouter, Path
from starlette.responses import RedirectResponse, Response

from reporting_pipeline.console.deployment import OwnForm, Parts, Person
from reporting_pipeline.console.pages.layout import Page, done_at, opened
from reporting_pipeline.console.pages.reports import UNDER_WAY
from reporting_pipeline.console.pictures import PREVIEW_PAGES, page_as_png
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain.access import Action, ResourceKind, reach_of
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.domain.proof import BESIDE
from reporting_pipeline.stores.deliveries import deliveries_of_job
from reporting_pipeline.stores.holds import HoldKind, hold_of
from reporting_pipeline.stores.releases import Meaning, decision_on
from reporting_pipeline.stores.reports import StoredReport
from reporting_pipeline.usecases.callers import holds
from reporting_pipeline.usecases.callers.context import Context, scoped
from reporting_pipeline.usecases.callers.problems import Problem, not_found
from reporting_pipeline.usecases.callers.reading import edition_to_read, note_read
from reporting_pipeline.usecases.callers.releases import release_or_refuse
from reporting_pipeline.usecases.callers.reports import find_job, readable_report, report_file_url, send_to
from reporting_pipeline.usecases.expecting import expected_of
from reporting_pipeline.usecases.html_edition import EDITION_HEADERS, NotReadable
from reporting_pipeline.usecases.releasing import NotReleasable, SignInAgain, refusal_to_decide

router = APIRouter()

JobId = Annotated[str, Path(max_length=64)]
LOST = ("failed", "bounced", "unknown")  # who may not have it
PageNumber = Annotated[int, Path(ge=1, le=PREVIEW_PAGES)]


@dataclass(frozen=True)
class Stage:
    """One step of a report's way, as the page draws it."""

    name: str
    place: str  # done, now, stopped or "" (still to come)


def stages_of(job: JobRecord) -> list[Stage]:
    """Collected, made, sent: how far a job has come."""
    names = ("Asked for", "Data collected and report made", "Sending", "Done")
    reached = {"pending": 1, "processing": 1, "rendered": 2, "delivering": 2, "completed": 4}
    state = str(job["state"])
    if state in ("failed", "skipped", "awaiting_release"):
        stopped = 2 if job.get("rendered_at") else 1
        places = ["done" if n < stopped else "stopped" if n == stopped else "" for n in range(len(names))]
    else:
        at = reached.get(state, 0)
        places = ["done" if n < at else "now" if n == at else "" for n in range(len(names))]
    return [Stage(name, place) for name, place in zip(names, places, strict=True)]


@router.get("/console/jobs/{job_id}")
def job_page(job_id: JobId, visitor: Person, parts: Parts) -> Response:
    """Where it stands. While it is under way the page renews itself."""
    return _job_page(parts, visitor, find_job(parts, visitor.user, job_id))


def _job_page(parts: Context, visitor: Visitor, job: JobRecord, problem: Problem | None = None) -> Response:
    report = _report(parts, visitor, job)
    mine = scoped(parts, visitor.user)
    may_hold = reach_of(visitor.user, Action.CREATE, ResourceKind.HOLD) is not None
    may_hold = may_hold and mine.report(_report_id(job)) is not None
    own = job.get("owner") == visitor.user.id
    deliveries = deliveries_of_job(parts.database, visitor.user.organisation, job["_id"])
    return html(
        "job.html",
        problem.status if problem else 200,
        page=Page(visitor, "/console/" if own else "/console/schedules"),
        job=job,
        stages=stages_of(job),
        expected=expected_of(parts.database, [job]).get(job["_id"]),
        now=parts.now,
        subscription=mine.subscription(job["subscription"]),
        report=report,
        omissions=job.get("omissions") or [] if report else [],
        pictures=min(report.pages, PREVIEW_PAGES) if report else 0,
        deliveries=deliveries,
        missed=sum(one["state"] in LOST for one in deliveries) if job["state"] == "completed" else 0,
        own=own,
        sees_addresses=reach_of(visitor.user, Action.READ, ResourceKind.DELIVERY) == "organisation",
        moving=job["state"] in UNDER_WAY,
        lost=LOST,
        may_requeue=reach_of(visitor.user, Action.REQUEUE, ResourceKind.DEAD_LETTER) is not None,
        may_send=reach_of(visitor.user, Action.CREATE, ResourceKind.DELIVERY) is not None,
        may_hold=may_hold,
        hold=hold_of(parts.database, _report_id(job), visitor.user.organisation) if may_hold else None,
        problem=problem,
        refusal=(refusal := _why_not(parts, visitor, job)),
        sign_in_again=isinstance(refusal, SignInAgain),
        decision=decision_on(parts.database, report.id, report.sha256) if report else None,
        in_dagster=_in_dagster(parts, visitor, job),
    )


def _why_not(parts: Context, visitor: Visitor, job: JobRecord) -> NotReleasable | None:
    """Why this person may not decide of the report's release; None where they may, or it awaits none."""
    if job["state"] != "awaiting_release":
        return None
    if reach_of(visitor.user, Action.RELEASE, ResourceKind.REPORT) is None:
        return NotReleasable("a manager or an admin of your organisation looks at it")
    return refusal_to_decide(parts.database, job, visitor.user, visitor.session.authenticated_at, parts.now)


def _report_id(job: JobRecord) -> str:
    """The id that the job's report has, whether it stands or not."""
    return str(job.get("report") or "")


def _in_dagster(parts: Context, visitor: Visitor, job: JobRecord) -> str:
    """The job's partition in Dagster's UI, for those who operate; "" where none is known."""
    home = visitor.user.organisation == parts.settings.organisation
    operates = reach_of(visitor.user, Action.REQUEUE, ResourceKind.DEAD_LETTER) is not None
    if not parts.settings.dagster_url or not home or not operates:
        return ""
    cadence = str(job["edition"]).partition(":")[0]
    partition = quote(f"{job['period']}|{job['subscription']}", safe="")
    asset = f"/assets/{quote(cadence, safe='')}/subscriber_reports?view=partitions&partition={partition}"
    return parts.settings.dagster_url.rstrip("/") + asset


@router.post("/console/jobs/{job_id}/again")
def send_again(job_id: JobId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Try one recipient's delivery once more."""
    opened(visitor, Action.REQUEUE, ResourceKind.DEAD_LETTER)
    job = find_job(parts, visitor.user, job_id)
    mine = scoped(parts, visitor.user)
    delivery = mine.delivery(form.text("delivery")[:64])
    if delivery is None or delivery["job"] != job["_id"]:
        raise not_found("delivery")
    if not mine.requeue(delivery["_id"], parts.now):
        return _job_page(
            parts, visitor, job, Problem("conflict", "It is not lost; it cannot be tried again.")
        )
    return done_at(f"/console/jobs/{job_id}", "tried-again")


@router.post("/console/jobs/{job_id}/send")
def send_to_one_more(job_id: JobId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Send the report that stands to one more address, by the rules of `POST /api/reports/emails`."""
    opened(visitor, Action.CREATE, ResourceKind.DELIVERY)
    job = find_job(parts, visitor.user, job_id)
    try:
        send_to(parts, visitor.user, job_id, form.text("recipient"))
    except Problem as problem:
        return _job_page(parts, visitor, job, problem)
    return done_at(f"/console/jobs/{job_id}", "sent")


@router.post("/console/jobs/{job_id}/release")
def decide_of_release(job_id: JobId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Release a report, or refuse it, by the rules of `POST /api/report-executions/{id}/release`."""
    opened(visitor, Action.RELEASE, ResourceKind.REPORT)
    job = find_job(parts, visitor.user, job_id)
    reason = form.text("reason")
    chosen: Meaning | None = next((one for one in get_args(Meaning) if one == form.text("meaning")), None)
    refused = form.text("decision") == "refuse"
    try:
        if not 3 <= len(reason) <= 500:
            raise Problem("validation", "Say why, in 3 to 500 characters: the reason stands in the record.")
        if chosen is None and not refused:
            raise Problem("validation", "Say what your signature means.")
        signed_in = visitor.session.authenticated_at
        release_or_refuse(
            parts, visitor.user, job_id, form.text("sha256"), None if refused else chosen, reason, signed_in
        )
    except Problem as problem:
        return _job_page(parts, visitor, job, problem)
    return done_at(f"/console/jobs/{job_id}", "decided")


@router.post("/console/jobs/{job_id}/hold")
def hold(job_id: JobId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Keep the report and what it was made from, whatever its age."""
    opened(visitor, Action.CREATE, ResourceKind.HOLD)
    job = find_job(parts, visitor.user, job_id)
    kind: HoldKind = "legal_hold" if form.text("kind") == "legal_hold" else "critical"
    try:
        holds.hold(parts, visitor.user, _report_id(job), kind, form.text("reason")[:1_000])
    except Problem as problem:
        return _job_page(parts, visitor, job, problem)
    return done_at(f"/console/jobs/{job_id}", "kept")


@router.post("/console/jobs/{job_id}/let-go")
def let_go(job_id: JobId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Let retention have the report again."""
    opened(visitor, Action.DELETE, ResourceKind.HOLD)
    job = find_job(parts, visitor.user, job_id)
    try:
        holds.lift(parts, visitor.user, _report_id(job))
    except Problem as problem:
        return _job_page(parts, visitor, job, problem)
    return done_at(f"/console/jobs/{job_id}", "let-go")


@router.get("/console/jobs/{job_id}/page/{number}.png")
def page_picture(job_id: JobId, number: PageNumber, visitor: Person, parts: Parts) -> Response:
    """One page of the report as a picture."""
    job = find_job(parts, visitor.user, job_id)
    report = readable_report(parts, visitor.user, job)
    if report.format != "pdf" or number > report.pages:
        raise not_found("page")
    try:
        picture = page_as_png(parts.files.get(report.key), number)
    except pypdfium2.PdfiumError:
        raise not_found("page") from None
    note_read(parts, visitor.user, report, job_id, page=str(number))
    # Kept by no browser: who signs out, or may not have it any more, finds it nowhere (`console.app`).
    return Response(picture, media_type="image/png")


@router.get("/console/jobs/{job_id}/read")
def read_in_browser(job_id: JobId, visitor: Person, parts: Parts) -> Response:
    """A PDF report as a page of its own; the page of the job says so where there is none."""
    parts.limits.link(sha256(f"{visitor.user.id} {job_id}".encode()).hexdigest()[:32])
    try:
        return Response(edition_to_read(parts, visitor.user, job_id), headers=EDITION_HEADERS)
    except NotReadable as why:
        what_next = "Open it again in a minute." if why.later else "Download the file instead."
        problem = Problem("conflict", f"It cannot be read in the browser: {why}. {what_next}")
        return _job_page(parts, visitor, find_job(parts, visitor.user, job_id), problem)


@router.get("/console/jobs/{job_id}/file")
def download(job_id: JobId, visitor: Person, parts: Parts) -> Response:
    """The file itself, from this host; the reading is in the audit log."""
    job = find_job(parts, visitor.user, job_id)
    report = readable_report(parts, visitor.user, job)
    note_read(parts, visitor.user, report, job_id)
    return RedirectResponse(report_file_url(parts, report), 303)


@router.get("/console/jobs/{job_id}/manifest")
def manifest(job_id: JobId, visitor: Person, parts: Parts) -> Response:
    """What the report was made from, signed: to lie beside the file for `reporting-pipeline verify`."""
    report = readable_report(parts, visitor.user, find_job(parts, visitor.user, job_id))
    envelope = report.envelope
    if envelope is None:
        raise not_found("manifest")
    beside = quote(f"{report.file_name}{BESIDE}")
    name = {"content-disposition": f"attachment; filename*=UTF-8''{beside}"}
    return Response(envelope.written(), media_type="application/json", headers=name)


def _report(parts: Context, visitor: Visitor, job: JobRecord) -> StoredReport | None:
    """The stored report when there is one that this person may read."""
    try:
        return readable_report(parts, visitor.user, job)
    except Problem:
        return None
