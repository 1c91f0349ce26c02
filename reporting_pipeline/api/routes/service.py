"""Health, metrics, the links in mails, and the mail provider's events: no bearer token."""

from __future__ import annotations

import hmac
import logging

import pymongo
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from pymongo.errors import PyMongoError

from reporting_pipeline.api.deps import Context, Deployment
from reporting_pipeline.api.errors import Problem
from reporting_pipeline.api.models.base import problems
from reporting_pipeline.api.models.operations import Health, Readiness
from reporting_pipeline.operations.metrics import exposition

log = logging.getLogger(__name__)

router = APIRouter(tags=["service"])

STORE_TIMEOUT_SECONDS = 3


@router.get("/healthz")
def health() -> Health:
    """The process answers. Says nothing about the stores."""
    return Health(status="ok")


@router.get("/readyz", responses={503: {"model": Readiness, "description": "A store does not answer."}})
def readiness(deployment: Deployment, response: Response) -> Readiness:
    """The stores answer: send requests here."""
    stores = {"mongodb": _mongodb(deployment), "s3": _s3(deployment)}
    ready = all(stores.values())
    response.status_code = 200 if ready else 503
    return Readiness(
        status="ready" if ready else "unready",
        stores={name: "ok" if good else "failing" for name, good in stores.items()},
    )


@router.get("/metrics", response_class=PlainTextResponse, responses=problems(401))
def metrics(request: Request, deployment: Deployment) -> Response:
    """Figures for Prometheus, from the stores: the same from every worker.

    Needs the bearer token REPORTING_METRICS_TOKEN where that is set.
    """
    token = deployment.settings.metrics_token
    if token is not None:
        expected = f"Bearer {token.get_secret_value()}".encode()
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected):
            raise Problem("unauthenticated", "Metrics need their own token.")
    text = exposition(deployment.database, deployment.settings, deployment.now)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _mongodb(deployment: Context) -> bool:
    try:
        with pymongo.timeout(STORE_TIMEOUT_SECONDS):
            deployment.database.command("ping")
    except PyMongoError:
        log.warning("MongoDB does not answer")
        return False
    return True


def _s3(deployment: Context) -> bool:
    try:
        deployment.objects.client.head_bucket(Bucket=deployment.objects.bucket)
    except (BotoCoreError, ClientError):
        log.warning("S3 does not answer")
        return False
    return True
