"""Documents in the console: handed in by the API's own rules, with findings, versions and reasons."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.world import DOCUMENT, EDITION, PERIOD, SUBSCRIPTION, populate
from reporting_pipeline_tests.console.conftest import Browser, House, csrf_in
from reporting_pipeline_tests.waiting import PATIENCE

NOTE = {"trial": "T1", "site": "701", "kind": "note", "title": "<b>Markup</b>", "note": "words"}
PDF = ("strip.txt", b"hello", "text/plain")


def hand_in(browser: Browser, fields: dict[str, str], file: tuple[str, bytes, str] | None = None) -> Any:
    token = csrf_in(browser.get("/console/documents/new").text)
    return browser.session.post(
        browser.base + "/console/documents/new",
        data={**fields, "csrf": token},
        files={"file": file or ("", b"", "application/octet-stream")},
        timeout=PATIENCE,
        allow_redirects=False,
    )


def address_of(answer: Any) -> str:
    """Where a form leads, without the word on what it did."""
    return str(answer.headers["location"].partition("?")[0])


def test_a_document_is_handed_in_read_and_withdrawn(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("manager")
    answer = hand_in(browser, NOTE, PDF)
    assert answer.status_code == 303, answer.text
    address = address_of(answer)
    stored = database.documents.find_one({}) or {}
    assert (stored["trial"], stored["file"]["name"], stored["note"]) == ("T1", "strip.txt", "words")
    page = browser.get(address).text
    assert "&lt;b&gt;Markup" in page
    assert "<b>Markup" not in page
    assert browser.get(f"{address}/file").status_code == 303
    assert database.audit.count_documents({"action": "document.downloaded"}) == 1
    assert browser.post(f"{address}/withdraw", {"reason": ""}).status_code == 422
    assert browser.post(f"{address}/withdraw", {"reason": "Wrong subject"}).status_code == 303
    assert "Wrong subject" in browser.get(address).text
    assert "Withdrawn" in browser.get(address).text


def test_what_is_odd_is_told_and_what_is_wrong_stands_beside_its_field(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("manager")
    wrong = [
        ({"trial": "X1"}, "trial"),
        ({"kind": "nonsense"}, "kind"),
        ({"title": ""}, "title"),
        ({"data": "{"}, "data"),
        ({"data": "[1]"}, "data"),
    ]
    for changed, field in wrong:
        answer = hand_in(browser, {**NOTE, **changed})
        page = unescape(answer.text)
        assert 400 <= answer.status_code < 500, (changed, answer.status_code)
        assert f'href="#{field}"' in page or 'href="#form"' in page, changed
        assert "words" in page, "what was typed is lost"
    assert database.documents.count_documents({}) == 0
    event = {**NOTE, "kind": "adverse_event", "subject": "01-1", "data": '{"severity": "furious"}'}
    address = address_of(hand_in(browser, event))
    assert "severity" in browser.get(address).text
    assert 'class="odd"' in browser.get("/console/documents?trial=T1").text


def test_only_those_who_may_hand_documents_in(person: Callable[[str], Browser], database: Database) -> None:
    for role in ("subscriber", "analyst"):
        browser = person(role)
        assert browser.get("/console/documents/new").status_code == 403
        assert browser.post("/console/documents/new", NOTE).status_code == 403
    forged = person("manager")
    answer = forged.session.post(
        forged.base + "/console/documents/new",
        data={**NOTE, "csrf": "x"},
        timeout=PATIENCE,
        allow_redirects=False,
    )
    assert answer.status_code == 403
    assert database.documents.count_documents({}) == 0


def test_a_document_of_another_trial_or_organisation_is_none(
    house: House, database: Database, objects: ObjectStore
) -> None:
    populate(database, objects)
    database.users.update_one({"_id": "usr_default_analyst"}, {"$set": {"trials": ["T2"]}})
    for user in ("usr_other_admin", "usr_default_analyst"):
        browser = house.signed_in(user)
        assert browser.get(f"/console/documents/{DOCUMENT}").status_code == 404
        assert browser.get(f"/console/documents/{DOCUMENT}/file").status_code == 404
        assert DOCUMENT not in browser.get("/console/documents?trial=T1").text
    manager = house.signed_in("usr_other_admin")
    assert manager.post(f"/console/documents/{DOCUMENT}/withdraw", {"reason": "x"}).status_code == 404
    assert database.documents.count_documents({"_id": DOCUMENT}) == 1


def test_a_broken_record_takes_no_page_with_it(
    person: Callable[[str], Browser], database: Database, objects: ObjectStore
) -> None:
    populate(database, objects)
    database.documents.update_one({"_id": DOCUMENT}, {"$set": {"data": "broken", "kind": "lab_result"}})
    page = person("manager").get("/console/documents")
    assert page.status_code == 200
    assert DOCUMENT in page.text


def test_a_partition_of_dagster_leads_to_the_report_and_back(
    house: House, database: Database, objects: ObjectStore
) -> None:
    ids = populate(database, objects)
    browser = house.signed_in("usr_default_manager")
    there = browser.get(f"/console/reports/{SUBSCRIPTION}/periods/{PERIOD}")
    assert there.headers["location"] == f"/console/jobs/{ids['job']}"
    assert (
        house.signed_in("usr_other_admin")
        .get(f"/console/reports/{SUBSCRIPTION}/periods/{PERIOD}")
        .status_code
        == 404
    )
    cadence = EDITION.partition(":")[0]
    back = f"/assets/{cadence}/subscriber_reports?view=partitions&amp;partition={PERIOD}%7C{SUBSCRIPTION}"
    address = f"https://dagster.default.example{back}"
    assert address in browser.get(there.headers["location"]).text
    assert address not in house.signed_in("usr_default_subscriber").get(f"/console/jobs/{ids['job']}").text


def fields_of(page: str) -> dict[str, str]:
    """What the form of a correction holds, as a browser would send it."""
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    inputs = dict(re.findall(r'<input id="(\w+)"[^>]* value="([^"]*)"', page))
    texts = dict(re.findall(r'<textarea id="(\w+)"[^>]*>\n?(.*?)</textarea>', page, re.DOTALL))
    (kind,) = re.findall(r'<option value="(\w+)" selected', page)
    found = {**hidden, **inputs, **texts, "kind": kind}
    return {name: unescape(value).replace("\n", "\r\n") for name, value in found.items()}


def test_a_document_is_corrected_with_a_reason_and_its_older_version_stays(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("manager")
    address = address_of(hand_in(browser, {**NOTE, "note": "two\nlines"}, PDF))
    fields = fields_of(browser.get(f"{address}/correct").text)
    assert browser.post(f"{address}/correct", fields).status_code == 422  # without a reason
    before = database.documents.find_one({}) or {}
    reason = {"reason": "Wrong site"}
    assert browser.post(f"{address}/correct", {**fields, **reason}).status_code == 303  # nothing changed
    assert database.document_versions.count_documents({}) == 0
    answer = browser.post(f"{address}/correct", {**fields, **reason, "title": "Other"})
    assert (answer.status_code, address_of(answer)) == (303, address)
    after = database.documents.find_one({}) or {}
    assert (after["title"], after["note"]) == ("Other", "two\nlines")
    same = ("trial", "file", "received_at", "site", "kind")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert "Wrong site" in browser.get(address).text


def test_who_corrects_second_chooses_and_loses_nothing(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("manager")
    address = address_of(hand_in(browser, NOTE))
    fields = {**fields_of(browser.get(f"{address}/correct").text), "reason": "Why"}
    assert browser.post(f"{address}/correct", {**fields, "title": "First"}).status_code == 303
    answer = browser.post(f"{address}/correct", {**fields, "title": "Second"})
    assert answer.status_code == 412
    assert "First" in answer.text
    assert 'value="Second"' in answer.text
    again = fields_of(answer.text)
    assert browser.post(f"{address}/correct", again).status_code == 303
    assert (database.documents.find_one({}) or {})["title"] == "Second"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"title": ""}, "title"),
        ({"site": ""}, "site"),
        ({"kind": "x"}, "kind"),
        ({"data": "{"}, "data"),
        ({"reason": "x" * 501}, "reason"),
    ],
)
def test_what_is_wrong_with_a_correction_stands_beside_its_field(
    person: Callable[[str], Browser], wrong: dict[str, str], field: str
) -> None:
    browser = person("manager")
    address = address_of(hand_in(browser, NOTE))
    fields = {**fields_of(browser.get(f"{address}/correct").text), "reason": "Why", "note": "kept words"}
    answer = browser.post(f"{address}/correct", {**fields, **wrong})
    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.text
    assert "kept words" in answer.text


def test_nobody_overwrites_what_is_withheld_from_them(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("manager")
    address = address_of(hand_in(browser, {**NOTE, "note": "hidden words"}))
    database.users.update_one({"_id": "usr_default_manager"}, {"$set": {"audience": "sponsor"}})
    assert "/correct" not in browser.get(address).text
    page = browser.get(f"{address}/correct")
    assert page.status_code == 403
    assert "hidden words" not in page.text
    given = {"reason": "Why", "title": "Mine", "site": "701", "kind": "note", "seen": ""}
    assert browser.post(f"{address}/correct", given).status_code == 403
    assert (database.documents.find_one({}) or {})["note"] == "hidden words"
