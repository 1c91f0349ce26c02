"""Is this deployment fit to run? Each part is asked for real, and each fault says what to do.

Belongs here: questions to the parts of a deployment, and their answers. Does not: mending anything (the one
thing written is an object under `doctor/`, which is deleted again).
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import dns.exception
import dns.resolver
import requests
import yaml
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from pymongo.errors import PyMongoError

from reporting_pipeline.media import confinement
from reporting_pipeline.media.sandbox import MediaWorkers, WorkerStartError
from reporting_pipeline.operations.backup.vault import backup_key
from reporting_pipeline.operations.retention.rules import retention_days
from reporting_pipeline.settings import Settings, value_in_environment
from reporting_pipeline.stores.bucket_rules import rule_problems, standing_rules, wanted_rules
from reporting_pipeline.stores.mongo import INDEXES, Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.organisations import NOT_SEALED
from reporting_pipeline.stores.person_keys import wrapping_keys, wrappings
from reporting_pipeline.stores.schema import (
    SCHEMA_VERSION,
    SchemaMismatch,
    is_new,
    refuse_half_restored,
    schema_version,
)

OLDEST_MONGODB = (6, 0)
SKEW = timedelta(seconds=2)
TIMEOUT_SECONDS = 10
EVENT_BATCH = 100
STORAGES = ("run_storage", "event_log_storage", "schedule_storage")
#: Missing indexes that are named; the others are counted.
SHOWN = 5
SMTP_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
DNS_SECONDS = 3
#: What such a record begins with; a DKIM key whose `p=` is empty is a revoked one (RFC 6376, 3.6.1).
_SPF = re.compile(r"v=spf1(\s|$)", re.IGNORECASE)
_DMARC = re.compile(r"v=DMARC1\s*;.*\bp\s*=", re.DOTALL)
_DKIM = re.compile(r"(?:.*;)?\s*p\s*=\s*[A-Za-z0-9+/]", re.DOTALL)
#: The local part of a DKIM record is the provider's choice; these are common.
DKIM_SELECTORS = ("s1", "s2", "default", "mail", "selector1", "selector2", "k1")


@dataclass(frozen=True)
class Diagnosis:
    """One answer. `todo` says what to do about a warning or a failure."""

    part: str  # mongodb, s3, dagster, mail, sign-in, sealing, backup, media
    state: Literal["ok", "warning", "failed"]
    text: str
    todo: str = ""


def examine(database: Database, objects: ObjectStore, settings: Settings) -> Iterator[Diagnosis]:
    """Every finding, part by part; a part that does not answer fails and the next is asked."""
    parts: tuple[tuple[str, Callable[[], Iterable[Diagnosis]]], ...] = (
        ("mongodb", lambda: _mongodb(database)),
        ("s3", lambda: _s3(objects, settings)),
        ("dagster", lambda: _dagster(settings)),
        ("mail", lambda: _mail(settings)),
        ("sign-in", lambda: _sign_in(settings)),
        ("sealing", lambda: _sealing(database, settings)),
        ("backup", lambda: _backup(settings)),
        ("media", _media),
    )
    for part, ask in parts:
        try:
            yield from ask()
        except (NoCredentialsError, PartialCredentialsError):
            yield Diagnosis(part, "failed", "there are no credentials for the bucket", _KEYS)
        except _UNANSWERED as error:
            kind = type(error).__name__
            if isinstance(error, ClientError):  # AccessDenied, SignatureDoesNotMatch, NoSuchBucket
                kind = f"{error.response['Error']['Code']} ({error.operation_name})"
            yield Diagnosis(part, "failed", f"does not answer as it should: {kind}", _TODO[part])


_UNANSWERED = (PyMongoError, BotoCoreError, ClientError, OSError, smtplib.SMTPException, yaml.YAMLError)
_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role that may use the bucket"
_TODO = {
    "mongodb": "look at MONGODB_URI: host, user, network",
    "s3": "look at S3_ENDPOINT_URL, REPORTING_S3_BUCKET, the keys and what their policy allows",
    "dagster": "look at $DAGSTER_HOME/dagster.yaml: `reporting-pipeline files dagster.yaml` prints ours",
    "mail": "look at the relay's address, user and password in REPORTING_SMTP_URL",
    "sign-in": "look at REPORTING_JWKS_URL",
    "sealing": "look at MONGODB_URI: the collection `person_keys` cannot be read",
    "backup": "look at REPORTING_BACKUP_KEY_FILE",
    "media": "start `reporting-pipeline` by hand on this machine and look at what Python cannot import",
}


def _mongodb(database: Database) -> Iterator[Diagnosis]:
    version = database.client.server_info()["version"]
    numbers = tuple(int(part) for part in version.split(".")[:2])
    yield _either(
        "mongodb",
        numbers >= OLDEST_MONGODB,
        f"version {version}",
        f"use MongoDB {'.'.join(map(str, OLDEST_MONGODB))} or newer",
        otherwise="warning",
    )
    told = database.client.admin.command("hello")
    yield _skew(told.get("localTime"), datetime.now(UTC))
    yield _either(
        "mongodb",
        bool(told.get("setName") or told.get("msg") == "isdbgrid"),
        "replicated" if told.get("setName") else "a single server: what it acknowledged dies with its disk",
        "use a replica set with three members",
        otherwise="warning",
    )
    concern = database.write_concern.document.get("w", "majority")
    yield _either(
        "mongodb",
        concern == "majority",
        f"write concern {concern}",
        "remove `w=` from MONGODB_URI, or say `w=majority`",
    )
    yield _schema(database)
    if not is_new(database):  # they are made with it
        yield _indexes(database)


def _schema(database: Database) -> Diagnosis:
    try:
        refuse_half_restored(database)
    except SchemaMismatch as error:
        text, _, todo = str(error).partition(". ")
        return Diagnosis("mongodb", "failed", text, todo)
    if is_new(database):
        return Diagnosis(
            "mongodb", "warning", "the database is empty", "run `reporting-pipeline bootstrap EMAIL`"
        )
    standing = schema_version(database)
    text = f"at migration {standing} of {SCHEMA_VERSION}"
    return _either("mongodb", standing == SCHEMA_VERSION, text, "run `reporting-pipeline migrate`")


def _indexes(database: Database) -> Diagnosis:
    missing = []
    for collection, wanted in INDEXES.items():
        standing = {index["name"] for index in database[collection].list_indexes()}
        missing += [
            f"{collection}.{index.document['name']}"
            for index in wanted
            if index.document["name"] not in standing
        ]
    more = f", and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    text = f"indexes are missing: {', '.join(missing[:SHOWN])}{more}" if missing else "every index stands"
    return _either("mongodb", not missing, text, "run `reporting-pipeline migrate`")


def _skew(theirs: datetime | None, ours: datetime) -> Diagnosis:
    if theirs is None:
        return Diagnosis("mongodb", "warning", "the server tells no time", "")
    apart = abs((theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)) - ours)
    text = f"its clock and ours are {apart.total_seconds():.1f} s apart"
    return _either("mongodb", apart <= SKEW, text, "run a time service (chrony) on both machines")


def _s3(objects: ObjectStore, settings: Settings) -> Iterator[Diagnosis]:
    if not _has_bucket(objects):
        todo = "make it, or mend REPORTING_S3_BUCKET; docs/operations.md says with what"
        yield Diagnosis("s3", "failed", f"there is no bucket {objects.bucket}", todo)
        return
    key, body = f"doctor/{uuid4().hex}", b"written by reporting-pipeline doctor"
    objects.put(key, body, "text/plain")
    try:
        yield _either("s3", objects.get(key) == body, "an object is written and read", _TODO["s3"])
        head = objects.client.head_object(Bucket=objects.bucket, Key=key)
        encryption = head.get("ServerSideEncryption", "none")
        yield _either(
            "s3",
            settings.s3_encryption != "none" and encryption == settings.s3_encryption,
            f"its encryption at rest is {encryption}",
            "set REPORTING_S3_ENCRYPTION to AES256 or aws:kms, and use a server that does it",
        )
        answer = requests.get(objects.presigned_url(key, "doctor.txt"), timeout=TIMEOUT_SECONDS)
        yield _either(
            "s3",
            answer.status_code == 200 and answer.content == body,
            f"a signed link to it answers {answer.status_code}",
            "the clocks must agree, and the endpoint must be the one that recipients reach",
        )
    finally:
        objects.delete(key)
    yield _versioning(objects)
    yield _lifecycle(objects, settings)


def _has_bucket(objects: ObjectStore) -> bool:
    """False where the server knows none of this name: some servers make one at the first write, misspelt."""
    try:
        objects.client.head_bucket(Bucket=objects.bucket)
    except ClientError as error:
        return error.response["Error"]["Code"] not in ("404", "NoSuchBucket")  # may be there, and not be told
    return True


def _versioning(objects: ObjectStore) -> Diagnosis:
    """Backups only list the bucket's objects: what is deleted or written over is kept by its versions."""
    todo = "switch the bucket's versioning on: backups rely on it for files that were deleted"
    try:
        status = str(objects.client.get_bucket_versioning(Bucket=objects.bucket).get("Status", "off"))
    except ClientError as error:
        status = f"not told ({error.response['Error']['Code']})"
        todo = "allow s3:GetBucketVersioning, or look by hand whether the bucket keeps versions"
    return _either("s3", status == "Enabled", f"versioning is {status}", todo, otherwise="warning")


