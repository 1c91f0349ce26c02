"""The settings themselves: each with its variable, its limits, and what cannot work together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from reporting_pipeline.domain.access import normal_address
from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.proof import seeds
from reporting_pipeline.settings.values import (
    LOCAL_SECRET,
    is_loopback,
    keys_in,
    minutes,
    networks_of,
    once_after,
    refuse_open_keys,
    refuse_other_address,
    refuse_other_mongodb,
    refuse_other_port,
    refuse_part_of_address,
    shared,
    source_tree,
    weakness,
)

#: What the SMTP channel speaks (`delivery/channels/smtp.py`).
SMTP_SCHEMES = {"smtp", "smtps", "smtp+starttls"}
DEADLINES = ("daily_deadline", "weekly_deadline", "monthly_deadline")


def _env(name: str, *others: str) -> Any:
    return AliasChoices(name, *others)


class Settings(BaseSettings):
    """One deployment. Field names are the vocabulary; the environment variable is the alias."""

    model_config = SettingsConfigDict(
        extra="ignore", frozen=True, validate_default=True, case_sensitive=True, env_ignore_empty=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment comes as a mapping through `load_settings`, so that a test can give another."""
        return init_settings, dotenv_settings, file_secret_settings

    environment: Literal["local", "test", "staging", "production"] = Field(
        "local", validation_alias=_env("REPORTING_ENVIRONMENT")
    )
    home: Path = Field(Path(".local"), validation_alias=_env("REPORTING_HOME"))
    dagster_home: Path | None = Field(None, validation_alias=_env("DAGSTER_HOME"))
    dagster_event_batch_size: int = Field(0, ge=0, validation_alias=_env("DAGSTER_EVENT_BATCH_SIZE"))
    timezone: str = Field("UTC", validation_alias=_env("REPORTING_TIMEZONE"))
    organisation: str = Field("default", validation_alias=_env("REPORTING_ORGANISATION"))

    mongodb_uri: SecretStr | None = Field(None, validation_alias=_env("MONGODB_URI"))
    mongodb_database: str = Field("reporting", validation_alias=_env("REPORTING_MONGODB_DATABASE"))
    # Where the documents of reports are read; everything else is read from the primary.
    read_from: Literal["primary", "secondary"] = Field(
        "primary", validation_alias=_env("REPORTING_READ_FROM")
    )
    s3_endpoint_url: str | None = Field(None, validation_alias=_env("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"))
    s3_bucket: str = Field("reporting-pipeline", validation_alias=_env("REPORTING_S3_BUCKET"))
    s3_region: str = Field("us-east-1", validation_alias=_env("AWS_REGION", "AWS_DEFAULT_REGION"))
    s3_access_key_id: str | None = Field(None, validation_alias=_env("AWS_ACCESS_KEY_ID"))
    s3_secret_access_key: SecretStr | None = Field(None, validation_alias=_env("AWS_SECRET_ACCESS_KEY"))
    s3_encryption: Literal["AES256", "aws:kms", "none"] = Field(
        "AES256", validation_alias=_env("REPORTING_S3_ENCRYPTION")
    )
    # Of all processes together, tries included; without it nobody waits.
    s3_requests_per_second: float | None = Field(
        None, gt=0, le=100_000, validation_alias=_env("REPORTING_S3_REQUESTS_PER_SECOND")
    )
    s3_kms_key_id: str | None = Field(None, validation_alias=_env("REPORTING_S3_KMS_KEY_ID"))

    public_url: str = Field("http://127.0.0.1:8000", validation_alias=_env("REPORTING_PUBLIC_URL"))
    # Where operators reach Dagster's UI; the console links its runs there.
    dagster_url: str | None = Field(None, validation_alias=_env("REPORTING_DAGSTER_URL"))
    # Where the tree of the revision that runs is read; Dagster's UI links each asset's code there.
    source_url: str | None = Field(None, validation_alias=_env("REPORTING_SOURCE_URL"))
    link_secret: SecretStr = Field(SecretStr(LOCAL_SECRET), validation_alias=_env("REPORTING_LINK_SECRET"))
    link_days: int = Field(7, ge=1, le=90, validation_alias=_env("REPORTING_LINK_DAYS"))
    # The keys of the audit log; where there are none they are derived from those of the links.
    audit_secret: SecretStr | None = Field(None, validation_alias=_env("REPORTING_AUDIT_SECRET"))
    # Wraps the data keys of persons whose organisation has their reports sealed.
    seal_secret: SecretStr | None = Field(None, validation_alias=_env("REPORTING_SEAL_SECRET"))
    # What signs the manifests of reports: base64 of 32 bytes each, commas between them; the first signs.
    proof_keys: SecretStr | None = Field(None, validation_alias=_env("REPORTING_PROOF_KEYS"))
    # Public keys, base64, that signed earlier and whose secret is gone.
    proof_retired_keys: str = Field("", validation_alias=_env("REPORTING_PROOF_RETIRED_KEYS"))
    retention_days: int = Field(90, ge=7, le=3650, validation_alias=_env("REPORTING_RETENTION_DAYS"))

    # How long each kind is kept after its time; what is held, linked to or under way stays (docs).
    keep_reports_days: int = Field(90, ge=7, le=36_500, validation_alias=_env("REPORTING_KEEP_REPORTS_DAYS"))
    keep_inputs_days: int = Field(90, ge=7, le=36_500, validation_alias=_env("REPORTING_KEEP_INPUTS_DAYS"))
    keep_pictures_days: int = Field(
        90, ge=1, le=36_500, validation_alias=_env("REPORTING_KEEP_PICTURES_DAYS")
    )
    keep_history_days: int = Field(
        400, ge=30, le=36_500, validation_alias=_env("REPORTING_KEEP_HISTORY_DAYS")
    )
    keep_runs_days: int = Field(90, ge=7, le=36_500, validation_alias=_env("REPORTING_KEEP_RUNS_DAYS"))
    keep_outbox_days: int = Field(90, ge=1, le=36_500, validation_alias=_env("REPORTING_KEEP_OUTBOX_DAYS"))
    keep_orphans_days: int = Field(14, ge=1, le=3_650, validation_alias=_env("REPORTING_KEEP_ORPHANS_DAYS"))
    cache_limit_mb: int = Field(1_000, ge=10, validation_alias=_env("REPORTING_CACHE_LIMIT_MB"))
    archive_after_days: int = Field(
        30, ge=1, le=36_500, validation_alias=_env("REPORTING_ARCHIVE_AFTER_DAYS")
    )
    archive_class: Literal["GLACIER_IR", "STANDARD_IA", "INTELLIGENT_TIERING", "none"] = Field(
        "GLACIER_IR", validation_alias=_env("REPORTING_ARCHIVE_CLASS")
    )

    daily_opens: str = Field("5 0 * * *", validation_alias=_env("REPORTING_DAILY_OPENS"))
    weekly_opens: str = Field("5 0 * * 1", validation_alias=_env("REPORTING_WEEKLY_OPENS"))
    monthly_opens: str = Field("5 0 1 * *", validation_alias=_env("REPORTING_MONTHLY_OPENS"))
    daily_deadline: str = Field("0 6 * * *", validation_alias=_env("REPORTING_DAILY_DEADLINE"))
    weekly_deadline: str = Field("0 6 * * 1", validation_alias=_env("REPORTING_WEEKLY_DEADLINE"))
    monthly_deadline: str = Field("0 6 1 * *", validation_alias=_env("REPORTING_MONTHLY_DEADLINE"))
    sensor_interval_seconds: int = Field(
        10, ge=1, le=600, validation_alias=_env("REPORTING_SENSOR_INTERVAL_SECONDS")
    )
    # A tick that finds nothing to run now watches so long; less than the five seconds to the daemon's next.
    watch_seconds: float = Field(4, ge=0, lt=5, validation_alias=_env("REPORTING_WATCH_SECONDS"))
    # At most so many partitions in a run: what a killed run may have to confirm again.
    range_size: int = Field(5_000, ge=1, le=10_000, validation_alias=_env("REPORTING_RANGE_SIZE"))
    # An edition's reports are spread over so many runs at a time: as many as there are cores for them.
    render_runs: int = Field(2, ge=1, le=1_000, validation_alias=_env("REPORTING_RENDER_RUNS"))
    # So many runs deliver at a time when much is due: each is a process, and writing mails keeps one busy.
    delivery_runs: int = Field(2, ge=1, le=100, validation_alias=_env("REPORTING_DELIVERY_RUNS"))
    max_attempts: int = Field(4, ge=1, le=20, validation_alias=_env("REPORTING_MAX_ATTEMPTS"))
    # Minutes between attempts, comma-separated; the last one again for every further attempt.
    generation_retry_minutes: str = Field(
        "1,5,15", validation_alias=_env("REPORTING_GENERATION_RETRY_MINUTES")
    )
    delivery_retry_minutes: str = Field("1,5,30", validation_alias=_env("REPORTING_DELIVERY_RETRY_MINUTES"))
    # A started run that never wrote a heartbeat nor an event counts as dead after so long.
    start_up_seconds: int = Field(300, ge=10, le=3_600, validation_alias=_env("REPORTING_START_UP_SECONDS"))
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
    # Who signs people in to the console; its `sub` is the id of a user.
    oidc_issuer: str | None = Field(None, validation_alias=_env("REPORTING_OIDC_ISSUER"))
    oidc_client_id: str = Field("reporting-pipeline", validation_alias=_env("REPORTING_OIDC_CLIENT_ID"))
    oidc_client_secret: SecretStr | None = Field(None, validation_alias=_env("REPORTING_OIDC_CLIENT_SECRET"))

    requests_per_minute: int = Field(600, ge=1, validation_alias=_env("REPORTING_REQUESTS_PER_MINUTE"))
    run_now_per_hour: int = Field(20, ge=1, validation_alias=_env("REPORTING_RUN_NOW_PER_HOUR"))
    requeues_per_hour: int = Field(10, ge=1, validation_alias=_env("REPORTING_REQUEUES_PER_HOUR"))
    anonymous_per_minute: int = Field(600, ge=1, validation_alias=_env("REPORTING_ANONYMOUS_PER_MINUTE"))
    trusted_proxies: str = Field("", validation_alias=_env("REPORTING_TRUSTED_PROXIES"))
    link_clicks_per_minute: int = Field(30, ge=1, validation_alias=_env("REPORTING_LINK_CLICKS_PER_MINUTE"))
    subscriptions_per_user: int = Field(100, ge=1, validation_alias=_env("REPORTING_SUBSCRIPTIONS_PER_USER"))
    subscriptions_per_organisation: int = Field(
        200_000, ge=1, validation_alias=_env("REPORTING_SUBSCRIPTIONS_PER_ORGANISATION")
    )
    upload_limit_bytes: int = Field(
        50_000_000, ge=1_000, le=100_000_000, validation_alias=_env("REPORTING_UPLOAD_LIMIT_BYTES")
    )
    log_format: Literal["text", "json"] = Field("text", validation_alias=_env("REPORTING_LOG_FORMAT"))
    # Where traces go, OTLP over HTTP; without it none are made. Its headers as OpenTelemetry writes them.
    otlp_endpoint: str | None = Field(None, validation_alias=_env("OTEL_EXPORTER_OTLP_ENDPOINT"))
    otlp_headers: SecretStr | None = Field(None, validation_alias=_env("OTEL_EXPORTER_OTLP_HEADERS"))
    trace_share: float = Field(0.1, ge=0, le=1, validation_alias=_env("REPORTING_TRACE_SHARE"))
    # 32 bytes in base64 that seal backups; kept apart from them.
    backup_key: SecretStr | None = Field(None, validation_alias=_env("REPORTING_BACKUP_KEY"))
    backup_key_file: Path | None = Field(None, validation_alias=_env("REPORTING_BACKUP_KEY_FILE"))
    metrics_token: SecretStr | None = Field(None, validation_alias=_env("REPORTING_METRICS_TOKEN"))
    # What was agreed or bought; an alert speaks at 80 % of it.
    storage_limit_bytes: int | None = Field(
        None, ge=1_000_000, validation_alias=_env("REPORTING_STORAGE_LIMIT_BYTES")
    )

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value not in available_timezones():
            near = get_close_matches(value, available_timezones(), n=1)
            raise ValueError(
                f"{value!r} is no IANA timezone" + (f"; did you mean {near[0]!r}?" if near else "")
            )
        return value

    @field_validator("mongodb_database")
    @classmethod
    def _a_database(cls, value: str) -> str:
        """As MongoDB takes names of databases (its manual, "MongoDB Limits and Thresholds")."""
        if not re.fullmatch(r'[^/\\. "$*<>:|?\x00]{1,63}', value) or value in ("admin", "config", "local"):
            raise ValueError(f"{value!r} is no name for a database: 1 to 63 letters, digits, _ and -")
        return value

    @field_validator("email_from")
    @classmethod
    def _a_sender(cls, value: str) -> str:
        normal_address(value)
        return value

    @field_validator("home")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("daily_opens", "weekly_opens", "monthly_opens", *DEADLINES)
    @classmethod
    def _a_cron(cls, value: str) -> str:
        try:
            if len(value.split()) != 5 or re.search(r"LW|\dL", value.upper()):  # Dagster takes none of these
                raise CronSimError("five fields, without LW or the L of a weekday")
            CronSim(value, datetime(2026, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise ValueError(f"{value!r} is no cron expression ({error}); e.g. '5 0 * * 1'") from None
        return value

    @field_validator("generation_retry_minutes", "delivery_retry_minutes")
    @classmethod
    def _waits(cls, value: str) -> str:
        minutes(value)
        return value

    @field_validator(
        *("public_url", "dagster_url", "s3_endpoint_url", "sendgrid_url", "slack_url", "otlp_endpoint"),
        *("jwks_url", "oidc_issuer"),
    )
    @classmethod
    def _a_web_address(cls, value: str | None) -> str | None:
        if value is not None:
            refuse_other_address(value, {"http", "https"})
            refuse_other_port(value)
        return value

    @field_validator("public_url", "dagster_url")
    @classmethod
    def _an_address_to_build_on(cls, value: str | None) -> str | None:
        if value is not None:
            refuse_part_of_address(value)
        return value

    @field_validator("s3_bucket")
    @classmethod
    def _a_bucket(cls, value: str) -> str:
        """As S3 takes names; the older ones, too, which could be longer and hold capitals and underscores."""
        if not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", value):
            raise ValueError(
                f"{value!r} is no name of a bucket: the name alone, 3 to 63 of a-z, 0-9, . and -"
            )
        return value

    @field_validator("email_from_name")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("must be one line without control characters")
        return value

    @field_validator("source_url")
    @classmethod
    def _a_source_tree(cls, value: str | None) -> str | None:
        if value is not None:
            source_tree(value)
        return value

    @field_validator("link_secret", "audit_secret", "webhook_secret", "jwt_secret", "seal_secret")
    @classmethod
    def _a_keyring(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            Keyring.read(value.get_secret_value())
        return value

    @field_validator("proof_keys", "proof_retired_keys")
    @classmethod
    def _keys_of_proof(cls, value: SecretStr | str | None) -> SecretStr | str | None:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text:
            seeds(text)
        return value

    @field_validator("mongodb_uri")
    @classmethod
    def _a_mongodb_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            refuse_other_mongodb(value.get_secret_value())
        return value

    @field_validator("smtp_url")
    @classmethod
    def _a_relay(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            refuse_other_address(value.get_secret_value(), SMTP_SCHEMES)
            refuse_other_port(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _what_cannot_work(self) -> Settings:
        problems = [*self._problems_everywhere()]
        if self.environment in ("staging", "production"):
            problems += self._problems_outside_local()
        if self.environment == "production":
            problems += self._problems_of_production()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems_everywhere(self) -> Iterator[str]:
        if self.jwks_url is not None:
            try:
                refuse_open_keys(self.jwks_url, self.environment)
            except ValueError as error:
                yield str(error)
        for cadence in Cadence:
            if f"{cadence}_deadline" in self.model_fields_set and self.deadline_of(cadence) is None:
                name = f"REPORTING_{cadence.name}"
                yield f"{name}_DEADLINE must come once a period, after {name}_OPENS"
        if self.email_backend == "smtp" and self.smtp_url is None:
            yield "REPORTING_SMTP_URL must be set when REPORTING_EMAIL_BACKEND is smtp"
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            given, missing = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            if self.s3_access_key_id is None:
                given, missing = missing, given
            yield f"{missing} must be set, too, since {given} is; or neither, where this machine has a role"
        if "environment" not in self.model_fields_set:
            for name, address in (
                ("MONGODB_URI", self.mongodb_uri),
                ("S3_ENDPOINT_URL", self.s3_endpoint_url),
            ):
                text = address.get_secret_value() if isinstance(address, SecretStr) else address
                if text is not None and not is_loopback(text):
                    yield (
                        f"{name} names a server that is not this machine, so REPORTING_ENVIRONMENT must say "
                        "what this deployment is: production, staging, test or local"
                    )

    def _problems_outside_local(self) -> Iterator[str]:
        secrets = [("REPORTING_LINK_SECRET", self.link_secret)]
        if not (self.jwks_url or self.jwks_file):  # with a JWKS the secret signs nothing
            secrets.append(("REPORTING_JWT_SECRET", self.jwt_secret))
        if self.webhook_secret is not None:
            secrets.append(("REPORTING_WEBHOOK_SECRET", self.webhook_secret))
        if self.audit_secret is not None:
            secrets.append(("REPORTING_AUDIT_SECRET", self.audit_secret))
        if self.seal_secret is not None:
            secrets.append(("REPORTING_SEAL_SECRET", self.seal_secret))
        keys = [(name, key) for name, secret in secrets for key in keys_in(secret)]
        for name, key in keys:
            yield from weakness(name, key, self.environment)
        yield from shared(keys)
        if self.email_backend == "sendgrid" and self.sendgrid_api_key is None:
            yield "SENDGRID_API_KEY must be set when REPORTING_EMAIL_BACKEND is sendgrid"
        if self.oidc_issuer and not self.oidc_issuer.startswith("https://"):
            yield f"REPORTING_OIDC_ISSUER must be an https address in {self.environment}"
        if self.private_hosts:
            yield f"REPORTING_PRIVATE_HOSTS is for local use; it must be empty in {self.environment}"

    def _problems_of_production(self) -> Iterator[str]:
        if self.mongodb_uri is None:
            yield "MONGODB_URI must be set in production"
        if self.email_backend == "outbox":
            yield (
                "REPORTING_EMAIL_BACKEND is outbox, a folder that nobody reads; in production it must be "
                "smtp or sendgrid"
            )
        if not self.public_url.startswith("https:") or is_loopback(self.public_url):
            yield (
                "REPORTING_PUBLIC_URL must be the https address under which recipients reach the API in "
                f"production, not {self.public_url}"
            )
        if self.email_from.rpartition("@")[2].lower() in ("example.org", "example.com", ""):
            yield "REPORTING_EMAIL_FROM must be set to an address of your own in production"
        for name, address in (("SENDGRID_URL", self.sendgrid_url), ("SLACK_URL", self.slack_url)):
            if not address.startswith("https:"):
                yield f"{name} must be an https address in production"

    def deadline_of(self, cadence: Cadence) -> str | None:
        """The cron by which the edition of `cadence` is to stand; None where it comes before that is opened.

        So it does by default where the opening was set later than six in the morning: then there is none.
        """
        deadline, opens = (str(getattr(self, f"{cadence}_{what}")) for what in ("deadline", "opens"))
        return deadline if once_after(cadence, deadline, opens, self.timezone) else None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def generation_retries(self) -> tuple[timedelta, ...]:
        """The waits before a partition that failed is tried again."""
        return minutes(self.generation_retry_minutes)

    @property
    def delivery_retries(self) -> tuple[timedelta, ...]:
        """The waits between attempts at a mail or a Slack message; webhooks have those of their standard."""
        return minutes(self.delivery_retry_minutes)

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        try:
            networks_of(value)
        except ValueError:
            raise ValueError(
                "names networks of proxies, such as 10.0.0.0/8,fd00::/8, without spaces within"
            ) from None
        return value

    @property
    def trusted_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of the proxies whose word on where a request comes from is believed."""
        return networks_of(self.trusted_proxies)

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
