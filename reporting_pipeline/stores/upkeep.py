"""The `upkeep` collection: what the last retention, reconciliation, backup came to.

One record per kind of work: `_id` its name, `at` when it ended, `ok`, and figures of its own. Metrics and
`doctor` read them; the work itself is in `operations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reporting_pipeline.stores.mongo import Database, Record


def save_upkeep(database: Database, name: str, figures: Mapping[str, Any], now: datetime) -> None:
    database.upkeep.replace_one({"_id": name}, {**figures, "at": now}, upsert=True)


def last_upkeep(database: Database, name: str) -> Record | None:
    """What the last one came to, or None where there was none."""
    return database.upkeep.find_one({"_id": name})
