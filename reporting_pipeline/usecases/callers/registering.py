"""Trials, their sites, and organisations as somebody who asks may read, register, change and close them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from reporting_pipeline.domain.access import Action, Resource, ResourceKind, User
from reporting_pipeline.domain.branding import Branding
from reporting_pipeline.domain.entitlements import ALL, Extent
from reporting_pipeline.intake.checking import pointer_of
from reporting_pipeline.stores import organisations, trials
from reporting_pipeline.stores.documents import TrialInvalid
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.stores.objects import ObjectMissing
from reporting_pipeline.stores.organisations import NOT_SEALED
from reporting_pipeline.usecases import branding
from reporting_pipeline.usecases import trials as usecase
from reporting_pipeline.usecases.callers.context import Context, require
from reporting_pipeline.usecases.callers.problems import FieldError, Problem, invalid, not_found
from reporting_pipeline.usecases.callers.shapes.registry import (
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
from reporting_pipeline.usecases.timezones import move_people


def list_trials(deployment: Context, caller: User, limit: int, cursor: str | None) -> TrialPage:
    """The trials open to the caller, closed ones included, by id."""
    require(caller, Action.READ, Resource(ResourceKind.TRIAL, caller.organisation), "trial")
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


def register_trial(deployment: Context, caller: User, body: TrialRequest) -> TrialAnswer:
    """Register a trial. Documents can be taken in from then on."""
    require(caller, Action.CREATE, Resource(ResourceKind.TRIAL, caller.organisation), "trial")
    if caller.entitlements.trials != ALL:
        raise Problem("forbidden", "Only somebody to whom all trials are open may register one.")
    fields = body.model_dump()
    fields["_id"] = fields.pop("id")
    with _refusals():
        record = usecase.register_trial(
            deployment.database, caller.organisation, caller.id, fields, deployment.now
        )
    return _answer(caller, record)


def get_trial(deployment: Context, caller: User, trial_id: str) -> TrialAnswer:
    """One trial."""
    return _answer(caller, _find(deployment, caller, trial_id, Action.READ))


def change_trial(deployment: Context, caller: User, trial_id: str, body: TrialChange) -> TrialAnswer:
    """Put other fields in the place of a trial's own."""
    before = _find(deployment, caller, trial_id, Action.CHANGE)
    with _refusals():
        record = usecase.change_trial(
            deployment.database, before, caller.id, body.model_dump(), deployment.now
        )
    return _answer(caller, record)


def close_trial(deployment: Context, caller: User, trial_id: str) -> TrialAnswer:
    """Close a trial: no document is taken in any more; what was reported stays."""
    before = _find(deployment, caller, trial_id, Action.DELETE)
    return _answer(caller, usecase.close_trial(deployment.database, before, caller.id, deployment.now))


def reopen_trial(deployment: Context, caller: User, trial_id: str) -> TrialAnswer:
    """Open a closed trial again."""
    before = _find(deployment, caller, trial_id, Action.DELETE)
    return _answer(caller, usecase.reopen_trial(deployment.database, before, caller.id, deployment.now))


def list_organisations(deployment: Context, caller: User, limit: int, cursor: str | None) -> OrganisationPage:
    """Every organisation of the deployment, by id; for the home organisation's admins."""
    _require_home(deployment, caller, Action.READ)
    after = deployment.cursors.read("organisations", cursor)
    found = organisations.list_all(deployment.database, after[0] if after else None, limit + 1)
    page = found[:limit]
    return OrganisationPage(
        items=[OrganisationAnswer.of(record) for record in page],
        next_cursor=deployment.cursors.write("organisations", [page[-1]["_id"]])
        if len(found) > limit
        else None,
    )


def register_organisation(deployment: Context, caller: User, body: OrganisationRequest) -> OrganisationAnswer:
    """Register an organisation; for the home organisation's admins."""
    _require_home(deployment, caller, Action.CREATE)
    fields = body.model_dump(mode="json", exclude={"id"})
    record = _saved(deployment, caller, body.id, fields, new=True)
    return OrganisationAnswer.of(record)


