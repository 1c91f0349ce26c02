"""Reading the ledger for people: the ways of one report."""

from __future__ import annotations

from reporting_pipeline.stores.mongo import Database, Record


def deliveries_of_job(database: Database, organisation: str, job: str, limit: int = 200) -> list[Record]:
    """The deliveries of one job, by channel and recipient."""
    query = {"job": job, "organisation": organisation}
    return list(database.deliveries.find(query).sort([("channel", 1), ("recipient", 1)]).limit(limit))
