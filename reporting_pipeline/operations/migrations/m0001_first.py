"""Begin to count: a database made before there were steps is taken as it is."""

from __future__ import annotations

from reporting_pipeline.operations.migrations.step import Beat, Step
from reporting_pipeline.stores.mongo import Database


def _nothing(_database: Database, _beat: Beat) -> int:
    return 0


STEP = Step(1, "the database's version is recorded", _nothing, lambda _database: 0, down=_nothing)