def _lifecycle(objects: ObjectStore, settings: Settings) -> Diagnosis:
    """Whether the bucket's rules are those that `bucket-rules` writes, and none of others' does harm."""
    problems = rule_problems(wanted_rules(settings, retention_days(settings)), standing_rules(objects))
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    text = f"{problems[0]}{more}" if problems else "old objects are ended"
    return _either(
        "s3", not problems, text, "run `reporting-pipeline bucket-rules --write`", otherwise="warning"
    )


def _dagster(settings: Settings) -> Iterator[Diagnosis]:
    home = settings.dagster_home
    path = (home or Path("DAGSTER_HOME")) / "dagster.yaml"
    if home is None or not path.is_file():
        text = "DAGSTER_HOME is not set" if home is None else f"{path} is missing"
        yield Diagnosis("dagster", "failed", text, f"run `reporting-pipeline files dagster.yaml > {path}`")
        return
    config = _mapping(yaml.safe_load(path.read_text(encoding="utf-8", errors="replace")))
    remote = settings.environment in ("staging", "production")
    for storage in STORAGES:
        kind = str(_storage(config, storage).get("class", "Dagster's default, SQLite"))
        fits = "Postgres" in kind or not remote
        yield _either("dagster", fits, f"{storage} is {kind}", "keep it in Postgres (deploy/dagster.yaml)")
    yield from _postgres(config)
    ours = str(_storage(config, "event_log_storage").get("module", "")).startswith("reporting_pipeline.")
    text = "events are written in batches" if ours else "the event log writes an event at a time"
    yield _either("dagster", ours, text, "take event_log_storage of deploy/dagster.yaml", otherwise="warning")
    watched = bool(_mapping(config.get("run_monitoring")).get("enabled"))
    yield _either(
        "dagster",
        watched,
        f"run monitoring is {'on' if watched else 'off'}",
        "set run_monitoring: {enabled: true}",
    )
    batch = settings.dagster_event_batch_size
    yield _either(
        "dagster",
        batch >= EVENT_BATCH,
        f"DAGSTER_EVENT_BATCH_SIZE is {batch}",
        "set DAGSTER_EVENT_BATCH_SIZE=1000 for daemon, code server and workers",
        otherwise="warning",
    )


