"""Trials and organisations from the command line, over real stores."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from reporting_pipeline.cli import app
from reporting_pipeline.cli.operate import registry
from reporting_pipeline.cli.operate.stores import Stores
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore

Run = Callable[..., str]


@pytest.fixture
def run(database: Database, objects: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(registry, "open_stores", lambda: Stores(settings, database, objects))

    def command(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == code, result.output
        return " ".join(result.output.split())

    return command


def test_a_changed_name_changes_nothing_else_that_was_decided(run: Run, database: Database) -> None:
    run("organisation", "add", "beta", "Beta", "--domain", "beta.example")
    decided = {"release": "by_person", "sealing": "by_person", "confirm_after_days": 365}
    database.organisations.update_one({"_id": "beta"}, {"$set": decided})
    run("organisation", "change", "beta", "Better")
    kept = database.organisations.find_one({"_id": "beta"}) or {}
    assert {**kept, **decided, "name": "Better", "allowed_domains": []} == kept


def test_a_trial_is_registered_listed_closed_and_opened_again(run: Run, database: Database) -> None:
    run("trial", "add", "T9", "--title", "Ninth", "--site", "701=Basel", "--site", "702")
    kept = database.trials.find_one({"_id": "T9"}) or {}
    assert kept["sites"] == [{"id": "701", "name": "Basel"}, {"id": "702", "name": "Site 702"}]
    assert "is taken" in run("trial", "add", "T9", "--title", "Again", code=1)
    assert "T9" in run("trial", "list")
    run("trial", "close", "T9")
    assert (database.trials.find_one({"_id": "T9"}) or {})["closed_at"] is not None
    run("trial", "reopen", "T9")
    assert (database.trials.find_one({"_id": "T9"}) or {})["closed_at"] is None
    assert "there is no trial T8" in run("trial", "close", "T8", code=1)
    actions = [one["action"] for one in audit.events_of(database, kept["organisation"], subject="T9")]
    assert actions == ["trial.reopened", "trial.closed", "trial.created"]


def test_an_organisation_is_registered_changed_and_listed(run: Run, database: Database) -> None:
    run("organisation", "add", "acme", "Acme", "--domain", "Acme.example")
    assert (database.organisations.find_one({"_id": "acme"}) or {})["allowed_domains"] == ["acme.example"]
    run("organisation", "change", "acme", "Acme Ltd", "--host", "hooks.acme.example")
    kept = database.organisations.find_one({"_id": "acme"}) or {}
    assert (kept["name"], kept["allowed_hosts"]) == ("Acme Ltd", ["hooks.acme.example"])
    assert "acme" in run("organisation", "list")
    assert "allowed_domains.0" in run("organisation", "add", "bad", "Bad", "--domain", "no domain", code=1)
    assert "add it first" in run("organisation", "change", "nobody", "Nobody", code=1)
