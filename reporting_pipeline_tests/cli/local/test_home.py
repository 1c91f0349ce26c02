"""A home of one command at a time, which follows the checkout at its start and says so in its audit log."""

from __future__ import annotations

import pytest

from reporting_pipeline.cli.local.home import running_deployment
from reporting_pipeline.settings import Settings, SettingsError
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.schema import SCHEMA_VERSION, schema_version


def test_what_the_start_of_a_home_migrated_stands_in_its_audit_log_once(
    deployment: Database, settings: Settings
) -> None:
    deployment.schema.delete_many({})
    deployment.trials.insert_one({"_id": "trl_1", "organisation": "default"})
    for _ in range(2):
        with running_deployment(settings):
            assert schema_version(deployment) == SCHEMA_VERSION
    (row,) = deployment.audit.find({"action": "database.migrated"})
    assert row["organisation"] == settings.organisation
    assert row["details"] == {"from": 0, "to": SCHEMA_VERSION}


def test_a_second_command_on_a_home_is_refused_and_leaves_the_first_its_servers(
    deployment: Database, settings: Settings
) -> None:
    with running_deployment(settings) as first:
        with (
            pytest.raises(SettingsError, match="in use by another `dev` or `demo`"),
            running_deployment(settings),
        ):
            raise AssertionError("never reached")
        assert first.database.command("ping")
    with running_deployment(settings) as next_one:
        assert next_one.database.command("ping")
