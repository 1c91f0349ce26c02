"""How long what is kept: pure rules, in days and bytes. What they are applied to is in `operations`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: What only looks dead is younger than this: a file whose record is about to be written.
SAFETY = timedelta(days=1)


@dataclass(frozen=True)
class RetentionRules:
    """Ages at which each kind goes. Every age counts from when the thing was finished."""

    reports: timedelta  # from the rendering
    inputs: timedelta  # from the end of the period: snapshots, datasets, manifests, asset results
    pictures: timedelta  # from the making; they are made again where one is still needed
    history: timedelta  # from the end: jobs, deliveries, their events, editions, closed alerts
    runs: timedelta  # Dagster's own, from their creation
    outbox: timedelta  # from the writing of the file
    orphans: timedelta  # from their being tagged by the reconciliation
    link: timedelta  # how long a link that was sent may be used
    cache_bytes: int  # of thumbnails on one machine

    @classmethod
    def made(
        cls,
        *,
        shown: timedelta,
        reports: timedelta,
        inputs: timedelta,
        pictures: timedelta,
        history: timedelta,
        runs: timedelta,
        outbox: timedelta,
        orphans: timedelta,
        link: timedelta,
        cache_bytes: int,
    ) -> RetentionRules:
        """The rules as they can be kept together.

        What Dagster shows (`shown`, with a month for the longest period) must be there to be shown and
        made again; a report outlives its links; the history outlives the reports, because it is what
        keeps one from being made and mailed again.
        """
        visible = shown + timedelta(days=32)
        reports = max(reports, link)
        return cls(
            reports=reports,
            inputs=max(inputs, visible),
            pictures=pictures,
            history=max(history, visible, reports + link),
            runs=max(runs, visible),
            outbox=outbox,
            orphans=max(orphans, SAFETY),
            link=link,
            cache_bytes=cache_bytes,
        )

    def before(self, age: timedelta, now: datetime) -> datetime:
        """What was finished before this instant is past `age`."""
        return now - age
