"""The records around deliveries, for those who send them, open their links or take in their events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.domain.mail_words import MAIL_WORDS
from reporting_pipeline.stores.mongo import Database, Record, delivery_records, find_any, job_records


def get_delivery(database: Database, delivery: str) -> DeliveryRecord | None:
    """A delivery by its id alone, for whoever proved that they know it (a signature)."""
    return delivery_records(database).find_one({"_id": delivery})


def get_subscription_record(database: Database, subscription: str) -> Record | None:
    """The subscription of a delivery."""
    return database.subscriptions.find_one({"_id": subscription})


def jobs_by_id(database: Database, ids: Iterable[str]) -> dict[str, JobRecord]:
    return {row["_id"]: row for row in find_any(job_records(database), "_id", ids)}


def report_records(database: Database, ids: Iterable[str]) -> dict[str, Record]:
    return _by_id(database, "reports", ids)


def subscription_records(database: Database, ids: Iterable[str]) -> dict[str, Record]:
    return _by_id(database, "subscriptions", ids)


def user_records(database: Database, ids: Iterable[str]) -> dict[str, Record]:
    return _by_id(database, "users", ids)


def organisation_records(database: Database, ids: Iterable[str]) -> dict[str, Record]:
    """What organisations decide of their mails, by id."""
    shown = dict.fromkeys(("attachments", *MAIL_WORDS), 1)
    return {row["_id"]: row for row in find_any(database.organisations, "_id", ids, None, shown)}


def trials_of_organisations(database: Database, organisations: Iterable[str]) -> list[Record]:
    """The trials (`_id`, `organisation`) of these organisations."""
    return list(find_any(database.trials, "organisation", organisations, None, {"organisation": 1}))


def revoke_links(database: Database, query: Record, now: datetime) -> int:
    """End the links of every delivery that matches `query`, such as `{"recipient": …}`. Returns how many."""
    changed = database.deliveries.update_many(
        query | {"link_revoked_at": None}, {"$set": {"link_revoked_at": now}}
    )
    return changed.modified_count


def _by_id(database: Database, collection: str, ids: Iterable[str]) -> dict[str, Record]:
    return {row["_id"]: row for row in find_any(database[collection], "_id", ids)}
