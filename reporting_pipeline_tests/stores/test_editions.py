"""An edition is opened once, moves through legal states only, and is opened again by force alone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from reporting_pipeline.domain.editions import TRANSITIONS, closed_period
from reporting_pipeline.domain.jobs import EditionState
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.stores import editions
from reporting_pipeline.stores.editions import EditionExists, EditionMissing, IllegalTransition
from reporting_pipeline.stores.mongo import Database

NOW = datetime(2026, 11, 23, 0, 5, tzinfo=UTC)
WEEK = "2026-11-16"


def test_of_many_openers_at_once_one_opens(database: Database) -> None:
    def open_(number: int) -> str | None:
        try:
            return editions.open_edition(database, Cadence.WEEKLY, WEEK, f"usr_{number}", NOW).opened_by
        except EditionExists as error:
            refused.append(error.edition.id)
            return None

    refused: list[str] = []

    with ThreadPoolExecutor(16) as pool:
        opened = [who for who in pool.map(open_, range(64)) if who]
    assert len(opened) == 1
    assert refused == [f"weekly:{WEEK}"] * 63
    assert editions.get_edition(database, f"weekly:{WEEK}").opened_by == opened[0]


def test_force_opens_it_again_and_counts(database: Database) -> None:
    first = editions.open_edition(database, Cadence.WEEKLY, WEEK, "schedule", NOW, force=True)
    assert first.forced == 0, "nothing stood, so nothing was forced"
    editions.set_state(database, first.id, EditionState.COMPLETED, NOW)
    later = NOW + timedelta(hours=1)
    again = editions.open_edition(database, Cadence.WEEKLY, WEEK, "usr_a", later, force=True)
    assert (again.state, again.forced) == (EditionState.OPEN, 1)
    assert (again.opened_by, again.opened_at) == ("schedule", NOW), "who opened it first is kept"
    assert (again.reopened_by, again.reopened_at) == ("usr_a", later)


@pytest.mark.parametrize("before", EditionState)
@pytest.mark.parametrize("after", EditionState)
def test_only_legal_changes_are_made(database: Database, before: EditionState, after: EditionState) -> None:
    edition = editions.open_edition(database, Cadence.WEEKLY, WEEK, "schedule", NOW).id
    database.editions.update_one({"_id": edition}, {"$set": {"state": before.value}})
    if after is before or after in TRANSITIONS[before]:
        assert editions.set_state(database, edition, after, NOW, counts={"failed": 2}).state is after
        assert editions.get_edition(database, edition).counts == {"failed": 2}
    else:
        with pytest.raises(IllegalTransition):
            editions.set_state(database, edition, after, NOW, counts={"failed": 2})
        standing = editions.get_edition(database, edition)
        assert (standing.state, standing.counts) == (before, {})


def test_of_two_that_want_different_ends_one_is_refused(database: Database) -> None:
    edition = editions.open_edition(database, Cadence.WEEKLY, WEEK, "schedule", NOW).id

    def end(state: EditionState) -> str:
        try:
            return editions.set_state(database, edition, state, NOW).state.value
        except IllegalTransition:
            return "refused"

    for _ in range(20):
        database.editions.update_one({"_id": edition}, {"$set": {"state": "open"}})
        with ThreadPoolExecutor(2) as pool:
            ends = list(pool.map(end, [EditionState.COMPLETED, EditionState.FAILED]))
        final = editions.get_edition(database, edition).state.value
        # failed -> completed is legal: then both were done, one after the other.
        assert ends in (["completed", "refused"], ["completed", "failed"])
        assert final == "completed"


def test_a_missing_edition_is_said_to_be_missing(database: Database) -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: editions.get_edition(database, "weekly:2020-01-06"),
        lambda: editions.set_state(database, "weekly:2020-01-06", EditionState.FAILED, NOW),
        lambda: editions.set_result(database, "weekly:2020-01-06", {}),
        lambda: editions.set_counts(database, "weekly:2020-01-06", {}, NOW),
    )
    for call in calls:
        with pytest.raises(EditionMissing):
            call()


def test_a_failed_edition_takes_no_result(database: Database) -> None:
    edition = editions.open_edition(database, Cadence.WEEKLY, WEEK, "schedule", NOW).id
    assert editions.set_result(database, edition, {"reports": 1}).result == {"reports": 1}
    editions.set_state(database, edition, EditionState.FAILED, NOW, "no data")
    with pytest.raises(IllegalTransition):
        editions.set_result(database, edition, {"reports": 2})


def test_lists_are_newest_first_and_page_without_loss(database: Database) -> None:
    made = []
    for cadence, periods in (
        (Cadence.WEEKLY, ["2026-11-02", "2026-11-09", WEEK]),
        (Cadence.DAILY, ["2026-11-09", "2026-11-22"]),
    ):
        made += [editions.open_edition(database, cadence, key, "schedule", NOW).id for key in periods]
    found: list[str] = []
    after = None
    while page := editions.list_editions(database, after=after, limit=2):
        found += [edition.id for edition in page]
        after = (page[-1].period, page[-1].id)
    assert found == [
        "daily:2026-11-22",
        "weekly:2026-11-16",
        "weekly:2026-11-09",
        "daily:2026-11-09",
        "weekly:2026-11-02",
    ]
    weekly = [
        edition.period for edition in editions.open_editions(database) if edition.cadence is Cadence.WEEKLY
    ]
    assert weekly == ["2026-11-02", "2026-11-09", WEEK]


def test_counts_are_of_ones_own_organisation(database: Database) -> None:
    rows = [("a", "completed"), ("a", "completed"), ("a", "failed"), ("b", "pending")]
    database.jobs.insert_many(
        {
            "_id": f"job_{n}",
            "edition": f"weekly:{WEEK}",
            "organisation": organisation,
            "state": state,
            "subscription": f"sub_{n}",
            "period": WEEK,
            "occurrence": "x",
        }
        for n, (organisation, state) in enumerate(rows)
    )
    assert editions.job_counts(database, f"weekly:{WEEK}", "a") == {"completed": 2, "failed": 1}
    assert editions.job_counts(database, f"weekly:{WEEK}") == {"completed": 2, "failed": 1, "pending": 1}


def jobs_of(database: Database, edition: str, *rows: tuple[str, str]) -> None:
    database.jobs.insert_many(
        {
            "_id": f"job_{edition}_{n}",
            "edition": edition,
            "organisation": organisation,
            "state": state,
            "subscription": f"sub_{n}",
            "period": edition,
            "occurrence": "x",
        }
        for n, (organisation, state) in enumerate(rows)
    )


def test_a_large_edition_shows_its_last_count_and_a_small_one_what_stands(database: Database) -> None:
    large = editions.open_edition(database, Cadence.WEEKLY, WEEK, "schedule", NOW)
    small = editions.open_edition(database, Cadence.DAILY, "2026-11-22", "schedule", NOW)
    jobs_of(database, large.id, *[("a", "completed")] * 3, ("b", "pending"), ("a", "failed"))
    jobs_of(database, small.id, ("a", "pending"))
    for edition in (large, small):
        editions.keep_counts(database, edition.id, NOW)
    database.jobs.update_many({"state": "pending"}, {"$set": {"state": "completed"}})
    both = [editions.get_edition(database, one.id) for one in (large, small)]
    assert both[0].counts == {"completed": 3, "pending": 1, "failed": 1}
    of_a = editions.progress_of(database, both, "a", NOW, at_most=4)
    assert of_a[large.id] == editions.EditionProgress({"completed": 3, "failed": 1}, NOW)
    assert of_a[small.id] == editions.EditionProgress({"completed": 1})
    of_b = editions.progress_of(database, both, "b", NOW, at_most=4)
    assert of_b[large.id] == editions.EditionProgress({"pending": 1}, NOW)
    assert editions.progress_of(database, both, "c", NOW, at_most=4)[large.id].counts == {}


def test_an_edition_counted_before_organisations_were_is_counted_once(database: Database) -> None:
    edition = editions.open_edition(database, Cadence.WEEKLY, WEEK, "schedule", NOW)
    jobs_of(database, edition.id, ("a", "completed"), ("b", "completed"))
    found = editions.set_counts(database, edition.id, {"completed": 2}, NOW)
    later = NOW + timedelta(minutes=1)
    for now in (later, later + timedelta(minutes=1)):
        progress = editions.progress_of(database, [found], "a", now, at_most=1)
        assert progress[edition.id] == editions.EditionProgress({"completed": 1}, later)


def test_a_period_that_is_not_over_is_refused() -> None:
    assert closed_period(Cadence.WEEKLY, None, NOW, "UTC", 90).key == WEEK
    assert closed_period(Cadence.WEEKLY, WEEK, NOW, "UTC", 90).key == WEEK
    for key in ("2026-11-23", "2026-11-17", "9999-12-27", "nonsense"):
        with pytest.raises((ValueError, OverflowError)):
            closed_period(Cadence.WEEKLY, key, NOW, "UTC", 90)
    with pytest.raises(ValueError, match="ends on"):
        closed_period(Cadence.WEEKLY, WEEK, NOW, "America/New_York", 90)
