"""A changed address: asked of the new one, told to the old one, and until then nothing is different."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import pytest

from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import asked_addresses, audit, users
from reporting_pipeline.stores.deliveries.channels import halt_channel
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.suppressions import suppress_address
from reporting_pipeline.usecases.changed_addresses import (
    ask_for_address,
    confirm_address,
    finish_confirmed,
)
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.delivery.seeds import NOW
from reporting_pipeline_tests.delivery.test_outbox import mails, part

OLD, NEW, PERSON = "subscriber@default.example", "moved@elsewhere.example", "usr_default_subscriber"
LINK = re.compile(r"https?://\S+/confirm-address/\S+")
PATH = f"/api/users/{PERSON}"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> Any:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def manager(serve: Callable[..., Api], clock: Clock) -> Api:
    return serve(clock=clock).as_("usr_default_manager")


def body(**changed: Any) -> dict[str, Any]:
    return {"name": "Sub", "email": OLD, "roles": ["subscriber"], "trials": "all", **changed}


def to(settings: Settings, address: str) -> list[EmailMessage]:
    return [mail for mail in mails(settings) if mail["To"] == address]


def link(settings: Settings, address: str = NEW) -> str:
    """The path of the link that an address got."""
    (mail,) = to(settings, address)
    found = re.search(r"https?://\S+/confirm-address/\S+", part(mail, "plain"))
    assert found is not None
    return urlsplit(found[0]).path


def address_of(database: Database) -> str:
    user = users.get_user(database, PERSON)
    assert user is not None
    return user.email


def test_it_is_asked_told_and_taken_once(manager: Api, database: Database, settings: Settings) -> None:
    changed = manager.put(PATH, json=body(email="Moved@Elsewhere.example"))
    assert changed.status_code == 200, changed.text
    assert (changed.json()["email"], changed.json()["email_asked"]) == (OLD, NEW)
    assert address_of(database) == OLD
    assert len(to(settings, NEW)) == 1
    (told,) = to(settings, OLD)
    assert NEW not in told.as_string()
    assert "Sub" not in part(to(settings, NEW)[0], "plain"), "a stranger is told nobody's name"

    anybody, path = manager.with_token(None), link(settings)
    for _ in range(2):  # scanners look
        page = anybody.get(path)
        assert (page.status_code, '<form method="post"' in page.text, NEW in page.text) == (200, True, True)
    assert address_of(database) == OLD
    assert anybody.post(path).status_code == 200
    assert address_of(database) == NEW
    assert [anybody.post(path).status_code, anybody.get(path).status_code] == [404, 404]
    assert len(to(settings, OLD)) == 2, "it is told that it is done, too"
    assert manager.get(PATH).json()["email_asked"] is None

    actions = [row["action"] for row in audit.events_of(database, "default", subject=PERSON)]
    assert actions[:3] == ["address.confirmed", "user.changed", "address.asked"]
    rows = list(database.audit.find({"subject": PERSON}))
    assert not any(address in str(rows) for address in (OLD, NEW))


def test_with_the_one_that_stands_or_another_the_link_is_good_for_nothing(
    manager: Api, database: Database, settings: Settings
) -> None:
    manager.put(PATH, json=body(email=NEW))
    first = link(settings)
    again = manager.put(PATH, json=body(email=NEW, timezone="Asia/Tokyo"))
    assert again.json()["email_asked"] == NEW
    assert len(to(settings, NEW)) == 1, "what is asked is not asked again"
    manager.put(PATH, json=body(email="third@elsewhere.example"))
    assert manager.with_token(None).post(first).status_code == 404
    second = link(settings, "third@elsewhere.example")
    own = manager.as_(PERSON).put(PATH, json=body())
    assert own.json()["email_asked"] is None, "whose reports they are may stop it"
    assert manager.with_token(None).post(second).status_code == 404
    assert address_of(database) == OLD


class Killed(BaseException):
    """The end of a process: nothing of it writes anything down afterwards."""


STEPS = [
    f"reporting_pipeline.usecases.changed_addresses.{name}"
    for name in (
        *("move_waiting", "tell_old", "asked_addresses.note_told"),
        *("audit.record", "asked_addresses.finish"),
    )
]
ALL_DONE = (STEPS[-1], "after")


@pytest.mark.parametrize(
    ("step", "when", "who"),
    [
        *((step, when, "a delivery run") for step in STEPS for when in ("before", "after")),
        *((step, "before", "the link again") for step in (STEPS[0], STEPS[-1])),
    ],
)
def test_killed_at_any_step_whoever_looks_next_finishes_it_once(
    database: Database,
    organisations: None,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    when: str,
    who: str,
) -> None:
    person = users.get_user(database, PERSON)
    assert person is not None
    ask_for_address(database, settings, person, NEW, "usr_default_manager", NOW)
    token = link(settings).rpartition("/")[2]
    waiting = {"organisation": "default", "user": PERSON, "channel": "email", "state": "pending"}
    database.deliveries.insert_one(
        {"_id": "dlv_1", "job": "job_1", "subscription": "sub_1", "recipient": OLD, "attempt": 0, **waiting}
    )
    with monkeypatch.context() as patched:
        patched.setattr(step, dying(pkgutil.resolve_name(step), when))
        with pytest.raises(Killed):
            confirm_address(database, settings, token, NOW)
    assert address_of(database) == NEW
    assert finish_confirmed(database, settings, NOW) == 0, "whoever has it may be at work still"
    later = NOW + asked_addresses.LEASE
    if who == "the link again":
        assert confirm_address(database, settings, token, later) is not None
    else:
        assert finish_confirmed(database, settings, later) == ((step, when) != ALL_DONE)
    assert [row["recipient"] for row in database.deliveries.find()] == [NEW]
    assert len(to(settings, OLD)) == 2, "that it was asked, that it is done"
    rows = [row["action"] for row in audit.events_of(database, "default", subject=PERSON)]
    assert rows == ["address.confirmed", "address.asked"]
    assert "email_confirmed" not in (database.users.find_one({"_id": PERSON}) or {})
    assert confirm_address(database, settings, token, later) is None


def test_a_confirmation_that_cannot_be_finished_holds_up_nobody_elses(
    database: Database, organisations: None, settings: Settings
) -> None:
    """One does not say by what it was confirmed, one names an address that is none."""
    whole = {"before": OLD, "address": NEW, "digest": "d" * 32, "by": PERSON, "lease_until": NOW}
    broken = {
        "usr_default_analyst": {name: value for name, value in whole.items() if name != "digest"},
        "usr_default_manager": {**whole, "before": 7},
    }
    for person, confirmed in {**broken, PERSON: whole}.items():
        database.users.update_one({"_id": person}, {"$set": {"email_confirmed": confirmed}})
    finish_confirmed(database, settings, NOW)
    assert "email_confirmed" not in (database.users.find_one({"_id": PERSON}) or {})
    assert list(asked_addresses.unfinished(database, NOW)) == []


def dying(step: Callable[..., Any], when: str) -> Callable[..., Any]:
    def die(*given: Any, **named: Any) -> Any:
        if when == "after":
            step(*given, **named)
        raise Killed

    return die


def test_another_address_is_confirmed_only_when_nothing_follows_from_the_one_before(
    database: Database, organisations: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = {}
    for address in (NEW, "third@elsewhere.example"):
        person = users.get_user(database, PERSON)
        assert person is not None
        ask_for_address(database, settings, person, address, "usr_default_manager", NOW)
        tokens[address] = link(settings, address).rpartition("/")[2]
        if address == NEW:
            with monkeypatch.context() as patched:
                patched.setattr(STEPS[0], dying(pkgutil.resolve_name(STEPS[0]), "before"))
                with pytest.raises(Killed):
                    confirm_address(database, settings, tokens[NEW], NOW)
    third = tokens["third@elsewhere.example"]
    assert confirm_address(database, settings, third, NOW) is None, "the one before is being finished"
    assert confirm_address(database, settings, third, NOW + asked_addresses.LEASE) is not None
    actions = [row["action"] for row in audit.events_of(database, "default", subject=PERSON)]
    assert actions.count("address.confirmed") == 2
    assert address_of(database) == "third@elsewhere.example"


def test_it_ends_by_time_by_deactivation_and_where_the_address_was_taken(
    manager: Api, database: Database, settings: Settings, clock: Clock
) -> None:
    anybody = manager.with_token(None)
    manager.put(PATH, json=body(email=NEW))
    path = link(settings)
    manager.put(PATH, json=body(email=NEW, active=False))
    assert anybody.post(path).status_code == 404
    manager.put(PATH, json=body(email=NEW))
    users.create_user(database, "default", NEW, NOW)
    assert anybody.post(path).status_code == 404
    database.users.delete_one({"email": NEW})
    clock.now += timedelta(days=3)
    assert anybody.post(path).status_code == 404
    assert anybody.post(path[:-1] + ("A" if path[-4] != "A" else "B")).status_code == 404
    assert address_of(database) == OLD


def test_what_nobody_confirmed_in_time_is_asked_again(
    manager: Api, database: Database, settings: Settings, clock: Clock
) -> None:
    manager.put(PATH, json=body(email=NEW))
    clock.now += timedelta(days=3)
    again = manager.put(PATH, json=body(email=NEW))
    assert again.json()["email_asked"] == NEW
    assert len(to(settings, NEW)) == 2
    paths = {urlsplit(one).path for mail in to(settings, NEW) for one in LINK.findall(part(mail, "plain"))}
    answers = sorted(manager.with_token(None).post(path).status_code for path in paths)
    assert answers == [200, 404]
    assert address_of(database) == NEW


def test_a_mail_that_failed_withdraws_only_what_it_asked(database: Database, organisations: None) -> None:
    user = users.get_user(database, PERSON)
    assert user is not None
    until = NOW + timedelta(days=1)
    asked_addresses.ask(database, user, NEW, "first", "usr_x", NOW, until)
    asked_addresses.ask(database, user, NEW, "second", "usr_x", NOW, until)
    assert not asked_addresses.withdraw(database, user, NOW, "first")
    assert asked_addresses.standing(database, PERSON, "second", NOW) is not None
    assert asked_addresses.withdraw(database, user, NOW, "second")


def test_what_cannot_be_asked_is_refused_and_changes_nothing(
    manager: Api, database: Database, settings: Settings
) -> None:
    taken = manager.put(PATH, json=body(email="analyst@default.example"))
    assert taken.status_code == 409
    gone = manager.put(PATH, json=body(email=NEW, active=False))
    assert (gone.status_code, gone.json()["errors"][0]["pointer"]) == (422, "#/email")
    suppress_address(database, "default", NEW, "bounced", NOW)
    held = manager.put(PATH, json=body(email=NEW))
    assert (held.status_code, "held back" in held.json()["detail"]) == (409, True)
    halt_channel(database, "email", "refused", NOW)
    assert manager.put(PATH, json=body(email="third@elsewhere.example")).status_code == 409
    standing = database.users.find_one({"_id": PERSON}) or {}
    assert (standing["email"], "email_asked" in standing) == (OLD, False)
    assert not to(settings, NEW)


def test_a_manager_mails_no_crowd_of_strangers(manager: Api) -> None:
    answers = [
        manager.put(PATH, json=body(email=f"n{number}@elsewhere.example")).status_code for number in range(31)
    ]
    assert answers == [200] * 30 + [429]


def test_somebody_erased_leaves_no_mail_that_asked(
    manager: Api, database: Database, settings: Settings
) -> None:
    manager.put(PATH, json=body(email=NEW))
    path = link(settings)
    assert manager.as_(PERSON).delete(PATH).status_code == 204
    assert not to(settings, NEW)
    assert not to(settings, OLD)
    assert manager.with_token(None).post(path).status_code == 404
    assert NEW not in str(database.users.find_one({"_id": PERSON}))