def _postgres(config: dict[str, Any]) -> Iterator[Diagnosis]:
    """Whether each Postgres answers that the storages name, by the variables that they name."""
    together = _mapping(config.get("storage"))
    told = [_mapping(_storage(config, name).get("config")) for name in STORAGES]
    told.append(_mapping(together.get("postgres")))
    asked: list[dict[str, Any]] = []
    for one in told:
        if one not in asked and ("postgres_db" in one or "postgres_url" in one):
            asked.append(one)
            yield _reached(_mapping(one.get("postgres_db")) or {"postgres_url": one.get("postgres_url")})


def _reached(address: dict[str, Any]) -> Diagnosis:
    """Sign in at a Postgres. `address` as the instance's file has it: texts, or {env: VARIABLE}."""
    # Here, as no other command of the product's waits for it.
    from sqlalchemy import URL, create_engine, make_url, text
    from sqlalchemy.exc import SQLAlchemyError

    named = {str(value["env"]) for value in address.values() if isinstance(value, dict) and "env" in value}
    missing = sorted(name for name in named if not value_in_environment(name))
    if missing:
        todo = "set what the head of the instance's file lists, for every process of Dagster's"
        return Diagnosis("dagster", "failed", f"{', '.join(missing)} is not set", todo)
    said = {
        name: value_in_environment(str(value["env"])) if isinstance(value, dict) and "env" in value else value
        for name, value in address.items()
    }
    todo = "look at DAGSTER_POSTGRES_HOST, _PORT, _DB, _USER and _PASSWORD, and at the server"
    try:
        url = (
            make_url(str(said["postgres_url"]))
            if "postgres_url" in said
            else URL.create(
                str(said.get("scheme", "postgresql")),
                str(said.get("username", "")),
                str(said.get("password", "")),
                str(said.get("hostname", "")),
                int(str(said.get("port", 5432))),
                str(said.get("db_name", "")),
                {name: str(value) for name, value in _mapping(said.get("params")).items()},
            )
        )
        engine = create_engine(url, connect_args={"connect_timeout": TIMEOUT_SECONDS})
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        # The driver's own first line: the host, the port and what is wrong, and no password.
        told = str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]
        return Diagnosis("dagster", "failed", f"its Postgres does not answer: {told}", todo)
    except ValueError:
        return Diagnosis("dagster", "failed", f"the port of its Postgres is {said.get('port')!r}", todo)
    engine.dispose()
    return Diagnosis("dagster", "ok", f"its Postgres answers at {url.host}")