def get_organisation(deployment: Context, caller: User, organisation_id: str) -> OrganisationAnswer:
    """One organisation: one's own, or any for the home organisation's admins."""
    if organisation_id == caller.organisation:
        require(caller, Action.READ, Resource(ResourceKind.ORGANISATION, organisation_id), "organisation")
    else:
        _require_home(deployment, caller, Action.READ)
    record = organisations.get(deployment.database, organisation_id)
    if record is None:
        raise not_found("organisation")
    return OrganisationAnswer.of(record)


def change_organisation(
    deployment: Context, caller: User, organisation_id: str, body: OrganisationChange
) -> OrganisationAnswer:
    """Put other fields in the place of an organisation's own; for the home organisation's admins."""
    _require_home(deployment, caller, Action.CHANGE)
    database, now = deployment.database, deployment.now
    before = organisations.get(database, organisation_id)
    moved = None
    if before is not None and body.timezone is not None:
        zones = (organisations.timezone_of(before), body.timezone)
        # Before the record says it, so that a change that was cut off is finished by the next.
        moved = move_people(database, deployment.settings, organisation_id, zones, caller.id, now)
    saved = _saved(deployment, caller, organisation_id, body.model_dump(mode="json"), new=False)
    return OrganisationAnswer.of(saved, moved)


def close_organisation(deployment: Context, caller: User, organisation_id: str) -> OrganisationAnswer:
    """Close an organisation for good: its subscriptions end and its people are deactivated."""
    _require_home(deployment, caller, Action.CHANGE)
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


def logo_of(deployment: Context, caller: User, organisation_id: str) -> bytes:
    """The logo of an organisation whose fields the caller may read, as a JPEG."""
    get_organisation(deployment, caller, organisation_id)
    logo = Branding.of(organisations.get(deployment.database, organisation_id) or {}).logo
    if logo is None:
        raise not_found("logo")
    try:
        return deployment.objects.get(logo.key)
    except ObjectMissing:
        raise not_found("logo") from None


def set_logo(
    deployment: Context, caller: User, organisation_id: str, image: bytes | None
) -> OrganisationAnswer:
    """Put a logo on an organisation's reports, or take it away; for the home organisation's admins."""
    _require_home(deployment, caller, Action.CHANGE)
    try:
        record = branding.set_logo(
            deployment.database,
            deployment.objects,
            organisation_id,
            image,
            caller.id,
            deployment.now,
            home=deployment.settings.organisation,
        )
    except organisations.OrganisationMissing:
        raise not_found("organisation") from None
    except branding.LogoInvalid as error:
        told = str(error)
        raise Problem("validation", f"{told[:1].upper()}{told[1:]}.", [FieldError("#/image", told)]) from None
    return OrganisationAnswer.of(record)


def add_site(deployment: Context, caller: User, trial_id: str, body: Site) -> SiteList:
    """Add a site, or name one anew."""
    before = _find(deployment, caller, trial_id, Action.CHANGE)
    with _refusals():
        record = usecase.put_site(deployment.database, before, caller.id, body.model_dump(), deployment.now)
    return SiteList(items=_answer(caller, record).sites)


def _saved(
    deployment: Context, caller: User, organisation: str, fields: dict[str, object], *, new: bool
) -> Record:
    if fields.get("sealing", NOT_SEALED) != NOT_SEALED and deployment.files.ring is None:
        raise invalid("#/sealing", "the deployment names no REPORTING_SEAL_SECRET to seal with")
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


def _require_home(deployment: Context, caller: User, action: Action) -> None:
    require(caller, action, Resource(ResourceKind.ORGANISATION, caller.organisation), "organisation")
    if caller.organisation != deployment.settings.organisation:
        raise Problem("forbidden", "Only the home organisation of this deployment may do this.")


def _find(deployment: Context, caller: User, trial: str, action: Action) -> Record:
    record = trials.get_trial(deployment.database, caller.organisation, trial)
    if record is None or not caller.entitlements.covers_trial(trial):
        raise not_found("trial")
    # Who sees a part of a trial may read of it, and changes nothing that is the whole trial's.
    shown = Extent() if action is Action.READ else Extent({trial: None}, rows_alone=True)
    require(caller, action, Resource(ResourceKind.TRIAL, caller.organisation, extent=shown), "trial")
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
