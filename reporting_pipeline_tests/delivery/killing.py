"""The kill trial: workers die by SIGKILL at every place they can, and the ledger is held to the truth.

The truth is the provider's own log of what it accepted. Used by the test and by the benchmark.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import message_from_bytes
from email.policy import default
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from reporting_pipeline.delivery.channels.sendgrid_events import receive_events
from reporting_pipeline.delivery.links.tokens import read_link_token
from reporting_pipeline.delivery.sender.worker import LEASE
from reporting_pipeline.domain.deliveries import SETTLED
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline_tests.delivery.provider import Provider, provider
from reporting_pipeline_tests.delivery.seeds import NOW, seed

SENDGRID_PLACES = (
    "worker.drawn",
    "worker.sending",
    "sendgrid.before_request",
    "sendgrid.request_out",
    "sendgrid.answered",
    "worker.answered",
    "worker.settled",
    "worker.jobs_settled",
)
# Reached once a draw, or once a batch of the outbox; the others once a request or a file.
ONCE = ("worker.drawn", "worker.gathered", "worker.jobs_settled")
OUTBOX_ONCE = ("worker.sending", "worker.answered", "worker.settled")
OUTBOX_PLACES = (
    "worker.drawn",
    "worker.sending",
    "outbox.before_write",
    "outbox.before_link",
    "outbox.after_write",
    "worker.answered",
    "worker.settled",
    "worker.jobs_settled",
)
#: Of mails of several reports, in the order in which a worker comes to them.
COMBINED_PLACES = ("worker.drawn", "worker.gathered", *OUTBOX_PLACES[1:])
MOST_ROUNDS = 40


@dataclass(frozen=True)
class Trial:
    """What the ledger says beside what the provider took."""

    deliveries: int
    settled: int
    lost: int  # settled as sent, and the provider never took it; or not settled at all
    duplicates: int  # deliveries the provider took more than once
    unknown: int  # deliveries that were unknown at some time
    duplicates_never_unknown: int
    jobs_open: int
    kills: int
    seconds: float


class Signer:
    """SendGrid's end of the event webhook: a key, and signed batches of events."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.public = b64encode(public).decode()

    def sign(self, body: bytes, now: datetime) -> tuple[str, str]:
        timestamp = str(int(now.timestamp()))
        signature = self._key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return b64encode(signature).decode(), timestamp


def event(wire: str, kind: str, at: datetime, number: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "event": kind,
        "sg_event_id": f"{wire}-{kind}-{number}",
        "delivery_id": wire,
        "timestamp": int(at.timestamp()),
        "email": "somebody@example.org",
        "sg_message_id": "msg.filter",
        **more,
    }


@cache
def _parent() -> subprocess.Popen[str]:
    """The process that all workers which this one starts are forks of; it ends with this one."""
    command = [sys.executable, "-m", "reporting_pipeline_tests.delivery.kill_worker"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )
    atexit.register(process.communicate)
    return process


def run_workers(
    numbers: Sequence[int], place: str, hits: int, now: datetime, environment: Mapping[str, str]
) -> list[bool]:
    """A worker for each number, at once, to their ends: which were killed at the place.

    Raises RuntimeError with what they complained of when one ended in any other way.
    """
    parent = _parent()
    assert parent.stdin is not None
    assert parent.stdout is not None
    asked = {
        "environment": {**os.environ, **environment},
        **{"place": place, "hits": hits, "now": now.isoformat()},
    }
    parent.stdin.write(json.dumps([{**asked, "seed": number} for number in numbers]) + "\n")
    parent.stdin.flush()
    codes: list[int] = json.loads(parent.stdout.readline() or "[1]")
    if not set(codes) <= {0, -signal.SIGKILL}:
        _parent.cache_clear()
        raise RuntimeError(f"ended with {codes}: {parent.communicate()[1]}")
    return [code == -signal.SIGKILL for code in codes]


def run_worker(place: str, hits: int, now: datetime, number: int, environment: Mapping[str, str]) -> bool:
    """One worker to its end. True when it was killed at the place; any other failure raises."""
    return run_workers([number], place, hits, now, environment)[0]


def environment_of(settings: Settings, **more: str) -> dict[str, str]:
    assert settings.mongodb_uri is not None
    return {
        "REPORTING_ENVIRONMENT": "test",
        "REPORTING_HOME": str(settings.home),
        "MONGODB_URI": settings.mongodb_uri.get_secret_value(),
        "REPORTING_MONGODB_DATABASE": settings.mongodb_database,
        "REPORTING_EMAIL_PER_SECOND": "10000",
        "REPORTING_SEND_TIMEOUT_SECONDS": "1",
        "REPORTING_SEND_DEADLINE_SECONDS": "2",
        # So many that only a killed worker could lose a delivery, and not a provider that has a bad day.
        "REPORTING_MAX_ATTEMPTS": "20",
        **more,
    }