def _storage(config: dict[str, Any], name: str) -> dict[str, Any]:
    """How a storage is configured: by itself, or by Dagster's `storage` for all three."""
    together = _mapping(config.get("storage"))
    all_three = {"class": "PostgresStorage"} if "postgres" in together else _mapping(together.get("custom"))
    return _mapping(config.get(name)) or all_three


def _mapping(value: object) -> dict[str, Any]:
    """A part of a file that somebody wrote by hand; what is no mapping says nothing."""
    return value if isinstance(value, dict) else {}


def _mail(settings: Settings) -> Iterator[Diagnosis]:
    if settings.email_backend == "outbox":
        yield Diagnosis("mail", "warning", f"mails go to {settings.outbox}", "set REPORTING_EMAIL_BACKEND")
        return
    if settings.email_backend == "smtp" and settings.smtp_url is not None:
        yield _relay(settings.smtp_url.get_secret_value())
    if settings.email_backend == "sendgrid" and settings.sendgrid_api_key is not None:
        key = settings.sendgrid_api_key.get_secret_value()
        shaped = key.startswith("SG.") and key.count(".") == 2
        text = "the key has SendGrid's shape" if shaped else "the key has not the shape SG.….…"
        yield _either("mail", shaped, text, "copy SENDGRID_API_KEY again")
        told = "its events are verified" if settings.sendgrid_webhook_key else "its events are refused"
        yield _either(
            "mail",
            bool(settings.sendgrid_webhook_key),
            told,
            "set SENDGRID_WEBHOOK_PUBLIC_KEY",
            otherwise="warning",
        )
    yield from _domain(settings.email_from.rpartition("@")[2])


def _relay(url: str) -> Diagnosis:
    """Sign in at the relay, over TLS wherever it offers that."""
    parts, context = urlsplit(url), ssl.create_default_context()
    host, port = str(parts.hostname), parts.port or SMTP_PORTS[parts.scheme]
    if parts.scheme == "smtps":
        relay: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=context)
    else:
        relay = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
    with relay:
        relay.ehlo()
        if parts.scheme != "smtps" and relay.has_extn("starttls"):
            relay.starttls(context=context)
            relay.ehlo()
        elif parts.scheme != "smtps":
            todo = "use a relay that offers STARTTLS, or smtps://"
            return Diagnosis("mail", "failed", "the relay offers no encryption", todo)
        if parts.username:
            relay.login(unquote(parts.username), unquote(parts.password or ""))
    return Diagnosis("mail", "ok", f"the relay takes {'our sign-in' if parts.username else 'us'} over TLS")


