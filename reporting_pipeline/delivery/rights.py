"""Whether a delivery may go out now: the records as they stand at this moment, not when it was planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reporting_pipeline.domain.deliveries import Channel, Outcome, SendResult, is_address
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.suppressions import suppressed_among, unsubscribed_among


@dataclass(frozen=True)
class Context:
    """The records around a claim, each by id."""

    jobs: Mapping[str, Record]
    reports: Mapping[str, Record]
    subscriptions: Mapping[str, Record]
    users: Mapping[str, Record]
    suppressed: Mapping[str, str]  # address -> reason
    unsubscribed: frozenset[tuple[str, str]]  # (subscription, recipient)

    def report_of(self, delivery: Record) -> str:
        """The report of a delivery: its own, or its job's if it was planned before the rendering."""
        return str(delivery.get("report") or self.jobs.get(delivery["job"], {}).get("report") or "")

    def problem_with(self, delivery: Record) -> SendResult | None:
        """Why a delivery cannot be written, as the attempt's result."""
        if self.report_of(delivery) not in self.reports:
            return SendResult(Outcome.RETRY, error="no report stands for it")
        if delivery["channel"] == Channel.EMAIL and not is_address(delivery["recipient"]):
            return SendResult(Outcome.PERMANENT, error="not a valid e-mail address")
        return None


def load_context(database: Database, deliveries: Sequence[Record]) -> Context:
    """Everything that `deliveries` refer to, in a handful of queries."""
    jobs = _by_id(database, "jobs", {row["job"] for row in deliveries})
    reports = {row.get("report") or jobs.get(row["job"], {}).get("report") for row in deliveries}
    subscriptions = _by_id(database, "subscriptions", {row["subscription"] for row in deliveries})
    people = {row["owner"] for row in subscriptions.values()} | {
        row["user"] for row in deliveries if row.get("user")
    }
    addresses = [row["recipient"] for row in deliveries if row["channel"] == Channel.EMAIL]
    return Context(
        jobs=jobs,
        reports=_by_id(database, "reports", {str(report) for report in reports if report}),
        subscriptions=subscriptions,
        users=_by_id(database, "users", people),
        suppressed=suppressed_among(database, addresses),
        unsubscribed=frozenset(unsubscribed_among(database, subscriptions)),
    )


def reason_against(delivery: Record, context: Context) -> str | None:
    """Why this delivery must not go out, or None."""
    subscription = context.subscriptions.get(delivery["subscription"])
    if subscription is None:
        return "the subscription does not exist any more"
    if subscription.get("status", "active") != "active":
        return f"the subscription is {subscription['status']}"
    report = context.reports.get(context.report_of(delivery))
    refusal = _right_withdrawn(delivery, subscription, report, context)
    if refusal is not None:
        return refusal
    if (delivery["subscription"], delivery["recipient"]) in context.unsubscribed:
        return "the recipient unsubscribed"
    if delivery["recipient"] in context.suppressed:
        return f"the address is suppressed: {context.suppressed[delivery['recipient']]}"
    return None


def _right_withdrawn(
    delivery: Record, subscription: Record, report: Record | None, context: Context
) -> str | None:
    """The owner, and a user it goes to, must be active and still see every trial of the report."""
    trials = set((report or {}).get("dataset_versions") or {})
    for role, user_id in (("owner", subscription["owner"]), ("recipient", delivery.get("user"))):
        if user_id is None:
            continue
        user = context.users.get(user_id)
        if user is None or not user.get("active", True):
            return f"the {role} is not an active user"
        if user["organisation"] != delivery["organisation"]:
            return f"the {role} belongs to another organisation"
        if user.get("trials") and trials - set(user["trials"]):
            return f"the {role} may not see a trial of the report any more"
    return None


def _by_id(database: Database, collection: str, ids: set[str]) -> dict[str, Record]:
    return {row["_id"]: row for row in database[collection].find({"_id": {"$in": sorted(ids)}})}
