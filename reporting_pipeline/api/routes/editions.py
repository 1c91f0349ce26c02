"""Editions: open one, follow it, and take an outside worker's word on its state."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from reporting_pipeline.api.deps import Caller, Deployment, may
from reporting_pipeline.api.models.base import READ, WRITE, located
from reporting_pipeline.api.models.editions import (
    EDITION_PATTERN,
    EditionAnswer,
    EditionPage,
    EditionRequest,
    ResultChange,
    StateChange,
)
from reporting_pipeline.api.models.subscriptions import ReportType
from reporting_pipeline.api.pagination import Cursor, Limit
from reporting_pipeline.domain.access import Action, ResourceKind, User
from reporting_pipeline.domain.editions import Edition, result_key
from reporting_pipeline.domain.jobs import EditionState
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.stores import audit, editions, users
from reporting_pipeline.stores.jobs.plan import OPENED_BY_SCHEDULE
from reporting_pipeline.usecases import editions as usecase
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.problems import Problem, invalid, not_found

router = APIRouter(prefix="/api/reports", tags=["editions"])

EditionId = Annotated[str, Path(pattern=EDITION_PATTERN, examples=["weekly:2026-11-16"])]


@router.post(
    "",
    status_code=201,
    responses={**located(201), **WRITE},
    dependencies=[may(Action.CREATE, ResourceKind.EDITION)],
)
def open_edition(
    caller: Caller, deployment: Deployment, response: Response, body: EditionRequest | None = None
) -> EditionAnswer:
    """Open the edition of a period that is over; the sensors make its reports.

    An edition that was opened already is a 409 with the one that stands, unless `force` is true.
    """
    _require_home(deployment, caller)
    body = body or EditionRequest()
    if body.force:
        require_whole(caller, "make an edition again")
    cadence = Cadence(body.report_type)
    try:
        edition = usecase.open_edition(
            deployment.database,
            deployment.settings,
            cadence,
            body.period,
            caller.id,
            caller.organisation,
            deployment.now,
            force=body.force,
        )
    except (ValueError, OverflowError) as error:
        raise invalid("#/period", str(error)) from None
    except editions.EditionExists as error:
        existing = edition_answer(deployment, caller, error.edition)
        raise Problem(
            "edition-exists",
            f"Edition {error.edition.id} is {error.edition.state}; send force to make it again.",
            existing=existing.model_dump(mode="json", by_alias=True),
        ) from None
    response.headers["Location"] = f"/api/reports/{edition.id}"
    return edition_answer(deployment, caller, edition)


@router.get("", responses=READ, dependencies=[may(Action.READ, ResourceKind.EDITION)])
def list_editions(
    caller: Caller,
    deployment: Deployment,
    report_type: Annotated[ReportType | None, Query(alias="reportType")] = None,
    state: EditionState | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> EditionPage:
    """Editions, newest period first, with the jobs of the caller's organisation by state."""
    scope = f"editions:{report_type}:{state}"
    after = deployment.cursors.read(scope, cursor)
    cadence = Cadence(report_type) if report_type else None
    found = editions.list_editions(
        deployment.database, cadence, state, (after[0], after[1]) if after else None, limit + 1
    )
    page = found[:limit]
    more = len(found) > limit
    return EditionPage(
        items=[edition_answer(deployment, caller, edition) for edition in page],
        next_cursor=deployment.cursors.write(scope, (page[-1].period, page[-1].id)) if more else None,
    )


@router.get("/{edition_id}", responses=READ, dependencies=[may(Action.READ, ResourceKind.EDITION)])
def get_edition(edition_id: EditionId, caller: Caller, deployment: Deployment) -> EditionAnswer:
    """One edition: state, counts by job state, progress."""
    return edition_answer(deployment, caller, find_edition(deployment, edition_id))


@router.patch(
    "/{edition_id}/state", responses=WRITE, dependencies=[may(Action.SET_STATE, ResourceKind.EDITION)]
)
def set_edition_state(
    edition_id: EditionId, body: StateChange, caller: Caller, deployment: Deployment
) -> EditionAnswer:
    """The state, by an outside worker. A change that is not legal is a 409."""
    _require_home(deployment, caller)
    database, now = deployment.database, deployment.now
    try:
        if body.state in ("started", "running"):
            edition = editions.set_started(database, edition_id, now)
        else:
            edition = editions.set_state(database, edition_id, EditionState(body.state), now, body.reason)
    except editions.EditionMissing:
        raise not_found("edition") from None
    except editions.IllegalTransition as error:
        raise Problem("illegal-transition", f"{str(error).capitalize()}.") from None
    _note(deployment, caller, edition, state=edition.state.value)
    return edition_answer(deployment, caller, edition)


