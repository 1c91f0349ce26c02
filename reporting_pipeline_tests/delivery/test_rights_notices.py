"""An organisation hears, once an edition, which reports its people's rights held back."""

from __future__ import annotations

import logging
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from reporting_pipeline.delivery.channels.deliverer import Deliverer, open_deliverer
from reporting_pipeline.delivery.notices.due import notices_due, send_due_notices
from reporting_pipeline.delivery.notices.rights import LONGEST_WAIT, MENDING_ROLES
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import deliveries as ledger
from reporting_pipeline.stores.jobs import mark_skipped
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.delivery.seeds import NOW, seed
from reporting_pipeline_tests.delivery.test_outbox import deliver, mails, part

EDITION = "weekly:2026-11-16"


def add_user(database: Database, identifier: str, **fields: Any) -> None:
    organisation = fields.get("organisation", "default")
    database["users"].insert_one(
        {
            "_id": identifier,
            "organisation": organisation,
            "name": identifier,
            "email": f"{identifier}@{organisation}.example",
            "roles": ["manager"],
            "trials": "all",
            "audience": "monitor",
            "active": True,
            **fields,
        }
    )


def tell(database: Database, settings: Settings, at: Any = NOW) -> int:
    return send_due_notices(open_deliverer(settings), database, settings, at)


def notice(database: Database, organisation: str = "default") -> Record:
    found = database["rights_notices"].find_one({"_id": f"{EDITION}|{organisation}"})
    assert found is not None
    return found


def hold_back(database: Database, objects: ObjectStore, settings: Settings, count: int) -> None:
    """`count` rendered reports whose owners are deactivated before they are sent."""
    seed(database, objects, count)
    database["users"].update_many({"roles": "subscriber"}, {"$set": {"active": False}})
    assert {outcome.state for outcome in deliver(database, objects, settings)} == {"suppressed"}


def test_those_who_may_change_other_peoples_users_and_subscriptions_are_told() -> None:
    assert {"manager", "admin"} == MENDING_ROLES


