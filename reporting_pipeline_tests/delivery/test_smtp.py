"""SMTP: the relay's answers decide; silence after the message is unknown."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from random import Random
from typing import Any, cast

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from pydantic import SecretStr

from reporting_pipeline.delivery.channels.deliverer import Deliverer, open_deliverer
from reporting_pipeline.delivery.channels.smtp import Smtp
from reporting_pipeline.delivery.sender.worker import DeliveryOutcome, deliver_due
from reporting_pipeline.domain.deliveries import THROTTLE_WITHOUT_HINT, Channel
from reporting_pipeline.embedded.processes import free_ports
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.alerts import open_alerts
from reporting_pipeline.stores.deliveries import closed_channels
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.delivery.seeds import FILE, NOW, Clock, seed
from reporting_pipeline_tests.waiting import PATIENCE


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
    deliverer = Deliverer(open_deliverer(mine).senders, Random(1), clock.pause, rate_clock=clock)
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


# --- a real server, with a certificate of an authority of our own


class Mailbox:
    """What arrived: the envelope's recipients, and whether the line was encrypted."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], bool]] = []

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        self.mails.append((list(envelope.rcpt_tos), session.ssl is not None or self.whole))
        return "250 taken"

    whole = False  # the line was encrypted from its first byte


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def server(
    authority: trustme.CA | None, *, whole: bool = False, name: str = "127.0.0.1", refusal: str | None = None
) -> Iterator[tuple[Mailbox, int, list[bytes]]]:
    """aiosmtpd with STARTTLS, or TLS from the first byte, or neither; and the passwords it was told.

    `refusal`: what it says to a sign-in that it does not take; its usual words where that is None.
    """
    mailbox, told = Mailbox(), []
    mailbox.whole = whole

    def authenticate(
        _server: SMTP, _session: Session, _envelope: Envelope, _how: str, data: Any
    ) -> AuthResult:
        told.append(data.password)
        # What is not handled here the server says itself.
        return AuthResult(success=data.password == b"right", handled=False, message=refusal)

    context = None
    if authority is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name).configure_cert(context)
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=free_ports(1)[0],
        ssl_context=context if whole else None,
        tls_context=None if whole else context,
        authenticator=authenticate,
        auth_require_tls=not whole and context is not None,
        ready_timeout=PATIENCE,
    )
    controller.start()
    try:
        yield mailbox, controller.port, told
    finally:
        controller.stop()


def send(
    database: Database,
    settings: Settings,
    url: str,
    trusted: trustme.CA | None,
    environment: str = "test",
) -> list[DeliveryOutcome]:
    changes = {"email_backend": "smtp", "smtp_url": SecretStr(url), "environment": environment}
    mine = settings.model_copy(
        update=changes | {"send_timeout_seconds": 120.0, "send_deadline_seconds": 240.0}
    )
    context = ssl.create_default_context()
    if trusted is not None:
        trusted.configure_trust(context)
    clock = Clock()
    deliverer = Deliverer({Channel.EMAIL: Smtp(mine, context)}, Random(1), clock.pause, rate_clock=clock)
    return list(deliver_due(deliverer, database, cast("ObjectStore", None), mine, clock, 100))


@pytest.mark.parametrize(("scheme", "whole"), [("smtp", False), ("smtp+starttls", False), ("smtps", True)])
def test_a_mail_goes_over_an_encrypted_line_and_so_does_the_sign_in(
    database: Database, settings: Settings, authority: trustme.CA, scheme: str, whole: bool
) -> None:
    seed(database, None, 2)
    with server(authority, whole=whole) as (mailbox, port, told):
        url = f"{scheme}://user:right@127.0.0.1:{port}"
        outcomes = send(database, settings, url, authority, "production")
    assert [outcome.state for outcome in outcomes] == ["sent", "sent"]
    assert told == [b"right", b"right"]
    assert sorted(mailbox.mails) == [(["reader0@example.org"], True), (["reader1@example.org"], True)]


@pytest.mark.parametrize(
    ("login", "environment", "goes"),
    [("", "test", True), ("", "local", True), ("", "staging", False), ("", "production", False)]
    + [("user:right@", environment, False) for environment in ("test", "local", "staging", "production")],
)
def test_without_starttls_nothing_goes_outside_a_local_machine_and_nobody_signs_in(
    database: Database, settings: Settings, login: str, environment: str, goes: bool
) -> None:
    seed(database, None, 1)
    with server(None) as (mailbox, port, told):
        send(database, settings, f"smtp://{login}127.0.0.1:{port}", None, environment)
    assert (len(mailbox.mails), told) == (int(goes), [])
    row = database["deliveries"].find_one() or {}
    assert (row["state"], row["failures"]) == ("sent" if goes else "pending", 0)
    if not goes:
        (alert,) = open_alerts(database)
        assert "no STARTTLS" in alert["text"]


@pytest.mark.parametrize(("trusted", "name"), [(False, "127.0.0.1"), (True, "another.example.org")])
def test_a_certificate_that_is_not_the_relays_halts_the_channel(
    database: Database, settings: Settings, authority: trustme.CA, trusted: bool, name: str
) -> None:
    seed(database, None, 1)
    with server(authority, name=name) as (mailbox, port, told):
        url = f"smtp://user:right@127.0.0.1:{port}"
        send(database, settings, url, authority if trusted else None, "production")
    assert (mailbox.mails, told) == ([], [])
    assert [alert["_id"] for alert in open_alerts(database)] == ["channel-halted:email"]


def test_a_refused_login_halts_the_channel_and_tells_no_password(
    database: Database, settings: Settings, authority: trustme.CA
) -> None:
    seed(database, None, 3)
    with server(authority) as (mailbox, port, told):
        send(database, settings, f"smtp://user:s3cret@127.0.0.1:{port}", authority)
    # Once for each way of signing in that the relay offers.
    assert (mailbox.mails, set(told)) == ([], {b"s3cret"})
    assert {row["state"] for row in database["deliveries"].find()} == {"pending"}
    assert [alert["_id"] for alert in open_alerts(database)] == ["channel-halted:email"]
    assert "s3cret" not in repr([*database["deliveries"].find(), *open_alerts(database)])


def test_a_relay_that_cannot_look_up_passwords_now_is_asked_again_later(
    database: Database, settings: Settings, authority: trustme.CA
) -> None:
    """RFC 4954: a 454 passes by itself; no person has to open the channel again."""
    seed(database, None, 3)
    with server(authority, refusal="454 4.7.0 Temporary authentication failure") as (_mailbox, port, _told):
        send(database, settings, f"smtp://user:wrong@127.0.0.1:{port}", authority)
    assert {(row["state"], row["failures"]) for row in database["deliveries"].find()} == {("pending", 0)}
    assert open_alerts(database) == []
    assert closed_channels(database, NOW) == ["email"]
    assert closed_channels(database, NOW + THROTTLE_WITHOUT_HINT * 2) == []
