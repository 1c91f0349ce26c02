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
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
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
from reporting_pipeline.delivery.links.files import file_behind
from reporting_pipeline.delivery.links.pages import PAGE_HEADERS, gone_page
from reporting_pipeline.delivery.links.report_links import is_signed, open_link
from reporting_pipeline.delivery.links.report_page import linked_report, report_page, unreadable_page
from reporting_pipeline.delivery.links.unsubscribe import unsubscribe, unsubscribe_page
from reporting_pipeline.domain.file_names import content_disposition
from reporting_pipeline.domain.sealing import SealBroken
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectMissing
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.problems import Problem, not_found
from reporting_pipeline.usecases.changed_addresses import confirm_address
from reporting_pipeline.usecases.html_edition import EDITION_HEADERS, NotReadable
from reporting_pipeline.usecases.reading_by_link import read_by_link

log = logging.getLogger(__name__)

router = APIRouter(tags=["service"])

Token = Annotated[str, Path(min_length=1, max_length=1024)]
Accepted = Annotated[str, Header(alias="Accept", max_length=1000)]
Languages = Annotated[str, Header(alias="Accept-Language", max_length=1000)]


@router.get(
    "/r/{token}",
    status_code=307,
    response_class=RedirectResponse,
    responses={
        200: {
            "description": "To a browser that named no file: a page with the ways to open it. With "
            "`file=html`: the report.",
            "content": {"text/html": {"schema": {"type": "string"}}},
        },
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
    accept: Accepted = "",
    accept_language: Languages = "",
    file: Annotated[
        Literal["sent", "newest", "html"] | None,
        Query(
            description="Of a report made again since: the file that was sent, or the newest. `html`: a PDF "
            "report as a page to read in the browser."
        ),
    ] = None,
) -> Response:
    """The link in a mail: notes the download, then redirects. 404 for every link that is not good.

    Who asks for HTML without naming a file is a person in a browser. They are shown first what the link
    opens, where there is a choice: a PDF, or a file that is superseded.
    """
    if is_signed(deployment.settings, token, deployment.now):  # before anything is written
        deployment.limits.link(sha256(token.encode()).hexdigest()[:32])
        answer = _opened(token, deployment, file, "text/html" in accept, accept_language)
        if answer is not None:
            return answer
    return _gone(deployment.settings, accept, accept_language)


def _opened(
    token: str, deployment: Context, file: str | None, browsing: bool, languages: str
) -> Response | None:
    """What a token of ours opens; None where it is not good any more."""
    settings = deployment.settings
    if file == "html":
        return _read(token, deployment, languages)
    if file is None and browsing:
        found = linked_report(deployment.database, settings, token, deployment.now, languages)
        if found is not None and (found.is_pdf or found.superseded is not None):
            return HTMLResponse(report_page(settings, found), headers=PAGE_HEADERS)
    url = open_link(
        deployment.database, deployment.objects, settings, token, deployment.now, as_sent=file == "sent"
    )
    return None if url is None else RedirectResponse(url, 307)


def _read(token: str, deployment: Context, languages: str) -> Response | None:
    """The edition for the browser, or a page that says why there is none."""
    place = (deployment.database, deployment.settings)
    try:
        edition = read_by_link(*place, deployment.html_editions, token, deployment.now)
    except NotReadable as why:
        log.info("no edition for the browser: %s", why)
        found = linked_report(*place, token, deployment.now, languages)
        if found is None:
            return None
        page = unreadable_page(deployment.settings, found, later=why.later)
        return HTMLResponse(page, 503 if why.later else 404, PAGE_HEADERS)
    return None if edition is None else HTMLResponse(edition, headers=EDITION_HEADERS)


@router.get(
    "/r/file/{token}",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The report's file.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        **OPEN,
    },
)
def download_sealed_file(token: Token, deployment: Deployment) -> Response:
    """A report that is sealed, opened: where links and downloads redirect to, for a minute."""
    found = file_behind(deployment.database, deployment.settings, token, deployment.now)
    if found is None:
        raise not_found("report")
    try:
        pieces = deployment.files.pieces(found.key)
    except (ObjectMissing, SealBroken):
        raise not_found("report") from None
    headers = {**_ONE_S_OWN, "content-disposition": content_disposition(found.name)}
    return StreamingResponse(pieces, media_type=found.content_type, headers=headers)


#: A file from this host is a file: no browser draws it as one of our pages, and no cache keeps it.
_ONE_S_OWN = {
    "cache-control": "no-store",
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
}


@router.get("/unsubscribe/{token}", response_class=HTMLResponse, responses=problems(400, 422))
def show_unsubscribe_page(token: Token, deployment: Deployment, accept_language: Languages = "") -> Response:
    """The page with the button. Changes nothing: mail scanners open links."""
    page = unsubscribe_page(deployment.database, deployment.settings, token, accept_language)
    return HTMLResponse(page, headers=PAGE_HEADERS)


@router.post("/unsubscribe/{token}", response_class=HTMLResponse, responses=problems(400, 413, 422))
def unsubscribe_by_token(
    token: Token,
    deployment: Deployment,
    accept_language: Languages = "",
    language: Annotated[str, Query(max_length=20, description="Of the page that answers.")] = "",
) -> Response:
    """Unsubscribe by one click (RFC 8058). Doing it again changes nothing."""
    page = unsubscribe(
        deployment.database, deployment.settings, token, deployment.now, language, accept_language
    )
    return HTMLResponse(page, headers=PAGE_HEADERS)


@router.get("/confirm-address/{token}", response_class=HTMLResponse, responses=problems(400, 404, 422, 429))
def show_address_page(
    token: Token, deployment: Deployment, accept: Accepted = "", accept_language: Languages = ""
) -> Response:
    """The page with the button of a changed address. Changes nothing: mail scanners open links."""
    return _about_address(token, deployment, accept, accept_language, address_page)


@router.post(
    "/confirm-address/{token}", response_class=HTMLResponse, responses=problems(400, 404, 413, 422, 429)
)
def confirm_address_by_token(
    token: Token, deployment: Deployment, accept: Accepted = "", accept_language: Languages = ""
) -> Response:
    """The new address says that it is the one. Once: a used, old or withdrawn link is a 404."""
    return _about_address(token, deployment, accept, accept_language, confirm_address)


def _about_address(
    token: str,
    deployment: Context,
    accept: str,
    languages: str,
    act: Callable[[Database, Settings, str, datetime, str], str | None],
) -> Response:
    if is_ours(deployment.settings, token):  # before anything is counted
        deployment.limits.link(sha256(token.encode()).hexdigest()[:32])
        page = act(deployment.database, deployment.settings, token, deployment.now, languages)
        if page is not None:
            return HTMLResponse(page, headers=PAGE_HEADERS)
    return _gone(deployment.settings, accept, languages)


def _gone(settings: Settings, accept: str, languages: str) -> Response:
    if "text/html" in accept:  # a person in a browser
        return HTMLResponse(gone_page(settings, languages), 404, PAGE_HEADERS)
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
