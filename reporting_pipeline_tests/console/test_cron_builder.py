"""The fields that make a cron expression and the expression itself say the same, whichever is typed."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import pytest

from reporting_pipeline_tests.console.conftest import Browser
from reporting_pipeline_tests.console.subscribing import WEEKLY, subscribe

BEYOND = "The expression above says what these fields cannot"


def builder_in(page: str) -> tuple[str, list[str], str]:
    """(time, days of the week, days of the month) of the builder's fields."""
    time, dates = (
        re.search(rf'name="{name}"[^>]* value="([^"]*)"', page) for name in ("built_time", "built_dates")
    )
    assert time
    assert dates
    days = re.findall(r'name="built_days" value="(\d)" checked', page)
    return time[1], days, dates[1]


@pytest.mark.parametrize(
    ("expression", "fields"),
    [
        ("30 6 * * MON-WED", ("06:30", ["1", "2", "3"], "")),
        ("15 7 1,L * *", ("07:15", [], "1, L")),
        ("*/15 7 * * *", ("", [], "")),
        ("0 7 * 1 *", ("", [], "")),
        ("nonsense", ("", [], "")),
    ],
)
def test_an_expression_that_is_typed_over_stands_in_the_fields_or_they_are_empty_with_a_word(
    person: Callable[[str], Browser], expression: str, fields: tuple[str, list[str], str]
) -> None:
    browser = person("manager")
    shown = {"built_from": "0 9 * * TUE", "built_time": "09:00", "built_days": "2"}
    typed = {**WEEKLY, "cadence": "cron", "cron_expression": expression, **shown}
    part = browser.post("/console/subscribe/builder", typed).text
    without_script = browser.post("/console/subscribe", {**typed, "name": ""}).text
    for page in (part, without_script):
        assert builder_in(page) == fields
        assert (BEYOND in page) == (fields[0] == "")
        assert f'name="built_from" value="{expression}"' in page


def test_what_is_typed_into_the_fields_stays_while_the_expression_is_as_it_was(
    person: Callable[[str], Browser],
) -> None:
    expression = {"cadence": "cron", "cron_expression": "0 9 * * TUE", "built_from": "0 9 * * TUE"}
    typed = {**WEEKLY, **expression, "built_time": "10:30", "built_days": "5", "name": ""}
    browser = person("manager")
    assert builder_in(browser.post("/console/subscribe", typed).text) == ("10:30", ["5"], "")
    built = browser.post("/console/subscribe", {**typed, "build": "1"}).text
    assert 'name="cron_expression"' in built
    assert 'value="30 10 * * FRI"' in built
    assert builder_in(built) == ("10:30", ["5"], "")


def test_a_schedule_that_is_changed_begins_with_the_fields_of_its_expression(
    person: Callable[[str], Browser],
) -> None:
    browser = person("manager")
    address = subscribe(browser, cadence="cron", cron_expression="0 8 * * MON,FRI", window="week")
    assert builder_in(browser.get(f"{address}/change").text) == ("08:00", ["1", "5"], "")


def test_enter_in_a_field_saves_what_was_typed_and_fills_in_no_preset(
    person: Callable[[str], Browser],
) -> None:
    page = person("manager").get("/console/subscribe").text
    form = page[page.index('id="form"') :]
    first = re.search(r"<button[^>]*>", form)
    assert first
    assert 'name="save"' in first[0]  # a browser presses the first button of a form


def test_two_versions_of_a_schedule_are_compared_in_the_words_of_the_form(
    person: Callable[[str], Browser],
) -> None:
    browser = person("manager")
    address = subscribe(browser)
    changed = {**WEEKLY, "day_of_week": "3", "version": "1"}
    assert browser.post(f"{address}/change", changed).status_code == 303
    late = {**WEEKLY, "cadence": "daily", "format": "xlsx", "kinds": "ecg", "version": "1"}
    page = unescape(browser.post(f"{address}/change", late).text)
    for words in (
        "<strong>How often</strong>: now “Every week”, yours “Every day”",
        "<strong>Day of the week</strong>: now “Wednesday”, yours “Monday”",
        "<strong>Format</strong>: now “PDF”, yours “Excel (XLSX)”",
        "<strong>Kinds of document</strong>: now “nothing”, yours “",
    ):
        assert words in page
    assert "<strong>At</strong>" not in page
    assert "<strong>Version</strong>" not in page


def test_what_is_missing_of_a_schedule_is_told_by_the_names_of_its_fields(
    person: Callable[[str], Browser],
) -> None:
    typed = {**WEEKLY, "cadence": "cron", "cron_expression": "99 * * * *"}
    part = unescape(person("manager").post("/console/subscribe/dates", typed).text)
    assert "Cron expression: '99 * * * *'" in part
    assert "cron expression:" not in part
