"""A deployment that is described wrongly does not start, and says which variable and why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.settings import (
    LOCAL_SECRET,
    Settings,
    SettingsError,
    current_settings,
    load_settings,
    variable_names,
)

GOOD = "a-secret-of-our-own-that-is-long-enough-0123456789"
#: The least that a production deployment must say.
PRODUCTION = {
    "REPORTING_ENVIRONMENT": "production",
    "MONGODB_URI": "mongodb://db.example.org",
    "REPORTING_PUBLIC_URL": "https://reports.trials.example",
    "REPORTING_LINK_SECRET": f"link-{GOOD}",
    "REPORTING_JWT_SECRET": f"jwt-{GOOD}",
    "REPORTING_EMAIL_BACKEND": "smtp",
    "REPORTING_SMTP_URL": "smtp://user:hunter2@mail.example.org",
    "REPORTING_EMAIL_FROM": "reports@trials.example",
}
SECRETS = {
    "MONGODB_URI": "mongodb://pipeline:hunter2-mongo@db.example.org/reporting",
    "AWS_SECRET_ACCESS_KEY": "hunter2-s3",
    "REPORTING_LINK_SECRET": f"hunter2-link-{GOOD}",
    "REPORTING_JWT_SECRET": f"hunter2-jwt-{GOOD}",
    "SENDGRID_API_KEY": "hunter2-sendgrid",
    "REPORTING_SMTP_URL": "smtp://user:hunter2-smtp@mail.example.org",
    "SLACK_BOT_TOKEN": "hunter2-slack",
    "REPORTING_WEBHOOK_SECRET": f"hunter2-webhook-{GOOD}",
    "REPORTING_METRICS_TOKEN": "hunter2-metrics",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=hunter2-otlp",
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
@pytest.mark.parametrize(
    "value", ["", LOCAL_SECRET, "short", "ab" * 20, "changeme-changeme-changeme-0123456789"]
)
def test_a_default_weak_or_published_secret_is_refused_outside_local(
    environment: str, name: str, value: str
) -> None:
    good = {**PRODUCTION, "REPORTING_ENVIRONMENT": environment}
    assert load_settings(good).environment == environment
    with pytest.raises(SettingsError, match=f"{name} must be set to at least 32 characters.*{environment}"):
        load_settings({**good, name: value})


def test_secrets_that_are_one_are_refused() -> None:
    one = {"REPORTING_LINK_SECRET": GOOD, "REPORTING_JWT_SECRET": GOOD}
    with pytest.raises(SettingsError, match="REPORTING_JWT_SECRET must not be the same"):
        load_settings({**PRODUCTION, **one})
    jwks = {**PRODUCTION, **one, "REPORTING_JWKS_URL": "https://id.example.org/jwks"}
    assert load_settings(jwks).jwks_url  # the token secret signs nothing then


def test_a_jwks_stands_in_for_the_jwt_secret_alone() -> None:
    jwks = {**PRODUCTION, "REPORTING_JWT_SECRET": "", "REPORTING_JWKS_URL": "https://id.example.org/jwks"}
    assert load_settings(jwks).jwks_url
    with pytest.raises(SettingsError, match="REPORTING_LINK_SECRET"):
        load_settings({**jwks, "REPORTING_LINK_SECRET": ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONGODB_URI", ""),
        ("REPORTING_EMAIL_BACKEND", "outbox"),
        ("REPORTING_EMAIL_BACKEND", ""),
        ("REPORTING_SMTP_URL", ""),
        ("REPORTING_SMTP_URL", "foo://mail.example.org"),
        ("REPORTING_SMTP_URL", "smtp://"),
        ("REPORTING_PUBLIC_URL", ""),
        ("REPORTING_PUBLIC_URL", "http://reports.trials.example"),
        ("REPORTING_PUBLIC_URL", "https://127.0.0.1:8000"),
        ("REPORTING_PUBLIC_URL", "https://localhost"),
        ("REPORTING_PUBLIC_URL", "https://[::1]:8000"),
        ("REPORTING_PUBLIC_URL", "https://0.0.0.0"),
        ("REPORTING_EMAIL_FROM", ""),
        ("REPORTING_PRIVATE_HOSTS", "127.0.0.1:9000"),
        ("SENDGRID_URL", "http://api.sendgrid.com"),
    ],
)
def test_what_cannot_work_in_production_is_refused_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings({**PRODUCTION, name: value})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("REPORTING_EMAIL_FROM", "reports", "one @"),
        ("REPORTING_EMAIL_FROM", "Reports <reports@trials.example>", "a blank"),
        ("REPORTING_EMAIL_FROM", "reports@trials.example\nBcc: x@y.example", "control character"),
        ("REPORTING_MONGODB_DATABASE", "a b", "no name for a database"),
        ("REPORTING_MONGODB_DATABASE", "a/b", "no name for a database"),
        ("REPORTING_MONGODB_DATABASE", "a" * 64, "no name for a database"),
        ("REPORTING_MONGODB_DATABASE", "admin", "no name for a database"),
        ("REPORTING_S3_BUCKET", "s3://reports", "no name of a bucket"),
        ("REPORTING_S3_BUCKET", "my reports", "no name of a bucket"),
        ("REPORTING_S3_BUCKET", "r", "no name of a bucket"),
        ("REPORTING_EMAIL_FROM_NAME", "Reports\nBcc: x@y.example", "one line"),
        ("REPORTING_PUBLIC_URL", "https://r.example:port", "a port from 1 to 65535"),
        ("REPORTING_PUBLIC_URL", "https://u:p@r.example", "no user"),
        ("REPORTING_PUBLIC_URL", "https://r.example/x?y=1", r"no \?"),
        ("REPORTING_PUBLIC_URL", "https://r.example/a b", "a blank"),
        ("REPORTING_SMTP_URL", "smtp://mail.example:0", "a port from 1 to 65535"),
        ("REPORTING_SMTP_URL", "smtps://mail.example:587587", "a port from 1 to 65535"),
        ("MONGODB_URI", "mongodb://127.0.0.1:99999", "MongoDB's driver"),
        ("MONGODB_URI", "mongodb://user:hun@ter2@127.0.0.1", "two digits"),
        ("MONGODB_URI", "mongodb://a b", "a blank"),
        ("MONGODB_URI", "mongodb://127.0.0.1/?w=0", "w=0"),
        ("REPORTING_JWKS_URL", "id.example", "must begin with"),
        ("REPORTING_JWKS_URL", "http://id.example/keys", "must be https"),
        ("REPORTING_OIDC_ISSUER", "https://", "name a host"),
    ],
)
def test_a_name_or_address_that_cannot_be_is_refused_with_its_variable(
    name: str, value: str, said: str
) -> None:
    """Else every mail fails at the relay, and every process with a word about another variable."""
    with pytest.raises(SettingsError, match=f"{name}.*{said}") as caught:
        load_settings({name: value})
    assert "ter2" not in str(caught.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"REPORTING_ENVIRONMENT": "production"})
    names = ("MONGODB_URI", "REPORTING_LINK_SECRET", "REPORTING_EMAIL_BACKEND", "REPORTING_PUBLIC_URL")
    assert [name for name in names if name not in str(caught.value)] == []


def test_sendgrid_without_a_key_is_refused_outside_local() -> None:
    with pytest.raises(SettingsError, match="SENDGRID_API_KEY must be set"):
        load_settings({**PRODUCTION, "REPORTING_EMAIL_BACKEND": "sendgrid"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONGODB_URI", "mongodb://db.internal:27017"),
        ("MONGODB_URI", "mongodb+srv://user:hunter2@cluster.example.org/x"),
        ("MONGODB_URI", "mongodb://127.0.0.1:1,db.internal:2"),
        ("S3_ENDPOINT_URL", "https://s3.example.org"),
    ],
)
def test_stores_elsewhere_need_an_environment_that_is_said(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} names a server.*REPORTING_ENVIRONMENT"):
        load_settings({name: value})
    assert load_settings({name: value, "REPORTING_ENVIRONMENT": "local"}).environment == "local"
    assert load_settings({"MONGODB_URI": "mongodb://127.0.0.1:27017", "S3_ENDPOINT_URL": "http://[::1]:9"})


def test_smtp_without_a_url_is_refused_everywhere() -> None:
    with pytest.raises(SettingsError, match="REPORTING_SMTP_URL"):
        load_settings({"REPORTING_EMAIL_BACKEND": "smtp"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, and an environment without any setting."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name in variable_names() or name.startswith("REPORTING_")]:
        monkeypatch.delenv(name)
    current_settings.cache_clear()
    before = dict(os.environ)
    yield tmp_path
    for name in set(os.environ) - set(before):
        del os.environ[name]
    current_settings.cache_clear()


def test_a_variable_comes_from_the_environment_else_from_dot_env_else_from_the_secrets_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "REPORTING_LINK_SECRET").write_text(f"from-the-folder-{GOOD}\n")
    (secrets / "REPORTING_TIMEZONE").write_text("Asia/Tokyo\n")
    (secrets / "MONGODB_URI").write_text("mongodb://127.0.0.1:1\n")
    (folder / ".env").write_text(
        "REPORTING_TIMEZONE=Europe/Zurich\nREPORTING_RANGE_SIZE=7\nREPORTING_HOME=\n"
    )
    monkeypatch.setenv("REPORTING_SECRETS_DIR", str(secrets))
    monkeypatch.setenv("REPORTING_RANGE_SIZE", "9")
    settings = current_settings()
    assert settings.link_secret.get_secret_value() == f"from-the-folder-{GOOD}"
    assert settings.timezone == "Europe/Zurich"
    assert settings.range_size == 9
    assert settings.home == folder / ".local"  # an empty line is none
    # Dagster's resources and child processes look there.
    assert os.environ["MONGODB_URI"] == "mongodb://127.0.0.1:1"


def test_the_other_name_of_a_variable_in_the_environment_wins_over_a_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("AWS_REGION=eu-west-1\n")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert load_settings().s3_region == "eu-central-1"


def test_a_misspelt_name_in_a_file_raises_with_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("REPORTING_TIME_ZONE=UTC\n")
    with pytest.raises(SettingsError, match=r"did you mean REPORTING_TIMEZONE.*in \.env"):
        load_settings()
    (folder / ".env").unlink()
    secrets = folder / "secrets"
    secrets.mkdir()
    monkeypatch.setenv("REPORTING_SECRETS_DIR", str(secrets))
    (secrets / "REPORTING_LINK_SECRETS").write_text("x")
    with pytest.raises(SettingsError, match=r"did you mean REPORTING_LINK_SECRET.*secrets"):
        load_settings()
    monkeypatch.setenv("REPORTING_SECRETS_DIR", str(folder / "nowhere"))
    with pytest.raises(SettingsError, match=r"REPORTING_SECRETS_DIR.*no folder"):
        load_settings()


def test_a_mapping_is_taken_alone(folder: Path) -> None:
    (folder / ".env").write_text("REPORTING_TIMEZONE=Europe/Zurich\n")
    assert load_settings({}).timezone == "UTC"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REPORTING_RANGE_SIZE", "0"),
        ("REPORTING_RANGE_SIZE", "many"),
        ("REPORTING_ENVIRONMENT", "prod"),
        ("REPORTING_RETENTION_DAYS", "1"),
        ("REPORTING_EMAIL_BACKEND", "pigeon"),
        ("REPORTING_WEEKLY_OPENS", "every monday"),
        ("REPORTING_MONTHLY_DEADLINE", "on the first"),
        ("REPORTING_WEEKLY_OPENS", "0 0 6 * * 1"),  # six fields
        ("REPORTING_WEEKLY_DEADLINE", "0 6 LW * *"),
        ("REPORTING_WEEKLY_DEADLINE", "0 6 * * 1L"),
        ("REPORTING_WEEKLY_DEADLINE", "0 0 * * 1"),  # before the opening
        ("REPORTING_WEEKLY_DEADLINE", "0 6 * * *"),  # each day
        ("REPORTING_DAILY_DEADLINE", "0 6,18 * * *"),
        ("REPORTING_SOURCE_URL", "https://github.com/acme/reports"),
        ("REPORTING_SOURCE_URL", "https://github.com/acme/reports/tree/"),
        ("REPORTING_SOURCE_URL", "javascript://github.com/acme/reports/tree/main"),
        ("REPORTING_PUBLIC_URL", "reports.example.org"),
        ("S3_ENDPOINT_URL", "foo://s3"),
        ("MONGODB_URI", "foo://db"),
        ("REPORTING_SMTP_URL", "foo://mail"),
        ("REPORTING_GENERATION_RETRY_MINUTES", "1,five,15"),
        ("REPORTING_GENERATION_RETRY_MINUTES", "1,-5"),
        ("REPORTING_DELIVERY_RETRY_MINUTES", "nan"),
        ("REPORTING_DELIVERY_RETRY_MINUTES", "1,"),
        ("REPORTING_DELIVERY_RETRY_MINUTES", "1e9"),
    ],
)
def test_a_value_out_of_its_range_raises_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings({name: value})


def test_no_secret_is_printed() -> None:
    settings = load_settings({**PRODUCTION, **SECRETS, "AWS_ACCESS_KEY_ID": "reports"})
    for text in (repr(settings), str(settings), settings.model_dump_json(), f"{settings.model_dump()}"):
        assert "hunter2" not in text
    assert settings.mongodb_uri is not None
    assert settings.mongodb_uri.get_secret_value() == SECRETS["MONGODB_URI"]


def test_no_secret_is_printed_by_an_error_about_it() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"REPORTING_ENVIRONMENT": "production", "REPORTING_LINK_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_attempts_come_after_one_five_and_fifteen_minutes_and_mails_after_one_five_and_thirty() -> None:
    settings = load_settings({})
    assert settings.generation_retries == tuple(timedelta(minutes=wait) for wait in (1, 5, 15))
    assert settings.delivery_retries == tuple(timedelta(minutes=wait) for wait in (1, 5, 30))
    quick = load_settings({"REPORTING_GENERATION_RETRY_MINUTES": " 0.05, 2 "})
    assert quick.generation_retries == (timedelta(seconds=3), timedelta(minutes=2))


def test_settings_cannot_be_changed_and_an_empty_variable_is_one_that_is_not_set() -> None:
    settings = load_settings({"REPORTING_RANGE_SIZE": ""})
    assert settings.range_size == Settings.model_fields["range_size"].default
    with pytest.raises(ValueError, match="frozen"):
        settings.range_size = 3  # type: ignore[misc]


def test_every_setting_of_ours_has_the_prefix_or_a_name_that_others_gave_it() -> None:
    foreign = ("MONGODB_", "S3_", "AWS_", "SENDGRID_", "SLACK_", "DAGSTER_", "OTEL_")
    assert all(name.startswith(("REPORTING_", *foreign)) for name in variable_names())


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Zurich", "Pacific/Apia", "America/St_Johns"])
def test_each_cadence_has_a_deadline_by_default_and_none_where_it_opens_later(timezone: str) -> None:
    usual = load_settings({"REPORTING_ENVIRONMENT": "test", "REPORTING_TIMEZONE": timezone})
    assert [usual.deadline_of(one) for one in Cadence] == ["0 6 * * *", "0 6 * * 1", "0 6 1 * *"]
    later = load_settings({"REPORTING_ENVIRONMENT": "test", "REPORTING_WEEKLY_OPENS": "0 12 * * 1"})
    assert later.deadline_of(Cadence.WEEKLY) is None
    assert later.deadline_of(Cadence.DAILY) == "0 6 * * *"
