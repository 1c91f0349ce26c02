"""What is paused because nobody confirmed it says so where its owner looks, and is resumed from there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from html import unescape

from reporting_pipeline.delivery.channels.deliverer import open_deliverer
from reporting_pipeline.delivery.notices.confirmations import ask_and_pause
from reporting_pipeline.domain.confirmation import GRACE
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline_tests.api.world import NOW
from reporting_pipeline_tests.console.conftest import Browser, House
from reporting_pipeline_tests.console.subscribing import subscribe

WHY = "Paused, as nobody confirmed that it is still needed"


def paused_by_the_night(house: House, database: Database) -> None:
    """A year and a month without a word, with a mail at each step."""
    database.organisations.update_one({"_id": "default"}, {"$set": {"confirm_after_days": 365}}, upsert=True)
    long_ago = NOW - GRACE - timedelta(days=366)
    database.subscriptions.update_many({}, {"$set": {"created_at": long_ago}})
    deliverer = open_deliverer(house.settings)
    assert ask_and_pause(deliverer, database, house.settings, NOW - GRACE - timedelta(hours=1)).asked
    assert ask_and_pause(deliverer, database, house.settings, NOW - timedelta(minutes=1)).paused


def test_a_pause_for_want_of_a_word_is_told_where_its_notice_leads_and_is_resumed_there(
    house: House, person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("subscriber")
    address = subscribe(browser, name="Nobody answered")
    by_hand = subscribe(browser, name="By hand")
    browser.post(f"{by_hand}/pause", {})
    paused_by_the_night(house, database)
    for path in (address, "/console/"):
        assert WHY in unescape(browser.get(path).text)
    assert WHY not in browser.get(by_hand).text
    asked = browser.get("/console/confirm").text
    assert f'action="{address}/resume"' in asked
    assert f'action="{by_hand}/resume"' not in asked
    assert f'action="{address}/resume"' not in person("manager").get("/console/confirm").text
    assert f'action="{address}/resume"' in person("manager").get("/console/confirm?everybody=1").text
    assert WHY in person("manager").get("/console/schedules").text
    assert "Resumed" in browser.told(f"{address}/resume", {})
    assert "Paused, as nobody" not in browser.get("/console/confirm").text
    browser.post(f"{address}/pause", {})
    assert WHY not in browser.get(address).text  # this pause is somebody's own


def test_nobody_of_another_organisation_sees_what_was_paused(
    house: House, person: Callable[[str], Browser], database: Database
) -> None:
    address = subscribe(person("subscriber"))
    paused_by_the_night(house, database)
    other = house.signed_in("usr_other_admin").get("/console/confirm?everybody=1").text
    assert address not in other
