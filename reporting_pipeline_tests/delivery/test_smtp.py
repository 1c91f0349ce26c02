"""SMTP: the relay's answers decide; silence after the message is unknown."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from random import Random

import pytest
from pydantic import SecretStr

from reporting_pipeline.delivery.channels.deliverer import Deliverer, open_deliverer
from reporting_pipeline.delivery.sender.worker import DeliveryOutcome, deliver_due
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.alerts import open_alerts
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.delivery.seeds import FILE, Clock, seed


@dataclass
class Relay:
    """A relay that answers each verb with `answers`, or 250; the text `hang up` closes the line."""

    answers: Mapping[str, str] = field(default_factory=dict)
    messages: list[bytes] = field(default_factory=list)
    port: int = 0
    over: threading.Event = field(default_factory=threading.Event)  # the test is: what drips ends


class _Session(socketserver.StreamRequestHandler):
    relay: Relay

    def handle(self) -> None:
        self._say("220 relay")
        while line := self.rfile.readline():
            verb = line.split()[0].decode().upper()
            answer = self.relay.answers.get(verb, "")
            if answer == "hang up":
                return
            if verb == "EHLO":
                self._say("250-relay\r\n250 AUTH PLAIN")
            elif verb == "AUTH":
                self._say(answer or "235 ok")
            elif verb == "DATA" and not answer:
                self._say("354 go on")
                if not self._message():
                    return
            else:
                self._say(answer or "250 ok")
            if verb == "QUIT":
                return

    def _message(self) -> bool:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        self.relay.messages.append(b"".join(lines))
        answer = self.relay.answers.get("BODY", "250 taken")
        if answer == "hang up":
            return False
        if answer == "drip":
            return self._drip()
        self._say(answer)
        return True

    def _drip(self) -> bool:
        with suppress(OSError):
            while not self.relay.over.wait(0.05):
                self.wfile.write(b"2")
        return False

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


@contextmanager
def relay(**answers: str) -> Iterator[Relay]:
    state = Relay(answers)
    handler = type("Session", (_Session,), {"relay": state})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield state
        state.over.set()
        server.shutdown()
        thread.join(5)


def run(
    database: Database, objects: ObjectStore, settings: Settings, server: Relay, login: str = ""
) -> list[DeliveryOutcome]:
    url = SecretStr(f"smtp://{login}127.0.0.1:{server.port}")
    changes = {
        "email_backend": "smtp",
        "smtp_url": url,
        # Short only where the answer never ends, however quick the machine.
        "send_timeout_seconds": 120.0,
        "send_deadline_seconds": 3.0 if "drip" in server.answers.values() else 240.0,
    }
    mine = settings.model_copy(update=changes)
    clock = Clock()
    deliverer = Deliverer(open_deliverer(mine).senders, Random(1), clock.pause)
    return list(deliver_due(deliverer, database, objects, mine, clock, 100))


def test_a_mail_arrives_whole(database: Database, objects: ObjectStore, settings: Settings) -> None:
    seed(database, objects, 1, parameters={"attach": True})
    with relay() as server:
        (outcome,) = run(database, objects, settings, server)
    (raw,) = server.messages
    mail = message_from_bytes(raw)
    assert outcome.state == "sent"
    assert mail["Message-ID"] == outcome.provider_id
    assert mail["To"] == "reader0@example.org"
    attached = [part for part in mail.walk() if part.get_filename()]
    assert [part.get_payload(decode=True) for part in attached] == [FILE]


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ({"RCPT": "550 no such mailbox"}, "failed"),
        ({"RCPT": "450 later"}, "pending"),
        ({"MAIL": "451 later"}, "pending"),
        ({"RCPT": "hang up"}, "pending"),
        ({"DATA": "554 no"}, "failed"),
        ({"BODY": "554 no"}, "failed"),
        ({"BODY": "451 later"}, "pending"),
        ({"BODY": "hang up"}, "unknown"),
        ({"BODY": "drip"}, "unknown"),
    ],
)
def test_each_answer_of_the_relay(
    database: Database,
    objects: ObjectStore,
    settings: Settings,
    answers: dict[str, str],
    state: str,
) -> None:
    seed(database, objects, 1)
    with relay(**answers) as server:
        (outcome,) = run(database, objects, settings, server)
    assert outcome.state == state


def test_a_refused_login_halts_the_channel_and_tells_no_password(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 3)
    with relay(AUTH="535 no") as server:
        run(database, objects, settings, server, "user:s3cret@")
    assert {row["state"] for row in database["deliveries"].find()} == {"pending"}
    assert [alert["_id"] for alert in open_alerts(database)] == ["channel-halted:email"]
    assert "s3cret" not in repr([*database["deliveries"].find(), *open_alerts(database)])
