"""Reading the ledger for people: the ways of one report."""

from __future__ import annotations

from collections.abc import Iterable

from reporting_pipeline.domain.deliveries import LOST, DeliveryRecord
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.stores.mongo import Database, Record, delivery_records, find_any


def deliveries_of_job(
    database: Database, organisation: str, job: str, limit: int = 200
) -> list[DeliveryRecord]:
    """The deliveries of one job, by channel and recipient."""
    query = {"job": job, "organisation": organisation}
    return list(delivery_records(database).find(query).sort([("channel", 1), ("recipient", 1)]).limit(limit))


def deliveries_of(database: Database, jobs: Iterable[str]) -> dict[str, list[DeliveryRecord]]:
    """The deliveries of each of these jobs, by id."""
    found: dict[str, list[DeliveryRecord]] = {}
    for row in find_any(delivery_records(database), "job", jobs):
        found.setdefault(row["job"], []).append(row)
    return {job: sorted(rows, key=lambda row: str(row["_id"])) for job, rows in found.items()}


def delivery_counts(database: Database, edition: str) -> dict[str, int]:
    """How many deliveries of the edition are in which state."""
    groups = database.deliveries.aggregate(
        [{"$match": {"edition": edition}}, {"$group": {"_id": "$state", "deliveries": {"$sum": 1}}}]
    )
    return {str(group["_id"]): int(group["deliveries"]) for group in groups}


def lost_or_unknown(database: Database, editions: Iterable[str]) -> tuple[int, int]:
    """(dead letters, deliveries of which nobody knows the outcome) of the editions, counted by index."""
    among: Record = {"edition": {"$in": list(editions)}}
    deliveries = delivery_records(database)
    return (
        deliveries.count_documents({"state": {"$in": [state.value for state in LOST]}} | among),
        deliveries.count_documents({"state": DeliveryState.UNKNOWN.value} | among),
    )
