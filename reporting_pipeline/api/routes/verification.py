"""Whether a report is genuine: the page behind its square code, the keys, its signed manifest."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from reporting_pipeline.api.deps import Caller, Deployment, may
from reporting_pipeline.api.models.base import READ, problems
from reporting_pipeline.api.models.verification import Verified
from reporting_pipeline.delivery.links.pages import PAGE_HEADERS
from reporting_pipeline.delivery.links.verification import (
    DIGEST,
    NO_DIGEST,
    NOTHING_SENT,
    UNREADABLE,
    Verification,
    verification_page,
    verify_code,
    written_code,
)
from reporting_pipeline.domain.access import Action, ResourceKind
from reporting_pipeline.domain.proof import PAYLOAD_TYPE, key_set
from reporting_pipeline.stores.proof_keys import signing_keys
from reporting_pipeline.stores.reports import envelope_of
from reporting_pipeline.usecases.callers.context import Context, scoped
from reporting_pipeline.usecases.callers.problems import invalid, not_found

router = APIRouter(tags=["service"])
_READ_AT_ONCE = 1 << 20
_KEY_NAME = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
_KEYS = {
    "keys": [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "use": "sig",
            "alg": "EdDSA",
            "kid": _KEY_NAME,
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }
    ]
}
_MANIFEST = {
    "payloadType": PAYLOAD_TYPE,
    "payload": "eyJyZXBvcnQiOiJyZXBfMGExYjJjIn0=",
    "signatures": [{"keyid": _KEY_NAME, "sig": "3q2+7w=="}],
}

Code = Annotated[
    str, Path(min_length=1, max_length=64, description="As printed.", examples=["k7q2m4tzw6xa5b3c"])
]
Languages = Annotated[str, Header(alias="Accept-Language", max_length=1000)]
ReportId = Annotated[str, Path(pattern=r"^rep_[0-9a-f]{20}$", examples=["rep_0a1b2c3d4e5f60718293"])]


@router.get("/v/{code}", responses={200: {"content": {"text/html": {}}}, **problems(400, 404, 422, 429)})
def verify_report(
    code: Code,
    deployment: Deployment,
    accept: Annotated[str, Header(max_length=1000)] = "",
    accept_language: Languages = "",
) -> Verified:
    """Whether a report with this code was made here and still stands. No content, no name, no sign-in.

    A page for a browser, JSON for everybody else.
    """
    return _answer(code, _looked_up(deployment, code, None), accept, accept_language)


@router.post(
    "/v/{code}",
    responses={200: {"content": {"text/html": {}}}, **problems(400, 404, 413, 415, 422, 429)},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "file": {"type": "string", "format": "binary"},
                            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                        },
                    },
                    "example": {"sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
                }
            },
        }
    },
)
async def compare_report(
    code: Code,
    request: Request,
    deployment: Deployment,
    accept: Annotated[str, Header(max_length=1000)] = "",
    accept_language: Languages = "",
) -> Verified:
    """Compare a file, or its SHA-256, with the report of the code. Nothing of it is kept."""
    # Before the body is read: whoever has no code sends us no file.
    found = await run_in_threadpool(_looked_up, deployment, code, None)
    if found is None:
        return _answer(code, None, accept, accept_language)
    try:
        digest = await _digest_sent(request)
    except ValueError as error:
        if "text/html" in accept:
            page = verification_page(written_code(code) or "", found, str(error), accept_language)
            return HTMLResponse(page, 422, PAGE_HEADERS)  # type: ignore[return-value]
        raise invalid("#/file", str(error)) from None
    compared = await run_in_threadpool(verify_code, deployment.database, written_code(code) or "", digest)
    return _answer(code, compared, accept, accept_language)


@router.get(
    "/.well-known/report-keys.json",
    response_class=JSONResponse,
    responses={200: {"content": {"application/json": {"example": _KEYS}}}},
)
def report_keys(deployment: Deployment) -> dict[str, Any]:
    """The public keys that manifests of reports are verified with: a JSON Web Key Set (Ed25519)."""
    return key_set(signing_keys(deployment.settings).public)


@router.get(
    "/api/report-manifests/{report_id}",
    responses={200: {"content": {"application/json": {"example": _MANIFEST}}}, **READ},
    response_class=JSONResponse,
    dependencies=[may(Action.READ, ResourceKind.REPORT)],
)
def report_manifest(report_id: ReportId, caller: Caller, deployment: Deployment) -> Response:
    """The signed manifest of a report as it stands: what it was made from, to be verified."""
    report = scoped(deployment, caller).report(report_id)
    envelope = envelope_of(report.__dict__) if report else None
    if report is None or envelope is None:
        raise not_found("manifest")
    name = f'attachment; filename="{report.id}.manifest.json"'
    return Response(envelope.written(), media_type="application/json", headers={"Content-Disposition": name})


def _looked_up(deployment: Context, code: str, digest: str | None) -> Verification | None:
    written = written_code(code)
    if written is None:
        return None  # nothing is looked up, and nothing counted, for what cannot be a code
    found = verify_code(deployment.database, written, digest)
    # Those that are known each have a count of their own; all others share one.
    deployment.limits.verification(sha256(written.encode()).hexdigest()[:32] if found else None)
    return found


async def _digest_sent(request: Request) -> str:
    """The SHA-256 of the file that was sent, or the one that was written. ValueError says what is wrong."""
    try:
        async with request.form(max_files=1, max_fields=4) as form:
            file, written = form.get("file"), str(form.get("sha256") or "").strip().lower()
            if isinstance(file, UploadFile) and file.size:
                if written:
                    raise ValueError("send the file or its SHA-256, not both")
                digest = sha256()
                while part := await file.read(_READ_AT_ONCE):
                    digest.update(part)
                return digest.hexdigest()
    except (MultiPartException, HTTPException) as error:
        if isinstance(error, HTTPException) and error.status_code != 400:
            raise  # too large
        raise ValueError(UNREADABLE) from None
    if not written:
        raise ValueError(NOTHING_SENT)
    if not DIGEST.fullmatch(written):
        raise ValueError(NO_DIGEST)
    return written


def _answer(code: str, found: Verification | None, accept: str, languages: str) -> Verified:
    if "text/html" in accept:
        page = verification_page(written_code(code) or "", found, browser=languages)
        return HTMLResponse(page, 200 if found else 404, PAGE_HEADERS)  # type: ignore[return-value]
    if found is None:
        raise not_found("report")
    return Verified(standing=found.standing, since=found.since, same_file=found.same)
