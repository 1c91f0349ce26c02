"""A job and its report as somebody who asks may have them, and sent to one more address or once more."""

from __future__ import annotations

from reporting_pipeline.delivery.links.files import file_url
from reporting_pipeline.domain.access import (
    Action,
    Resource,
    ResourceKind,
    User,
    may_have,
    normal_address,
    reach_of,
)
from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.domain.masked_recipients import shown
from reporting_pipeline.domain.subscriptions import Recipient
from reporting_pipeline.stores import audit, jobs, mailings, registrations, subscriptions, users
from reporting_pipeline.stores import deliveries as ledger
from reporting_pipeline.stores.deliveries import deliveries_of_job
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.stores.reports import StoredReport, reports_by_id, went_out
from reporting_pipeline.usecases.callers.context import Context, require, scoped
from reporting_pipeline.usecases.callers.problems import Problem, invalid, not_found

#: So many of a subscription's jobs are looked through for one of an edition.
RECENT_JOBS = 200


def find_job(deployment: Context, caller: User, job_id: str) -> JobRecord:
    """The job when the caller may read it; otherwise a 404."""
    job = scoped(deployment, caller).job(job_id)
    if job is None:
        raise not_found("job")
    require(
        caller, Action.READ, Resource(ResourceKind.JOB, job["organisation"], owner=job.get("owner")), "job"
    )
    return job


def readable_report(deployment: Context, caller: User, job: JobRecord) -> StoredReport:
    """The stored report of a job, by the rights of this moment; 404 when there is none for this caller."""
    identifier = str(job.get("report") or "")
    report = reports_by_id(deployment.database, [identifier]).get(identifier)
    if report is None or report.organisation != caller.organisation:
        raise not_found("report")
    # A trial that was withdrawn since is not shown any more.
    resource = Resource(
        ResourceKind.REPORT, report.organisation, owner=job.get("owner"), extent=report.extent
    )
    require(caller, Action.READ, resource, "report")
    if report.awaiting_release and reach_of(caller, Action.RELEASE, ResourceKind.REPORT) is None:
        before = went_out(report)  # what was sent is not taken away while another waits
        if before is None:
            raise Problem("conflict", "It waits until somebody has looked at it and released it.")
        report = before
    if not deployment.files.openable(report.key):
        raise not_found("report")
    return report


def report_file_url(deployment: Context, report: StoredReport) -> str:
    """Where the file of `readable_report` is had, for a minute."""
    objects, settings = deployment.objects, deployment.settings
    return file_url(objects, settings, report.id, report.__dict__, report.file_name, deployment.now)


def send_to(deployment: Context, caller: User, job_id: str, recipient: str) -> DeliveryRecord:
    """A delivery of a job's report to one more address. Problem (409) when it has one of it already."""
    job, subscription, report = _to_send(deployment, caller, job_id)
    address = allowed_address(deployment, caller, recipient, "#/recipient")
    for user_id in users.readers_behind(deployment.database, [(caller.organisation, address)]).values():
        reader = users.get_user(deployment.database, user_id)
        if not may_have(reader, report.organisation, report.extent):
            raise invalid("#/recipient", "is somebody who may not have this report")
    owner = users.user_by_address(deployment.database, caller.organisation, address)
    target = ledger.Target("email", address, owner.id if owner else None)
    record = ledger.new_delivery(job, subscription, target, deployment.now)
    if not ledger.add_delivery(deployment.database, record):
        raise Problem(
            "conflict", "This recipient has a delivery of this job already.", existing=record["_id"]
        )
    audit.record(
        deployment.database,
        audit.AuditAction.DELIVERY_ADDED,
        caller.id,
        record["_id"],
        deployment.now,
        organisation=caller.organisation,
        details={
            "job": job["_id"],
            "report": report.id,
            "to": target.user or audit.address_mark(deployment.database, caller.organisation, address),
        },
    )
    return record


def job_of_registered(deployment: Context, caller: User, edition: str, email: str) -> str:
    """The newest job (its id) that a registered address has of an edition. Problem (422) without one."""
    require(caller, Action.CREATE, Resource(ResourceKind.DELIVERY, caller.organisation), "delivery")
    try:
        address = normal_address(email)
    except ValueError as error:
        raise invalid("#/email", str(error)) from None
    registered = registrations.find_registrations(deployment.database, caller.organisation, address)
    for one in registered:
        recent = jobs.jobs_of(deployment.database, caller.organisation, one.subscription, limit=RECENT_JOBS)
        found = next((job["_id"] for job in recent if job["edition"] == edition), None)
        if found is not None:
            return found
    raise invalid("#/email", "is not registered, or no report of this edition was planned for it")


def send_again(deployment: Context, caller: User, job_id: str, recipient: str) -> DeliveryRecord:
    """A delivery that was made, or given up on, once more. `recipient` as deliveries tell it.

    Problem: 422 for somebody who has none of this job, 409 while it is on its way, where its outcome is not
    known, and for whoever wants none.
    """
    job, _, report = _to_send(deployment, caller, job_id)
    given = recipient.strip().casefold()
    made = deliveries_of_job(deployment.database, caller.organisation, job["_id"])
    delivery = next((one for one in made if shown(one["recipient"]).casefold() == given), None)
    if delivery is None:
        raise invalid("#/recipient", "has no delivery of this job; POST /api/reports/emails adds one")
    if not mailings.another_copy(deployment.database, delivery, deployment.now):
        raise Problem("conflict", f"It is {delivery['state']}; what {_NOT_REPEATED}.")
    audit.record(
        deployment.database,
        audit.AuditAction.DELIVERY_REPEATED,
        caller.id,
        delivery["_id"],
        deployment.now,
        organisation=caller.organisation,
        details={"job": job["_id"], "report": report.id, "was": delivery["state"]},
    )
    return scoped(deployment, caller).delivery(delivery["_id"]) or delivery


_NOT_REPEATED = "is on its way, of an unknown outcome, or wanted by nobody is not sent again"


def _to_send(deployment: Context, caller: User, job_id: str) -> tuple[JobRecord, Record, StoredReport]:
    """A job, its subscription and its report, that the caller may send. Problem (403, 404, 409)."""
    job = find_job(deployment, caller, job_id)
    found = subscriptions.records_by_id(deployment.database, [job["subscription"]])
    subscription = found.get(job["subscription"])
    if subscription is None or subscription["organisation"] != caller.organisation:
        raise not_found("subscription")
    resource = Resource(ResourceKind.DELIVERY, caller.organisation, owner=subscription["owner"])
    require(caller, Action.CREATE, resource, "job")
    report = scoped(deployment, caller).report_to_send(str(job.get("report") or ""))
    if report is None or not job.get("rendered_at"):
        raise not_found("report")  # not made yet, or of more than is open to the caller
    if report.awaiting_release:
        raise Problem("conflict", "It waits for its release; it is sent to nobody before.")
    return job, subscription, report


def allowed_address(deployment: Context, caller: User, given: str, pointer: str = "#/email") -> str:
    """The normal spelling of an address that the organisation may send to; otherwise a 422."""
    try:
        address = normal_address(given)
    except ValueError as error:
        raise invalid(pointer, str(error)) from None
    refused = users.check_recipients(
        deployment.database, caller.organisation, [Recipient(type="email", value=address)]
    )
    if refused:
        raise invalid(pointer, refused[0][1].reason)
    return address
