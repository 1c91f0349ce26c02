"""What routes of lists ask for: how many, and from where on (`usecases.callers.cursors`)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

MAX_LIMIT = 200

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")]
Cursor = Annotated[
    str | None,
    Query(
        max_length=1024,
        description="`next_cursor` of the page before; opaque.",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]+$"},
    ),
]
Page = Annotated[int, Query(ge=1, le=10_000, description="Page number, from 1.")]
