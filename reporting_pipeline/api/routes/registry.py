"""Trials, their sites, and organisations: registered, changed, closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Response

from reporting_pipeline.api.deps import Caller, Context, Deployment, may, require
from reporting_pipeline.api.errors import FieldError, Problem, not_found
from reporting_pipeline.api.models.base import READ, WRITE, Identifier
from reporting_pipeline.api.models.registry import (
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
from reporting_pipeline.api.pagination import Cursor, Limit
from reporting_pipeline.domain.access import Action, Kind, Resource, User
from reporting_pipeline.domain.entitlements import ALL, Extent
from reporting_pipeline.intake.checking import pointer_of
from reporting_pipeline.stores import organisations, trials
from reporting_pipeline.stores.documents import TrialInvalid
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.usecases import trials as usecase

router = APIRouter(prefix="/api", tags=["trials"])

TrialId = Annotated[Identifier, Path(examples=["CDISCPILOT01"])]
OrganisationId = Annotated[Identifier, Path(examples=["default"])]


@router.get("/trials", responses=READ, dependencies=[may(Action.READ, Kind.TRIAL)])
def list_trials(
    caller: Caller, deployment: Deployment, limit: Limit = 50, cursor: Cursor = None
) -> TrialPage:
    """The trials open to the caller, closed ones included, by id."""
    scope = f"trials:{caller.organisation}"
    after = deployment.cursors.read(scope, cursor)
    own = caller.entitlements.trials
    if own != ALL and not own:
        return TrialPage(items=[])
    found = trials.list_trials(
        deployment.database,
        caller.organisation,
        () if own == ALL else own,
        after[0] if after else None,
        limit + 1,
    )
    page = found[:limit]
    return TrialPage(
        items=[_answer(caller, record) for record in page],
        next_cursor=deployment.cursors.write(scope, [page[-1]["_id"]]) if len(found) > limit else None,
    )


@router.post("/trials", status_code=201, responses=WRITE, dependencies=[may(Action.CREATE, Kind.TRIAL)])
def register_trial(
    body: TrialRequest, caller: Caller, deployment: Deployment, response: Response
) -> TrialAnswer:
    """Register a trial. Documents can be taken in from then on."""
    if caller.entitlements.trials != ALL:
        raise Problem("forbidden", "Only somebody to whom all trials are open may register one.")
    fields = body.model_dump()
    fields["_id"] = fields.pop("id")
    with _refusals():
        record = usecase.register_trial(
            deployment.database, caller.organisation, caller.id, fields, deployment.now
        )
    response.headers["Location"] = f"/api/trials/{quote(body.id, safe='')}"
    return _answer(caller, record)


@router.get("/trials/{trial_id}", responses=READ, dependencies=[may(Action.READ, Kind.TRIAL)])
def get_trial(trial_id: TrialId, caller: Caller, deployment: Deployment) -> TrialAnswer:
    """One trial."""
    return _answer(caller, _find(deployment, caller, trial_id, Action.READ))


@router.put("/trials/{trial_id}", responses=WRITE, dependencies=[may(Action.CHANGE, Kind.TRIAL)])
def change_trial(trial_id: TrialId, body: TrialChange, caller: Caller, deployment: Deployment) -> TrialAnswer:
    """Put other fields in the place of a trial's own."""
    before = _find(deployment, caller, trial_id, Action.CHANGE)
    with _refusals():
        record = usecase.change_trial(
            deployment.database, before, caller.id, body.model_dump(), deployment.now
        )
    return _answer(caller, record)


@router.post("/trials/{trial_id}/close", responses=WRITE, dependencies=[may(Action.DELETE, Kind.TRIAL)])
def close_trial(trial_id: TrialId, caller: Caller, deployment: Deployment) -> TrialAnswer:
    """Close a trial: no document is taken in any more; what was reported stays."""
    before = _find(deployment, caller, trial_id, Action.DELETE)
    return _answer(caller, usecase.close_trial(deployment.database, before, caller.id, deployment.now))


@router.post("/trials/{trial_id}/reopen", responses=WRITE, dependencies=[may(Action.DELETE, Kind.TRIAL)])
def reopen_trial(trial_id: TrialId, caller: Caller, deployment: Deployment) -> TrialAnswer:
    """Open a closed trial again."""
    before = _find(deployment, caller, trial_id, Action.DELETE)
    return _answer(caller, usecase.reopen_trial(deployment.database, before, caller.id, deployment.now))


@router.get("/trials/{trial_id}/sites", responses=READ, dependencies=[may(Action.READ, Kind.TRIAL)])
def list_sites(trial_id: TrialId, caller: Caller, deployment: Deployment) -> SiteList:
    """The trial's sites that are open to the caller."""
    return SiteList(items=_answer(caller, _find(deployment, caller, trial_id, Action.READ)).sites)


@router.post(
    "/trials/{trial_id}/sites",
    status_code=201,
    responses=WRITE,
    dependencies=[may(Action.CHANGE, Kind.TRIAL)],
)
def add_site(trial_id: TrialId, body: Site, caller: Caller, deployment: Deployment) -> SiteList:
    """Add a site, or name one anew."""
    before = _find(deployment, caller, trial_id, Action.CHANGE)
    others = [site for site in before.get("sites", []) if site["id"] != body.id]
    with _refusals():
        record = usecase.change_trial(
            deployment.database, before, caller.id, {"sites": [*others, body.model_dump()]}, deployment.now
        )
    return SiteList(items=_answer(caller, record).sites)


