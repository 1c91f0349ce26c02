"""An upgrade and the way back with an edition under way: it completes, and nobody is mailed twice."""

from __future__ import annotations

from contextlib import suppress

import pytest

from reporting_pipeline.operations.migrations import migrate
from reporting_pipeline.stores.editions import open_edition
from reporting_pipeline.stores.mongo import prepare
from reporting_pipeline.stores.schema import SCHEMA_VERSION, SchemaMismatch, schema_version
from reporting_pipeline_tests.automation.crank import Crank

OLDEST = 1
EVERYBODY = [f"{name}@example.org" for name in ("all", "alpha2", "alpha", "beta", "events", "gamma")]


def moved(crank: Crank, to: int | None = None) -> None:
    migrate(crank.database, lambda: crank.clock.at, "an operator", to)


def test_an_edition_that_an_older_version_began_is_completed_after_the_upgrade_and_after_the_way_back(
    crank: Crank,
) -> None:
    database = crank.database
    # The older version made half of it: every trial is fetched, one of the reports' stages is not begun.
    moved(crank, OLDEST)
    assert database.users.count_documents({"audience": {"$exists": True}}) == 0, "as it wrote its records"
    crank.open()
    assert crank.results("documents")
    assert crank.edition_state() == "open"
    assert crank.mailed() == []
    before = {one["_id"]: one for one in database.jobs.find()}

    # What it left is refused by this version until it is moved; then the edition goes on where it was.
    with pytest.raises(SchemaMismatch, match="migrate"):
        prepare(database)
    moved(crank)
    assert schema_version(database) == SCHEMA_VERSION
    prepare(database)
    fetched = len(crank.materializations("documents"))
    crank.settle()
    assert crank.edition_state() == "completed"
    assert crank.mailed() == EVERYBODY
    assert len(crank.materializations("documents")) == fetched, "what stood is not made again"
    assert set(before) <= set(crank.jobs_by_id())

    # Back to the older version, which opens the edition again by force, and forward in the middle of that.
    moved(crank, OLDEST)
    crank.clock.forward(hours=1)
    cadence, period = crank.edition().split(":")
    open_edition(database, crank.period().cadence, period, "usr_all", crank.clock.at, force=True)
    assert cadence == "weekly"
    with pytest.raises(SchemaMismatch):
        prepare(database)
    moved(crank)
    crank.settle()
    assert crank.edition_state() == "completed"
    assert crank.mailed() == EVERYBODY
    assert database.deliveries.count_documents({}) == len(EVERYBODY)


def test_a_migration_while_mails_are_due_sends_each_once(crank: Crank) -> None:
    """Stopped when the reports stand and are not sent: each version in turn finds them due once."""

    def stop(request: object) -> None:
        if "delivery" in str(getattr(request, "job_name", "")):
            raise InterruptedError("the processes are stopped for the upgrade")

    crank.before_run = stop
    with suppress(InterruptedError):
        crank.complete()
    crank.before_run = lambda _: None
    for version in (OLDEST, SCHEMA_VERSION):
        moved(crank, version)
    crank.settle()
    assert crank.mailed() == EVERYBODY