def _domain(domain: str) -> Iterator[Diagnosis]:
    """SPF, DMARC and DKIM of the sender's domain, where DNS answers."""
    wanted = (
        ("SPF", [domain], _SPF, "publish a TXT record v=spf1 that names your relay"),
        ("DMARC", [f"_dmarc.{domain}"], _DMARC, f"publish a TXT record at _dmarc.{domain}"),
        (
            "DKIM",
            [f"{one}._domainkey.{domain}" for one in DKIM_SELECTORS],
            _DKIM,
            "publish your provider's DKIM key",
        ),
    )
    for name, places, sign, todo in wanted:
        answers = [_txt(place) for place in places]
        texts = [text for answer in answers for text in answer or () if sign.match(text)]
        if name == "SPF" and len(texts) > 1:  # RFC 7208, 4.5: receivers take none of them
            yield Diagnosis("mail", "warning", f"SPF of {domain} is published {len(texts)} times", "keep one")
            continue
        if not texts and any(answer is None for answer in answers):
            yield Diagnosis(
                "mail", "warning", f"DNS does not answer for {name} of {domain}", "ask from elsewhere"
            )
            continue
        state = "is published" if texts else "was not found"
        yield _either("mail", bool(texts), f"{name} of {domain} {state}", todo, otherwise="warning")


def _txt(name: str) -> list[str] | None:
    """The TXT records of a name, each with its strings joined; None when DNS does not answer."""
    try:
        rows = dns.resolver.resolve(name, "TXT", lifetime=DNS_SECONDS)
        return [b"".join(row.strings).decode(errors="replace") for row in rows]
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except dns.exception.DNSException:
        return None


def _sign_in(settings: Settings) -> Iterator[Diagnosis]:
    if settings.jwks_url is None:
        text = (
            "keys come from a file" if settings.jwks_file else "tokens are signed by this deployment's secret"
        )
        yield Diagnosis("sign-in", "ok", text)
        return
    answer = requests.get(settings.jwks_url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    try:
        keys = len(answer.json()["keys"]) if answer.ok else 0
    except (ValueError, KeyError, TypeError):
        keys = 0
    text = f"REPORTING_JWKS_URL answers {answer.status_code} with {keys} keys"
    yield _either("sign-in", keys > 0, text, _TODO["sign-in"])


def _sealing(database: Database, settings: Settings) -> Iterator[Diagnosis]:
    """Whether sealed reports can be made and opened, and an older secret may leave."""
    ring = wrapping_keys(settings)
    asked = database.organisations.count_documents({"sealing": {"$exists": True, "$ne": NOT_SEALED}})
    found = wrappings(database, ring)
    if asked and ring is None:
        text = f"{asked} organisations have their reports sealed, and REPORTING_SEAL_SECRET is not set"
        yield Diagnosis("sealing", "failed", text, "set it; until then none of their reports is made")
    for one in found:
        if one.problem:
            text = f"{one.keys} keys of people do not open: {one.problem}"
            yield Diagnosis("sealing", "failed", text, "name that secret again, behind the current one")
        elif ring is not None and one.name != ring.current:
            text = f"{one.keys} keys of people are wrapped by the older secret {one.name}"
            todo = "run `reporting-pipeline backup take`, which wraps them anew, before that one is taken out"
            yield Diagnosis("sealing", "warning", text, todo)
        else:
            text = f"{one.keys} keys of people are wrapped by the current secret {one.name}"
            yield Diagnosis("sealing", "ok", text)
    if not asked and not found:
        yield Diagnosis("sealing", "ok", "no organisation has its reports sealed")


def _backup(settings: Settings) -> Iterator[Diagnosis]:
    """Whether the key is one that seals backups; who backs up by other means has none."""
    if settings.backup_key is None and settings.backup_key_file is None:
        return
    try:
        backup_key(settings)
    except ValueError as error:
        yield Diagnosis("backup", "failed", str(error), "no backup is taken until then")
        return
    yield Diagnosis("backup", "ok", "the key of backups is one")


def _media() -> Iterator[Diagnosis]:
    """Whether the kernel of this machine confines the processes that open uploaded files."""
    try:
        with MediaWorkers(workers=1) as workers:
            held = workers.confinement()
    except WorkerStartError:
        yield Diagnosis("media", "failed", "no process that opens files can be started", _TODO["media"])
        return
    missing = [name for name in confinement.ALL if name not in held]
    text = (
        f"files are opened without {' and '.join(missing)}" if missing else f"confined by {', '.join(held)}"
    )
    todo = "use Linux 5.13 or newer with Landlock, and install libseccomp (libseccomp2)"
    yield _either("media", not missing, text, todo, otherwise="warning")


def _either(
    part: str, good: bool, text: str, todo: str, otherwise: Literal["warning", "failed"] = "failed"
) -> Diagnosis:
    return Diagnosis(part, "ok", text) if good else Diagnosis(part, otherwise, text, todo)
