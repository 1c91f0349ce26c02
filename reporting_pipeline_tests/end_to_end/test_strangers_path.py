"""docs/operations.md from its first line to the restore, by somebody who has nothing but the wheel.

Real MongoDB-protocol, S3 and PostgreSQL servers by URL, a relay that insists on STARTTLS and a sign-in,
production settings, and Prometheus. Each step is a command or a request that the page names.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.stores.mongo import mongo_client
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.end_to_end.stranger import (
    Relay,
    Stranger,
    keep_versions,
    relay,
    variables_of,
)
from reporting_pipeline_tests.installation import Installations
from reporting_pipeline_tests.postgres import postgres_variables
from reporting_pipeline_tests.waiting import wait_until

pytestmark = pytest.mark.slow

READERS, REPORTS_EACH = 4, 10
MAILS = READERS * REPORTS_EACH


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Relay]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    with relay(authority) as opened:
        yield opened


@pytest.fixture
def stranger(
    tmp_path: Path,
    endpoints: Endpoints,
    objects: ObjectStore,
    postgres_url: str,
    mailbox: Relay,
    installations: Installations,
) -> Iterator[Stranger]:
    """The installation and the environment; nothing is made or started yet."""
    installation = installations.of(sys.executable)
    variables = variables_of(tmp_path, endpoints, objects.bucket, postgres_url, mailbox.url)
    yield Stranger(installation, tmp_path, variables)
    client = mongo_client(endpoints.mongodb_uri)
    for name in client.list_database_names():
        if name.startswith("stranger_"):
            client.drop_database(name)


def prepare(stranger: Stranger, objects: ObjectStore) -> None:
    """ "Deploying", steps 2 to 6."""
    (stranger.folder / "dagster").mkdir()
    (stranger.folder / "dagster" / "dagster.yaml").write_text(stranger.product("files", "dagster.yaml"))
    keep_versions(objects)
    stranger.product("bucket-rules", "--write")
    said = stranger.product(
        *("bootstrap", "ann@trials.test", "--organisation", "acme", "--name", "Acme Trials"),
        *("--domain", "trials.test", "--all-trials"),
    )
    stranger.token = stranger.product("token", str(re.findall(r"usr_\w+", said)[0])).strip()
    examined = json.loads(stranger.product("doctor", "--json"))
    found = examined["findings"] if isinstance(examined, dict) else examined
    assert found
    green = [
        one
        for one in found
        if one["state"] != "ok" and not one["text"].startswith(("SPF", "DMARC", "DKIM", "DNS"))
    ]
    assert green == [], "all but the DNS of an invented domain is in order"


def fill(stranger: Stranger, period: Period) -> None:
    """A trial from lines of JSON, people and their subscriptions through the API."""
    lines = [
        {
            "id": f"ae-{number}",
            "trial": "T1",
            "site": "01",
            "subject": f"01-{number % 9}",
            "kind": "adverse_event",
            "title": "Headache",
            "received_at": (period.start_at + timedelta(hours=number)).isoformat(),
            "data": {"term": "HEADACHE", "severity": "MILD", "serious": "N"},
        }
        for number in range(40)
    ]
    path = stranger.folder / "documents.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "created 40" in stranger.product("import", "ndjson", str(path))
    for reader in range(READERS):
        user = f"usr_reader{reader}"
        stranger.asks(
            "PUT",
            f"/api/users/{user}",
            {
                "name": f"Reader {reader}",
                "email": f"reader{reader}@trials.test",
                "roles": ["subscriber"],
                "trials": ["T1"],
            },
        )
        for number in range(REPORTS_EACH):
            body = {"userId": user, "reportType": "weekly", "name": f"Report {number}", "format": "pdf"}
            stranger.asks("POST", "/api/subscriptions", body)


def edition_runs(stranger: Stranger, mailbox: Relay, edition: str) -> None:
    """The edition of everybody, watched by Prometheus until its last mail."""
    with stranger.running(), stranger.watched():
        fill(stranger, Period.last_closed(Cadence.WEEKLY, datetime.now(UTC), "UTC"))
        stranger.product("backup", "take", str(stranger.folder / "backups"))
        stranger.product("edition", "open", "weekly")
        wait_until("everybody has mail", lambda: len(mailbox.mails) >= MAILS, every=0.2)
        sent = 'sum(reporting_deliveries_settled_total{channel="email",state="sent"})'
        wait_until("Prometheus has counted them", lambda: stranger.prometheus(sent) == MAILS, every=0.2)
        assert stranger.prometheus('count(ALERTS{alertstate="firing"})') == 0
        wait_until(
            "the edition is complete",
            lambda: stranger.asks("GET", f"/api/reports/{edition}")["state"] == "completed",
            every=0.5,
        )


def destroyed_and_restored(stranger: Stranger, endpoints: Endpoints, postgres_url: str) -> None:
    """MongoDB's and Dagster's databases are gone; the backup is from before the edition."""
    lost = stranger.variables["REPORTING_MONGODB_DATABASE"]
    mongo_client(endpoints.mongodb_uri).drop_database(lost)
    stranger.variables |= postgres_variables(postgres_url)
    stranger.variables["REPORTING_MONGODB_DATABASE"] = f"stranger_{secrets.token_hex(4)}"
    backups = str(stranger.folder / "backups")
    assert "is whole" in stranger.product("backup", "verify", backups)
    assert "stand again" in stranger.product("backup", "restore", backups)
    assert "was restored by system" in stranger.product("audit", "verify")


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="no Prometheus on this machine")
def test_the_page_leads_a_stranger_from_the_wheel_to_an_edition_and_back_from_its_loss(
    stranger: Stranger, mailbox: Relay, endpoints: Endpoints, objects: ObjectStore, another_postgres_url: str
) -> None:
    period = Period.last_closed(Cadence.WEEKLY, datetime.now(UTC), "UTC")
    edition = f"weekly:{period.key}"
    (stranger.folder / "backup.key").write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    prepare(stranger, objects)

    edition_runs(stranger, mailbox, edition)
    everybody = {f"reader{reader}@trials.test": REPORTS_EACH for reader in range(READERS)}
    assert mailbox.by_reader() == everybody
    assert len({identifier for _, identifier in mailbox.mails}) == MAILS
    assert "nothing differs" in stranger.product("reconcile")

    destroyed_and_restored(stranger, endpoints, another_postgres_url)
    with stranger.running():
        stranger.product("edition", "open", "weekly")
        deliveries = mongo_client(endpoints.mongodb_uri)[stranger.variables["REPORTING_MONGODB_DATABASE"]]

        def awaiting() -> int:
            return int(deliveries.deliveries.count_documents({"awaiting_release_after": {"$ne": None}}))

        wait_until("what may have been sent awaits a release", lambda: awaiting() == MAILS, every=0.5)
        assert stranger.product("backup", "awaiting-release").count(edition) == MAILS
        stranger.product("backup", "release", "--was-sent", "--edition", edition)
        wait_until(
            "the edition is complete again",
            lambda: stranger.asks("GET", f"/api/reports/{edition}")["state"] == "completed",
            every=0.5,
        )
    assert mailbox.by_reader() == everybody, "nobody was mailed twice"

    stranger.product("reconcile")
    assert "deleted" in stranger.product("retention")
    stranger.product("doctor")
    for name, text in stranger.logs().items():
        assert "Traceback" not in text, name
        assert "pass/word" not in text, name
        assert stranger.variables["REPORTING_LINK_SECRET"] not in text, name
