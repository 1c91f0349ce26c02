"""The environment of a deployment on the real servers, for commands that run in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings, current_settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore


@pytest.fixture
def deployment(
    settings: Settings,
    endpoints: Endpoints,
    database: Database,
    objects: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Database]:
    """The database of a deployment that this process's environment describes."""
    variables = {
        **endpoints.as_environment(),
        "REPORTING_ENVIRONMENT": "test",
        "REPORTING_HOME": str(settings.home),
        "REPORTING_MONGODB_DATABASE": settings.mongodb_database,
        "REPORTING_S3_BUCKET": settings.s3_bucket,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    current_settings.cache_clear()
    yield database
    current_settings.cache_clear()
