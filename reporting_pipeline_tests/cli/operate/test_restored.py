"""A database that other tools restored is said to be so, and everything goes on from there."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reporting_pipeline.cli import app
from reporting_pipeline.settings import current_settings
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.delivery.seeds import NOW
from reporting_pipeline_tests.operations.ledger import Ledger
from reporting_pipeline_tests.spare_databases import drop

MARK = ("backup", "mark-restored", "--name", "mongodump-1")


def said(*command: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(command))
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_what_mongorestore_brought_back_is_said_and_verifies(
    deployment: Database, objects: ObjectStore
) -> None:
    Ledger(deployment, objects).week(0, reports=3)
    waiting = {"state": "pending", "settled_at": None, "due_at": NOW - timedelta(days=1)}
    deployment.deliveries.update_many({}, {"$set": waiting})
    for row in range(6):
        audit.record(
            deployment, audit.AuditAction.SIGNED_IN, "usr_x", f"usr_{row}", NOW, organisation="default"
        )
    audit.write_anchor(deployment, objects, NOW)
    newest = int(deployment.audit.count_documents({}))
    deployment.audit.delete_many({"seq": {"$gt": newest - 2}})
    assert "backup mark-restored" in said("audit", "verify", code=2)

    told = said(*MARK, "--taken", "2026-11-16T09:55:00", "--by", "usr_ann")
    assert "3 deliveries await a release" in told
    assert f"rows {newest - 1} to {newest} at least" in told
    verified = said("audit", "verify")
    assert "the backup mongodump-1 of 2026-11-16T09:55:00+00:00 was restored by usr_ann" in verified
    assert deployment.deliveries.count_documents({"awaiting_release_after": {"$ne": None}}) == 3


@pytest.mark.parametrize("before", [("migrate",), ("doctor",)])
def test_whoever_looks_at_the_new_database_first_may_still_restore_into_it(
    deployment: Database,
    objects: ObjectStore,
    before: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REPORTING_BACKUP_KEY", base64.b64encode(bytes(range(32))).decode())
    current_settings.cache_clear()
    audit.record(deployment, audit.AuditAction.SIGNED_IN, "usr_x", "usr_x", NOW, organisation="default")
    said("backup", "take", str(tmp_path))
    name = f"{deployment.name}_r"
    monkeypatch.setenv("REPORTING_MONGODB_DATABASE", name)
    current_settings.cache_clear()
    try:
        CliRunner().invoke(app, list(before))
        assert "stand again" in said("backup", "restore", str(tmp_path))
        assert "was restored by system" in said("audit", "verify")
    finally:
        drop(deployment.client.get_database(name))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("--taken", "2999-01-01T00:00:00"), "in the future"),
        (("--taken", "2026-11-16T09:55:00", "--by", "Ann Smith"), "the person must be of letters"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_marked(
    deployment: Database, given: tuple[str, ...], why: str
) -> None:
    assert why in said(*MARK, *given, code=1)
    assert deployment.restores.count_documents({}) == 0
