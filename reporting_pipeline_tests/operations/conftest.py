"""Fixtures of what keeps a deployment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reporting_pipeline.settings import Settings, current_settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.operations.ledger import Ledger
from reporting_pipeline_tests.operations.reconciling import whole_week


@pytest.fixture
def whole(database: Database, objects: ObjectStore) -> Ledger:
    """A week's reports with all that they were made from: nothing differs."""
    return whole_week(database, objects)


@pytest.fixture
def environment(settings: Settings, endpoints: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The deployment of `settings` as commands and jobs find it."""
    for name, value in {
        "REPORTING_ENVIRONMENT": "test",
        "REPORTING_HOME": str(settings.home),
        "REPORTING_MONGODB_DATABASE": settings.mongodb_database,
        "REPORTING_S3_BUCKET": settings.s3_bucket,
        **endpoints.as_environment(),
    }.items():
        monkeypatch.setenv(name, value)
    current_settings.cache_clear()
    yield
    current_settings.cache_clear()
