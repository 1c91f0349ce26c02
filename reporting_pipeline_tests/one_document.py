"""One document taken in by a test, by the way that all take."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reporting_pipeline.stores.documents import Arrival, Ingested, ingest_many
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore


def ingest(
    database: Database, objects: ObjectStore, record: Mapping[str, Any], content: bytes | None, now: datetime
) -> Ingested:
    return ingest_many(database, objects, [Arrival(record, content)], now)
