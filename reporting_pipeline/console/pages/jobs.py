"""One report: its stages, what it was made from, and each recipient's way; read in the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pypdfium2
from fastapi import APIRouter, Path
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from reporting_pipeline.api.deps import Context, scoped
from reporting_pipeline.api.errors import Problem, not_found
from reporting_pipeline.api.models.editions import DeliveryRequest
from reporting_pipeline.api.routes.mailings import create_delivery
from reporting_pipeline.api.routes.scheduled_reports import readable_report
from reporting_pipeline.api.routes.subscriptions import find_job
from reporting_pipeline.console.deployment import OwnForm, Parts, Person
from reporting_pipeline.console.pages.layout import Page, opened
from reporting_pipeline.console.pages.reports import UNDER_WAY
from reporting_pipeline.console.pictures import PREVIEW_PAGES, page_as_png
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain.access import Action, Kind, reach_of
from reporting_pipeline.stores import audit, subscriptions
from reporting_pipeline.stores.deliveries import deliveries_of_job
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.stores.reports import StoredReport

router = APIRouter()

JobId = Annotated[str, Path(max_length=64)]
PageNumber = Annotated[int, Path(ge=1, le=PREVIEW_PAGES)]


@dataclass(frozen=True)
class Stage:
    """One step of a report's way, as the page draws it."""

    name: str
    place: str  # done, now, stopped or "" (still to come)


def stages_of(job: Record) -> list[Stage]:
    """Collected, made, sent: how far a job has come."""
    names = ("Asked for", "Data collected and report made", "Sending", "Done")
    reached = {"pending": 1, "processing": 1, "rendered": 2, "delivering": 2, "completed": 4}
    state = str(job["state"])
    if state in ("failed", "skipped"):
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


def _job_page(parts: Context, visitor: Visitor, job: Record, problem: Problem | None = None) -> Response:
    report = _report(parts, visitor, job)
    subscription = subscriptions.get_subscription(
        parts.database, visitor.user.organisation, job["subscription"]
    )
    return html(
        "job.html",
        problem.status if problem else 200,
        page=Page(visitor, "/console/"),
        job=job,
        stages=stages_of(job),
        subscription=subscription,
        report=report,
        pictures=min(report.pages, PREVIEW_PAGES) if report else 0,
        deliveries=deliveries_of_job(parts.database, visitor.user.organisation, job["_id"]),
        own=job.get("owner") == visitor.user.id,
        sees_addresses=reach_of(visitor.user, Action.READ, Kind.DELIVERY) == "organisation",
        moving=job["state"] in UNDER_WAY,
        lost=("failed", "bounced", "unknown"),
        may_requeue=reach_of(visitor.user, Action.REQUEUE, Kind.DEAD_LETTER) is not None,
        may_send=reach_of(visitor.user, Action.CREATE, Kind.DELIVERY) is not None,
        problem=problem,
    )


@router.post("/console/jobs/{job_id}/again")
def send_again(job_id: JobId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Try one recipient's delivery once more."""
    opened(visitor, Action.REQUEUE, Kind.DEAD_LETTER)
    job = find_job(parts, visitor.user, job_id)
    mine = scoped(parts, visitor.user)
    delivery = mine.delivery(form.text("delivery")[:64])
    if delivery is None or delivery["job"] != job["_id"]:
        raise not_found("delivery")
    if not mine.requeue(delivery["_id"], parts.now):
        return _job_page(
            parts, visitor, job, Problem("conflict", "It is not lost; it cannot be tried again.")
        )
    return RedirectResponse(f"/console/jobs/{job_id}", 303)


@router.post("/console/jobs/{job_id}/send")
def send_to_one_more(job_id: JobId, form: OwnForm, visitor: Person, parts: Parts) -> Response:
    """Send the report that stands to one more address, by the rules of `POST /api/emails`."""
    opened(visitor, Action.CREATE, Kind.DELIVERY)
    job = find_job(parts, visitor.user, job_id)
    try:
        body = DeliveryRequest.model_validate({"jobId": job_id, "recipient": form.text("recipient")})
        create_delivery(body, visitor.user, parts)
    except ValidationError:
        return _job_page(parts, visitor, job, Problem("validation", "That is no address of a mailbox."))
    except Problem as problem:
        return _job_page(parts, visitor, job, problem)
    return RedirectResponse(f"/console/jobs/{job_id}", 303)


@router.get("/console/jobs/{job_id}/page/{number}.png")
def page_picture(job_id: JobId, number: PageNumber, visitor: Person, parts: Parts) -> Response:
    """One page of the report as a picture."""
    job = find_job(parts, visitor.user, job_id)
    report = readable_report(parts, visitor.user, job)
    if report.format != "pdf" or number > report.pages:
        raise not_found("page")
    try:
        picture = page_as_png(parts.objects.get(report.key), number)
    except pypdfium2.PdfiumError:
        raise not_found("page") from None
    return Response(picture, media_type="image/png", headers={"cache-control": "private, max-age=3600"})


@router.get("/console/jobs/{job_id}/file")
def download(job_id: JobId, visitor: Person, parts: Parts) -> Response:
    """The file itself, from this host; the reading is in the audit log."""
    job = find_job(parts, visitor.user, job_id)
    report = readable_report(parts, visitor.user, job)
    audit.record(
        parts.database,
        audit.Action.REPORT_DOWNLOADED,
        visitor.user.id,
        report.id,
        parts.now,
        organisation=report.organisation,
        details={"job": job_id, "by": "console"},
    )
    return RedirectResponse(parts.objects.presigned_url(report.key, report.file_name, 60), 303)


def _report(parts: Context, visitor: Visitor, job: Record) -> StoredReport | None:
    """The stored report when there is one that this person may read."""
    try:
        return readable_report(parts, visitor.user, job)
    except Problem:
        return None
