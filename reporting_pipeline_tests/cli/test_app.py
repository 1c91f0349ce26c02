"""The commands say in plain words what they did, and errors name what to do."""

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from reporting_pipeline.cli import app
from reporting_pipeline.settings import current_settings
from reporting_pipeline.stores.alerts import open_alerts, raise_alert
from reporting_pipeline.stores.audit import AuditAction, record
from reporting_pipeline.stores.deliveries import closed_channels, halt_channel
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.suppressions import suppress_address, suppressed_among

runner = CliRunner()


def test_an_edition_is_opened_once_and_a_second_time_only_by_force(deployment: Database) -> None:
    first = runner.invoke(app, ["edition", "open", "weekly", "--period", "2026-11-09"])
    assert first.exit_code == 0, first.output
    assert "weekly:2026-11-09 is open" in first.output
    again = runner.invoke(app, ["edition", "open", "weekly", "--period", "2026-11-09"])
    assert again.exit_code == 1
    assert "--force" in again.output
    forced = runner.invoke(app, ["edition", "open", "weekly", "--period", "2026-11-09", "--force"])
    assert forced.exit_code == 0
    assert deployment.audit.count_documents({"action": "edition.opened", "subject": "weekly:2026-11-09"}) == 2
    listed = runner.invoke(app, ["edition", "list"])
    assert "weekly:2026-11-09" in listed.output


@pytest.mark.parametrize("period", ["2026-11-10", "nonsense", "2999-01-07"])
def test_a_period_that_cannot_be_is_refused_with_its_reason(deployment: Database, period: str) -> None:
    result = runner.invoke(app, ["edition", "open", "weekly", "--period", period])
    assert result.exit_code == 1
    assert period in result.output
    assert deployment.editions.count_documents({}) == 0


def test_the_audit_log_is_verified_and_a_changed_row_is_named(deployment: Database) -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    for number in range(3):
        record(
            deployment,
            AuditAction.EDITION_OPENED,
            "schedule",
            f"weekly:{number}",
            now,
            organisation="default",
        )
    missing = runner.invoke(app, ["audit", "verify"])
    assert missing.exit_code == 2
    assert "there is no anchor" in missing.output
    assert "audit anchor" in missing.output
    assert "row 3 is anchored" in runner.invoke(app, ["audit", "anchor"]).output
    assert runner.invoke(app, ["audit", "verify"]).exit_code == 0
    deployment.audit.update_one({"seq": 2}, {"$set": {"actor": "usr_somebody"}})
    broken = runner.invoke(app, ["audit", "verify"])
    assert broken.exit_code == 2
    assert "row 2" in broken.output
    assert "audit anchor" not in broken.output, "that would be the wrong advice"


def test_a_token_is_minted_and_the_openapi_document_is_json(deployment: Database) -> None:
    deployment.users.insert_one(
        {"_id": "usr_1", "organisation": "default", "name": "", "email": "", "roles": ["admin"]}
        | {"trials": "all", "timezone": "UTC", "active": True}
    )
    token = runner.invoke(app, ["token", "usr_1"]).output.strip()
    assert token.count(".") == 2
    document = json.loads(runner.invoke(app, ["openapi"]).output)
    assert "/api/subscriptions" in document["paths"]


def test_a_token_is_for_somebody_who_may_use_it(deployment: Database) -> None:
    """Printed for an id that was mistyped it would look good, and every request with it answer 401."""
    unknown = runner.invoke(app, ["token", "usr_nobody"])
    assert unknown.exit_code == 1
    assert "there is no user 'usr_nobody'" in unknown.output
    runner.invoke(app, ["token", "--role", "admin"])
    deployment.users.update_one({"_id": "usr_local_admin"}, {"$set": {"active": False}})
    left = runner.invoke(app, ["token", "usr_local_admin"])
    assert left.exit_code == 1
    assert "was deactivated" in left.output


def test_a_token_for_this_machines_own_user_makes_that_user(deployment: Database) -> None:
    result = runner.invoke(app, ["token", "--role", "admin"])
    assert result.exit_code == 0, result.output
    assert result.output.strip().count(".") == 2
    assert deployment.users.find_one({"_id": "usr_local_admin"}) is not None
    assert runner.invoke(app, ["token"]).exit_code == 1


def test_the_alarm_is_silent_when_nothing_was_expected(deployment: Database) -> None:
    result = runner.invoke(app, ["alarm"])
    assert result.exit_code == 0, result.output


def test_a_person_resumes_a_halted_channel_and_its_alert_closes(deployment: Database) -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    assert runner.invoke(app, ["delivery", "resume", "email"]).exit_code == 1
    halt_channel(deployment, "email", "401", now)
    raise_alert(deployment, "channel-halted:email", "401", now)
    assert runner.invoke(app, ["delivery", "resume", "email"]).exit_code == 0
    assert closed_channels(deployment, now) == []
    assert open_alerts(deployment) == []


def test_a_person_lifts_a_suppressed_address(deployment: Database) -> None:
    suppress_address(
        deployment, "default", "reader@example.org", "bounced", datetime(2026, 11, 23, tzinfo=UTC)
    )
    assert "reader@example.org" in runner.invoke(app, ["delivery", "suppressions"]).output
    assert runner.invoke(app, ["delivery", "lift", "reader@example.org"]).exit_code == 0
    assert suppressed_among(deployment, [("default", "reader@example.org")]) == {}
    assert runner.invoke(app, ["delivery", "lift", "reader@example.org"]).exit_code == 1


def test_a_misspelt_variable_stops_every_command_with_the_name_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORTING_HOEM", "/nowhere")
    current_settings.cache_clear()
    result = runner.invoke(app, ["servers", "start"])
    current_settings.cache_clear()
    assert result.exit_code == 1
    assert "did you mean REPORTING_HOME" in result.output


def test_servers_of_the_environment_are_said_to_be_its_own(deployment: Database) -> None:
    assert "named by the environment" in " ".join(runner.invoke(app, ["servers", "status"]).output.split())
