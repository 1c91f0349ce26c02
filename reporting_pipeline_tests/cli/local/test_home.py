"""A home that an older version began follows the checkout at its start, and its audit log says so."""

from __future__ import annotations

from reporting_pipeline.cli.local.home import running_deployment
from reporting_pipeline.settings import Settings
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
