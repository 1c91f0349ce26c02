"""Every setting of a deployment, typed, from the environment. Nothing else reads os.environ.

A misspelt REPORTING_ variable raises with the name that was probably meant; a default secret
outside a local deployment raises too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

LOCAL_SECRET = "local-development-secret-not-for-production"  # noqa: S105 - refused outside local


class SettingsError(ValueError):
    """The environment does not describe a valid deployment; the message says which variable and why."""


def _env(name: str, *others: str) -> Any:
    return AliasChoices(name, *others)


class Settings(BaseModel):
    """One deployment. Field names are the vocabulary; the environment variable is the alias."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_default=True)

    environment: Literal["local", "test", "staging", "production"] = Field(
        "local", validation_alias=_env("REPORTING_ENVIRONMENT")
    )
    home: Path = Field(Path(".local"), validation_alias=_env("REPORTING_HOME"))
    timezone: str = Field("UTC", validation_alias=_env("REPORTING_TIMEZONE"))
    organisation: str = Field("default", validation_alias=_env("REPORTING_ORGANISATION"))

    mongodb_uri: SecretStr | None = Field(None, validation_alias=_env("MONGODB_URI"))
    mongodb_database: str = Field("reporting", validation_alias=_env("REPORTING_MONGODB_DATABASE"))
    s3_endpoint_url: str | None = Field(None, validation_alias=_env("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))
    s3_bucket: str = Field("reporting-pipeline", validation_alias=_env("REPORTING_S3_BUCKET"))
    s3_region: str = Field("us-east-1", validation_alias=_env("AWS_REGION", "AWS_DEFAULT_REGION"))
    s3_access_key_id: str | None = Field(None, validation_alias=_env("AWS_ACCESS_KEY_ID"))
    s3_secret_access_key: SecretStr | None = Field(None, validation_alias=_env("AWS_SECRET_ACCESS_KEY"))
    s3_encryption: Literal["AES256", "aws:kms", "none"] = Field(
        "AES256", validation_alias=_env("REPORTING_S3_ENCRYPTION")
    )
    s3_kms_key_id: str | None = Field(None, validation_alias=_env("REPORTING_S3_KMS_KEY_ID"))

    public_url: str = Field("http://127.0.0.1:8000", validation_alias=_env("REPORTING_PUBLIC_URL"))
    link_secret: SecretStr = Field(SecretStr(LOCAL_SECRET), validation_alias=_env("REPORTING_LINK_SECRET"))
    link_days: int = Field(7, ge=1, le=90, validation_alias=_env("REPORTING_LINK_DAYS"))
    # The keys of the audit log; where there are none they are derived from those of the links.
    audit_secret: SecretStr | None = Field(None, validation_alias=_env("REPORTING_AUDIT_SECRET"))
    retention_days: int = Field(90, ge=7, le=3650, validation_alias=_env("REPORTING_RETENTION_DAYS"))

    daily_opens: str = Field("5 0 * * *", validation_alias=_env("REPORTING_DAILY_OPENS"))
    weekly_opens: str = Field("5 0 * * 1", validation_alias=_env("REPORTING_WEEKLY_OPENS"))
    monthly_opens: str = Field("5 0 1 * *", validation_alias=_env("REPORTING_MONTHLY_OPENS"))
    sensor_interval_seconds: int = Field(
        10, ge=1, le=600, validation_alias=_env("REPORTING_SENSOR_INTERVAL_SECONDS")
    )
    # At most so many partitions in a run: what a killed run may have to confirm again.
    range_size: int = Field(5_000, ge=1, le=10_000, validation_alias=_env("REPORTING_RANGE_SIZE"))
    # An edition's reports are spread over so many runs at a time: as many as there are cores for them.
    render_runs: int = Field(2, ge=1, le=1_000, validation_alias=_env("REPORTING_RENDER_RUNS"))
    # So many runs deliver at a time when much is due: each is a process, and writing mails keeps one busy.
    delivery_runs: int = Field(2, ge=1, le=100, validation_alias=_env("REPORTING_DELIVERY_RUNS"))
    max_attempts: int = Field(4, ge=1, le=20, validation_alias=_env("REPORTING_MAX_ATTEMPTS"))
    heartbeat_seconds: int = Field(5, ge=1, le=60, validation_alias=_env("REPORTING_HEARTBEAT_SECONDS"))

    email_backend: Literal["outbox", "sendgrid", "smtp"] = Field(
        "outbox", validation_alias=_env("REPORTING_EMAIL_BACKEND")
    )
    email_from: str = Field("reports@example.org", validation_alias=_env("REPORTING_EMAIL_FROM"))
    email_from_name: str = Field("Trial reports", validation_alias=_env("REPORTING_EMAIL_FROM_NAME"))
    sendgrid_api_key: SecretStr | None = Field(None, validation_alias=_env("SENDGRID_API_KEY"))
    sendgrid_url: str = Field("https://api.sendgrid.com", validation_alias=_env("SENDGRID_URL"))

    sendgrid_webhook_key: str | None = Field(None, validation_alias=_env("SENDGRID_WEBHOOK_PUBLIC_KEY"))
    smtp_url: SecretStr | None = Field(None, validation_alias=_env("REPORTING_SMTP_URL"))
    email_per_second: float = Field(50, gt=0, le=10_000, validation_alias=_env("REPORTING_EMAIL_PER_SECOND"))
    send_timeout_seconds: float = Field(
        10, gt=0, le=120, validation_alias=_env("REPORTING_SEND_TIMEOUT_SECONDS")
    )
    send_deadline_seconds: float = Field(
        30, gt=0, le=240, validation_alias=_env("REPORTING_SEND_DEADLINE_SECONDS")
    )
    unknown_resend_minutes: int = Field(
        60, ge=1, le=10_080, validation_alias=_env("REPORTING_UNKNOWN_RESEND_MINUTES")
    )
    absence_grace_minutes: int = Field(
        120, ge=1, le=10_080, validation_alias=_env("REPORTING_ABSENCE_GRACE_MINUTES")
    )
    slack_bot_token: SecretStr | None = Field(None, validation_alias=_env("SLACK_BOT_TOKEN"))
    slack_url: str = Field("https://slack.com/api", validation_alias=_env("SLACK_URL"))
    webhook_secret: SecretStr | None = Field(None, validation_alias=_env("REPORTING_WEBHOOK_SECRET"))
    # host:port pairs, comma-separated, that webhooks may reach although they are not public. Local only.
    private_hosts: str = Field("", validation_alias=_env("REPORTING_PRIVATE_HOSTS"))

    jwt_secret: SecretStr = Field(SecretStr(LOCAL_SECRET), validation_alias=_env("REPORTING_JWT_SECRET"))
    jwt_issuer: str = Field("reporting-pipeline", validation_alias=_env("REPORTING_JWT_ISSUER"))
    jwt_audience: str = Field("reporting-pipeline", validation_alias=_env("REPORTING_JWT_AUDIENCE"))
    jwks_url: str | None = Field(None, validation_alias=_env("REPORTING_JWKS_URL"))
    jwks_file: Path | None = Field(None, validation_alias=_env("REPORTING_JWKS_FILE"))

    requests_per_minute: int = Field(600, ge=1, validation_alias=_env("REPORTING_REQUESTS_PER_MINUTE"))
    run_now_per_hour: int = Field(20, ge=1, validation_alias=_env("REPORTING_RUN_NOW_PER_HOUR"))
    requeues_per_hour: int = Field(10, ge=1, validation_alias=_env("REPORTING_REQUEUES_PER_HOUR"))
    link_clicks_per_minute: int = Field(30, ge=1, validation_alias=_env("REPORTING_LINK_CLICKS_PER_MINUTE"))
    subscriptions_per_user: int = Field(100, ge=1, validation_alias=_env("REPORTING_SUBSCRIPTIONS_PER_USER"))
    subscriptions_per_organisation: int = Field(
        200_000, ge=1, validation_alias=_env("REPORTING_SUBSCRIPTIONS_PER_ORGANISATION")
    )
    upload_limit_bytes: int = Field(
        50_000_000, ge=1_000, le=500_000_000, validation_alias=_env("REPORTING_UPLOAD_LIMIT_BYTES")
    )
    metrics_token: SecretStr | None = Field(None, validation_alias=_env("REPORTING_METRICS_TOKEN"))

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value not in available_timezones():
            near = get_close_matches(value, available_timezones(), n=1)
            raise ValueError(
                f"{value!r} is no IANA timezone" + (f"; did you mean {near[0]!r}?" if near else "")
            )
        return value

    @field_validator("home")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @model_validator(mode="after")
    def _no_default_secret_outside_local(self) -> Settings:
        if self.environment in ("local", "test"):
            return self
        secrets = [("REPORTING_LINK_SECRET", self.link_secret)]
        if not (self.jwks_url or self.jwks_file):  # with a JWKS the secret signs nothing
            secrets.append(("REPORTING_JWT_SECRET", self.jwt_secret))
        for name, secret in secrets:
            if secret.get_secret_value() == LOCAL_SECRET or len(secret.get_secret_value()) < 32:
                raise ValueError(
                    f"{name} must be set to at least 32 characters of your own in {self.environment}"
                )
        if self.email_backend == "sendgrid" and self.sendgrid_api_key is None:
            raise ValueError("SENDGRID_API_KEY must be set when REPORTING_EMAIL_BACKEND is sendgrid")
        if self.private_hosts:
            raise ValueError(
                f"REPORTING_PRIVATE_HOSTS is for local use; it must be empty in {self.environment}"
            )
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def private_endpoints(self) -> frozenset[str]:
        """The `host:port` pairs that webhooks may reach although they are not public."""
        return frozenset(part.strip().lower() for part in self.private_hosts.split(",") if part.strip())

    @property
    def outbox(self) -> Path:
        return self.home / "outbox"


def variable_names() -> set[str]:
    """The environment variables that Settings reads."""
    names: set[str] = set()
    for info in Settings.model_fields.values():
        alias = info.validation_alias
        names.update(str(choice) for choice in alias.choices) if isinstance(alias, AliasChoices) else None
    return names


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `environ` (default: the process's). Raises SettingsError that names the variable."""
    environ = os.environ if environ is None else environ
    known = variable_names()
    for name in environ:
        if name.startswith("REPORTING_") and name not in known:
            near = get_close_matches(name, known, n=1)
            raise SettingsError(
                f"{name} is not a setting"
                + (f"; did you mean {near[0]}?" if near else "")
                + ". docs/operations.md lists all settings."
            )
    values = {name: environ[name] for name in known if environ.get(name)}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'settings'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(f"The environment is not valid: {problems}") from None


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with `extra` over it, for a child process of the same deployment."""
    return {**os.environ, **extra}


@lru_cache(maxsize=1)
def current_settings() -> Settings:
    """The settings of this process, read once."""
    return load_settings()


def remember_servers(settings: Settings, environment: Mapping[str, str]) -> None:
    """Write down in the home where its servers are; only this user can read it, for it holds their keys."""
    path = _servers_of_home(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in environment.items())


def forget_servers(settings: Settings) -> None:
    """The servers of the home have stopped."""
    _servers_of_home(settings).unlink(missing_ok=True)


def with_servers_of_home(settings: Settings) -> Settings:
    """The same deployment, pointed to the servers that run in its home, where it is a local one.

    What the environment names itself stays as it is.
    """
    path = _servers_of_home(settings)
    if settings.environment not in ("local", "test") or not path.is_file():
        return settings
    lines = path.read_text(encoding="utf-8").splitlines()
    noted = dict(line.split("=", 1) for line in lines if "=" in line)
    return load_settings({**noted, **{name: value for name, value in os.environ.items() if value}})


def _servers_of_home(settings: Settings) -> Path:
    return settings.home / "servers.env"
