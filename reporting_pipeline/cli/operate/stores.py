"""The stores of a deployment as its settings name them. Nothing is started, laid out or created."""

from __future__ import annotations

from dataclasses import dataclass

from reporting_pipeline.settings import Settings, SettingsError, current_settings, with_servers_of_home
from reporting_pipeline.stores.mongo import Database, open_database
from reporting_pipeline.stores.objects import ObjectStore, open_object_store


@dataclass(frozen=True)
class Stores:
    settings: Settings
    database: Database
    objects: ObjectStore


def open_stores() -> Stores:
    """The stores of this environment. Raises SettingsError when no MongoDB is named.

    A local deployment that names none uses the servers that `dev` or `servers start` left running.
    """
    settings = deployment_settings()
    database = open_database(named_mongodb(settings), settings.mongodb_database)
    return Stores(settings, database, open_object_store(settings))


def named_mongodb(settings: Settings) -> str:
    """The address of the deployment's MongoDB. Raises SettingsError when none is named."""
    if settings.mongodb_uri is None:
        raise SettingsError(
            "MONGODB_URI is not set. Name the deployment's MongoDB and S3; on one machine for trial, "
            "`reporting-pipeline servers start` or `reporting-pipeline dev` provides both"
        )
    return settings.mongodb_uri.get_secret_value()


def deployment_settings() -> Settings:
    """The settings of this environment, pointed to the servers that run in its home where it names none."""
    return with_servers_of_home(current_settings())
