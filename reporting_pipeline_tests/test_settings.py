"""A deployment that is described wrongly does not start, and says which variable and why."""

from __future__ import annotations

import pytest

from reporting_pipeline.settings import LOCAL_SECRET, Settings, SettingsError, load_settings, variable_names

GOOD = "a-secret-of-our-own-that-is-long-enough-0123456789"
SECRETS = {
    "MONGODB_URI": "mongodb://pipeline:hunter2-mongo@db.example.org/reporting",
    "AWS_SECRET_ACCESS_KEY": "hunter2-s3",
    "REPORTING_LINK_SECRET": f"hunter2-link-{GOOD}",
    "REPORTING_JWT_SECRET": f"hunter2-jwt-{GOOD}",
    "SENDGRID_API_KEY": "hunter2-sendgrid",
    "REPORTING_SMTP_URL": "smtp://user:hunter2-smtp@mail.example.org",
    "SLACK_BOT_TOKEN": "hunter2-slack",
    "REPORTING_WEBHOOK_SECRET": "hunter2-webhook",
    "REPORTING_METRICS_TOKEN": "hunter2-metrics",
}


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("REPORTING_TIME_ZONE", "REPORTING_TIMEZONE"),
        ("REPORTING_HOEM", "REPORTING_HOME"),
        ("REPORTING_LINK_SECRETS", "REPORTING_LINK_SECRET"),
        ("REPORTING_HEARTBEAT_SECOND", "REPORTING_HEARTBEAT_SECONDS"),
    ],
)
def test_a_misspelt_variable_raises_with_the_name_that_was_meant(typo: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=f"{typo} is not a setting; did you mean {meant}[?]"):
        load_settings({typo: "x"})


def test_a_variable_that_resembles_none_raises_too_and_others_are_left_alone() -> None:
    with pytest.raises(SettingsError, match="REPORTING_QQQQQQ is not a setting"):
        load_settings({"REPORTING_QQQQQQ": ""})
    assert load_settings({"PATH": "/bin", "REPORTINGS": "1"}).environment == "local"


@pytest.mark.parametrize(
    ("value", "suggestion"), [("Europe/Zürich", "Europe/Zurich"), ("America/New_Yrok", "America/New_York")]
)
def test_a_misspelt_timezone_raises_with_the_one_that_was_meant(value: str, suggestion: str) -> None:
    with pytest.raises(SettingsError, match=f"REPORTING_TIMEZONE.*did you mean '{suggestion}'"):
        load_settings({"REPORTING_TIMEZONE": value})


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize("name", ["REPORTING_LINK_SECRET", "REPORTING_JWT_SECRET"])
@pytest.mark.parametrize("value", ["", LOCAL_SECRET, "short"])
def test_a_default_or_short_secret_is_refused_outside_local(environment: str, name: str, value: str) -> None:
    good = {"REPORTING_LINK_SECRET": GOOD, "REPORTING_JWT_SECRET": GOOD}
    assert load_settings({"REPORTING_ENVIRONMENT": environment, **good}).environment == environment
    with pytest.raises(SettingsError, match=f"{name} must be set to at least 32 characters.*{environment}"):
        load_settings({"REPORTING_ENVIRONMENT": environment, **good, name: value})


def test_a_jwks_stands_in_for_the_jwt_secret_alone() -> None:
    jwks = {"REPORTING_ENVIRONMENT": "production", "REPORTING_JWKS_URL": "https://id.example.org/jwks"}
    assert load_settings({**jwks, "REPORTING_LINK_SECRET": GOOD}).jwks_url
    with pytest.raises(SettingsError, match="REPORTING_LINK_SECRET"):
        load_settings(jwks)


def test_sendgrid_without_a_key_and_private_hosts_are_refused_outside_local() -> None:
    production = {
        "REPORTING_ENVIRONMENT": "production",
        "REPORTING_LINK_SECRET": GOOD,
        "REPORTING_JWT_SECRET": GOOD,
    }
    with pytest.raises(SettingsError, match="SENDGRID_API_KEY must be set"):
        load_settings({**production, "REPORTING_EMAIL_BACKEND": "sendgrid"})
    with pytest.raises(SettingsError, match="REPORTING_PRIVATE_HOSTS"):
        load_settings({**production, "REPORTING_PRIVATE_HOSTS": "127.0.0.1:9000"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REPORTING_RANGE_SIZE", "0"),
        ("REPORTING_RANGE_SIZE", "many"),
        ("REPORTING_ENVIRONMENT", "prod"),
        ("REPORTING_RETENTION_DAYS", "1"),
        ("REPORTING_EMAIL_BACKEND", "pigeon"),
    ],
)
def test_a_value_out_of_its_range_raises_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings({name: value})


def test_no_secret_is_printed() -> None:
    settings = load_settings({**SECRETS, "REPORTING_ENVIRONMENT": "production"})
    for text in (repr(settings), str(settings), settings.model_dump_json(), f"{settings.model_dump()}"):
        assert "hunter2" not in text
    assert settings.mongodb_uri is not None
    assert settings.mongodb_uri.get_secret_value() == SECRETS["MONGODB_URI"]


def test_no_secret_is_printed_by_an_error_about_it() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"REPORTING_ENVIRONMENT": "production", "REPORTING_LINK_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_settings_cannot_be_changed_and_an_empty_variable_is_one_that_is_not_set() -> None:
    settings = load_settings({"REPORTING_RANGE_SIZE": ""})
    assert settings.range_size == Settings.model_fields["range_size"].default
    with pytest.raises(ValueError, match="frozen"):
        settings.range_size = 3  # type: ignore[misc]


def test_every_setting_of_ours_has_the_prefix_or_a_name_that_others_gave_it() -> None:
    foreign = ("MONGODB_", "S3_", "AWS_", "SENDGRID_", "SLACK_")
    assert all(name.startswith(("REPORTING_", *foreign)) for name in variable_names())
