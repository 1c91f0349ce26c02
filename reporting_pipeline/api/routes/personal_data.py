"""What is kept about a user: to take along, and to erase."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Response

from reporting_pipeline.api.deps import Caller, Deployment, may
from reporting_pipeline.api.models.base import READ, WRITE
from reporting_pipeline.api.routes.people import UserId
from reporting_pipeline.domain.access import Action, ResourceKind
from reporting_pipeline.domain.user_changes import refused_erasure
from reporting_pipeline.stores import audit, idempotency, personal_data, registrations
from reporting_pipeline.usecases.callers.context import asked_again
from reporting_pipeline.usecases.callers.people import find_user
from reporting_pipeline.usecases.callers.problems import Problem

router = APIRouter(prefix="/api", tags=["operations"])


class ZipResponse(Response):
    media_type = "application/zip"


@router.get(
    "/users/{user_id}/export",
    response_class=ZipResponse,
    responses={
        200: {
            "description": "A zip: a JSON file per kind of record, and the user's reports.",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        },
        **READ,
    },
    dependencies=[may(Action.EXPORT, ResourceKind.USER)],
)
def export_user(user_id: UserId, caller: Caller, deployment: Deployment) -> Response:
    """All that is kept about a user, as a zip of JSON files and their reports."""
    found = find_user(deployment, caller, user_id, Action.EXPORT)
    archive = personal_data.export_user(
        deployment.database,
        deployment.objects,
        user_id,
        deployment.now,
        caller,
        deployment.files.ring,
    )
    # Reading all files takes seconds, and a right may end meanwhile.
    asked_again(deployment, caller, "the files were read")
    asked_again(deployment, found, "the files were read", "Their")
    audit.record(
        deployment.database,
        audit.AuditAction.USER_EXPORTED,
        caller.id,
        user_id,
        deployment.now,
        organisation=found.organisation,
    )
    return ZipResponse(archive, headers={"Content-Disposition": f'attachment; filename="{user_id}.zip"'})


@router.delete(
    "/users/{user_id}",
    status_code=204,
    responses=WRITE,
    dependencies=[may(Action.ERASE, ResourceKind.USER)],
)
def erase_user(user_id: UserId, caller: Caller, deployment: Deployment) -> None:
    """Erase a user: subscriptions end, personal data goes from every collection and object."""
    found = find_user(deployment, caller, user_id, Action.ERASE)
    refusal = refused_erasure(caller, found)
    if refusal is not None:
        raise Problem("forbidden", f"{refusal.capitalize()}.")
    registrations.forget_user(deployment.database, found.organisation, user_id)
    idempotency.forget_principal(deployment.database, user_id)
    personal_data.forget_mails(
        deployment.settings.outbox, personal_data.addresses_of(deployment.database, user_id)
    )
    erased = personal_data.erase_user(deployment.database, deployment.objects, user_id, deployment.now)
    audit.record(
        deployment.database,
        audit.AuditAction.USER_ERASED,
        caller.id,
        user_id,
        deployment.now,
        organisation=found.organisation,
        details=asdict(erased),
    )
