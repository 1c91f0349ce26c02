"""Health, metrics, the links in mails, and the mail provider's events: no bearer token."""

from __future__ import annotations

import hmac
import logging

import pymongo
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from pymongo.errors import PyMongoError

from reporting_pipeline.api.deps import Deployment
from reporting_pipeline.api.models.base import problems
from reporting_pipeline.api.models.operations import Health, Readiness
from reporting_pipeline.operations.metrics import exposition
from reporting_pipeline.stores.mongo import server_time
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.problems import Problem

log = logging.getLogger(__name__)

router = APIRouter(tags=["service"])

STORE_TIMEOUT_SECONDS = 2
SCRAPE_TIMEOUT_SECONDS = 8  # Prometheus waits ten


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
    try:
        with pymongo.timeout(SCRAPE_TIMEOUT_SECONDS):
            # By the clock that signs of life go by: this machine's may be off, and every age with it.
            now = server_time(deployment.database)
            text = exposition(deployment.database, deployment.settings, now)
    except PyMongoError as error:
        log.warning("MongoDB does not answer for the metrics: %s", type(error).__name__)
        raise Problem("unavailable", "Try again in a moment.", headers={"Retry-After": "5"}) from None
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
    if deployment.objects.answers(STORE_TIMEOUT_SECONDS):
        return True
    log.warning("S3 does not answer")
    return False
