"""Every command of a deployment that changes something leaves a row in the audit log."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from reporting_pipeline.cli import app
from reporting_pipeline.cli.app import OPERATE
from reporting_pipeline.settings import current_settings
from reporting_pipeline.stores.deliveries import halt_channel
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.schema import SCHEMA_VERSION
from reporting_pipeline.stores.suppressions import suppress_address
from reporting_pipeline_tests.api.conftest import organisations
from reporting_pipeline_tests.api.world import populate
from reporting_pipeline_tests.spare_databases import drop

__all__ = ["organisations"]

NOW = datetime.now(UTC)
LINE = {
    "id": "n1",
    "trial": "T2",
    "site": "701",
    "kind": "note",
    "title": "A note",
    "collected": "2026-11-01",
}

#: What each command is called with, and the action its row has; in this order.
AUDITED: dict[str, tuple[str, str]] = {
    "bootstrap": ("ann@acme.example --organisation acme", "user.created"),
    "token": ("--role manager", "user.created"),
    "edition open": ("daily", "edition.opened"),
    "import ndjson": ("{folder}/lines.ndjson --trial T2", "documents.imported"),
    "import sdtm": ("{folder}/sdtm", "documents.imported"),
    "trial add": ("T3 --title Third", "trial.created"),
    "trial close": ("T3", "trial.closed"),
    "trial reopen": ("T3", "trial.reopened"),
    "organisation add": ("beta Beta", "organisation.created"),
    "organisation change": ("beta Better", "organisation.changed"),
    "delivery resume": ("email", "channel.resumed"),
    "delivery lift": ("gone@default.example", "suppression.lifted"),
    "hold place": ("{report} --reason kept", "report.held"),
    "hold lift": ("{report}", "report.released"),
    "reconcile": ("--mend", "records.mended"),
    "retention": ("", "retention.deleted"),
    "bucket-rules": ("--write", "bucket_rules.written"),
    "backup take": ("{folder}/backups", "backup.taken"),
    "backup prune": ("{folder}/backups --keep-days 30", "backups.pruned"),
    "backup release": ("--was-sent", "held.decided"),
    "backup restore": ("{folder}/backups", "backup.restored"),
    "backup mark-restored": ("--taken 2026-11-16T09:55:00 --name mongodump-1", "backup.restored"),
    "migrate": (f"--to {SCHEMA_VERSION - 1}", "database.migrated"),
}
#: Commands that change nothing of the deployment, or nothing that a person decided.
UNAUDITED: dict[str, str] = {
    "alarm": "tells what is late; the alert is the system's own",
    "audit anchor": "is the log's own",
    "audit verify": "reads",
    "backup drill": "a database of its own, dropped again; `upkeep` says what it showed",
    "backup awaiting-release": "lists; what the outbox shows is settled by that, as a provider's event is",
    "backup held": "its former name",
    "backup list": "reads",
    "backup verify": "reads",
    "code-server": "a process",
    "cost": "reads",
    "delivery suppressions": "reads",
    "delivery webhook-secret": "derives a key from the settings",
    "doctor": "one object of its own, deleted again",
    "edition list": "reads",
    "files": "files of the installation",
    "hold list": "reads",
    "openapi": "a description",
    "organisation list": "reads",
    "reproduce": "makes a file anew and keeps none",
    "trial list": "reads",
}


def commands(group: Any, before: str = "") -> Iterator[str]:
    """The leaves of a command or group, by the words that call them."""
    if not hasattr(group, "commands"):
        yield before.strip()
        return
    for name, command in group.commands.items():
        panel = getattr(command, "rich_help_panel", None)
        if before or panel == OPERATE:
            yield from commands(command, f"{before} {name}")


def test_the_tables_have_every_command_of_a_deployment() -> None:
    found = set(commands(typer.main.get_command(app)))
    assert found == AUDITED.keys() | UNAUDITED.keys()
    assert not AUDITED.keys() & UNAUDITED.keys()


@dataclass(frozen=True)
class Place:
    database: Database
    names: dict[str, str]

    def run(self, name: str) -> str:
        """What the command says; what it is called with is filled in."""
        given = AUDITED[name][0].format(**self.names).split()
        result = CliRunner().invoke(app, [*name.split(), *given])
        return f"{result.exit_code} {result.output} {result.exception!r}"


@pytest.fixture
def place(
    deployment: Database,
    objects: ObjectStore,
    organisations: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    """One of everything that the commands decide about."""
    monkeypatch.setenv("REPORTING_BACKUP_KEY", base64.b64encode(bytes(range(32))).decode())
    monkeypatch.setenv("REPORTING_ARCHIVE_CLASS", "none")
    current_settings.cache_clear()
    report = populate(deployment, objects)["report"]
    deployment.holds.delete_many({})
    halt_channel(deployment, "email", "refused", NOW)
    suppress_address(deployment, "default", "gone@default.example", "bounced", NOW)
    deployment.alerts.insert_one({"_id": "x", "open": False, "closed_at": NOW - timedelta(days=900)})
    deployment.deliveries.update_one(
        {"state": "sent"}, {"$set": {"state": "unknown", "awaiting_release_after": "rst_1"}}
    )
    deployment.media.insert_one({"_id": "a" * 64, "key": f"media/aa/{'a' * 64}-2.jpg", "code_version": "2"})
    (tmp_path / "backups" / "20260101T000000Z-0123abcd").mkdir(parents=True)
    (tmp_path / "lines.ndjson").write_text(json.dumps(LINE) + "\n")
    (tmp_path / "sdtm").mkdir()
    (tmp_path / "sdtm" / "dm.csv").write_text(
        "STUDYID,DOMAIN,USUBJID,SUBJID,SITEID,RFSTDTC\nT4,DM,T4-01-1,1,01,2026-11-01\n"
    )
    return Place(deployment, {"folder": str(tmp_path), "report": report})


def test_every_command_that_changes_something_leaves_its_row(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = place.database
    silent = []
    for name, (_, action) in AUDITED.items():
        if name == "backup restore":
            monkeypatch.setenv("REPORTING_MONGODB_DATABASE", f"{database.name}_r")
            current_settings.cache_clear()
            database = database.client.get_database(f"{database.name}_r")
        before = database.audit.count_documents({"action": action})
        said = place.run(name)
        if database.audit.count_documents({"action": action}) <= before:
            silent.append(f"{name}: {said}")
    drop(database)
    assert silent == []
