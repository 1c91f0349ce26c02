"""Registered users and the mails of an edition."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from reporting_pipeline.api.deps import Caller, Deployment, may
from reporting_pipeline.api.models.base import READ, WRITE
from reporting_pipeline.api.models.editions import (
    EDITION_PATTERN,
    DeliveryAnswer,
    DeliveryChange,
    DeliveryPage,
    DeliveryRequest,
    RegistrationAnswer,
    RegistrationPage,
    RegistrationRequest,
    ResendRequest,
    SendAnswer,
    SendRequest,
)
from reporting_pipeline.api.models.subscriptions import default_schedule
from reporting_pipeline.api.pagination import Cursor, Limit
from reporting_pipeline.api.routes.editions import EditionId, find_edition, require_whole
from reporting_pipeline.api.routes.subscriptions import JobId
from reporting_pipeline.domain.access import Action, ResourceKind, User, normal_address, reach_of
from reporting_pipeline.domain.entitlements import ALL
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.schedules import checked_timezone
from reporting_pipeline.domain.subscriptions import Filters, Recipient, Subscription
from reporting_pipeline.domain.user_changes import opened_to_new
from reporting_pipeline.stores import audit, registrations, subscriptions, users
from reporting_pipeline.stores import deliveries as ledger
from reporting_pipeline.stores.registrations import AddressRegistered, Registration
from reporting_pipeline.usecases import editions
from reporting_pipeline.usecases.callers import subscribing
from reporting_pipeline.usecases.callers.context import Context, scoped
from reporting_pipeline.usecases.callers.people import rights_changed
from reporting_pipeline.usecases.callers.problems import FieldError, Problem, invalid, not_found
from reporting_pipeline.usecases.callers.reports import (
    allowed_address,
    job_of_registered,
    send_again,
    send_to,
)
from reporting_pipeline.usecases.callers.subscribing import Pointers

router = APIRouter(prefix="/api/reports", tags=["editions"])
resend_router = APIRouter(prefix="/api/jobs", tags=["editions"])

REGISTRATION = Pointers("#/trials", "#/trials", "#/email", "#/timezone", "#/email")

Email = Annotated[str, Path(min_length=3, max_length=254, examples=["reader@example.org"])]
# One address, two meanings, as it was asked for: of a report its mails, of a mail its status. OpenAPI
# wants one name for the parameter of both.
EditionIdHere = Annotated[
    str,
    Path(alias="id", pattern=EDITION_PATTERN, description="A report's id.", examples=["weekly:2026-11-16"]),
]
DeliveryIdHere = Annotated[
    str,
    Path(
        alias="id",
        pattern=r"^dlv_[0-9A-Za-z_-]{1,60}$",
        description="A delivery's id.",
        examples=["dlv_3f9c1a7d5e2b48c0a6d4f012"],
    ),
]


# --- registered users --------------------------------------------------------------------------


@router.post(
    "/registered-users",
    status_code=201,
    responses={200: {"model": RegistrationAnswer, "description": "Registered before."}, **WRITE},
    dependencies=[may(Action.CREATE, ResourceKind.SUBSCRIPTION)],
)
def register_user(
    body: RegistrationRequest, caller: Caller, deployment: Deployment, response: Response
) -> RegistrationAnswer:
    """Register an address for the weekly (or another) report. Registering it again changes nothing.

    Everybody may register their own address; those of others are for managers.
    """
    _require_own_or_manager(caller, body.email)
    address = allowed_address(deployment, caller, body.email)
    cadence = Cadence(body.report_type)
    standing = _standing(deployment, caller, address, cadence)
    if standing is not None:
        response.status_code = 200
        return standing
    timezone = _timezone(deployment, body.timezone)
    owner = _user_with(deployment, caller, address, body, timezone)
    draft = subscribing.Draft(
        name=f"{cadence.value.capitalize()} trial activity",
        schedule=default_schedule(body.report_type, timezone if body.timezone else owner.timezone),
        filters=Filters(trials=body.trials or _common_trials(caller, owner)),
        recipients=(Recipient(type="user", value=owner.id),),
    )
    stored = _stored(deployment, caller, owner, draft)
    try:
        made = registrations.register(
            deployment.database,
            caller.organisation,
            address,
            cadence,
            owner.id,
            stored.id,
            deployment.now,
        )
    except AddressRegistered as other:  # another request was faster: its subscription stands
        if stored.id != other.registration.subscription:
            _end_if_it_stands(deployment, caller, stored.id)
        response.status_code = 200
        return _registration(deployment, other.registration)
    return _registration(deployment, made)


def _end_if_it_stands(deployment: Context, caller: User, subscription: str) -> None:
    """A third request, which found the same one, may have ended it by now."""
    try:
        subscribing.end(deployment, caller, subscription, None)
    except Problem as gone:
        if gone.status != 404:
            raise


@router.get("/registered-users", responses=READ, dependencies=[may(Action.READ, ResourceKind.SUBSCRIPTION)])
def list_registered_users(
    caller: Caller, deployment: Deployment, limit: Limit = 50, cursor: Cursor = None
) -> RegistrationPage:
    """The registered addresses, by address: one's own, or the organisation's for managers and workers."""
    user = None if _sees_all_registered(caller) else caller.id
    scope = f"registrations:{caller.organisation}:{user}"
    after = deployment.cursors.read(scope, cursor)
    position = (after[0], after[1]) if after else None
    found = registrations.list_registrations(
        deployment.database, caller.organisation, position, limit + 1, user=user
    )
    page = found[:limit]
    last = (page[-1].address, page[-1].cadence.value) if len(found) > limit else None
    return RegistrationPage(
        items=[_registration(deployment, one) for one in page],
        next_cursor=deployment.cursors.write(scope, last) if last else None,
    )


@router.delete(
    "/registered-users/{email}",
    status_code=204,
    responses=WRITE,
    dependencies=[may(Action.DELETE, ResourceKind.SUBSCRIPTION)],
)
def remove_registered_user(
    email: Email,
    caller: Caller,
    deployment: Deployment,
) -> None:
    """Remove an address from the reports it was registered for: one's own, or for managers any."""
    try:
        address = normal_address(email)
    except ValueError:
        raise not_found("registered user") from None
    _require_own_or_manager(caller, address)
    found = registrations.find_registrations(deployment.database, caller.organisation, address)
    if not found:
        raise not_found("registered user")
    for one in found:
        standing = subscriptions.get_subscription(deployment.database, caller.organisation, one.subscription)
        if standing is not None and standing.status != "ended":
            subscribing.end(deployment, caller, one.subscription, None)
    registrations.forget_registrations(
        deployment.database, caller.organisation, [one.subscription for one in found]
    )


