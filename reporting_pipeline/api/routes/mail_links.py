"""What mails and their provider call: the report's link, unsubscribing, delivery events. No bearer token.

Each token or signature speaks for itself; whatever is wrong with one, the answer is the same.
"""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from reporting_pipeline.api.deps import Deployment
from reporting_pipeline.api.errors import Problem
from reporting_pipeline.api.models.base import OPEN, problems
from reporting_pipeline.api.models.operations import Received
from reporting_pipeline.delivery.channels.sendgrid_events import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    EventsRefused,
    receive_events,
)
from reporting_pipeline.delivery.links.report_links import is_signed, open_link
from reporting_pipeline.delivery.links.unsubscribe import PAGE_HEADERS, unsubscribe, unsubscribe_page

log = logging.getLogger(__name__)

router = APIRouter(tags=["service"])

Token = Annotated[str, Path(min_length=1, max_length=1024)]

_GONE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Link expired</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:32em;margin:4em auto;padding:0 1em}</style>
<h1>This link is no longer good</h1>
<p>It has expired, was withdrawn, or is not complete. Ask whoever manages your reports for a new one.</p>
</html>"""


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
    token: Token, deployment: Deployment, accept: Annotated[str, Header(max_length=1000)] = ""
) -> Response:
    """The link in a mail: notes the download, then redirects. 404 for every link that is not good."""
    if is_signed(deployment.settings, token, deployment.now):  # before anything is written
        deployment.limits.link(sha256(token.encode()).hexdigest()[:32])
        url = open_link(deployment.database, deployment.objects, deployment.settings, token, deployment.now)
        if url is not None:
            return RedirectResponse(url, 307)
    if "text/html" in accept:  # a person in a browser
        return HTMLResponse(_GONE, 404, PAGE_HEADERS)
    raise Problem("not-found", "This link is no longer good.")


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
