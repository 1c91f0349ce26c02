"""People, trials and organisations by forms: rights, words beside the fields, two tabs, foreign ids."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from html import unescape

import requests

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.usecases.callers.shapes.registry import EXAMPLE_LOGO
from reporting_pipeline_tests.console.conftest import Browser, House, csrf_in
from reporting_pipeline_tests.waiting import PATIENCE

ADA = {
    "id": "usr_ada",
    "name": "Ada",
    "email": "ada@default.example",
    "roles": "subscriber",
    "trials": "T1",
    "sites": "T1: 701",
    "audience": "site",
    "timezone": "Europe/Zurich",
    "active": "1",
}
TRIAL = {"id": "T9", "title": "Ninth", "sites": "701: Site 701\n702"}
ORGANISATION = {
    "id": "third",
    "name": "Third",
    "allowed_domains": "third.example\nmail.third.example",
    "timezone": "Europe/Zurich",
    "attachments": "never",
    "on_omission": "hold",
    "on_restatement": "send",
    "content_gate": "hold",
    "release": "by_person",
    "report_rows": "2000000",
    "sealing": "off",
    "report_colour": "#5B2A86",
    "report_footer": "Third. Confidential.",
    "mail_subject_prefix": "[Third]",
    "mail_greeting": "Dear colleague,",
    "mail_footer": "Questions: trials@third.example",
}


def seen_in(page: str) -> str:
    """The mark of the record that a form shows."""
    found = re.search(r'name="seen" value="([0-9a-f]*)"', page)
    assert found is not None
    return found[1]


def sent(browser: Browser, path: str, fields: dict[str, str]) -> int:
    return browser.post(path, {**fields, "seen": seen_in(browser.get(path).text)}).status_code


def test_a_manager_adds_a_person_who_sees_what_was_given(
    person: Callable[[str], Browser], database: Database
) -> None:
    answer = person("manager").post("/console/people/new", ADA)
    assert answer.status_code == 303, answer.text
    stored = database.users.find_one({"_id": "usr_ada"}) or {}
    assert (stored["trials"], stored["sites"]) == (["T1"], [{"trial": "T1", "sites": ["701"]}])
    assert (stored["audience"], stored["active"]) == ("site", True)
    assert database.audit.count_documents({"action": "user.created", "subject": "usr_ada"}) == 1
    page = person("manager").get("/console/people/usr_ada").text
    assert "T1: 701" in page
    assert 'value="T1" checked' in page


WRONG_PEOPLE: list[tuple[dict[str, str], str, str]] = [
    ({"name": ""}, "name", "the least is 1"),
    ({"email": "ada"}, "email", "one @"),
    ({"email": "subscriber@default.example"}, "email", "has this address"),
    ({"roles": ""}, "roles", ""),
    ({"roles": "admin"}, "roles", "role"),
    ({"trials": "X1", "sites": ""}, "trials", "no such trial"),
    ({"sites": "T1 701"}, "sites", "a colon"),
    ({"sites": "T1: 999"}, "sites", "no such site"),
    ({"audience": "everybody"}, "audience", ""),
    ({"timezone": "Europe/Zurick"}, "timezone", "did you mean"),
    ({"id": "usr_default_admin"}, "id", "taken"),
    ({"id": "usr_other_admin"}, "id", "taken"),
    ({"id": "../x"}, "id", "letters"),
    ({"id": "system"}, "form", "no id of a person"),
]


def test_what_is_wrong_with_a_person_stands_beside_its_field(
    person: Callable[[str], Browser], database: Database
) -> None:
    before = database.users.count_documents({})
    browser = person("manager")
    for changed, field, words in WRONG_PEOPLE:
        answer = browser.post("/console/people/new", {**ADA, **changed})
        page = unescape(answer.text)
        assert 400 <= answer.status_code < 500, changed
        assert f'href="#{field}"' in page, changed
        assert words in page, changed
        assert changed.get("sites", ADA["sites"]) in page, "what was typed is lost"
    assert database.users.count_documents({}) == before


def test_two_tabs_that_change_one_person_lose_nothing(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("manager")
    browser.post("/console/people/new", ADA)
    path = "/console/people/usr_ada"
    seen = seen_in(browser.get(path).text)
    assert browser.post(path, {**ADA, "name": "First", "seen": seen}).status_code == 303
    second = browser.post(path, {**ADA, "name": "Second", "seen": seen})
    page = unescape(second.text)
    assert second.status_code == 412
    assert "now “First”, yours “Second”" in page
    assert (database.users.find_one({"_id": "usr_ada"}) or {})["name"] == "First"
    assert browser.post(path, {**ADA, "name": "Second", "seen": seen_in(page)}).status_code == 303
    assert (database.users.find_one({"_id": "usr_ada"}) or {})["name"] == "Second"


def test_people_change_their_name_and_zone_and_never_their_rights(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser, path = person("subscriber"), "/console/people/usr_default_subscriber"
    before = database.users.find_one({"_id": "usr_default_subscriber"}) or {}
    forged = {
        "name": "Sub",
        "email": before["email"],
        "timezone": "UTC",
        "language": "fr",
        "combine_minutes": "45",
    }
    forged |= {"roles": "admin", "trials": "T1"}
    assert sent(browser, path, forged) == 303
    after = database.users.find_one({"_id": "usr_default_subscriber"}) or {}
    assert (after["name"], after["timezone"], after["language"]) == ("Sub", "UTC", "fr")
    assert after["combine_minutes"] == 45
    assert 'value="fr" lang="fr" selected' in browser.get(path).text
    assert (after["roles"], after["trials"], after["active"]) == (before["roles"], before["trials"], True)
    assert browser.get("/console/people/usr_default_admin").status_code == 404
    assert browser.get("/console/people/new").status_code == 403
    assert browser.post("/console/people/new", ADA).status_code == 403


def test_a_person_of_another_organisation_is_no_person(person: Callable[[str], Browser]) -> None:
    browser = person("admin")
    foreign = browser.get("/console/people/usr_other_subscriber")
    gone = browser.get("/console/people/usr_gone")
    assert foreign.status_code == gone.status_code == 404
    assert foreign.text == gone.text
    assert browser.post("/console/people/usr_other_subscriber", ADA).status_code == 404


def test_an_admin_registers_changes_closes_and_reopens_a_trial(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("admin")
    assert browser.post("/console/trials/new", TRIAL).status_code == 303
    stored = database.trials.find_one({"_id": "T9"}) or {}
    assert stored["sites"] == [{"id": "701", "name": "Site 701"}, {"id": "702", "name": "702"}]
    path = "/console/trials/T9"
    seen = seen_in(browser.get(path).text)
    assert browser.post(path, {**TRIAL, "title": "First", "seen": seen}).status_code == 303
    late = browser.post(path, {**TRIAL, "title": "Second", "seen": seen})
    assert late.status_code == 412
    assert "now “First”, yours “Second”" in unescape(late.text)
    assert "0 schedules" in browser.get(f"{path}/close").text
    assert browser.post(f"{path}/close", {}).status_code == 303
    assert (database.trials.find_one({"_id": "T9"}) or {})["closed_at"] is not None
    assert browser.post(f"{path}/reopen", {}).status_code == 303
    assert (database.trials.find_one({"_id": "T9"}) or {})["closed_at"] is None


WRONG_TRIALS: list[tuple[dict[str, str], str]] = [
    ({"title": ""}, "title"),
    ({"id": "T1"}, "form"),  # ours
    ({"id": "X1"}, "form"),  # another organisation's: the same words
    ({"sites": "701: One\n701: Two"}, "sites"),
    ({"sites": ": nameless"}, "sites"),
]


def test_what_is_wrong_with_a_trial_stands_beside_its_field(person: Callable[[str], Browser]) -> None:
    browser = person("admin")
    for changed, field in WRONG_TRIALS:
        answer = browser.post("/console/trials/new", {**TRIAL, **changed})
        assert 400 <= answer.status_code < 500, changed
        assert f'href="#{field}"' in answer.text, changed


def test_who_sees_a_part_of_a_trial_changes_nothing_of_it(
    person: Callable[[str], Browser], database: Database
) -> None:
    limited = {"trials": ["T1"], "sites": [{"trial": "T1", "sites": ["701"]}]}
    database.users.update_one({"_id": "usr_default_manager"}, {"$set": limited})
    browser = person("manager")
    page = browser.get("/console/trials/T1")
    assert page.status_code == 200
    assert "<textarea" not in page.text
    assert browser.post("/console/trials/T1", {"title": "Mine", "seen": ""}).status_code in (404, 412)
    assert browser.get("/console/trials/T2").status_code == 404
    assert "T2" not in browser.get("/console/trials").text


def test_the_home_organisation_registers_others_and_says_where_their_reports_may_go(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("admin")
    assert browser.post("/console/organisations/new", ORGANISATION).status_code == 303
    stored = database.organisations.find_one({"_id": "third"}) or {}
    assert stored["allowed_domains"] == ["mail.third.example", "third.example"]
    policies = [stored[name] for name in (*ORGANISATION,)[4:]]
    assert policies == [
        *("never", "hold", "send", "hold", "by_person", 2_000_000, "off", "#5b2a86", "Third. Confidential."),
        *("[Third]", "Dear colleague,", "Questions: trials@third.example"),
    ]
    bad = browser.post(
        "/console/organisations/new", {**ORGANISATION, "id": "4", "allowed_domains": "nowhere"}
    )
    assert bad.status_code == 422
    assert 'href="#allowed_domains"' in bad.text
    for rows in ("0", "two million", "9" * 10):
        odd = browser.post("/console/organisations/new", {**ORGANISATION, "id": "4", "report_rows": rows})
        assert odd.status_code == 422, rows
        assert 'href="#report_rows"' in odd.text
    assert sent(browser, "/console/organisations/third", {**ORGANISATION, "name": "Renamed"}) == 303
    assert "Renamed" in browser.get("/console/organisations").text
    assert browser.post("/console/organisations/third/close", {}).status_code == 303
    assert browser.post("/console/organisations/default/close", {}).status_code == 409


def test_a_logo_is_put_on_reports_shown_and_taken_off(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser, path = person("admin"), "/console/organisations/default"
    token = csrf_in(browser.get(path).text)

    def give(content: bytes | None, **fields: str) -> requests.Response:
        files = {"logo": ("logo.png", content, "image/png")} if content is not None else {"x": ("", b"")}
        return browser.session.post(
            f"{browser.base}{path}/logo", data={"csrf": token, **fields}, files=files, allow_redirects=False,
            timeout=PATIENCE,
        )  # fmt: skip

    assert give(b64decode(EXAMPLE_LOGO)).status_code == 303
    page = browser.get(path).text
    (source,) = re.findall(r'src="([^"]*logo\.jpg[^"]*)"', page)
    assert browser.session.get(browser.base + unescape(source), timeout=PATIENCE).content.startswith(
        b"\xff\xd8\xff"
    )
    refused = give(b"no picture")
    assert refused.status_code == 422
    assert "neither PNG nor JPEG" in refused.text
    assert give(None).status_code == 422, "a form without a file takes nothing away"
    assert "logo.jpg" in browser.get(path).text
    assert give(None, off="1").status_code == 303
    assert "logo.jpg" not in browser.get(path).text
    assert give(b64decode(EXAMPLE_LOGO), csrf="forged").status_code == 403
    assert database.audit.count_documents({"action": "organisation.logo_changed"}) == 2


def test_admins_of_other_organisations_read_their_own_alone(house: House) -> None:
    browser = house.signed_in("usr_other_admin")
    assert browser.get("/console/organisations/other").status_code == 200
    assert browser.get("/console/organisations/default").status_code == 403
    for path in ("/console/organisations", "/console/organisations/new"):
        assert browser.get(path).status_code == 403
    assert browser.post("/console/organisations/other", ORGANISATION).status_code == 403
