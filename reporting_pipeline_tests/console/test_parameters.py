"""The parameters of every report type as fields: what is typed is what the type is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from io import BytesIO

from PIL import Image

from reporting_pipeline.console import parameters
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.usecases.report_types import parameter_schema, report_types
from reporting_pipeline_tests.console.conftest import Browser
from reporting_pipeline_tests.console.subscribing import WEEKLY, subscribe

LISTING = {
    "report_type": "data_listing",
    "option_data_listing_table": "labs",
    "option_data_listing_columns": "subject, test , value",
    "option_data_listing_where": "flag: HIGH, LOW",
    "option_every_attach": "false",
}
KEPT = {
    "table": "labs",
    "columns": ["subject", "test", "value"],
    "where": {"flag": ["HIGH", "LOW"]},
    "attach": False,
}


def test_every_parameter_of_every_type_has_a_field() -> None:
    for report_type in report_types():
        for name in parameter_schema(report_type)["properties"]:
            assert parameters.key_of(report_type, name), f"{report_type} {name} has no field"


def test_what_is_kept_is_shown_and_read_back_the_same() -> None:
    fields = parameters.shown("data_listing", KEPT)
    errors: dict[str, str] = {}
    assert parameters.read("data_listing", fields, errors) == KEPT
    assert errors == {}
    assert parameters.read("trial_activity", fields, errors) == {"attach": False}


def test_a_listing_is_asked_for_and_changed_by_its_fields(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("subscriber")
    address = subscribe(browser, **LISTING)
    stored = database.subscriptions.find_one({}) or {}
    assert stored["parameters"] == KEPT
    page = unescape(browser.get(f"{address}/change").text)
    assert 'value="subject, test, value"' in page
    assert "flag: HIGH, LOW" in page
    changed = {
        **WEEKLY,
        **LISTING,
        "version": "1",
        "option_data_listing_where": "",
        "option_every_attach": "",
    }
    assert browser.post(f"{address}/change", changed).status_code == 303
    stored = database.subscriptions.find_one({}) or {}
    assert stored["parameters"] == {"table": "labs", "columns": ["subject", "test", "value"]}
    other = {**changed, "version": "2", "report_type": "trial_conduct", "option_trial_conduct_target": "300"}
    assert browser.post(f"{address}/change", other).status_code == 303
    assert (database.subscriptions.find_one({}) or {})["parameters"] == {"target": 300}


def test_a_wrong_parameter_is_told_beside_its_field(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("subscriber")
    wrong = [
        ({**LISTING, "option_data_listing_columns": "no_such"}, "option_", "has no column"),
        ({**LISTING, "option_data_listing_table": "secrets"}, "option_data_listing_table", "adverse_events"),
        ({**LISTING, "option_data_listing_where": "flag HIGH"}, "option_data_listing_where", "a colon"),
        ({**LISTING, "option_every_attach": "maybe"}, "option_every_attach", "leave it open"),
        (
            {"report_type": "trial_conduct", "option_trial_conduct_target": "many"},
            "option_trial_conduct_target",
            "a whole number",
        ),
        (
            {"report_type": "trial_conduct", "option_trial_conduct_target": "0"},
            "option_trial_conduct_target",
            "give at least 1",
        ),
    ]
    for fields, field, words in wrong:
        answer = browser.post("/console/subscribe", {**WEEKLY, **fields})
        page = unescape(answer.text)
        assert answer.status_code == 422, fields
        assert f'href="#{field}' in page or field == "option_", fields
        assert words in page, fields
    assert database.subscriptions.count_documents({}) == 0


def test_a_type_that_is_not_written_for_its_reader_is_not_offered(
    person: Callable[[str], Browser], database: Database
) -> None:
    offered = {
        "participant": {"my_participation"},  # their own record, in plain words
        "site": {"trial_activity", "safety_summary", "site_report", "data_listing"},
        "sponsor": {"trial_activity", "safety_summary", "trial_conduct", "medical_review", "data_listing"},
    }
    for audience, types in offered.items():
        database.users.update_one({"_id": "usr_default_subscriber"}, {"$set": {"audience": audience}})
        page = person("subscriber").get("/console/subscribe").text
        assert set(re.findall(r'name="report_type" value="(\w+)"', page)) == types, audience


def test_a_participant_is_asked_for_no_sites_and_kinds(
    person: Callable[[str], Browser], database: Database
) -> None:
    assert 'name="sites"' in person("subscriber").get("/console/subscribe").text
    given = {"audience": "participant", "trials": ["T1"], "subject": "S1"}
    database.users.update_one({"_id": "usr_default_subscriber"}, {"$set": given})
    own = person("subscriber").get("/console/subscribe").text
    assert 'name="sites"' not in own
    assert 'name="kinds"' not in own


def test_what_is_left_open_is_not_called_another_than_it_will_be(person: Callable[[str], Browser]) -> None:
    page = person("subscriber").get("/console/subscribe").text
    for words in ("Attach the file to the mail", "When its data is out of the usual"):
        assert words in page
    assert "Not chosen: English" not in unescape(page)


def test_every_report_type_has_a_picture_of_a_page_of_it(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("subscriber")
    page = browser.get("/console/subscribe").text
    database.users.update_one({"_id": "usr_default_subscriber"}, {"$set": {"audience": "participant"}})
    own = person("subscriber").get("/console/subscribe").text
    assert 'value="de"' in own
    assert "Deutsch" in own, "languages by their own names"
    for name, kind in report_types().items():
        address = f"/console/static/types/{name}.png"
        assert (address in page) == (Audience.MONITOR in kind.audiences)
        assert (address in own) == kind.one_person
        answer = browser.get(address)
        assert answer.headers["content-type"] == "image/png"
        with Image.open(BytesIO(answer.content)) as picture:
            assert picture.size == (320, 453)
    assert browser.get("/console/static/types/..%2Fconsole.png").status_code == 404