def sendgrid_trial(
    database: Database,
    settings: Settings,
    count: int,
    number: int,
    *,
    events: bool,
    seeded: Callable[[Database, int, Random], None] | None = None,
    places: Sequence[str] = SENDGRID_PLACES,
) -> Trial:
    """Kill workers at every place over `count` deliveries to a SendGrid-shaped server, then finish.

    With `events`, what the server took is told by signed events, as SendGrid does, before an unknown
    delivery's time to be sent again has come.
    """
    began = time.monotonic()
    rng = Random(number)
    signer = Signer()
    # So many attempts that only a killed worker could lose a delivery, and not a provider's bad day.
    settings = settings.model_copy(update={"sendgrid_webhook_key": signer.public, "max_attempts": 20})
    (seeded or seed_mixed)(database, count, rng)
    faults = [rng.choice(["none"] * 12 + ["reset", "502", "503", "truncated"]) for _ in range(count * 3)]
    with provider(faults) as server:
        environment = environment_of(
            settings,
            REPORTING_EMAIL_BACKEND="sendgrid",
            SENDGRID_API_KEY="SG.key",
            SENDGRID_URL=server.url,
        )
        kills, now = 0, NOW
        for place in places:
            kills += run_worker(place, _hits(place, rng), now, rng.randint(1, 10**6), environment)
            now = _later(database, settings, signer, server, now, events)
        for _ in range(MOST_ROUNDS):
            if not _open(database):
                break
            run_worker("none", 0, now, rng.randint(1, 10**6), environment)
            now = _later(database, settings, signer, server, now, events)
        run_worker("none", 0, now, 1, environment)
        return verdict(database, by_delivery(database, server.accepted), kills, time.monotonic() - began)


def outbox_trial(database: Database, settings: Settings, count: int, number: int) -> Trial:
    """The same over the outbox, where the files are the provider's log."""
    began = time.monotonic()
    rng = Random(number)
    seed_mixed(database, count, rng)
    environment = environment_of(settings)
    kills, now = 0, NOW
    for place in OUTBOX_PLACES:
        hits = 1 if place in OUTBOX_ONCE else _hits(place, rng)
        kills += run_worker(place, hits, now, rng.randint(1, 10**6), environment)
        now += LEASE + timedelta(seconds=1)
    for _ in range(3):
        run_worker("none", 0, now, 1, environment)
        now += LEASE + timedelta(seconds=1)
    files = Counter(path.stem for path in settings.outbox.glob("*.eml"))
    return verdict(database, files, kills, time.monotonic() - began)


def reports_in(path: Path, settings: Settings) -> set[str]:
    """The deliveries that a mail in the outbox brings, by the links in it."""
    mail = message_from_bytes(path.read_bytes(), policy=default)
    body = mail.get_body(("plain",))
    assert body is not None
    tokens = set(re.findall(r"/r/([\w.-]+)", body.get_content()))
    claims = [read_link_token(settings.link_secret.get_secret_value(), one, NOW) for one in tokens]
    return {one.delivery for one in claims if one is not None}


def _hits(place: str, rng: Random) -> int:
    return 1 if place in ONCE else rng.randint(2, 10)


def seed_mixed(database: Database, count: int, rng: Random) -> None:
    """Half of the subscriptions have a name of their own, so that both kinds of request occur."""
    seed(database, None, count)
    for position in range(count):
        own = rng.random() < 0.5
        name = f"Report {position}" if own else f"Shared {position % 4}"
        database["subscriptions"].update_one({"_id": f"sub_{position:05d}"}, {"$set": {"name": name}})


def by_delivery(database: Database, accepted: Sequence[str]) -> Counter[str]:
    """How often each delivery was taken, alone or in the mail that it bears the id of."""
    taken = Counter(accepted)
    rows = database["deliveries"].find({}, {"mail": 1})
    return Counter({row["_id"]: taken[row["_id"]] + taken[row.get("mail", "")] for row in rows})


def verdict(database: Database, taken: Counter[str], kills: int, seconds: float) -> Trial:
    rows = list(database["deliveries"].find({}, {"state": 1, "was_unknown": 1}))
    settled = [row for row in rows if row["state"] in SETTLED]
    repeated = {wire for wire, times in taken.items() if times > 1}
    unknown = {row["_id"] for row in rows if row.get("was_unknown")}
    arrived = {row["_id"] for row in rows if taken[row["_id"]]}
    return Trial(
        deliveries=len(rows),
        settled=len(settled),
        lost=len({row["_id"] for row in rows} - arrived) + len(rows) - len(settled),
        duplicates=len(repeated),
        unknown=len(unknown),
        duplicates_never_unknown=len(repeated - unknown),
        jobs_open=database["jobs"].count_documents({"state": {"$ne": "completed"}}),
        kills=kills,
        seconds=round(seconds, 1),
    )


def _open(database: Database) -> int:
    return database["deliveries"].count_documents({"state": {"$nin": [state.value for state in SETTLED]}})


def _later(
    database: Database, settings: Settings, signer: Signer, server: Provider, now: datetime, events: bool
) -> datetime:
    """Past every lease; and then, after the events if there are any, past the time of an unknown one."""
    now += LEASE + timedelta(seconds=1)
    if events:
        _feed_back(database, settings, signer, server, now)
    return now + timedelta(minutes=settings.unknown_resend_minutes)


def _feed_back(
    database: Database, settings: Settings, signer: Signer, server: Provider, now: datetime
) -> None:
    body = json.dumps([event(wire, "delivered", now) for wire in sorted(set(server.accepted))]).encode()
    receive_events(database, settings, body, *signer.sign(body, now), now)
