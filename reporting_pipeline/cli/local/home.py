"""A home on this machine: its servers running, its stores open, Dagster's files in place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from reporting_pipeline.cli.deploy_files import deploy_file
from reporting_pipeline.cli.migrating import migrate_and_note
from reporting_pipeline.embedded import servers
from reporting_pipeline.embedded.processes import prepare_folder
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import (
    Settings,
    SettingsError,
    child_environment,
    forget_servers,
    remember_servers,
    with_own_secrets,
)
from reporting_pipeline.stores.mongo import Database, open_database, unprepared_database
from reporting_pipeline.stores.objects import ObjectStore, open_object_store
from reporting_pipeline.stores.schema import SCHEMA_VERSION, is_new, schema_version

#: How the dagster.yaml of these commands begins: only such a one is replaced by a newer.
OURS = "# Dagster's instance on one machine"


@dataclass(frozen=True)
class Deployment:
    given: Settings  # as the environment has them: without the servers of the home
    settings: Settings  # with them
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


@contextmanager
def running_deployment(settings: Settings) -> Iterator[Deployment]:
    """A deployment for the length of a block; what was started for it stops at the end.

    Raises SettingsError where another command has the home: the first to end would stop the other's servers.
    """
    with _alone(settings.home):
        try:
            yield open_deployment(settings)
        finally:
            servers.stop(settings)
            forget_servers(settings)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Nobody else's home meanwhile. However this process ends, the system takes the lock back."""
    prepare_folder(home)
    lock = FileLock(home / "in-use.lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise SettingsError(
            f"{home} is in use by another `dev` or `demo`: end that one first, use it as it is, "
            "or set REPORTING_HOME to a home of your own"
        ) from None
    try:
        yield
    finally:
        lock.release()


def open_deployment(settings: Settings) -> Deployment:
    """Start what is embedded and not running, open the stores, and lay out Dagster's home."""
    settings = with_own_secrets(settings)
    _lay_out_dagster_home(settings.home / "dagster")
    endpoints = servers.start(settings)
    note_servers(settings, endpoints)
    complete = endpoints.applied_to(settings)
    if complete.mongodb_uri is None:
        raise SettingsError("MONGODB_URI is not set and no embedded server runs")
    objects = open_object_store(complete)
    if settings.s3_endpoint_url is None and settings.s3_access_key_id is None:
        objects.ensure_bucket()
    uri = complete.mongodb_uri.get_secret_value()
    _migrate(unprepared_database(uri, complete.mongodb_database), complete)
    database = open_database(uri, complete.mongodb_database)
    return Deployment(settings, complete, endpoints, database, objects)


def _migrate(database: Database, settings: Settings) -> None:
    """A local home follows the checkout; elsewhere migrating is the operator's decision."""
    if (
        settings.environment in ("local", "test")
        and not is_new(database)
        and schema_version(database) < SCHEMA_VERSION
    ):
        migrate_and_note(database, "this machine's own start", settings.organisation)


def note_servers(settings: Settings, endpoints: Endpoints) -> None:
    """Leave word in the home where its own servers are, for the commands that start nothing."""
    named = {"MONGODB_URI"} if settings.mongodb_uri else set()
    if settings.s3_endpoint_url or settings.s3_access_key_id:
        named |= {"S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"}
    own = {name: value for name, value in endpoints.as_environment().items() if name not in named}
    if own:
        remember_servers(settings, own)


def _lay_out_dagster_home(home: Path) -> None:
    """Dagster reads dagster.yaml from its home; ours is a copy of the product's, kept up to date.

    A file that somebody else put there is theirs: SettingsError.
    """
    home.mkdir(parents=True, exist_ok=True)
    standing = home / "dagster.yaml"
    if standing.is_file() and not standing.read_text(encoding="utf-8", errors="replace").startswith(OURS):
        raise SettingsError(
            f"{standing} is not the one of this command, and stays as it is: move it away, or set "
            "REPORTING_HOME to a home of your own"
        )
    shutil.copyfile(deploy_file("local/dagster.yaml"), standing)
