"""What a person does in the console without script: subscribe, change, pause, run, read, end."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest

from reporting_pipeline.api.app import openapi_document
from reporting_pipeline.stores import suppressions
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.users import get_user
from reporting_pipeline.usecases.report_types import offered_to
from reporting_pipeline_tests.api.world import NOW, OWNER, SUBSCRIPTION, populate
from reporting_pipeline_tests.console.conftest import Browser, House
from reporting_pipeline_tests.console.subscribing import WEEKLY, subscribe


def test_a_person_subscribes_and_finds_it_in_their_reports(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("subscriber")
    address = subscribe(browser)
    assert "My trial" in browser.get("/console/").text
    page = browser.get(address).text
    assert "Every week on Monday at 07:00 (Europe/Zurich)" in page
    stored = database.subscriptions.find_one({"owner": "usr_default_subscriber"}) or {}
    assert stored["recipients"] == [{"type": "user", "value": "usr_default_subscriber"}]
    assert database.audit.count_documents({"action": "subscription.created"}) == 1


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        ({"name": ""}, "name", "give it a name"),
        ({"time": "25:00"}, "time", "no local time"),
        ({"timezone": "Europe/Zurick"}, "timezone", "did you mean"),
        ({"cadence": "cron", "cron_expression": "* * * * *"}, "cron_expression", "hour"),
        ({"trials": "X1"}, "trials", "no such trial open"),
        ({"sites": "999"}, "sites", "no trial of this subscription"),
        ({"recipients": "stranger@elsewhere.example"}, "recipients", "allowed domains"),
        ({"format": "exe"}, "format", "choose one"),
        ({"report_type": "nonsense"}, "report_type", "no such report type"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(
    person: Callable[[str], Browser], database: Database, changed: dict[str, str], field: str, words: str
) -> None:
    answer = person("subscriber").post(
        "/console/subscribe", {**WEEKLY, "description": "kept words", **changed}
    )
    page = unescape(answer.text)
    assert 400 <= answer.status_code < 500
    assert f'href="#{field}"' in page
    assert words in page
    assert "kept words" in page
    assert database.subscriptions.count_documents({}) == 0


def test_the_dates_shown_are_those_of_the_planner_with_the_clock_change_told(
    person: Callable[[str], Browser],
) -> None:
    fields = {**WEEKLY, "cadence": "monthly", "day_of_month": "31"}
    page = person("subscriber").post("/console/subscribe/dates", fields).text
    assert "Mon 30 Nov 2026, 07:00 (+01:00)" in page
    assert "2026-11-30 06:00 UTC" in page
    assert len(re.findall("<li>", page)) == 5


def test_who_gets_it_is_said_by_name_and_oneself_as_you(
    person: Callable[[str], Browser], database: Database
) -> None:
    address = subscribe(person("subscriber"))
    listed = ["user", "usr_default_subscriber"], ["user", "usr_other_admin"], ["slack", "#safety"]
    recipients = [{"type": kind, "value": value} for kind, value in listed]
    database.subscriptions.update_one({}, {"$set": {"recipients": recipients}})
    assert "you, by mail, usr_other_admin, slack: #safety" in person("subscriber").get(address).text
    assert "<dd>Subscriber, usr_other_admin" in person("manager").get(address).text


def test_a_preview_without_data_says_so_and_keeps_the_form(person: Callable[[str], Browser]) -> None:
    fields = {name: value for name, value in WEEKLY.items() if name != "save"} | {"look": "1"}
    page = unescape(person("subscriber").post("/console/subscribe", fields).text)
    assert "has been prepared yet" in page
    assert 'value="My trial"' in page
    # What is made stands below a long form: the browser goes there.
    assert 'formaction="/console/subscribe#shown"' in page


def test_how_the_open_period_stands_is_shown_as_preliminary(person: Callable[[str], Browser]) -> None:
    fields = {name: value for name, value in WEEKLY.items() if name != "save"} | {"look_now": "1"}
    page = unescape(person("subscriber").post("/console/subscribe", fields).text)
    assert "preliminary, it is not over yet" in page
    assert 'alt="Page 1 of the preview"' in page
    assert 'value="My trial"' in page


def test_pause_resume_and_end(person: Callable[[str], Browser], database: Database) -> None:
    browser = person("subscriber")
    address = subscribe(browser)
    for deed, status in (("pause", "paused"), ("resume", "active")):
        assert browser.post(f"{address}/{deed}", {}).status_code == 303
        assert (database.subscriptions.find_one({}) or {})["status"] == status
    assert "It cannot be taken back" in browser.get(f"{address}/end").text
    assert (database.subscriptions.find_one({}) or {})["status"] == "active"
    assert browser.post(f"{address}/end", {}).status_code == 303
    assert (database.subscriptions.find_one({}) or {})["status"] == "ended"


def test_only_what_still_moves_is_called_under_way(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("subscriber")
    address = subscribe(browser)
    browser.post(f"{address}/run", {})
    assert "See how it gets on" in browser.get("/console/").text
    browser.post(f"{address}/pause", {})  # what waited is left out
    page = browser.get("/console/").text
    assert "Left out" in page
    assert "See how it gets on" not in page


def test_a_pause_until_a_day_is_said_on_every_page_of_it(person: Callable[[str], Browser]) -> None:
    browser = person("subscriber")
    address = subscribe(browser)
    for wrong in ("soon", "2020-01-01"):
        assert browser.post(f"{address}/pause", {"until": wrong}).status_code == 422
    browser.post(f"{address}/pause", {"until": "2026-12-24"})
    for page in (address, "/console/"):
        assert "Paused until 24 Dec 2026" in browser.get(page).text


def test_two_tabs_that_change_one_schedule_lose_nothing(person: Callable[[str], Browser]) -> None:
    browser = person("subscriber")
    address = subscribe(browser)
    fields = {**WEEKLY, "version": "1"}
    assert browser.post(f"{address}/change", {**fields, "name": "First"}).status_code == 303
    second = browser.post(f"{address}/change", {**fields, "name": "Second"})
    page = unescape(second.text)
    assert second.status_code == 412
    assert "now “First”, yours “Second”" in page
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version is not None
    assert (
        browser.post(f"{address}/change", {**fields, "name": "Second", "version": version[1]}).status_code
        == 303
    )
    assert "Second" in browser.get(address).text


def test_run_now_leads_to_the_report_that_is_made_and_twice_to_the_same(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("subscriber")
    address = subscribe(browser)
    first = browser.post(f"{address}/run", {})
    again = browser.post(f"{address}/run", {})
    assert first.headers["location"] == again.headers["location"]
    assert database.jobs.count_documents({}) == 1
    assert "Waiting" in browser.get(first.headers["location"]).text


def test_a_manager_pauses_many_after_seeing_how_many(
    person: Callable[[str], Browser], database: Database
) -> None:
    for name in ("One", "Two", "Three"):
        subscribe(person("subscriber"), name=name)
    ids = [row["_id"] for row in database.subscriptions.find({})]
    chosen = [("chosen", one) for one in ids[:2]]
    manager = person("manager")
    asked = manager.post("/console/schedules", [*chosen, ("action", "pause")])
    assert "Pause 2 schedules?" in asked.text
    assert database.subscriptions.count_documents({"status": "paused"}) == 0
    manager.post("/console/schedules", [*chosen, ("action", "pause"), ("sure", "1")])
    assert database.subscriptions.count_documents({"status": "paused"}) == 2


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "שלום ‮ abc",
    "{{ 1234567 * 7654321 }}",
    "x" * 200,
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_on_every_page(person: Callable[[str], Browser], name: str) -> None:
    browser = person("manager")
    answer = browser.post("/console/subscribe", {**WEEKLY, "name": name})
    assert answer.status_code == 303
    for path in ("/console/", "/console/schedules", answer.headers["location"].partition("?")[0]):
        page = browser.get(path).text
        assert name in unescape(page), path
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "9449772114007" not in page


EVERYBODY = ("admin", "analyst", "manager", "subscriber")


@pytest.mark.parametrize("role", EVERYBODY)
def test_nobody_of_another_organisation_learns_that_it_exists(
    house: House, database: Database, objects: ObjectStore, role: str
) -> None:
    ids = populate(database, objects)
    browser = house.signed_in(f"usr_other_{role}")
    for path in (
        f"/console/reports/{ids['subscription']}",
        f"/console/reports/{ids['subscription']}/change",
        f"/console/reports/{ids['subscription']}/end",
        f"/console/jobs/{ids['job']}",
        f"/console/jobs/{ids['job']}/file",
        f"/console/jobs/{ids['job']}/page/1.png",
        f"/console/jobs/{ids['job']}/read",
    ):
        unknown = path.replace(ids["subscription"], "sub_none").replace(ids["job"], "job_none")
        there, nowhere = browser.get(path), browser.get(unknown)
        assert (there.status_code, there.text) == (nowhere.status_code, nowhere.text), path
        assert there.status_code == 404
    for deed in ("run", "pause", "resume", "end", "change"):
        assert browser.post(f"/console/reports/{SUBSCRIPTION}/{deed}", WEEKLY).status_code == 404
    for path in (
        "/console/",
        "/console/schedules",
        "/console/operate",
        "/console/people",
        "/console/audit",
        "/console/documents",
    ):
        page = browser.get(path).text
        for foreign in (SUBSCRIPTION, ids["job"], OWNER, "default.example", "A note"):
            assert foreign not in page, (path, foreign)


def test_an_analyst_reads_and_changes_nothing(
    house: House, database: Database, objects: ObjectStore, person: Callable[[str], Browser]
) -> None:
    populate(database, objects)
    browser = person("analyst")
    assert browser.get(f"/console/reports/{SUBSCRIPTION}").status_code == 200
    for deed in ("run", "pause", "end"):
        assert browser.post(f"/console/reports/{SUBSCRIPTION}/{deed}", {}).status_code in (403, 404)
    assert (database.subscriptions.find_one({"_id": SUBSCRIPTION}) or {})["status"] == "active"


def test_the_reading_of_a_report_is_in_the_audit_log(
    house: House, database: Database, objects: ObjectStore, person: Callable[[str], Browser]
) -> None:
    ids = populate(database, objects)
    answer = person("subscriber").get(f"/console/jobs/{ids['job']}/file")
    assert answer.status_code == 303
    row = database.audit.find_one({"action": "report.downloaded"}) or {}
    assert (row["actor"], row["details"]["by"]) == (OWNER, "console")


def test_a_failed_report_is_tried_again_or_it_is_said_why_not(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("manager")
    address = subscribe(browser)
    browser.post(f"{address}/run", {})
    database.jobs.update_many({}, {"$set": {"state": "failed", "failed_in": "rendering", "error": "no data"}})
    page = browser.get("/console/operate").text
    job = (database.jobs.find_one({}) or {})["_id"]
    assert f'value="{job}"' in page
    assert "no data" in page
    browser.post(f"{address}/pause", {})
    refused = browser.post("/console/operate/requeue", {"job": job}).text
    assert "its subscription is paused; resume it first" in refused
    browser.post(f"{address}/resume", {})
    database.jobs.update_many({}, {"$set": {"state": "failed", "failed_in": "rendering"}})
    assert "1 to be tried again" in browser.told("/console/operate/requeue", {"job": job})
    assert (database.jobs.find_one({}) or {})["state"] == "pending"


def test_what_comes_first_is_said_before_it_is_saved(person: Callable[[str], Browser]) -> None:
    page = person("subscriber").get("/console/subscribe").text
    assert "the report of the week from 2026-11-16" in page


def test_every_report_type_that_is_offered_can_be_subscribed_to(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("subscriber")
    offered = re.findall(r'name="report_type" value="(\w+)"', browser.get("/console/subscribe").text)
    owner = get_user(database, OWNER)
    assert owner is not None
    assert set(offered) == set(offered_to(owner.entitlements)) > {"trial_activity", "safety_summary"}
    for name in offered:
        subscribe(browser, report_type=name)
    assert sorted(row["report_type"] for row in database.subscriptions.find({})) == sorted(offered)


def test_a_preset_fills_in_the_schedule_and_keeps_what_was_typed(person: Callable[[str], Browser]) -> None:
    fields = {name: value for name, value in WEEKLY.items() if name != "save"} | {"preset": "last"}
    page = unescape(person("subscriber").post("/console/subscribe", fields).text)
    assert 'value="My trial"' in page
    assert re.search(r'value="monthly" checked', page)
    assert "Mon 30 Nov 2026, 07:00 (+01:00)" in page


@pytest.mark.parametrize(
    ("typed", "expression", "sentence"),
    [
        ({"built_days": "1"}, "0 7 * * MON", "At 07:00 on Monday"),
        ({"built_time": "06:30", "built_dates": "15, L"}, "30 6 15,L * *", "At 06:30 on"),
    ],
)
def test_fields_become_a_cron_expression_and_the_expression_a_sentence(
    person: Callable[[str], Browser], typed: dict[str, str], expression: str, sentence: str
) -> None:
    browser = person("manager")
    fields = {name: value for name, value in WEEKLY.items() if name != "save"} | typed
    page = unescape(browser.post("/console/subscribe", {**fields, "build": "1"}).text)
    assert f'value="{expression}"' in page
    assert f"<strong>{sentence}" in page
    assert browser.post("/console/subscribe/expression", fields).text == expression
    address = subscribe(browser, cadence="cron", cron_expression=expression)
    assert sentence in browser.get(address).text


def test_a_day_no_month_has_is_named_beside_the_builder(person: Callable[[str], Browser]) -> None:
    fields = {**WEEKLY, "built_dates": "32", "build": "1"}
    page = unescape(person("manager").post("/console/subscribe", fields).text)
    assert "'32' is no day of a month" in page


def test_recipients_are_checked_as_they_are_typed(
    person: Callable[[str], Browser], database: Database
) -> None:
    suppressions.suppress_address(database, "default", "gone@default.example", "no such mailbox", NOW)
    typed = "user: usr_default_subscriber\nstranger@elsewhere.example\nuser: usr_nobody\ngone@default.example"
    page = unescape(person("manager").post("/console/subscribe/recipients", {"recipients": typed}).text)
    assert 'usr_default_subscriber: <span class="good">may get it' in page
    assert 'stranger@elsewhere.example: <span class="bad">' in page
    assert 'usr_nobody: <span class="bad">' in page
    assert "mails to it are held back: no such mailbox" in page


def test_an_empty_list_of_schedules_says_what_comes_next(person: Callable[[str], Browser]) -> None:
    manager = person("manager")
    assert 'href="/console/subscribe">Subscribe to the first one' in manager.get("/console/schedules").text
    assert "Show all" in manager.get("/console/schedules?q=none").text


def test_schedules_are_found_by_a_part_of_their_name_and_by_owners_who_left(
    person: Callable[[str], Browser], database: Database
) -> None:
    subscribe(person("subscriber"), name="Safety (weekly)")
    subscribe(person("analyst"), name="Sites")
    manager = person("manager")
    page = manager.get("/console/schedules?q=SAFETY (w").text
    assert "Safety (weekly)" in page
    assert "Sites" not in page
    assert "Nothing matches" in manager.get("/console/schedules?q=.*").text
    assert manager.get("/console/schedules?q=%00").status_code == 200
    assert "Nothing matches" in manager.get("/console/schedules?left=1").text
    database.users.update_one({"_id": "usr_default_analyst"}, {"$set": {"active": False}})
    page = manager.get("/console/schedules?left=1").text
    assert "Sites" in page
    assert "Safety" not in page
    assert "1 active schedule" in manager.get("/console/operate").text


@pytest.mark.parametrize(
    "typed", ["usr_default_analyst", "ANNA", "muster", " Anna.Muster@Default.example", "Ａnna muster"]
)
def test_schedules_are_found_by_their_owners_name_address_or_id(
    person: Callable[[str], Browser], database: Database, typed: str
) -> None:
    named = {"name": "Anna Muster", "email": "anna.muster@default.example"}
    database.users.update_one({"_id": "usr_default_analyst"}, {"$set": named})
    subscribe(person("analyst"), name="Of Anna")
    subscribe(person("subscriber"), name="Of another")
    page = person("manager").get("/console/schedules", params={"owner": typed}).text
    assert "Of Anna" in page
    assert "Of another" not in page
    both = {"owner": typed, "q": "of", "left": "1"}
    assert "Nothing matches" in person("manager").get("/console/schedules", params=both).text
    database.users.update_one({"_id": "usr_default_analyst"}, {"$set": {"active": False}})
    assert "Of Anna" in person("manager").get("/console/schedules", params=both).text


def test_several_owners_of_one_name_are_shown_together_and_nobody_of_another_house(
    house: House, person: Callable[[str], Browser], database: Database
) -> None:
    for role in ("analyst", "subscriber"):
        database.users.update_one({"_id": f"usr_default_{role}"}, {"$set": {"name": f"Kim ({role})"}})
        subscribe(person(role), name=f"Of the {role}")
    subscribe(person("manager"), name="Of the manager")
    page = person("manager").get("/console/schedules?owner=kim").text
    assert "Of the analyst" in page
    assert "Of the subscriber" in page
    assert "Of the manager" not in page
    assert "Nothing matches" in person("manager").get("/console/schedules?owner=nobody").text
    assert "Nothing matches" in house.signed_in("usr_other_manager").get("/console/schedules?owner=kim").text


def test_who_may_not_look_people_up_tries_no_addresses_on_the_schedules(
    person: Callable[[str], Browser], database: Database
) -> None:
    """A role that reads all schedules and not the people finds an owner by the id, as the list shows it."""
    subscribe(person("subscriber"), name="Theirs")
    address = (database.users.find_one({"_id": "usr_default_subscriber"}) or {})["email"]
    analyst = person("analyst")
    assert "Theirs" in analyst.get("/console/schedules?owner=usr_default_subscriber").text
    assert "Theirs" not in analyst.get("/console/schedules", params={"owner": address}).text


def test_schedules_of_somebody_who_left_are_passed_on_after_seeing_how_many(
    person: Callable[[str], Browser], database: Database
) -> None:
    address = subscribe(person("analyst"), name="Orphan")
    identifier = address.rpartition("/")[2]
    person("analyst").post(f"{address}/run", {})
    database.users.update_one({"_id": "usr_default_analyst"}, {"$set": {"active": False}})
    manager = person("manager")
    chosen = {"chosen": identifier, "action": "transfer"}
    assert "Pass on 1 schedule?" in unescape(manager.post("/console/schedules", chosen).text)
    assert manager.post("/console/schedules", {**chosen, "new_owner": "usr_none"}).status_code == 422
    foreign = {**chosen, "new_owner": "usr_other_manager", "sure": "1"}
    assert manager.post("/console/schedules", foreign).status_code == 422
    stored = database.subscriptions.find_one({"_id": identifier}) or {}
    assert stored["owner"] == "usr_default_analyst"
    new = {**chosen, "new_owner": "usr_default_subscriber"}
    assert (
        manager.post("/console/schedules", {**new, "sure": "usr_default_admin"}).status_code == 200
    )  # another was asked about
    passed = manager.post("/console/schedules", {**new, "sure": "usr_default_subscriber"})
    assert passed.status_code == 303
    stored = database.subscriptions.find_one({"_id": identifier}) or {}
    assert stored["owner"] == "usr_default_subscriber"
    assert stored["recipients"] == [{"type": "user", "value": "usr_default_subscriber"}]
    assert {job["owner"] for job in database.jobs.find({})} == {"usr_default_subscriber"}
    row = database.audit.find_one({"action": "subscription.changed"}) or {}
    assert row["details"]["fields"] == ["owner"]
    assert "Orphan" in person("subscriber").get("/console/").text


def test_a_new_owner_is_named_as_people_know_them(
    person: Callable[[str], Browser], database: Database
) -> None:
    identifier = subscribe(person("manager")).rpartition("/")[2]
    named = {"usr_default_subscriber": "Zo\u00eb Keller", "usr_default_analyst": "Zo\u00eb Braun"}
    for user, name in named.items():
        database.users.update_one({"_id": user}, {"$set": {"name": name}})
    chosen = {"chosen": identifier, "action": "transfer"}
    several = person("manager").post("/console/schedules", {**chosen, "new_owner": "Zo\u00eb"})
    assert "Several people are called Zo\u00eb" in several.text
    asked = person("manager").post("/console/schedules", {**chosen, "new_owner": "zo\u00eb k"}).text
    assert "to Zo\u00eb Keller?" in asked
    assert 'name="sure" value="usr_default_subscriber"' in asked
    assert (database.subscriptions.find_one({}) or {})["owner"] == "usr_default_manager"


def test_nothing_is_passed_on_to_whom_its_type_is_not_written_for(
    person: Callable[[str], Browser], database: Database
) -> None:
    identifier = subscribe(person("manager")).rpartition("/")[2]
    database.subscriptions.update_one({"_id": identifier}, {"$set": {"report_type": "trial_conduct"}})
    database.users.update_one({"_id": "usr_default_subscriber"}, {"$set": {"audience": "site"}})
    chosen = {"chosen": identifier, "action": "transfer", "sure": "usr_default_subscriber"}
    refused = person("manager").post("/console/schedules", {**chosen, "new_owner": "usr_default_subscriber"})
    assert refused.status_code == 422
    assert "not written for the audience site" in unescape(refused.text)
    assert "#/" not in unescape(refused.text).replace('href="#', ""), (
        "a pointer into a body that nobody wrote"
    )
    assert (database.subscriptions.find_one({"_id": identifier}) or {})["owner"] == "usr_default_manager"


def test_who_may_not_have_the_report_is_told_so_while_it_is_typed(
    person: Callable[[str], Browser], database: Database
) -> None:
    database.users.update_one({"_id": "usr_default_subscriber"}, {"$set": {"trials": []}})
    typed = "user: usr_default_subscriber\nstranger@elsewhere.example"
    page = unescape(person("manager").post("/console/subscribe/recipients", {"recipients": typed}).text)
    assert 'usr_default_subscriber: <span class="bad">' in page
    assert "may get it" not in page


@pytest.mark.parametrize("role", ["subscriber", "analyst"])
def test_who_may_not_change_schedules_passes_none_on(
    person: Callable[[str], Browser], database: Database, role: str
) -> None:
    identifier = subscribe(person("manager")).rpartition("/")[2]
    fields = {"chosen": identifier, "action": "transfer", "new_owner": f"usr_default_{role}"}
    fields["sure"] = fields["new_owner"]
    assert person(role).post("/console/schedules", fields).status_code == 403
    assert (database.subscriptions.find_one({}) or {})["owner"] == "usr_default_manager"


def test_the_api_reference_holds_every_address_and_needs_nothing_from_elsewhere(house: House) -> None:
    answer = house.stranger().get("/docs")
    assert answer.status_code == 200
    page = unescape(answer.text)
    for path, methods in openapi_document()["paths"].items():
        for method in methods:
            assert f"<strong>{method.upper()}</strong> {path}</code>" in page
    assert not re.findall(r"(?:src|href)=.?(?:https?:|//)", page)
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_an_owner_confirms_what_they_still_need_and_nobody_elses(
    house: House, person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("subscriber")
    mine = subscribe(browser).rpartition("/")[2]
    theirs = subscribe(person("manager")).rpartition("/")[2]
    asked = {"$set": {"confirmation_asked_at": NOW, "created_at": NOW - timedelta(days=400)}}
    database.subscriptions.update_many({}, asked)
    assert "1 report waits" in unescape(browser.get("/console/").text)
    page = browser.get("/console/confirm?everybody=1").text
    assert mine in page
    assert theirs not in page
    answer = browser.post("/console/confirm", [("chosen", mine), ("chosen", theirs)])
    assert "Confirmed: 1 report." in answer.text
    assert "Not confirmed" in answer.text
    confirmed = {row["_id"]: row["confirmed_at"] for row in database.subscriptions.find({})}
    assert confirmed == {mine: NOW, theirs: None}
    assert database.audit.count_documents({"action": "subscription.confirmed"}) == 1
    assert "Nothing waits" in browser.get("/console/confirm").text
    assert theirs in person("manager").get("/console/confirm").text
    assert theirs in person("admin").get("/console/confirm?everybody=1").text
    assert theirs not in house.signed_in("usr_other_admin").get("/console/confirm?everybody=1").text


def test_what_waits_for_a_word_comes_fifty_at_a_time_and_what_one_may_not_see_takes_no_place(
    person: Callable[[str], Browser], database: Database
) -> None:
    theirs = subscribe(person("subscriber"), name="Of T1").rpartition("/")[2]
    (stored,) = database.subscriptions.find({})
    database.subscriptions.insert_many(
        {
            **stored,
            "_id": f"{stored['_id']}{number:02}",
            "filters": {**stored["filters"], "trials": ["T2"]},
            "confirmation_asked_at": NOW - timedelta(days=2),
        }
        for number in range(60)
    )
    asked = {"$set": {"confirmation_asked_at": NOW - timedelta(days=1)}}
    database.subscriptions.update_one({"_id": theirs}, asked)
    database.subscriptions.update_many({}, {"$set": {"created_at": NOW - timedelta(days=400)}})
    page = person("admin").get("/console/confirm?everybody=1").text
    assert page.count('name="chosen"') == 50
    assert "the others follow when these are confirmed" in page
    database.users.update_one({"_id": "usr_default_manager"}, {"$set": {"trials": ["T1"]}})
    page = person("manager").get("/console/confirm?everybody=1").text
    assert page.count('name="chosen"') == 1
    assert theirs in page


def test_my_reports_go_on_where_a_page_ends(person: Callable[[str], Browser], database: Database) -> None:
    browser = person("subscriber")
    address = subscribe(browser)
    (stored,) = database.subscriptions.find({})
    database.subscriptions.insert_many(
        {**stored, "_id": f"{stored['_id']}{number:02}", "name": f"Number {number}"} for number in range(26)
    )
    first = browser.get("/console/").text
    (further,) = re.findall(r'href="(/console/\?after=[^"]+)"', first)
    second = browser.get(unescape(further)).text
    seen = re.findall(r'<h2 id="name-\d+"><a href="([^"]+)"', first + second)
    assert len(seen) == len(set(seen)) == 27
    assert address in seen
    assert "No more reports." in browser.get("/console/?after=sub_zzz").text


@pytest.mark.parametrize(
    ("audience", "chosen"), [("participant", "my_participation"), ("site", "trial_activity")]
)
def test_the_form_begins_with_the_report_for_ones_audience(
    person: Callable[[str], Browser], database: Database, audience: str, chosen: str
) -> None:
    given = {"audience": audience, "trials": ["T1"], "subject": "S1" if audience == "participant" else ""}
    database.users.update_one({"_id": "usr_default_subscriber"}, {"$set": given})
    page = person("subscriber").get("/console/subscribe").text
    assert f'name="report_type" value="{chosen}" checked' in page
