"""Who still needs a report is asked, and what nobody confirms is paused with notice, never silently."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from reporting_pipeline.delivery.channels.deliverer import open_deliverer
from reporting_pipeline.delivery.notices.confirmations import Confirmations, ask_and_pause
from reporting_pipeline.domain.confirmation import GRACE
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import lifecycle, subscriptions
from reporting_pipeline.stores.deliveries import halt_channel
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.organisations import add
from reporting_pipeline.usecases.subscriptions import confirm, resume
from reporting_pipeline_tests.delivery.seeds import NOW
from reporting_pipeline_tests.delivery.test_outbox import mails, part
from reporting_pipeline_tests.delivery.test_rights_notices import add_user

YEAR = timedelta(days=365)
DUE = NOW + YEAR


@pytest.fixture
def asked(database: Database, settings: Settings) -> None:
    """An organisation that asks once a year, with two owners and a manager; another that never asks."""
    add(database, "default", {"name": "Default", "confirm_after_days": 365})
    add(database, "other", {"name": "Other"})
    for user in ("usr_ada", "usr_bob"):
        add_user(database, user, roles=["subscriber"])
    add_user(database, "usr_manager")
    add_user(database, "usr_eve", organisation="other")
    for number, (organisation, owner) in enumerate(
        [("default", "usr_ada"), ("default", "usr_ada"), ("default", "usr_bob"), ("other", "usr_eve")]
    ):
        subscriptions.create_subscription(
            database,
            Subscription(
                id=f"sub_{number}",
                organisation=organisation,
                owner=owner,
                name=f"Report {number}",
                schedule=Schedule(),
                created_at=NOW,
                updated_at=NOW,
            ),
            NOW,
        )


def night(database: Database, settings: Settings, at: Any) -> Confirmations:
    return ask_and_pause(open_deliverer(settings), database, settings, at)


def state(database: Database) -> dict[str, str]:
    return {row["_id"]: row["status"] for row in database["subscriptions"].find({})}


def one(database: Database, identifier: str) -> Subscription:
    found = subscriptions.get_subscription(database, "default", identifier)
    assert found is not None
    return found


def test_an_owner_is_asked_once_by_one_mail_and_what_is_confirmed_goes_on(
    asked: None, database: Database, settings: Settings
) -> None:
    assert night(database, settings, DUE - timedelta(days=1)) == Confirmations()
    assert night(database, settings, DUE).asked == 3
    assert night(database, settings, DUE + timedelta(days=1)) == Confirmations()
    sent = mails(settings)
    assert sorted(mail["To"] for mail in sent) == ["usr_ada@default.example", "usr_bob@default.example"]
    for kind in ("plain", "html"):
        words = part(next(mail for mail in sent if "ada" in mail["To"]), kind)
        assert "Report 0" in words
        assert "Report 1" in words
        assert "Report 2" not in words
        assert "/console/confirm" in words
    confirm(database, one(database, "sub_0"), "usr_ada", DUE + timedelta(days=2))
    found = night(database, settings, DUE + GRACE)
    assert (found.asked, found.paused) == (0, 2)
    assert state(database) == {"sub_0": "active", "sub_1": "paused", "sub_2": "paused", "sub_3": "active"}
    told = [mail["Subject"] for mail in mails(settings) if "paused" in mail["Subject"]]
    assert len(told) == 2
    assert set(told) == {"1 report paused: nobody said that it is still needed"}
    for mail in mails(settings):
        if "paused" in mail["Subject"]:
            assert not {"these", "them", "they"} & set(part(mail, "plain").lower().split())
    row = database["audit"].find_one({"action": "subscription.paused", "subject": "sub_1"}) or {}
    assert row["details"] == {"reason": "nobody confirmed that it is still needed"}
    assert night(database, settings, DUE + GRACE) == Confirmations()


def test_what_was_resumed_is_wanted_and_not_paused_again(
    asked: None, database: Database, settings: Settings
) -> None:
    night(database, settings, DUE)
    night(database, settings, DUE + GRACE)
    at = DUE + GRACE + timedelta(days=1)
    resume(database, settings, one(database, "sub_1"), "usr_ada", at)
    assert night(database, settings, at + timedelta(days=60)) == Confirmations()
    assert state(database)["sub_1"] == "active"
    assert night(database, settings, at + YEAR).asked == 1


def test_managers_are_asked_for_what_an_owner_left_behind(
    asked: None, database: Database, settings: Settings
) -> None:
    database["users"].update_one({"_id": "usr_bob"}, {"$set": {"active": False}})
    night(database, settings, DUE)
    sent = {mail["To"]: part(mail, "plain") for mail in mails(settings)}
    assert sorted(sent) == ["usr_ada@default.example", "usr_manager@default.example"]
    assert "/console/confirm?everybody=1" in sent["usr_manager@default.example"]  # theirs is not their own
    assert "everybody" not in sent["usr_ada@default.example"]


def test_nothing_is_paused_that_nobody_can_be_told_of_and_nothing_while_no_mail_goes(
    asked: None, database: Database, settings: Settings
) -> None:
    night(database, settings, DUE)
    halt_channel(database, "email", "535", DUE)
    assert night(database, settings, DUE + GRACE) == Confirmations()
    database["channel_states"].delete_many({})
    database["users"].update_many({"organisation": "default"}, {"$set": {"active": False}})
    found = night(database, settings, DUE + GRACE)
    assert (found.paused, sorted(found.nobody_to_tell)) == (0, ["sub_0", "sub_1", "sub_2"])
    assert set(state(database).values()) == {"active"}


def test_a_change_keeps_that_somebody_was_asked(asked: None, database: Database, settings: Settings) -> None:
    night(database, settings, DUE)
    lifecycle.change(database, one(database, "sub_2"), {"name": "Renamed"}, DUE, "UTC")
    assert night(database, settings, DUE + GRACE).paused == 3


def test_a_mail_that_nobody_took_asks_and_pauses_nothing(
    asked: None, database: Database, settings: Settings
) -> None:
    deaf = settings.model_copy(update={"email_backend": "smtp", "smtp_url": SecretStr("smtp://127.0.0.1:1")})
    found = night(database, deaf, DUE)
    assert (found.asked, sorted(found.nobody_to_tell)) == (0, ["sub_0", "sub_1", "sub_2"])
    assert night(database, settings, DUE + timedelta(days=1)).asked == 3


def paused_mails(settings: Settings) -> list[str]:
    return [mail["To"] for mail in mails(settings) if "paused" in mail["Subject"]]


def test_a_pause_that_no_mail_told_is_told_the_next_night_and_only_once(
    asked: None, database: Database, settings: Settings
) -> None:
    night(database, settings, DUE)
    deaf = settings.model_copy(update={"email_backend": "smtp", "smtp_url": SecretStr("smtp://127.0.0.1:1")})
    found = night(database, deaf, DUE + GRACE)
    assert (found.paused, sorted(found.nobody_to_tell)) == (3, ["sub_0", "sub_1", "sub_2"])
    assert paused_mails(settings) == []
    for days in (1, 2):
        assert night(database, settings, DUE + GRACE + timedelta(days=days)) == Confirmations()
        assert sorted(paused_mails(settings)) == ["usr_ada@default.example", "usr_bob@default.example"]


def test_nobody_is_told_of_a_pause_that_somebody_kept_from_happening(
    asked: None, database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob confirms in the second between the look and the pause; Ada's first report is renamed in it."""
    night(database, settings, DUE)
    pause = lifecycle.pause

    def meanwhile(database: Database, organisation: str, identifier: str, *rest: Any) -> Subscription:
        if identifier == "sub_2":
            confirm(database, one(database, identifier), "usr_bob", DUE + GRACE)
        if identifier == "sub_0":
            lifecycle.change(database, one(database, identifier), {"name": "Renamed"}, DUE + GRACE, "UTC")
        return pause(database, organisation, identifier, *rest)

    monkeypatch.setattr(lifecycle, "pause", meanwhile)
    assert night(database, settings, DUE + GRACE).paused == 1
    assert paused_mails(settings) == ["usr_ada@default.example"]
    (told,) = (mail for mail in mails(settings) if "paused" in mail["Subject"])
    assert told["Subject"].startswith("1 report paused")
    assert "Report 1" in part(told, "plain")


def test_who_resumes_an_untold_pause_is_not_told_of_it_when_they_pause_it_themselves(
    asked: None, database: Database, settings: Settings
) -> None:
    night(database, settings, DUE)
    deaf = settings.model_copy(update={"email_backend": "smtp", "smtp_url": SecretStr("smtp://127.0.0.1:1")})
    night(database, deaf, DUE + GRACE)
    for identifier in ("sub_0", "sub_1", "sub_2"):
        resume(database, settings, one(database, identifier), "usr_ada", DUE + GRACE)
        lifecycle.pause(database, "default", identifier, DUE + GRACE)
    night(database, settings, DUE + GRACE + timedelta(days=1))
    assert paused_mails(settings) == []
