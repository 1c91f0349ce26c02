"""The doctor asks the real parts, and says of each fault what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import boto3
import dns.resolver
import pytest
from dnslib import QTYPE, RCODE, RR, TXT, DNSRecord
from dnslib.server import BaseResolver, DNSLogger, DNSServer
from pydantic import SecretStr
from typer.testing import CliRunner

from reporting_pipeline.cli import app
from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.operations import doctor
from reporting_pipeline.operations.doctor import Diagnosis, examine
from reporting_pipeline.settings import Settings, current_settings
from reporting_pipeline.stores.mongo import INDEXES, Database
from reporting_pipeline.stores.objects import ObjectStore, open_object_store
from reporting_pipeline.stores.person_keys import key_for, rewrap_all
from reporting_pipeline.stores.schema import begin_restore
from reporting_pipeline_tests.postgres import postgres_variables

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import VersioningConfigurationTypeDef

runner = CliRunner()
ROOT = Path(__file__).parents[3]


@pytest.fixture
def fit(deployment: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> Database:
    """A deployment in which nothing fails."""
    (tmp_path / "dagster.yaml").write_text((ROOT / "deploy" / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    for name, value in postgres_variables(postgres_url).items():
        monkeypatch.setenv(name, value)
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


def test_a_bucket_that_keeps_no_versions_is_looked_at(fit: Database, objects: ObjectStore) -> None:
    """The backup's list of objects is worth what the versions are."""
    statuses: tuple[tuple[Literal["Enabled", "Suspended"], str], ...] = (
        ("Enabled", "ok"),
        ("Suspended", "warning"),
    )
    for status, state in statuses:
        kept: VersioningConfigurationTypeDef = {"Status": status}
        objects.client.put_bucket_versioning(Bucket=objects.bucket, VersioningConfiguration=kept)
        assert f"versioning is {status}" in texts(findings()[1], state)


def test_a_database_that_a_restore_left_half_filled_is_said_to_be(fit: Database) -> None:
    begin_restore(fit, "20261116T095500Z-0123abcd")
    code, found = findings()
    assert code == 1
    assert "restore of the backup 20261116T095500Z-0123abcd" in texts(found, "failed")
    assert "drop the database and restore again" in texts(found, "failed")


def test_each_fault_is_named_with_what_to_do(fit: Database, tmp_path: Path) -> None:
    fit.deliveries.drop_indexes()
    fit.trials.insert_one({"_id": "trl_1"})
    fit.schema.delete_many({})
    (tmp_path / "dagster.yaml").write_text("run_monitoring: {enabled: false}\n")
    code, found = findings()
    assert code == 1
    failed = texts(found, "failed")
    assert "indexes are missing: deliveries." in failed
    missing = len(INDEXES["deliveries"])
    assert f", and {missing - doctor.SHOWN} more" in failed, "what is not named is counted"
    assert "at migration 0 of" in failed
    assert "run `reporting-pipeline migrate`" in failed
    assert "run monitoring is off" in failed
    assert "an event at a time" in texts(found, "warning")


@pytest.mark.parametrize("text", ["run_storage:\nrun_monitoring:\n", "- a list\n", "storage: postgres\n", ""])
def test_an_instance_file_of_another_shape_is_a_finding(
    settings: Settings, tmp_path: Path, text: str
) -> None:
    (tmp_path / "dagster.yaml").write_text(text)
    own = settings.model_copy(update={"dagster_home": tmp_path, "environment": "production"})
    found = {one.text: one.state for one in doctor._dagster(own)}
    assert found["run_storage is Dagster's default, SQLite"] == "failed"
    assert found["run monitoring is off"] == "failed"


def test_a_new_deployment_is_told_to_be_made_and_not_that_it_lacks_what_is_made_with_it(
    settings: Settings, database: Database, objects: ObjectStore
) -> None:
    new = database.client[f"{database.name}_new"]
    found = [one for one in examine(new, objects, settings) if one.part == "mongodb" and one.state != "ok"]
    assert [one.text for one in found if "single server" not in one.text] == ["the database is empty"]


