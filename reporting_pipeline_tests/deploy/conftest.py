"""The environment of the product's image, and the place without rights in which its processes run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.deploy import artefacts
from reporting_pipeline_tests.deploy.jail import why_there_is_none
from reporting_pipeline_tests.postgres import postgres_variables


@pytest.fixture
def deployment(
    settings: Settings, endpoints: Endpoints, objects: ObjectStore, postgres_url: str, tmp_path: Path
) -> dict[str, str]:
    """The environment of a process in the image, with Dagster's home laid out as there."""
    instance, writable = tmp_path / "dagster", tmp_path / "writable"
    instance.mkdir()
    writable.mkdir(exist_ok=True)
    for source in ("dagster.yaml", "docker/workspace.yaml"):
        (instance / Path(source).name).write_bytes((artefacts.DEPLOY / source).read_bytes())
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLCONFIGDIR": str(writable / "matplotlib"),
        "TMPDIR": str(writable),
        "HOME": str(writable),
        "REPORTING_ENVIRONMENT": "test",
        "REPORTING_HOME": str(writable),
        "REPORTING_MONGODB_DATABASE": settings.mongodb_database,
        "REPORTING_S3_BUCKET": objects.bucket,
        **endpoints.as_environment(),
        "AWS_ENDPOINT_URL_S3": str(endpoints.s3_endpoint_url),
        "DAGSTER_HOME": str(instance),
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        **postgres_variables(postgres_url),
    }


@pytest.fixture
def jail(tmp_path: Path) -> Path:
    """The one folder that can be written; skips where this machine lets nobody make namespaces."""
    folder = tmp_path / "writable"
    folder.mkdir(exist_ok=True)
    reason = why_there_is_none(folder, artefacts.ROOT / "reporting_pipeline" / "written")
    if reason:
        pytest.skip(reason)
    return folder
