"""What somebody may hear move: jobs and editions that are theirs to see, as many as one may follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from reporting_pipeline.domain.access import Action, ResourceKind, User, reach_of
from reporting_pipeline.domain.jobs import EditionState
from reporting_pipeline.stores import editions, jobs, users
from reporting_pipeline.usecases.callers.context import Context, scoped
from reporting_pipeline.usecases.callers.problems import Problem, not_found
from reporting_pipeline.usecases.changes import ChangeFeed, Watched

MOST_WATCHED = 50


def watched_by(
    deployment: Context, caller: User, job_ids: Iterable[str], edition_ids: Iterable[str]
) -> frozenset[Watched]:
    """What is asked for. Problem (403, 404) unless the caller may look at all of it."""
    mine = scoped(deployment, caller)
    chosen, shared = set(job_ids), set(edition_ids)
    if any(mine.job(one) is None for one in chosen):
        raise not_found("job")
    if shared and reach_of(caller, Action.READ, ResourceKind.EDITION) is None:
        raise Problem("forbidden", "Your roles do not open this.")
    for one in shared:
        try:
            editions.get_edition(deployment.database, one)
        except editions.EditionMissing:
            raise not_found("edition") from None
        except ValueError:  # broken by hand: its mark says so
            continue
    return frozenset(
        [Watched("job", one, caller.organisation) for one in chosen]
        + [Watched("edition", one, caller.organisation) for one in shared]
    )


def still_open(deployment: Context, caller_id: str, watched: frozenset[Watched]) -> bool:
    """Whether somebody may look at all of what they follow, by the rights of this moment."""
    caller = users.get_user(deployment.database, caller_id)
    if caller is None or not caller.active:
        return False
    chosen = {kind: [one.id for one in watched if one.kind == kind] for kind in ("job", "edition")}
    try:
        watched_by(deployment, caller, chosen["job"], chosen["edition"])
    except Problem:
        return False
    return True


def under_way_for(deployment: Context, caller: User) -> frozenset[Watched]:
    """What concerns somebody who names nothing: the newest job of each own subscription, and open editions.

    At most `MOST_WATCHED`; of many subscriptions the first ones by id.
    """
    shared = [
        Watched("edition", one.id, caller.organisation)
        for one in editions.list_editions(deployment.database, None, EditionState.OPEN, None, 10)
        if reach_of(caller, Action.READ, ResourceKind.EDITION) is not None
    ]
    own = scoped(deployment, caller).subscriptions(owner=caller.id, limit=MOST_WATCHED - len(shared))
    newest = (jobs.jobs_of(deployment.database, caller.organisation, one.id, limit=1) for one in own)
    return frozenset(
        [*shared, *(Watched("job", job["_id"], caller.organisation) for found in newest for job in found)]
    )


@contextmanager
def admitted(feed: ChangeFeed, caller: User) -> Iterator[ChangeFeed]:
    """The feed, with a place on it while the block lasts.

    Problem (429, 503) where the caller, or everybody together, follows as much as may be.
    """
    if feed.full:
        raise Problem("unavailable", "Too many follow on this process.", headers={"Retry-After": "5"})
    if feed.has_enough(caller.id):
        raise Problem(
            "rate-limited",
            "You follow as much at once as one may; end a stream first.",
            headers={"Retry-After": "5"},
        )
    with feed.place(caller.id):
        yield feed
