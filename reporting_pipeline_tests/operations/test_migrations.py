"""A database follows the product's versions in numbered steps, one process at a time, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reporting_pipeline.operations.migrations import Step, migrate, moves
from reporting_pipeline.operations.migrations.step import Beat
from reporting_pipeline.operations.migrations.steps import STEPS
from reporting_pipeline.stores.mongo import INDEXES, Database, prepare
from reporting_pipeline.stores.schema import (
    LOCK_FOR,
    SCHEMA_VERSION,
    MigrationLocked,
    SchemaMismatch,
    migration_lock,
    schema_version,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def clock() -> datetime:
    return NOW


def colours(database: Database, beat: Beat) -> int:
    """An example of a step: `colour` becomes `colours`, a batch at a time."""
    changed = 0
    for one in list(database.users.find({"colour": {"$exists": True}})):
        database.users.update_one(
            {"_id": one["_id"]}, {"$set": {"colours": [one["colour"]]}, "$unset": {"colour": ""}}
        )
        changed += 1
        beat()
    return changed


def colour(database: Database, _beat: Beat) -> int:
    users = list(database.users.find({"colours": {"$exists": True}}))
    for one in users:
        database.users.update_one(
            {"_id": one["_id"]}, {"$set": {"colour": one["colours"][0]}, "$unset": {"colours": ""}}
        )
    return len(users)


def with_colour(database: Database) -> int:
    return database.users.count_documents({"colour": {"$exists": True}})


FIRST = Step(1, "counting begins", lambda _d, _b: 0, lambda _d: 0, down=lambda _d, _b: 0)
SECOND = Step(2, "several colours", colours, with_colour, down=colour)
THIRD = Step(3, "names are gone", lambda _d, _b: 0, lambda _d: 0, not_reversible="the names are deleted")
STEPS_OF_TEST = (FIRST, SECOND, THIRD)


@pytest.fixture
def old(database: Database) -> Database:
    """A database that was made before there were steps."""
    database.schema.delete_many({})
    database.users.insert_many(
        [{"_id": f"usr_{n}", "organisation": "a", "email": f"{n}@x.org", "colour": "red"} for n in range(5)]
    )
    return database


def test_the_steps_are_numbered_without_a_gap_and_end_with_the_version_that_processes_check() -> None:
    assert [step.number for step in STEPS] == list(range(1, len(STEPS) + 1))
    assert STEPS[-1].number == SCHEMA_VERSION


def test_a_new_database_is_at_the_newest_step_at_once(database: Database) -> None:
    assert schema_version(database) == SCHEMA_VERSION
    prepare(database)


def test_an_older_and_a_newer_database_are_refused_with_what_to_do(old: Database) -> None:
    with pytest.raises(SchemaMismatch, match=r"at migration 0.*run `reporting-pipeline migrate`"):
        prepare(old)
    migrate(old, clock, "test")
    prepare(old)
    old.schema.insert_one({"_id": SCHEMA_VERSION + 1, "name": "of tomorrow"})
    with pytest.raises(SchemaMismatch, match=f"this version knows {SCHEMA_VERSION}: install the version"):
        prepare(old)
    with pytest.raises(SchemaMismatch, match="migrate with the version that brought it there"):
        migrate(old, clock, "test")


def test_steps_are_taken_in_order_recorded_and_taken_back(old: Database) -> None:
    done = migrate(old, clock, "ann", to=2, steps=STEPS_OF_TEST)
    assert [(moved.move.step.number, moved.changed) for moved in done] == [(1, 0), (2, 5)]
    assert old.users.count_documents({"colours": ["red"], "colour": {"$exists": False}}) == 5
    recorded = old.schema.find_one({"_id": 2})
    assert recorded == {"_id": 2, "name": "several colours", "by": "ann", "changed": 5, "applied_at": NOW}
    assert migrate(old, clock, "ann", to=2, steps=STEPS_OF_TEST) == []
    back = migrate(old, clock, "ann", to=1, steps=STEPS_OF_TEST)
    assert [(moved.move.step.number, moved.move.back, moved.changed) for moved in back] == [(2, True, 5)]
    assert schema_version(old) == 1
    assert with_colour(old) == 5


def test_the_way_back_of_a_database_that_was_made_new_ends_where_it_was_to(database: Database) -> None:
    """It knows of its newest step alone, and the older version asks for the one that it knows."""
    migrate(database, clock, "ann", to=SCHEMA_VERSION - 1)
    assert schema_version(database) == SCHEMA_VERSION - 1
    migrate(database, clock, "ann", to=SCHEMA_VERSION - 2)
    assert schema_version(database) == SCHEMA_VERSION - 2
    assert [moved.move.step.number for moved in migrate(database, clock, "ann")] == [
        SCHEMA_VERSION - 1,
        SCHEMA_VERSION,
    ]
    assert schema_version(database) == SCHEMA_VERSION


def test_what_cannot_be_taken_back_is_refused_before_anything_is_touched(old: Database) -> None:
    migrate(old, clock, "ann", steps=STEPS_OF_TEST)
    with pytest.raises(ValueError, match=r"migration 3 \(names are gone\) cannot be taken back: the names"):
        migrate(old, clock, "ann", to=1, steps=STEPS_OF_TEST)
    assert schema_version(old) == 3
    assert with_colour(old) == 0
    with pytest.raises(ValueError, match="needs either `down` or the reason"):
        Step(4, "neither", lambda _d, _b: 0, lambda _d: 0)


@pytest.mark.parametrize("wanted", [-1, 4])
def test_a_number_that_is_no_step_is_refused(wanted: int) -> None:
    with pytest.raises(ValueError, match=f"no migration {wanted}; there are 0"):
        moves(1, wanted, STEPS_OF_TEST)


def test_a_step_that_died_is_begun_again_and_what_it_had_done_stays_right(old: Database) -> None:
    beats = iter([None, None, ConnectionError("killed")])

    def dying(database: Database, beat: Beat) -> int:
        def beat_and_die() -> None:
            beat()
            if (error := next(beats)) is not None:
                raise error

        return colours(database, beat_and_die)

    dies = Step(2, "several colours", dying, with_colour, down=colour)
    with pytest.raises(ConnectionError):
        migrate(old, clock, "ann", steps=(FIRST, dies))
    assert schema_version(old) == 1
    assert with_colour(old) == 2
    (moved,) = migrate(old, clock, "ann", steps=(FIRST, SECOND))
    assert moved.changed == 2
    assert old.users.count_documents({"colours": ["red"]}) == 5


def test_only_one_migrates_and_a_dead_one_gives_way(old: Database) -> None:
    with migration_lock(old, NOW) as first:
        with pytest.raises(MigrationLocked, match="under way"):
            migrate(old, clock, "second")
        later = NOW + LOCK_FOR
        with migration_lock(old, later), pytest.raises(MigrationLocked, match="took over"):
            first.renew(later)
    assert migrate(old, clock, "third") != []


def test_a_lock_that_a_clock_far_ahead_has_left_holds_up_nobody(old: Database) -> None:
    ahead = NOW + timedelta(days=365)
    old.schema.insert_one({"_id": "lock", "owner": "dead", "until": ahead})
    assert migrate(old, clock, "ann") != []


def test_who_lost_the_lock_records_nothing(old: Database) -> None:
    def overtaken(database: Database, beat: Beat) -> int:
        database.schema.update_one({"_id": "lock"}, {"$set": {"owner": "another"}})
        beat()
        return 0

    with pytest.raises(MigrationLocked):
        migrate(old, clock, "slow", steps=(Step(1, "slow", overtaken, with_colour, down=colour),))
    assert schema_version(old) == 0


def test_a_migration_makes_the_indexes_that_are_missing(old: Database) -> None:
    old.deliveries.drop_indexes()
    migrate(old, clock, "ann")
    names = {index["name"] for index in old.deliveries.list_indexes()}
    assert {index.document["name"] for index in INDEXES["deliveries"]} <= names


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.number:04}")
def test_every_step_finds_nothing_to_do_in_a_new_database(database: Database, step: Step) -> None:
    assert step.count(database) == 0
    assert step.up(database, lambda: None) == 0
