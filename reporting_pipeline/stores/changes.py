"""Whether what a person looks at has moved: marks of jobs and editions, equal while nothing did.

Of people and sessions, too: a stream that somebody may not hear any more ends with their mark.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime

from reporting_pipeline.domain.access import User
from reporting_pipeline.stores import editions, sessions
from reporting_pipeline.stores.mongo import Database, find_any

OPEN = "open"
_UNREADABLE = "unreadable"


def job_marks(database: Database, ids: Iterable[str]) -> dict[str, str]:
    """{job: what its state and those of its deliveries come to}; two requests for fifty jobs."""
    wanted = sorted(set(ids))
    ways: dict[str, Counter[str]] = defaultdict(Counter)
    for row in find_any(database.deliveries, "job", wanted, None, {"job": 1, "state": 1, "attempt": 1}):
        ways[row["job"]][f"{row.get('state')}.{row.get('attempt')}"] += 1
    shown = {"state": 1, "rendered_at": 1, "error": 1}
    return {
        job["_id"]: f"{job.get('state')} {job.get('rendered_at')} {job.get('error')} "
        f"{sorted(ways[job['_id']].items())}"
        for job in find_any(database.jobs, "_id", wanted, None, shown)
    }


def edition_mark(database: Database, edition: str, organisation: str, now: datetime) -> str:
    """What the state of an edition and its jobs of one organisation come to; "" for no such edition."""
    try:
        found = editions.get_edition(database, edition)
    except editions.EditionMissing:
        return ""
    except ValueError:  # a record that somebody broke by hand silences nobody else's page
        return _UNREADABLE
    progress = editions.progress_of(database, [found], organisation, now)[edition]
    return f"{found.state.value} {sorted(progress.counts.items())} {progress.counted_at}"


def rights_mark(user: User) -> str:
    """What a person's rights come to."""
    return f"{user.active} {user.organisation} {sorted(user.roles)} {user.entitlements.as_record()}"


def rights_marks(database: Database, ids: Iterable[str]) -> dict[str, str]:
    """{user: `rights_mark`} of those that there are; broken by hand it is like no other."""
    found = {}
    for record in find_any(database.users, "_id", sorted(set(ids))):
        try:
            found[record["_id"]] = rights_mark(User.from_record(record))
        except (LookupError, TypeError, ValueError, AttributeError):
            found[record["_id"]] = _UNREADABLE
    return found


def session_marks(database: Database, ids: Iterable[str], now: datetime) -> dict[str, str]:
    """{session: OPEN} of those that have not ended."""
    return dict.fromkeys(sessions.open_among(database, ids, now), OPEN)
