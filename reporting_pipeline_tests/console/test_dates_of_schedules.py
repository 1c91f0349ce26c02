"""The dates between which a schedule counts, and which weeks, in the form."""

from __future__ import annotations

from collections.abc import Callable

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline_tests.console.conftest import Browser
from reporting_pipeline_tests.console.subscribing import WEEKLY


def test_every_second_week_between_two_days_is_made_and_changed_by_the_form(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("subscriber")
    between = {**WEEKLY, "every_weeks": "2", "starts_on": "2026-11-30", "ends_on": "2027-03-01"}
    wrong = browser.post("/console/subscribe", {**between, "starts_on": ""})
    assert wrong.status_code == 422
    assert 'href="#starts_on"' in wrong.text
    address = browser.post("/console/subscribe", between).headers["location"].partition("?")[0]
    assert "Every second week on Monday" in browser.get(address).text
    form = browser.get(f"{address}/change").text
    for field in ('value="2"', 'value="2026-11-30"', 'value="2027-03-01"'):
        assert field in form
    each = {**between, "every_weeks": "", "ends_on": "", "version": "1"}
    assert browser.post(f"{address}/change", each).status_code == 303
    schedule = (database.subscriptions.find_one({}) or {})["schedule"]
    told = {name: schedule[name] for name in ("every_weeks", "starts_on", "ends_on")}
    assert told == {"every_weeks": None, "starts_on": "2026-11-30", "ends_on": None}
