"""The doctor asks the real parts, and says of each fault what to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reporting_pipeline.cli import app
from reporting_pipeline.operations import doctor
from reporting_pipeline.operations.doctor import Finding, examine
from reporting_pipeline.settings import Settings, current_settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore

runner = CliRunner()
ROOT = Path(__file__).parents[3]


@pytest.fixture
def fit(deployment: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A deployment in which nothing fails."""
    (tmp_path / "dagster.yaml").write_text((ROOT / "deploy" / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    current_settings.cache_clear()
    return deployment


def findings() -> tuple[int, list[dict[str, str]]]:
    result = runner.invoke(app, ["doctor", "--json"])
    return result.exit_code, json.loads(result.output)


def texts(found: list[dict[str, str]], state: str) -> str:
    return "\n".join(
        f"{one['part']}: {one['text']} -> {one['todo']}" for one in found if one["state"] == state
    )


def test_a_fit_deployment_passes_and_nothing_is_left_behind(fit: Database, objects: ObjectStore) -> None:
    code, found = findings()
    assert texts(found, "failed") == ""
    assert code == 0
    good = texts(found, "ok")
    for words in (
        "an object is written and read",
        "encryption at rest is AES256",
        "signed link to it answers 200",
    ):
        assert words in good
    for words in ("every index stands", "run monitoring is on", "events are written in batches"):
        assert words in good
    assert list(objects.keys("doctor/")) == []
    plain = runner.invoke(app, ["doctor"])
    assert plain.exit_code == 0
    assert "Traceback" not in plain.output


def test_each_fault_is_named_with_what_to_do(fit: Database, tmp_path: Path) -> None:
    fit.deliveries.drop_indexes()
    fit.trials.insert_one({"_id": "trl_1"})
    fit.schema.delete_many({})
    (tmp_path / "dagster.yaml").write_text("run_monitoring: {enabled: false}\n")
    code, found = findings()
    assert code == 1
    failed = texts(found, "failed")
    assert "indexes are missing: deliveries." in failed
    assert "at migration 0 of" in failed
    assert "run `reporting-pipeline migrate`" in failed
    assert "run monitoring is off" in failed
    assert "an event at a time" in texts(found, "warning")


def test_a_part_that_does_not_answer_fails_and_the_others_are_still_asked(
    fit: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:9")
    current_settings.cache_clear()
    code, found = findings()
    assert code == 1
    assert "REPORTING_S3_BUCKET" in texts(found, "failed")
    assert any(one["part"] == "sign-in" for one in found)


def test_wrong_settings_are_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORTING_ENVIRONMENT", "production")
    current_settings.cache_clear()
    code, found = findings()
    current_settings.cache_clear()
    assert code == 1
    assert found[0]["part"] == "settings"
    assert "REPORTING_LINK_SECRET" in found[0]["text"]


def test_a_relay_without_encryption_and_one_that_is_not_there_fail(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    from pydantic import SecretStr

    nowhere = settings.model_copy(
        update={"email_backend": "smtp", "smtp_url": SecretStr("smtp://user:hunter2@127.0.0.1:9")}
    )
    found = list(examine(database, objects, nowhere))
    (mail,) = [one for one in found if one.part == "mail"]
    assert mail.state == "failed"
    assert "REPORTING_SMTP_URL" in mail.todo
    assert "hunter2" not in repr(found)


def test_clocks_that_disagree_are_told() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    assert doctor._skew(now + timedelta(seconds=1), now).state == "ok"
    apart = doctor._skew(now - timedelta(hours=1), now)
    assert apart == Finding("mongodb", "failed", "its clock and ours are 3600.0 s apart", apart.todo)


def test_a_sendgrid_key_of_another_shape_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydantic import SecretStr

    monkeypatch.setattr(doctor, "_txt", lambda name: "v=spf1 -all" if name == "example.org" else "")
    wrong = settings.model_copy(
        update={"email_backend": "sendgrid", "sendgrid_api_key": SecretStr("hunter2")}
    )
    found = {one.text: one for one in doctor._mail(wrong)}
    assert found["the key has not the shape SG.….…"].state == "failed"
    assert found["SPF of example.org is published"].state == "ok"
    assert found["DMARC of example.org was not found"].state == "warning"
    assert "hunter2" not in repr(found)