# --- mails of an edition -----------------------------------------------------------------------


@router.post(
    "/emails/send/{edition_id}",
    status_code=202,
    responses=WRITE,
    dependencies=[may(Action.RUN, ResourceKind.EDITION)],
)
def send_edition(
    edition_id: EditionId, caller: Caller, deployment: Deployment, body: SendRequest | None = None
) -> SendAnswer:
    """Start sending the organisation's rendered reports. Nobody gets one twice, unless `force` is true."""
    edition = find_edition(deployment, edition_id)
    force = body is not None and body.force
    if force:
        require_whole(caller, "send its reports again")
    started = editions.send(
        deployment.database, edition.id, caller.organisation, caller.id, deployment.now, force=force
    )
    return SendAnswer(report_id=edition.id, planned=started.planned, skipped=started.skipped, force=force)


@router.post(
    "/emails", status_code=201, responses=WRITE, dependencies=[may(Action.CREATE, ResourceKind.DELIVERY)]
)
def create_delivery(body: DeliveryRequest, caller: Caller, deployment: Deployment) -> DeliveryAnswer:
    """Deliver a job's report to one more address; 409 with the one that stands when it has one already.

    With `reportId` and `email`: the report that a registered user gets of that edition, to them.
    """
    if body.job_id and body.recipient and not (body.report_id or body.email):
        return DeliveryAnswer.of(send_to(deployment, caller, body.job_id, body.recipient))
    if body.report_id and body.email and not (body.job_id or body.recipient):
        job = job_of_registered(deployment, caller, body.report_id, body.email)
        return DeliveryAnswer.of(send_to(deployment, caller, job, body.email))
    raise invalid("#", "name jobId and recipient, or reportId and the email of a registered user")


@resend_router.post(
    "/{job_id}/resend",
    status_code=202,
    responses=WRITE,
    dependencies=[may(Action.CREATE, ResourceKind.DELIVERY)],
)
def resend_report(
    job_id: JobId, body: ResendRequest, caller: Caller, deployment: Deployment
) -> DeliveryAnswer:
    """Send a job's report once more to one recipient who was reached, or given up on.

    A 409 while it is on its way, where its outcome is not known, and for whoever wants none. Send an
    `Idempotency-Key`, so that a repeated request sends no second copy.
    """
    return DeliveryAnswer.of(send_again(deployment, caller, job_id, body.recipient))