def test_a_bucket_that_is_not_there_is_told_and_not_made(
    fit: Database, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORTING_S3_BUCKET", "misspelt-bucket")
    current_settings.cache_clear()
    code, found = findings()
    current_settings.cache_clear()
    assert code == 1
    assert "s3: there is no bucket misspelt-bucket -> make it, or mend REPORTING_S3_BUCKET" in texts(
        found, "failed"
    )
    assert "misspelt-bucket" not in [one["Name"] for one in objects.client.list_buckets()["Buckets"]]


def test_a_refusal_of_the_bucket_is_told_by_its_name(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = settings.model_copy(update={"s3_secret_access_key": SecretStr("of another user")})
    found = list(examine(database, open_object_store(own), own))
    (told,) = [one for one in found if one.part == "s3"]
    assert told.state == "failed"
    assert "SignatureDoesNotMatch" in told.text


def test_a_postgres_that_does_not_answer_and_a_variable_that_is_missing_fail(
    fit: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "its Postgres answers at 127.0.0.1" in texts(findings()[1], "ok")
    for name, value, told in (
        ("DAGSTER_POSTGRES_PORT", "1", "Connection refused"),
        ("DAGSTER_POSTGRES_PORT", "five", "the port of its Postgres is 'five'"),
        ("DAGSTER_POSTGRES_DB", "no_such_database", "does not exist"),
        ("DAGSTER_POSTGRES_PASSWORD", "", "DAGSTER_POSTGRES_PASSWORD is not set"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            code, found = findings()
        assert code == 1
        assert told in texts(found, "failed"), name


def test_a_key_that_seals_no_backup_fails(
    fit: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value, state, told in (
        ("REPORTING_BACKUP_KEY", "abc", "failed", "32 bytes in base64"),
        ("REPORTING_BACKUP_KEY_FILE", str(tmp_path / "none"), "failed", "cannot be read"),
        ("REPORTING_BACKUP_KEY", "A" * 43 + "=", "ok", "the key of backups is one"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            current_settings.cache_clear()
            code, found = findings()
            current_settings.cache_clear()
        assert (code == 1) == (state == "failed")
        assert told in texts(found, state)


def test_one_storage_for_all_three_is_read(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("storage:\n  postgres:\n    postgres_url: {env: PG}\n")
    own = settings.model_copy(update={"dagster_home": tmp_path, "environment": "production"})
    found = {one.text: one.state for one in doctor._dagster(own)}
    assert found["schedule_storage is PostgresStorage"] == "ok"


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
    assert apart == Diagnosis("mongodb", "failed", "its clock and ours are 3600.0 s apart", apart.todo)


def test_a_sendgrid_key_of_another_shape_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydantic import SecretStr

    monkeypatch.setattr(doctor, "_txt", lambda name: ["v=spf1 -all"] if name == "example.org" else [])
    wrong = settings.model_copy(
        update={"email_backend": "sendgrid", "sendgrid_api_key": SecretStr("hunter2")}
    )
    found = {one.text: one for one in doctor._mail(wrong)}
    assert found["the key has not the shape SG.….…"].state == "failed"
    assert found["SPF of example.org is published"].state == "ok"
    assert found["DMARC of example.org was not found"].state == "warning"
    assert "hunter2" not in repr(found)


class Zone(BaseResolver):  # type: ignore[misc]
    """A name server's answers; a name that is not in it does not exist, and `silent` ones get none."""

    def __init__(self, texts: dict[str, list[list[str]]], silent: tuple[str, ...] = ()) -> None:
        self.texts, self.silent = texts, silent

    def resolve(self, request: DNSRecord, _handler: object) -> DNSRecord:
        name = str(request.q.qname).rstrip(".")
        reply = request.reply()
        if name.startswith(self.silent):
            reply.header.rcode = RCODE.SERVFAIL
        elif name not in self.texts:
            reply.header.rcode = RCODE.NXDOMAIN
        for strings in self.texts.get(name, []):
            reply.add_answer(RR(name, QTYPE.TXT, rdata=TXT([one.encode() for one in strings])))
        return reply


@contextmanager
def name_server(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real DNS server on this machine, and the only one that is asked."""
    server = DNSServer(
        zone, address="127.0.0.1", port=0, logger=DNSLogger("-request,-reply,-truncated,-error")
    )
    server.start_thread()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], server.server.server_address[1]
    monkeypatch.setattr(dns.resolver, "default_resolver", resolver)
    try:
        yield
    finally:
        server.stop()
        server.server.server_close()


@pytest.mark.parametrize(
    ("texts", "silent", "told"),
    [
        (
            {
                # Longer than the 255 bytes of one string, as DNS has it.
                "trials.example": [["other=1"], ["v=spf1 include:relay.exa", "mple -all"]],
                "_dmarc.trials.example": [["v=DMARC1; p=reject"]],
                "s1._domainkey.trials.example": [["v=DKIM1; k=rsa; p=" + "A" * 200, "B" * 190]],
            },
            (),
            {"SPF": "is published", "DMARC": "is published", "DKIM": "is published"},
        ),
        (
            {
                "trials.example": [["this is not v=spf1"]],
                "_dmarc.trials.example": [["v=DMARC1"]],
                "s1._domainkey.trials.example": [["v=DKIM1; p="]],  # revoked
            },
            (),
            {"SPF": "was not found", "DMARC": "was not found", "DKIM": "was not found"},
        ),
        (
            {"trials.example": [["v=spf1 -all"], ["v=spf1 ?all"]]},
            ("_dmarc", "s1."),
            {"SPF": "is published 2 times", "DMARC": "DNS does not answer", "DKIM": "DNS does not answer"},
        ),
    ],
)
def test_the_senders_domain_is_asked_for_at_a_real_name_server(
    texts: dict[str, list[list[str]]],
    silent: tuple[str, ...],
    told: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with name_server(Zone(texts, silent), monkeypatch):
        found = list(doctor._domain("trials.example"))
    assert len(found) == len(told)
    for name, words in told.items():
        (one,) = (finding for finding in found if name in finding.text)
        assert words in one.text
        assert (one.state == "ok") == (words == "is published")
        assert one.todo or one.state == "ok"


def test_missing_keys_of_the_bucket_are_named(
    fit: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    boto3.setup_default_session()  # the process's own remembers the keys of whoever asked first
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    current_settings.cache_clear()
    code, found = findings()
    assert code == 1
    assert "s3: there are no credentials for the bucket -> set AWS_ACCESS_KEY_ID" in texts(found, "failed")

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "half-a-pair")
    current_settings.cache_clear()
    code, found = findings()
    current_settings.cache_clear()
    assert code == 1
    assert "AWS_ACCESS_KEY_ID must be set, too" in found[0]["text"]


@pytest.mark.parametrize(
    "secret", [None, f"b:{'b' * 40}", f"a:{'c' * 40}"], ids=["none", "unnamed", "another"]
)
def test_sealed_reports_that_open_nowhere_are_told(
    fit: Database, settings: Settings, secret: str | None
) -> None:
    """Without the secret, without the one that wraps, and where another secret has its name."""
    fit.organisations.insert_one({"_id": "sealed", "sealing": "by_person"})
    ring = Keyring.read(f"a:{'a' * 40}").derived("person-keys")
    key_for(fit, ring, "sealed", "usr_1", datetime.now(UTC))
    chosen = settings.model_copy(update={"seal_secret": SecretStr(secret) if secret else None})
    told = [one for one in doctor._sealing(fit, chosen) if one.state == "failed"]
    assert told[-1].text.startswith("1 keys of people do not open")
    assert len(told) == (2 if secret is None else 1)
    assert all(one.todo for one in told)


def test_an_older_secret_leaves_when_the_doctor_says_that_nothing_is_wrapped_by_it(
    fit: Database, settings: Settings
) -> None:
    """The rotation of security.md: the new one first, the keys wrapped anew, the old one out."""
    old, new = (f"{name}:{name * 40}" for name in "ab")

    def told(secret: str) -> list[tuple[str, str]]:
        chosen = settings.model_copy(update={"seal_secret": SecretStr(secret)})
        return [(one.state, one.text) for one in doctor._sealing(fit, chosen)]

    assert told(old) == [("ok", "no organisation has its reports sealed")]
    key_for(fit, Keyring.read(old).derived("person-keys"), "default", "usr_1", datetime.now(UTC))
    assert told(old) == [("ok", "1 keys of people are wrapped by the current secret a")]
    assert told(f"{new},{old}") == [("warning", "1 keys of people are wrapped by the older secret a")]
    assert rewrap_all(fit, Keyring.read(f"{new},{old}").derived("person-keys")) == 0
    assert told(new) == [("ok", "1 keys of people are wrapped by the current secret b")]