# --- organisations -------------------------------------------------------------------------------


@router.get("/organisations", responses=READ, dependencies=[may(Action.READ, Kind.ORGANISATION)])
def list_organisations(
    caller: Caller, deployment: Deployment, limit: Limit = 50, cursor: Cursor = None
) -> OrganisationPage:
    """Every organisation of the deployment, by id; for the home organisation's admins."""
    _require_home(deployment, caller)
    after = deployment.cursors.read("organisations", cursor)
    found = organisations.list_all(deployment.database, after[0] if after else None, limit + 1)
    page = found[:limit]
    return OrganisationPage(
        items=[OrganisationAnswer.of(record) for record in page],
        next_cursor=deployment.cursors.write("organisations", [page[-1]["_id"]])
        if len(found) > limit
        else None,
    )


@router.post(
    "/organisations",
    status_code=201,
    responses=WRITE,
    dependencies=[may(Action.CREATE, Kind.ORGANISATION)],
)
def register_organisation(
    body: OrganisationRequest, caller: Caller, deployment: Deployment, response: Response
) -> OrganisationAnswer:
    """Register an organisation; for the home organisation's admins."""
    _require_home(deployment, caller)
    fields = body.model_dump(mode="json", exclude={"id"})
    record = _saved(deployment, caller, body.id, fields, new=True)
    response.headers["Location"] = f"/api/organisations/{quote(body.id, safe='')}"
    return OrganisationAnswer.of(record)


@router.get(
    "/organisations/{organisation_id}", responses=READ, dependencies=[may(Action.READ, Kind.ORGANISATION)]
)
def get_organisation(
    organisation_id: OrganisationId, caller: Caller, deployment: Deployment
) -> OrganisationAnswer:
    """One organisation: one's own, or any for the home organisation's admins."""
    if organisation_id != caller.organisation:
        _require_home(deployment, caller)
    record = organisations.get(deployment.database, organisation_id)
    if record is None:
        raise not_found("organisation")
    return OrganisationAnswer.of(record)


@router.put(
    "/organisations/{organisation_id}",
    responses=WRITE,
    dependencies=[may(Action.CHANGE, Kind.ORGANISATION)],
)
def change_organisation(
    organisation_id: OrganisationId, body: OrganisationChange, caller: Caller, deployment: Deployment
) -> OrganisationAnswer:
    """Put other fields in the place of an organisation's own; for the home organisation's admins."""
    _require_home(deployment, caller)
    return OrganisationAnswer.of(
        _saved(deployment, caller, organisation_id, body.model_dump(mode="json"), new=False)
    )


@router.post(
    "/organisations/{organisation_id}/close",
    responses=WRITE,
    dependencies=[may(Action.CHANGE, Kind.ORGANISATION)],
)
def close_organisation(
    organisation_id: OrganisationId, caller: Caller, deployment: Deployment
) -> OrganisationAnswer:
    """Close an organisation for good: its subscriptions end and its people are deactivated."""
    _require_home(deployment, caller)
    home = deployment.settings.organisation
    try:
        record = usecase.close_organisation(
            deployment.database, organisation_id, caller.id, deployment.now, home=home
        )
    except organisations.OrganisationMissing:
        raise not_found("organisation") from None
    except ValueError as error:
        raise Problem("conflict", f"{str(error).capitalize()}.") from None
    return OrganisationAnswer.of(record)


def _saved(
    deployment: Context, caller: User, organisation: str, fields: dict[str, object], *, new: bool
) -> Record:
    with _refusals():
        return usecase.save_organisation(
            deployment.database,
            organisation,
            caller.id,
            fields,
            deployment.now,
            home=deployment.settings.organisation,
            new=new,
        )


def _require_home(deployment: Context, caller: User) -> None:
    if caller.organisation != deployment.settings.organisation:
        raise Problem("forbidden", "Only the home organisation of this deployment may do this.")


# --- shared --------------------------------------------------------------------------------------


def _find(deployment: Context, caller: User, trial: str, action: Action) -> Record:
    record = trials.get_trial(deployment.database, caller.organisation, trial)
    if record is None or not caller.entitlements.covers_trial(trial):
        raise not_found("trial")
    # Who sees a part of a trial may read of it, and changes nothing that is the whole trial's.
    shown = Extent() if action is Action.READ else Extent({trial: None})
    require(caller, action, Resource(Kind.TRIAL, caller.organisation, extent=shown), "trial")
    return record


def _answer(caller: User, record: Record) -> TrialAnswer:
    return TrialAnswer.of(record, caller.entitlements.sites_of(record["_id"]))


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (trials.TrialExists, organisations.OrganisationExists) as error:
        raise Problem("conflict", f"{error}.") from None
    except organisations.OrganisationMissing:
        raise not_found("organisation") from None
    except organisations.OrganisationInvalid as error:
        found = [FieldError(pointer_of(*path), told) for path, told in error.problems]
        raise Problem("validation", str(error)[:500], found) from None
    except TrialInvalid as error:
        named = str(error).partition(":")[0].replace("_id", "id")
        found = [FieldError(pointer_of(*named.split(".")), str(error))]
        raise Problem("validation", str(error)[:500], found) from None
