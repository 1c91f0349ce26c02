"""What mails and their provider call: the report's link, unsubscribing, delivery events. No bearer token.

Each token or signature speaks for itself; whatever is wrong with one, the answer is the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from reporting_pipeline.api.deps import Deployment
from reporting_pipeline.api.models.base import OPEN, problems
from reporting_pipeline.api.models.operations import Received
from reporting_pipeline.delivery.channels.sendgrid_events import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    EventsRefused,
    receive_events,
)
from reporting_pipeline.delivery.links.addresses import address_page, is_ours
from reporting_pipeline.delivery.links.report_links import is_signed, open_link, superseded_by
from reporting_pipeline.delivery.links.superseded import gone_page, superseded_page
from reporting_pipeline.delivery.links.unsubscribe import PAGE_HEADERS, unsubscribe, unsubscribe_page
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.changed_addresses import confirm_address

log = logging.getLogger(__name__)

router = APIRouter(tags=["service"])

Token = Annotated[str, Path(min_length=1, max_length=1024)]


@router.get(
    "/r/{token}",
    status_code=307,
    response_class=RedirectResponse,
    responses={
        307: {
            "description": "To the report, for one minute.",
            "headers": {"Location": {"schema": {"type": "string"}}},
        },
        **OPEN,
    },
)
def open_report_link(
    token: Token,
    deployment: Deployment,
    accept: Annotated[str, Header(max_length=1000)] = "",
    file: Annotated[
        Literal["sent", "newest"] | None,
        Query(description="Of a report made again since: the file that was sent, or the newest."),
    ] = None,
) -> Response:
    """The link in a mail: notes the download, then redirects. 404 for every link that is not good.

    A browser is told first where the file that was sent is superseded, and by what.
    """
    if is_signed(deployment.settings, token, deployment.now):  # before anything is written
        deployment.limits.link(sha256(token.encode()).hexdigest()[:32])
        place = (deployment.database, deployment.settings, token, deployment.now)
        if file is None and "text/html" in accept and (newer := superseded_by(*place)) is not None:
            return HTMLResponse(superseded_page(deployment.settings, newer), headers=PAGE_HEADERS)
        url = open_link(
            deployment.database,
            deployment.objects,
            deployment.settings,
            token,
            deployment.now,
            as_sent=file == "sent",
        )
        if url is not None:
            return RedirectResponse(url, 307)
    return _gone(deployment.settings, accept)


@router.get("/unsubscribe/{token}", response_class=HTMLResponse, responses=problems(400, 422))
def show_unsubscribe_page(token: Token, deployment: Deployment) -> Response:
    """The page with the button. Changes nothing: mail scanners open links."""
    page = unsubscribe_page(deployment.database, deployment.settings, token)
    return HTMLResponse(page, headers=PAGE_HEADERS)


@router.post("/unsubscribe/{token}", response_class=HTMLResponse, responses=problems(400, 413, 422))
def unsubscribe_by_token(token: Token, deployment: Deployment) -> Response:
    """Unsubscribe by one click (RFC 8058). Doing it again changes nothing."""
    page = unsubscribe(deployment.database, deployment.settings, token, deployment.now)
    return HTMLResponse(page, headers=PAGE_HEADERS)


@router.get("/confirm-address/{token}", response_class=HTMLResponse, responses=problems(400, 404, 422, 429))
def show_address_page(
    token: Token, deployment: Deployment, accept: Annotated[str, Header(max_length=1000)] = ""
) -> Response:
    """The page with the button of a changed address. Changes nothing: mail scanners open links."""
    return _about_address(token, deployment, accept, address_page)


@router.post(
    "/confirm-address/{token}", response_class=HTMLResponse, responses=problems(400, 404, 413, 422, 429)
)
def confirm_address_by_token(
    token: Token, deployment: Deployment, accept: Annotated[str, Header(max_length=1000)] = ""
) -> Response:
    """The new address says that it is the one. Once: a used, old or withdrawn link is a 404."""
    return _about_address(token, deployment, accept, confirm_address)


def _about_address(
    token: str,
    deployment: Context,
    accept: str,
    act: Callable[[Database, Settings, str, datetime], str | None],
) -> Response:
    if is_ours(deployment.settings, token):  # before anything is counted
        deployment.limits.link(sha256(token.encode()).hexdigest()[:32])
        page = act(deployment.database, deployment.settings, token, deployment.now)
        if page is not None:
            return HTMLResponse(page, headers=PAGE_HEADERS)
    return _gone(deployment.settings, accept)


def _gone(settings: Settings, accept: str) -> Response:
    if "text/html" in accept:  # a person in a browser
        return HTMLResponse(gone_page(settings), 404, PAGE_HEADERS)
    raise Problem("not-found", "This link is no longer good.")


@router.post(
    "/webhooks/sendgrid",
    responses=problems(400, 403, 413, 415, 422),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "array", "items": {"type": "object"}},
                    "example": [
                        {
                            "event": "delivered",
                            "sg_event_id": "ZGVsaXZlcmVk",
                            "timestamp": 1795392000,
                            "delivery": "dlv_3f9c1a7d5e2b48c0a6d4f012",
                        }
                    ],
                }
            },
        }
    },
)
async def receive_sendgrid_events(
    request: Request,
    deployment: Deployment,
    signature: Annotated[str, Header(alias=SIGNATURE_HEADER, max_length=500)] = "",
    timestamp: Annotated[str, Header(alias=TIMESTAMP_HEADER, max_length=20)] = "",
) -> Received:
    """SendGrid's delivery events, signed over the raw body; without a good signature nothing is believed."""
    body = await request.body()
    try:
        summary = await run_in_threadpool(
            receive_events,
            deployment.database,
            deployment.settings,
            body,
            signature,
            timestamp,
            deployment.now,
        )
    except EventsRefused as refused:
        log.warning("events refused: %s", refused)
        raise Problem("forbidden", "The signature is not good.") from None
    return Received(received=summary.received)