@router.patch(
    "/{edition_id}/result", responses=WRITE, dependencies=[may(Action.SET_STATE, ResourceKind.EDITION)]
)
def set_edition_result(
    edition_id: EditionId, body: ResultChange, caller: Caller, deployment: Deployment
) -> EditionAnswer:
    """What an outside worker made of the edition. A failed edition takes no result (409).

    With a `path`, whose file must stand (422), the first result also starts the sending, as
    `POST /api/reports/emails/send/{reportId}` does; another one only replaces what is told.
    """
    _require_home(deployment, caller)
    path = None if body.path is None else _result_key(deployment, edition_id, body.path)
    result = body.model_dump(by_alias=True, exclude={"path"})
    try:
        edition = editions.set_result(deployment.database, edition_id, result, path)
    except editions.EditionMissing:
        raise not_found("edition") from None
    except editions.IllegalTransition:
        raise Problem(
            "illegal-transition", f"Edition {edition_id} has failed; open it again first."
        ) from None
    _note(deployment, caller, edition, result=True)
    if path is not None and edition.sending_at is None:
        usecase.send(deployment.database, edition.id, caller.organisation, caller.id, deployment.now)
        # Only now: a start that was cut off is made good by the next result, and nobody is sent it twice.
        editions.note_sending(deployment.database, edition.id, deployment.now)
        edition = find_edition(deployment, edition_id)
    return edition_answer(deployment, caller, edition)


def _result_key(deployment: Context, edition_id: str, path: str) -> str:
    """The key that `path` names; a 422 where that is no file of this edition's result."""
    find_edition(deployment, edition_id)
    try:
        key = result_key(edition_id, path, deployment.objects.bucket)
    except ValueError as error:
        raise invalid("#/path", str(error)) from None
    if not deployment.objects.exists(key):
        raise invalid("#/path", "there is no such file; put it there first")
    return key


def _require_home(deployment: Context, caller: User) -> None:
    """An edition is shared: what changes it for everybody is for the deployment's own organisation."""
    if caller.organisation != deployment.settings.organisation:
        raise Problem("forbidden", "Only the organisation that runs this deployment may do this.")


def require_whole(caller: User, deed: str) -> None:
    """What makes or sends everybody's reports anew is for those to whom all of them are open."""
    if not caller.entitlements.unlimited:
        raise Problem("forbidden", f"Only somebody to whom every trial is open may {deed}.")


def find_edition(deployment: Context, edition_id: str) -> Edition:
    """The edition, or a 404."""
    try:
        return editions.get_edition(deployment.database, edition_id)
    except editions.EditionMissing:
        raise not_found("edition") from None


def _note(deployment: Context, caller: User, edition: Edition, **details: Any) -> None:
    audit.record(
        deployment.database,
        "edition.changed",
        caller.id,
        edition.id,
        deployment.now,
        organisation=caller.organisation,
        details=details,
    )


def edition_answer(deployment: Context, caller: User, edition: Edition) -> EditionAnswer:
    """An edition as the caller may read it."""
    counts = editions.job_counts(deployment.database, edition.id, caller.organisation)
    answer = EditionAnswer.of(edition, counts, _opener(deployment, caller, edition.opened_by))
    if caller.organisation == deployment.settings.organisation:
        return answer
    # Why it failed and what came of it is the home organisation's: others see their own counts.
    return answer.model_copy(update={"reason": None, "result": {}, "forced": 0, "path": None})


def _opener(deployment: Context, caller: User, opened_by: str) -> str:
    """The opener's id within the own organisation; editions are shared, people are not."""
    if opened_by in (OPENED_BY_SCHEDULE, usecase.COMMAND_LINE, caller.id):
        return opened_by
    known = users.get_user(deployment.database, opened_by, caller.organisation)
    return opened_by if known else "another organisation"
