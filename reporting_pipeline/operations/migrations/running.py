"""Which steps lie between two versions, and taking them: under a lock, one after the other, recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from reporting_pipeline.operations.migrations.step import Step
from reporting_pipeline.operations.migrations.steps import STEPS
from reporting_pipeline.stores.mongo import Database, ensure_indexes
from reporting_pipeline.stores.schema import (
    SchemaMismatch,
    forget_step,
    migration_lock,
    record_step,
    refuse_half_restored,
    schema_version,
)


@dataclass(frozen=True)
class Move:
    """One step in one direction."""

    step: Step
    back: bool = False


@dataclass(frozen=True)
class Moved:
    """A step that was taken, and how many records it changed."""

    move: Move
    changed: int


def moves(standing: int, to: int | None = None, steps: Sequence[Step] = STEPS) -> list[Move]:
    """The steps from version `standing` to `to` (default: the newest), in the order to take them.

    Raises ValueError for a number that is no step, SchemaMismatch when the database is newer than these
    steps, and ValueError that names the step when one on the way back cannot be taken back.
    """
    newest = steps[-1].number if steps else 0
    wanted = newest if to is None else to
    if not 0 <= wanted <= newest:
        raise ValueError(f"there is no migration {wanted}; there are 0 (none) to {newest}")
    if standing > newest:
        raise SchemaMismatch(
            f"the database is at migration {standing} and this version knows {newest}: "
            "migrate with the version that brought it there"
        )
    if wanted >= standing:
        return [Move(step) for step in steps if standing < step.number <= wanted]
    back = [Move(step, back=True) for step in reversed(steps) if wanted < step.number <= standing]
    for move in back:
        if move.step.down is None:
            raise ValueError(
                f"migration {move.step.number} ({move.step.name}) cannot be taken back: "
                f"{move.step.not_reversible}. Restore the backup from before it instead"
            )
    return back


def migrate(
    database: Database,
    clock: Callable[[], datetime],
    by: str,
    to: int | None = None,
    steps: Sequence[Step] = STEPS,
    begun: Callable[[], None] | None = None,
) -> list[Moved]:
    """Take the steps to version `to`, make missing indexes, and return what was done.

    Raises MigrationLocked when another process migrates, SchemaMismatch where a restore was cut off, and what
    `moves` raises; nothing is touched then.
    `begun` is called under the lock, before the first step, where there is any. A step that fails leaves the
    steps before it taken and recorded, and is begun again by the next call.
    """
    refuse_half_restored(database)
    with migration_lock(database, clock()) as lock:

        def beat() -> None:
            lock.renew(clock())

        done = []
        way = moves(schema_version(database), to, steps)
        if way and begun is not None:
            begun()
        for move in way:
            beat()
            changed = _take(database, move, beat)
            beat()  # whoever lost the lock must not record
            _record(database, move, by, changed, clock())
            done.append(Moved(move, changed))
        ensure_indexes(database)
        return done


def _take(database: Database, move: Move, beat: Callable[[], None]) -> int:
    action = move.step.down if move.back else move.step.up
    if action is None:
        raise ValueError(f"migration {move.step.number} cannot be taken back: {move.step.not_reversible}")
    return action(database, beat)


def _record(database: Database, move: Move, by: str, changed: int, now: datetime) -> None:
    if move.back:
        below = move.step.number - 1
        if below and schema_version(database) == move.step.number:
            # A database that was made new, or restored, may know of its newest step alone.
            record_step(database, below, f"back over {move.step.number}", by, changed, now)
        forget_step(database, move.step.number)
    else:
        record_step(database, move.step.number, move.step.name, by, changed, now)
