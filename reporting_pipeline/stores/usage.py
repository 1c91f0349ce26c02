"""What editions used: CPU of the runs, bytes of the reports, messages handed over.

Collection `usage`, one record for a stage of an edition: `_id` "weekly:2026-11-16|render", `edition`,
`stage`, `cpu_seconds`, `runs`, `items` (partitions or deliveries), `at`. Runs add to it at their end; one
that is killed takes its share with it. A run over several editions is split by their items.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from pymongo import UpdateOne
from pymongo.errors import PyMongoError

from reporting_pipeline.domain.costs import Used
from reporting_pipeline.domain.editions import edition_id
from reporting_pipeline.domain.jobs import DeliveryState
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.stores.measures import MEASURES
from reporting_pipeline.stores.mongo import Database, Record, find_any

HANDED_OVER = [DeliveryState.SENT.value, DeliveryState.DELIVERED.value, DeliveryState.BOUNCED.value]
Group = tuple[str, str]  # organisation, report type


def add_compute(
    database: Database,
    stage: str,
    cpu_seconds: float,
    items_by_edition: Mapping[str, int],
    now: datetime,
) -> None:
    """A run used so much CPU for so many partitions or deliveries of each edition."""
    total = sum(items_by_edition.values())
    if not total:
        return
    database.usage.bulk_write(
        [
            UpdateOne(
                {"_id": f"{edition}|{stage}"},
                {
                    "$inc": {"cpu_seconds": cpu_seconds * items / total, "runs": 1, "items": items},
                    "$set": {"edition": edition, "stage": stage, "at": now},
                },
                upsert=True,
            )
            for edition, items in items_by_edition.items()
        ],
        ordered=False,
    )


def note_compute(
    database: Database, stage: str, cpu_seconds: float, items_by_edition: Mapping[str, int], now: datetime
) -> None:
    """The same, for the end of a run: figures are not worth its failure. Counted for the metrics, too."""
    MEASURES.count("cpu_seconds", cpu_seconds, stage=stage)
    with suppress(PyMongoError):
        add_compute(database, stage, cpu_seconds, items_by_edition, now)
        MEASURES.flush(database)


def edition_of(period: Period) -> str:
    return edition_id(period.cadence, period.key)


def used_by(database: Database, edition: str, timezone: str) -> list[Used]:
    """What an edition used, by organisation and report type, sorted. CPU is shared out by reports.

    Reports that retention deleted have no bytes any more. Raises ValueError for what is no edition's id.
    """
    cadence, _, key = edition.partition(":")
    if cadence not in {one.value for one in Cadence}:
        raise ValueError(f"{edition!r} is no edition; they are called like weekly:2026-11-16")
    period = Period.from_key(Cadence(cadence), key, timezone)
    reports, stored, sent = _of_jobs(database, edition)
    every = sum(reports.values())
    cpu = sum(float(row["cpu_seconds"]) for row in database.usage.find({"edition": edition}))
    return [
        Used(
            edition=edition,
            begins=period.start_at.astimezone(UTC),
            ends=period.end_at.astimezone(UTC),
            organisation=group[0],
            report_type=group[1],
            reports=count,
            cpu_seconds=cpu * count / every,
            stored_bytes=stored.get(group, 0),
            sent=sent.get(group, {}),
        )
        for group, count in sorted(reports.items())
    ]


def editions_between(database: Database, since: datetime, until: datetime) -> Iterator[str]:
    """The editions that were opened in `[since, until)`, the oldest first."""
    query = {"opened_at": {"$gte": since, "$lt": until}}
    for row in database.editions.find(query, {"_id": 1}).sort([("opened_at", 1), ("_id", 1)]):
        yield str(row["_id"])


def _of_jobs(
    database: Database, edition: str
) -> tuple[dict[Group, int], dict[Group, int], dict[Group, dict[str, int]]]:
    """Reports, their bytes, and messages by channel, each by organisation and report type."""
    query = {"edition": edition, "rendered_at": {"$ne": None}}
    jobs = list(database.jobs.find(query, {"subscription": 1, "organisation": 1, "report": 1}))
    types = _types(database, {str(job.get("subscription")) for job in jobs})
    group_of: dict[str, Group] = {
        job["_id"]: (
            str(job.get("organisation", "unknown")),
            types.get(str(job.get("subscription")), "unknown"),
        )
        for job in jobs
    }
    reports: dict[Group, int] = {}
    for group in group_of.values():
        reports[group] = reports.get(group, 0) + 1
    by_report = {job["report"]: group_of[job["_id"]] for job in jobs if job.get("report")}
    stored: dict[Group, int] = {}
    for row in find_any(database.reports, "_id", by_report, None, {"size": 1}):
        group, size = by_report[row["_id"]], row.get("size")
        stored[group] = stored.get(group, 0) + (size if isinstance(size, int) else 0)
    sent: dict[Group, dict[str, int]] = {}
    wanted = {"edition": edition, "state": {"$in": HANDED_OVER}}
    for row in database.deliveries.find(wanted, {"job": 1, "channel": 1}):
        if str(row.get("job")) in group_of:
            channels, channel = sent.setdefault(group_of[row["job"]], {}), str(row.get("channel"))
            channels[channel] = channels.get(channel, 0) + 1
    return reports, stored, sent


def _types(database: Database, subscriptions: set[str]) -> dict[str, str]:
    rows: Iterator[Record] = find_any(database.subscriptions, "_id", subscriptions, None, {"report_type": 1})
    return {row["_id"]: str(row.get("report_type", "unknown")) for row in rows}
