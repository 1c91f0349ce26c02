"""A deployment as the commands use it: its servers running, its stores open, Dagster's home in place."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from reporting_pipeline.embedded import servers
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings, SettingsError, child_environment
from reporting_pipeline.stores.mongo import Database, open_database
from reporting_pipeline.stores.objects import ObjectStore, open_object_store

SOURCE_TREE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Deployment:
    settings: Settings
    endpoints: Endpoints
    database: Database
    objects: ObjectStore

    @property
    def dagster_home(self) -> Path:
        return self.settings.home / "dagster"

    def environment(self, **extra: str) -> dict[str, str]:
        """The environment of a child process that belongs to this deployment."""
        return child_environment(
            {
                **self.endpoints.as_environment(),
                "REPORTING_HOME": str(self.settings.home),
                "DAGSTER_HOME": str(self.dagster_home),
                # The planned events of a range reach the storage together, not one by one.
                "DAGSTER_EVENT_BATCH_SIZE": "1000",
                **extra,
            }
        )


def open_deployment(settings: Settings) -> Deployment:
    """Start what is embedded and not running, open the stores, and lay out Dagster's home."""
    endpoints = servers.start(settings)
    complete = endpoints.applied_to(settings)
    if complete.mongodb_uri is None:
        raise SettingsError("MONGODB_URI is not set and no embedded server runs")
    objects = open_object_store(complete)
    if settings.s3_endpoint_url is None and settings.s3_access_key_id is None:
        objects.ensure_bucket()
    database = open_database(complete.mongodb_uri.get_secret_value(), complete.mongodb_database)
    deployment = Deployment(complete, endpoints, database, objects)
    _lay_out_dagster_home(deployment.dagster_home)
    return deployment


def _lay_out_dagster_home(home: Path) -> None:
    """Dagster reads dagster.yaml from its home; ours is a copy of the project's, kept up to date."""
    home.mkdir(parents=True, exist_ok=True)
    source = SOURCE_TREE / "dagster.yaml"
    if not source.is_file():
        raise SettingsError(f"{source} is missing; run from a checkout of the project")
    shutil.copyfile(source, home / "dagster.yaml")
