"""Trials, their sites, and organisations: registered, changed, closed."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Response

from reporting_pipeline.api.deps import Caller, Deployment, may
from reporting_pipeline.api.models.base import READ, WRITE, located
from reporting_pipeline.api.pagination import Cursor, Limit
from reporting_pipeline.domain.access import Action, ResourceKind
from reporting_pipeline.usecases.callers import registering
from reporting_pipeline.usecases.callers.shapes.base import Identifier
from reporting_pipeline.usecases.callers.shapes.registry import (
    LogoRequest,
    OrganisationAnswer,
    OrganisationChange,
    OrganisationPage,
    OrganisationRequest,
    Site,
    SiteList,
    TrialAnswer,
    TrialChange,
    TrialPage,
    TrialRequest,
)

router = APIRouter(prefix="/api", tags=["trials"])

TrialId = Annotated[Identifier, Path(examples=["CDISCPILOT01"])]
OrganisationId = Annotated[Identifier, Path(examples=["default"])]


@router.get("/trials", responses=READ, dependencies=[may(Action.READ, ResourceKind.TRIAL)])
def list_trials(
    caller: Caller, deployment: Deployment, limit: Limit = 50, cursor: Cursor = None
) -> TrialPage:
    """The trials open to the caller, closed ones included, by id."""
    return registering.list_trials(deployment, caller, limit, cursor)


@router.post(
    "/trials",
    status_code=201,
    responses={**located(201), **WRITE},
    dependencies=[may(Action.CREATE, ResourceKind.TRIAL)],
)
def register_trial(
    body: TrialRequest, caller: Caller, deployment: Deployment, response: Response
) -> TrialAnswer:
    """Register a trial. Documents can be taken in from then on."""
    answer = registering.register_trial(deployment, caller, body)
    response.headers["Location"] = f"/api/trials/{quote(body.id, safe='')}"
    return answer


@router.get("/trials/{trial_id}", responses=READ, dependencies=[may(Action.READ, ResourceKind.TRIAL)])
def get_trial(trial_id: TrialId, caller: Caller, deployment: Deployment) -> TrialAnswer:
    """One trial."""
    return registering.get_trial(deployment, caller, trial_id)


@router.put("/trials/{trial_id}", responses=WRITE, dependencies=[may(Action.CHANGE, ResourceKind.TRIAL)])
def change_trial(trial_id: TrialId, body: TrialChange, caller: Caller, deployment: Deployment) -> TrialAnswer:
    """Put other fields in the place of a trial's own."""
    return registering.change_trial(deployment, caller, trial_id, body)


@router.post(
    "/trials/{trial_id}/close", responses=WRITE, dependencies=[may(Action.DELETE, ResourceKind.TRIAL)]
)
def close_trial(trial_id: TrialId, caller: Caller, deployment: Deployment) -> TrialAnswer:
    """Close a trial: no document is taken in any more; what was reported stays."""
    return registering.close_trial(deployment, caller, trial_id)


@router.post(
    "/trials/{trial_id}/reopen", responses=WRITE, dependencies=[may(Action.DELETE, ResourceKind.TRIAL)]
)
def reopen_trial(trial_id: TrialId, caller: Caller, deployment: Deployment) -> TrialAnswer:
    """Open a closed trial again."""
    return registering.reopen_trial(deployment, caller, trial_id)


@router.get("/trials/{trial_id}/sites", responses=READ, dependencies=[may(Action.READ, ResourceKind.TRIAL)])
def list_sites(trial_id: TrialId, caller: Caller, deployment: Deployment) -> SiteList:
    """The trial's sites that are open to the caller."""
    return SiteList(items=registering.get_trial(deployment, caller, trial_id).sites)


@router.post(
    "/trials/{trial_id}/sites",
    status_code=201,
    responses=WRITE,
    dependencies=[may(Action.CHANGE, ResourceKind.TRIAL)],
)
def add_site(trial_id: TrialId, body: Site, caller: Caller, deployment: Deployment) -> SiteList:
    """Add a site, or name one anew."""
    return registering.add_site(deployment, caller, trial_id, body)


# --- organisations -------------------------------------------------------------------------------


@router.get("/organisations", responses=READ, dependencies=[may(Action.READ, ResourceKind.ORGANISATION)])
def list_organisations(
    caller: Caller, deployment: Deployment, limit: Limit = 50, cursor: Cursor = None
) -> OrganisationPage:
    """Every organisation of the deployment, by id; for the home organisation's admins."""
    return registering.list_organisations(deployment, caller, limit, cursor)


@router.post(
    "/organisations",
    status_code=201,
    responses={**located(201), **WRITE},
    dependencies=[may(Action.CREATE, ResourceKind.ORGANISATION)],
)
def register_organisation(
    body: OrganisationRequest, caller: Caller, deployment: Deployment, response: Response
) -> OrganisationAnswer:
    """Register an organisation; for the home organisation's admins."""
    answer = registering.register_organisation(deployment, caller, body)
    response.headers["Location"] = f"/api/organisations/{quote(body.id, safe='')}"
    return answer


@router.get(
    "/organisations/{organisation_id}",
    responses=READ,
    dependencies=[may(Action.READ, ResourceKind.ORGANISATION)],
)
def get_organisation(
    organisation_id: OrganisationId, caller: Caller, deployment: Deployment
) -> OrganisationAnswer:
    """One organisation: one's own, or any for the home organisation's admins."""
    return registering.get_organisation(deployment, caller, organisation_id)


@router.put(
    "/organisations/{organisation_id}",
    responses=WRITE,
    dependencies=[may(Action.CHANGE, ResourceKind.ORGANISATION)],
)
def change_organisation(
    organisation_id: OrganisationId, body: OrganisationChange, caller: Caller, deployment: Deployment
) -> OrganisationAnswer:
    """Put other fields in the place of an organisation's own; for the home organisation's admins."""
    return registering.change_organisation(deployment, caller, organisation_id, body)


@router.put(
    "/organisations/{organisation_id}/logo",
    responses=WRITE,
    dependencies=[may(Action.CHANGE, ResourceKind.ORGANISATION)],
)
def set_logo(
    organisation_id: OrganisationId, body: LogoRequest, caller: Caller, deployment: Deployment
) -> OrganisationAnswer:
    """Put a logo on an organisation's reports; for the home organisation's admins."""
    return registering.set_logo(deployment, caller, organisation_id, body.image)


@router.delete(
    "/organisations/{organisation_id}/logo",
    responses=WRITE,
    dependencies=[may(Action.CHANGE, ResourceKind.ORGANISATION)],
)
def remove_logo(
    organisation_id: OrganisationId, caller: Caller, deployment: Deployment
) -> OrganisationAnswer:
    """Take the logo off an organisation's reports; for the home organisation's admins."""
    return registering.set_logo(deployment, caller, organisation_id, None)


@router.post(
    "/organisations/{organisation_id}/close",
    responses=WRITE,
    dependencies=[may(Action.CHANGE, ResourceKind.ORGANISATION)],
)
def close_organisation(
    organisation_id: OrganisationId, caller: Caller, deployment: Deployment
) -> OrganisationAnswer:
    """Close an organisation for good: its subscriptions end and its people are deactivated."""
    return registering.close_organisation(deployment, caller, organisation_id)