@router.get("/emails/{id}", responses=READ, dependencies=[may(Action.READ, ResourceKind.DELIVERY)])
def list_deliveries(
    edition_id: EditionIdHere,
    caller: Caller,
    deployment: Deployment,
    status: Annotated[DeliveryState | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DeliveryPage:
    """The deliveries of an edition: one's own, or the organisation's for analysts and managers."""
    edition = find_edition(deployment, edition_id)
    scope = f"deliveries:{caller.organisation}:{caller.id}:{edition.id}:{status}"
    after = deployment.cursors.read(scope, cursor)
    found = scoped(deployment, caller).deliveries(
        edition.id,
        state=status,
        after=after[0] if after else None,
        limit=limit + 1,
    )
    page = found[:limit]
    return DeliveryPage(
        items=[DeliveryAnswer.of(record) for record in page],
        next_cursor=deployment.cursors.write(scope, [page[-1]["_id"]]) if len(found) > limit else None,
    )


@router.patch("/emails/{id}", responses=WRITE, dependencies=[may(Action.CHANGE, ResourceKind.DELIVERY)])
def change_delivery(
    delivery_id: DeliveryIdHere, body: DeliveryChange, caller: Caller, deployment: Deployment
) -> DeliveryAnswer:
    """The status that an outside worker saw. A delivery never goes back to an earlier one (409)."""
    mine = scoped(deployment, caller)
    record = mine.delivery(delivery_id)
    if record is None:
        raise not_found("delivery")
    wanted = DeliveryState(body.status)
    fields = {
        name: value
        for name, value in (("provider_id", body.provider_id), ("error", body.error))
        if value is not None
    }
    moved = ledger.apply_evidence(deployment.database, delivery_id, wanted, deployment.now, fields)
    if not moved and record["state"] != wanted:
        raise Problem("illegal-transition", f"A delivery that is {record['state']} cannot become {wanted}.")
    if moved:
        audit.record(
            deployment.database,
            "delivery.changed",
            caller.id,
            delivery_id,
            deployment.now,
            organisation=caller.organisation,
            details={"state": wanted.value},
        )
        ledger.settle_jobs(deployment.database, [record["job"]], deployment.now)
    return DeliveryAnswer.of(mine.delivery(delivery_id) or record)


def _require_own_or_manager(caller: User, address: str) -> None:
    """One's own address is everybody's to register and to remove; others' are for who may add people."""
    if reach_of(caller, Action.CREATE, ResourceKind.USER) == "organisation":
        return
    try:
        own = bool(caller.email) and normal_address(address) == normal_address(caller.email)
    except ValueError as error:
        raise invalid("#/email", str(error)) from None
    if not own:
        raise Problem("forbidden", "Register or remove your own address; those of others are for managers.")


def _sees_all_registered(caller: User) -> bool:
    manages = reach_of(caller, Action.CREATE, ResourceKind.USER) == "organisation"
    return manages or reach_of(caller, Action.SET_STATE, ResourceKind.EDITION) == "organisation"


def _stored(deployment: Context, caller: User, owner: User, draft: subscribing.Draft) -> Subscription:
    """The new subscription of a registration, or the owner's own that asks for the same already."""
    try:
        return subscribing.create(deployment, caller, owner, draft, REGISTRATION)
    except Problem as problem:
        if problem.slug != "duplicate-subscription":
            raise
        standing = subscriptions.get_subscription(
            deployment.database, owner.organisation, str(problem.more["existing"])
        )
        if standing is None:
            # Another request is storing it; whose registration stands is for the registrations to say.
            return subscribing.create(
                deployment, caller, owner, replace(draft, allow_duplicate=True), REGISTRATION
            )
        return standing


def _timezone(deployment: Context, given: str | None) -> str:
    try:
        return checked_timezone(given) if given else deployment.settings.timezone
    except ValueError as error:
        raise Problem("validation", str(error), [FieldError("#/timezone", str(error))]) from None


def _common_trials(caller: User, owner: User) -> tuple[str, ...]:
    """What is asked for when nothing is named: no filter where the caller sees all that the owner sees."""
    if caller.entitlements.includes(owner.entitlements):
        return ()
    named = caller.entitlements.trials
    return tuple(owner.entitlements.limited_to(() if named == ALL else named).trials)


def _user_with(
    deployment: Context, caller: User, address: str, body: RegistrationRequest, timezone: str
) -> User:
    """The user with this address; a new one is a subscriber who sees what is named and open to the caller."""
    found = users.user_by_address(deployment.database, caller.organisation, address)
    if found is not None:
        return found
    given = opened_to_new(caller.entitlements, body.trials)
    if given is None:
        raise Problem("forbidden", "Who sees their own record only opens nothing to others.")
    try:
        made = users.create_user(
            deployment.database,
            caller.organisation,
            address,
            deployment.now,
            name=body.name or "",
            entitlements=given,
            timezone=timezone,
        )
    except users.AddressTaken:
        found = users.user_by_address(deployment.database, caller.organisation, address)
        if found is None:
            raise
        return found
    audit.record(
        deployment.database,
        "user.created",
        caller.id,
        made.id,
        deployment.now,
        organisation=caller.organisation,
        details=rights_changed(deployment, None, made),
    )
    return made


def _standing(deployment: Context, caller: User, address: str, cadence: Cadence) -> RegistrationAnswer | None:
    """The registration that stands; one whose subscription was ended elsewhere makes room for a new one."""
    for found in registrations.find_registrations(deployment.database, caller.organisation, address, cadence):
        answer = _registration(deployment, found)
        if answer.status != "ended":
            return answer
        registrations.forget_registrations(deployment.database, caller.organisation, [found.subscription])
    return None


def _registration(deployment: Context, registration: Registration) -> RegistrationAnswer:
    standing = subscriptions.get_subscription(
        deployment.database, registration.organisation, registration.subscription
    )
    return RegistrationAnswer(
        email=registration.address,
        report_type=registration.cadence.value,
        subscription_id=registration.subscription,
        status=standing.status if standing else "ended",
        registered_at=registration.registered_at,
    )