def test_a_trial_withdrawn_between_rendering_and_delivery_is_told_to_the_organisation(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    seed(database, objects, 2)
    add_user(database, "usr_manager")
    add_user(database, "usr_admin", roles=["admin"])
    add_user(database, "usr_analyst", roles=["analyst"])
    add_user(database, "usr_gone", active=False)
    database["users"].update_one({"_id": "usr_00000"}, {"$set": {"trials": ["ANOTHER"]}})
    assert sorted(outcome.state for outcome in deliver(database, objects, settings)) == ["sent", "suppressed"]
    assert notices_due(database, NOW)
    assert tell(database, settings) == 1
    assert not notices_due(database, NOW)
    told = [mail for mail in mails(settings) if "held back" in mail["Subject"]]
    assert {mail["To"] for mail in told} == {"usr_manager@default.example", "usr_admin@default.example"}
    for kind in ("plain", "html"):
        words = part(told[0], kind)
        assert "Weekly safety report" in words
        assert "Reader 0" in words
        assert "Reader 1" not in words
        assert "rial CDISCPILOT01 was withdrawn from the owner" in words
    assert told[0]["Subject"] == "1 report was held back: week of 16 November 2026"
    assert told[0]["List-Unsubscribe"] is None
    row = notice(database)
    assert (row["outcome"], row["reports"]) == ("sent", 1)
    assert sorted(each["user"] for each in row["notices"]) == ["usr_admin", "usr_manager"]
    assert {each["outcome"] for each in row["notices"]} == {"accepted"}


def test_an_owner_deactivated_before_rendering_is_told_too(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    (job,) = seed(database, objects, 1, plan=False)
    database["jobs"].update_one({"_id": job["_id"]}, {"$set": {"state": "pending", "report": None}})
    add_user(database, "usr_manager")
    mark_skipped(database, [("sub_00000", "2026-11-16", "the owner of the subscription is deactivated")], NOW)
    assert [tell(database, settings) for _ in range(3)] == [1, 0, 0]
    (mail,) = mails(settings)
    assert "The owner of the subscription is deactivated" in part(mail, "plain")


def test_a_recipient_who_lost_the_right_is_told_as_such(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    add_user(database, "usr_manager")
    add_user(database, "usr_reader", roles=["subscriber"], active=False)
    people = [{"type": "user", "value": "usr_reader"}, {"type": "user", "value": "usr_00000"}]
    seed(database, objects, 1, recipients=people)
    assert sorted(outcome.state for outcome in deliver(database, objects, settings)) == ["sent", "suppressed"]
    assert tell(database, settings) == 1
    (mail,) = [mail for mail in mails(settings) if "held back" in mail["Subject"]]
    assert "The recipient of the subscription is deactivated" in part(mail, "plain")


def test_one_message_however_many_were_held_back_and_the_list_is_bounded(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    add_user(database, "usr_manager")
    hold_back(database, objects, settings, 45)
    assert [tell(database, settings) for _ in range(3)] == [1, 0, 0]
    (mail,) = mails(settings)
    assert mail["Subject"].startswith("45 reports were held back")
    assert part(mail, "plain").count("Owner: ") == 20
    assert "and 25 more." in part(mail, "plain")


def test_another_organisation_hears_nothing(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    add_user(database, "usr_manager")
    add_user(database, "usr_other", organisation="other")
    hold_back(database, objects, settings, 1)
    tell(database, settings)
    assert [mail["To"] for mail in mails(settings)] == ["usr_manager@default.example"]
    assert database["rights_notices"].count_documents({}) == 1


def test_a_limited_manager_hears_of_their_trials_alone(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    add_user(database, "usr_limited", trials=["CDISCPILOT01"])
    seed(database, objects, 3)
    for number, trials in enumerate((["CDISCPILOT01"], ["ANOTHER"], [])):
        changed = {"filters": {"trials": trials}, "name": f"Report {number}"}
        database["subscriptions"].update_one({"_id": f"sub_{number:05d}"}, {"$set": changed})
    database["users"].update_many({"roles": "subscriber"}, {"$set": {"active": False}})
    deliver(database, objects, settings)
    tell(database, settings)
    (mail,) = mails(settings)
    words = part(mail, "plain")
    assert "Report 0" in words
    assert "Report 1" not in words
    assert "Report 2" not in words
    assert mail["Subject"].startswith("1 report was")


def test_what_was_not_sent_for_another_reason_is_no_matter_of_rights(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    add_user(database, "usr_manager")
    seed(database, objects, 3)
    database["subscriptions"].update_one({"_id": "sub_00000"}, {"$set": {"status": "ended"}})
    database["subscriptions"].update_one({"_id": "sub_00001"}, {"$set": {"status": "paused"}})
    database["suppressions"].insert_one({"_id": "reader2@example.org", "reason": "bounce", "lifted_at": None})
    assert {outcome.state for outcome in deliver(database, objects, settings)} == {"suppressed"}
    assert not notices_due(database, NOW)
    assert tell(database, settings) == 0
    assert mails(settings) == []


def test_a_subscription_that_ended_since_needs_no_mending(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    add_user(database, "usr_manager")
    hold_back(database, objects, settings, 1)
    database["subscriptions"].update_many({}, {"$set": {"status": "ended"}})
    assert not notices_due(database, NOW)
    assert tell(database, settings) == 0


def test_it_waits_for_what_is_due_but_neither_for_what_comes_later_nor_for_ever(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    add_user(database, "usr_manager")
    seed(database, objects, 3)
    database["users"].update_one({"_id": "usr_00000"}, {"$set": {"active": False}})
    later = {"due_at": NOW + timedelta(days=4), "next_attempt_at": NOW + timedelta(days=4)}
    database["jobs"].update_one({"_id": "job_00001"}, {"$set": {"due_at": later["due_at"]}})
    database["deliveries"].update_one({"job": "job_00001"}, {"$set": later})
    deliver(database, objects, settings)
    database["deliveries"].update_one({"job": "job_00002"}, {"$set": {"state": "unknown"}})
    assert not notices_due(database, NOW), "one that is due may still be held back"
    assert tell(database, settings) == 0
    assert notices_due(database, NOW + LONGEST_WAIT)
    database["deliveries"].update_one({"job": "job_00002"}, {"$set": {"state": "sent"}})
    assert notices_due(database, NOW), "what is due in four days does not count"
    assert tell(database, settings) == 1


@pytest.mark.parametrize(
    "fields", [{"active": False}, {"roles": ["analyst"]}, {"email": "no address"}, {"organisation": "other"}]
)
def test_an_organisation_with_nobody_to_tell_is_recorded_and_logged(
    database: Database,
    objects: ObjectStore,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    fields: dict[str, Any],
) -> None:
    add_user(database, "usr_manager", **fields)
    hold_back(database, objects, settings, 2)
    with caplog.at_level(logging.WARNING):
        assert tell(database, settings) == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "nobody to tell" in caplog.text
    row = notice(database)
    assert (row["outcome"], row["reports"], row["notices"]) == ("nobody", 2, [])
    assert not notices_due(database, NOW), "no run is started for it again"


def test_a_suppressed_address_is_left_out(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    add_user(database, "usr_manager")
    add_user(database, "usr_second")
    database["suppressions"].insert_one(
        {"_id": "usr_manager@default.example", "reason": "bounce", "lifted_at": None}
    )
    hold_back(database, objects, settings, 1)
    tell(database, settings)
    assert [mail["To"] for mail in mails(settings)] == ["usr_second@default.example"]


class Died(BaseException):
    """The worker ends here."""


def dying_at(settings: Settings, where: str) -> Deliverer:
    def failpoint(place: str) -> None:
        if place == where:
            raise Died(place)

    return Deliverer(open_deliverer(settings).senders, Random(1), failpoint=failpoint)


@pytest.mark.parametrize(
    ("place", "written"), [("notice.claimed", 0), ("outbox.before_write", 0), ("outbox.after_write", 1)]
)
def test_a_worker_that_dies_with_the_claim_loses_the_notice_and_never_repeats_it(
    database: Database, objects: ObjectStore, settings: Settings, place: str, written: int
) -> None:
    add_user(database, "usr_manager")
    hold_back(database, objects, settings, 1)
    with pytest.raises(Died):
        send_due_notices(dying_at(settings, place), database, settings, NOW)
    assert tell(database, settings) == 0
    assert len(mails(settings)) == written
    assert notice(database)["outcome"] == "claimed", "it may have been sent: nobody knows, and it says so"
    assert not notices_due(database, NOW)


def test_a_halted_mail_channel_costs_no_notice(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    add_user(database, "usr_manager")
    hold_back(database, objects, settings, 1)
    ledger.halt_channel(database, "email", "credentials refused", NOW)
    assert not notices_due(database, NOW)
    assert tell(database, settings) == 0
    ledger.resume_channel(database, "email", NOW)
    assert notices_due(database, NOW)
    assert tell(database, settings) == 1


def test_a_hostile_name_is_text(database: Database, objects: ObjectStore, settings: Settings) -> None:
    add_user(database, "usr_manager")
    seed(database, objects, 1, name="<script>alert(1)</script>\r\nBcc: x@example.org {{ brand }}")
    database["users"].update_one({"_id": "usr_00000"}, {"$set": {"name": "<b>Eve</b>\n", "active": False}})
    deliver(database, objects, settings)
    tell(database, settings)
    (mail,) = mails(settings)
    assert mail["Bcc"] is None
    assert "<script" not in part(mail, "html")
    assert "<b>" not in part(mail, "html")
    assert "{{ brand }}" in part(mail, "html")
