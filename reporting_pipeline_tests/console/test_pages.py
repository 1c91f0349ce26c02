"""What a person does in the console without script: subscribe, change, pause, run, read, end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from reporting_pipeline.api.app import openapi_document
from reporting_pipeline.domain.masked_recipients import shown
from reporting_pipeline.stores import audit, suppressions
from reporting_pipeline.stores.deliveries import halt_channel
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.world import NOW, OWNER, SUBSCRIPTION, populate
from reporting_pipeline_tests.console.conftest import Browser, House

WEEKLY = {
    "name": "My trial",
    "report_type": "trial_activity",
    "trials": "T1",
    "cadence": "weekly",
    "day_of_week": "1",
    "time": "07:00",
    "timezone": "Europe/Zurich",
    "business_days": "none",
    "format": "pdf",
    "save": "1",
}


def subscribe(browser: Browser, **changed: str) -> str:
    answer = browser.post("/console/subscribe", {**WEEKLY, **changed})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].partition("?")[0]


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


def test_a_preview_without_data_says_so_and_keeps_the_form(person: Callable[[str], Browser]) -> None:
    fields = {name: value for name, value in WEEKLY.items() if name != "save"} | {"look": "1"}
    page = unescape(person("subscriber").post("/console/subscribe", fields).text)
    assert "has been prepared yet" in page
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
    pages = ["/console/", "/console/schedules"]
    if answer.status_code == 303:
        pages.append(answer.headers["location"].partition("?")[0])
    for path in pages:
        page = browser.get(path).text
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
    assert "1 to be tried again" in browser.post("/console/operate/requeue", {"job": job}).text
    assert (database.jobs.find_one({}) or {})["state"] == "pending"


def test_what_comes_first_is_said_before_it_is_saved(person: Callable[[str], Browser]) -> None:
    page = person("subscriber").get("/console/subscribe").text
    assert "the report of the week from 2026-11-16" in page


def test_every_report_type_that_is_offered_can_be_subscribed_to(
    person: Callable[[str], Browser], database: Database
) -> None:
    browser = person("subscriber")
    offered = re.findall(r'name="report_type" value="(\w+)"', browser.get("/console/subscribe").text)
    assert {"trial_activity", "safety_summary"} <= set(offered)
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
    passed = manager.post(
        "/console/schedules", {**chosen, "new_owner": "usr_default_subscriber", "sure": "1"}
    )
    assert passed.status_code == 303
    stored = database.subscriptions.find_one({"_id": identifier}) or {}
    assert stored["owner"] == "usr_default_subscriber"
    assert stored["recipients"] == [{"type": "user", "value": "usr_default_subscriber"}]
    assert {job["owner"] for job in database.jobs.find({})} == {"usr_default_subscriber"}
    row = database.audit.find_one({"action": "subscription.changed"}) or {}
    assert row["details"]["fields"] == ["owner"]
    assert "Orphan" in person("subscriber").get("/console/").text


def test_nothing_is_passed_on_to_whom_its_type_is_not_written_for(
    person: Callable[[str], Browser], database: Database
) -> None:
    identifier = subscribe(person("manager")).rpartition("/")[2]
    database.subscriptions.update_one({"_id": identifier}, {"$set": {"report_type": "trial_conduct"}})
    database.users.update_one({"_id": "usr_default_subscriber"}, {"$set": {"audience": "site"}})
    chosen = {"chosen": identifier, "action": "transfer", "sure": "1"}
    refused = person("manager").post("/console/schedules", {**chosen, "new_owner": "usr_default_subscriber"})
    assert refused.status_code == 422
    assert "not written for the audience site" in unescape(refused.text)
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
    fields = {"chosen": identifier, "action": "transfer", "new_owner": f"usr_default_{role}", "sure": "1"}
    assert person(role).post("/console/schedules", fields).status_code == 403
    assert (database.subscriptions.find_one({}) or {})["owner"] == "usr_default_manager"


def lost_delivery(database: Database, job: str) -> str:
    """Make the job's mail a dead letter; its id."""
    identifier = (database.deliveries.find_one({"job": job}) or {})["_id"]
    attempt = {"at": NOW, "attempt": 6, "outcome": "failed", "error": "mailbox full", "provider_id": None}
    changes = {"state": "failed", "error": "mailbox full", "settled_at": NOW, "attempts": [attempt]}
    database.deliveries.update_one({"_id": identifier}, {"$set": changes})
    return str(identifier)


def test_one_recipient_is_tried_again_from_the_report(
    house: House, database: Database, objects: ObjectStore, person: Callable[[str], Browser]
) -> None:
    job = populate(database, objects)["job"]
    identifier = lost_delivery(database, job)
    assert "Try this one again" not in person("subscriber").get(f"/console/jobs/{job}").text
    manager = person("manager")
    page = manager.get(f"/console/jobs/{job}").text
    assert "mailbox full" in page
    assert f'value="{identifier}"' in page
    assert manager.post(f"/console/jobs/{job}/again", {"delivery": "dlv_none"}).status_code == 404
    assert person("analyst").post(f"/console/jobs/{job}/again", {"delivery": identifier}).status_code == 403
    assert manager.post(f"/console/jobs/{job}/again", {"delivery": identifier}).status_code == 303
    assert (database.deliveries.find_one({"_id": identifier}) or {})["state"] == "pending"
    assert manager.post(f"/console/jobs/{job}/again", {"delivery": identifier}).status_code == 409


def test_a_job_says_by_when_it_is_expected(
    database: Database, objects: ObjectStore, person: Callable[[str], Browser]
) -> None:
    """Learnt from the subscription's last ones; once that time has passed the page says that, too."""
    sent = populate(database, objects)["job"]
    owner = person("subscriber")
    assert "xpected by" not in owner.get(f"/console/jobs/{sent}").text
    database.jobs.update_one({"_id": sent}, {"$set": {"completed_at": NOW + timedelta(minutes=4)}})
    record = database.jobs.find_one({"_id": sent}) or {}
    for identifier, due in (("job_soon", datetime.now(UTC)), ("job_late", NOW - timedelta(days=1))):
        waiting = {"_id": identifier, "occurrence": identifier, "state": "pending", "completed_at": None}
        database.jobs.insert_one({**record, **waiting, "rendered_at": None, "due_at": due, "created_at": due})
    assert "Expected by" in owner.get("/console/jobs/job_soon").text
    assert "It takes longer than the last ones did" in owner.get("/console/jobs/job_late").text


def test_a_report_is_sent_to_one_more_only_by_the_rules_of_recipients(
    house: House, database: Database, objects: ObjectStore, person: Callable[[str], Browser]
) -> None:
    job = populate(database, objects)["job"]
    manager = person("manager")
    for refused in ("stranger@elsewhere.example", "no address", ""):
        answer = manager.post(f"/console/jobs/{job}/send", {"recipient": refused})
        assert answer.status_code == 422, refused
    before = database.deliveries.count_documents({"job": job})
    added = {"recipient": "manager@default.example"}
    assert manager.post(f"/console/jobs/{job}/send", added).status_code == 303
    assert database.deliveries.count_documents({"job": job}) == before + 1
    assert person("subscriber").post(f"/console/jobs/{job}/send", added).status_code == 403


def test_dead_letters_are_filtered_and_all_that_match_tried_again_after_a_count(
    house: House, database: Database, objects: ObjectStore, person: Callable[[str], Browser]
) -> None:
    identifier = lost_delivery(database, populate(database, objects)["job"])
    manager = person("manager")
    assert identifier in manager.get("/console/operate?channel=email").text
    assert identifier not in manager.get("/console/operate?channel=slack").text
    assert identifier not in manager.get("/console/operate?edition=weekly:2020-01-06").text
    asked = manager.post("/console/operate/requeue-all", {"channel": "email"})
    assert "Try 2 dead letters again?" in asked.text  # the world has one of its own
    assert (database.deliveries.find_one({"_id": identifier}) or {})["state"] == "failed"
    assert person("analyst").post("/console/operate/requeue-all", {"sure": "1"}).status_code == 403
    done = manager.post("/console/operate/requeue-all", {"channel": "email", "sure": "1"})
    assert "2 to be tried again" in done.text
    assert (database.deliveries.find_one({"_id": identifier}) or {})["state"] == "pending"


def test_a_halted_channel_and_held_back_addresses_need_attention(
    person: Callable[[str], Browser], house: House, database: Database
) -> None:
    halt_channel(database, "email", "535 authentication failed", NOW)
    suppressions.suppress_address(database, "default", "gone@default.example", "no such mailbox", NOW)
    suppressions.suppress_address(database, "other", "theirs@other.example", "no such mailbox", NOW)
    hooks = [f"https://hooks.example.org/SECRET{number}" for number in (1, 2)]
    for url in hooks:
        suppressions.suppress_address(database, "default", url, "it answered 410", NOW)
    manager = person("manager")
    page = manager.get("/console/operate").text
    assert "SECRET" not in page
    assert "written to again" in manager.post("/console/operate/lift", {"address": shown(hooks[1])}).text
    kept = suppressions.suppressed_among(database, [("default", url) for url in hooks])
    assert list(kept) == [("default", hooks[0])]
    assert "535 authentication failed" in page
    assert "gone@default.example" in page
    assert "theirs@other.example" not in page
    assert "gone@default.example" not in person("analyst").get("/console/operate").text
    assert "535" not in house.signed_in("usr_other_manager").get("/console/operate").text
    refused = manager.post("/console/operate/lift", {"address": "theirs@other.example"}).text
    assert "is not held back" in refused
    lifted = manager.post("/console/operate/lift", {"address": "gone@default.example"}).text
    assert "written to again" in lifted
    assert "gone@default.example" not in manager.get("/console/operate").text
    resumed = person("admin").post("/console/operate/resume", {"channel": "email"}).text
    assert "sends again" in resumed
    rows = list(database.audit.find({"action": {"$in": ["suppression.lifted", "channel.resumed"]}}))
    assert [row["actor"] for row in rows] == [*["usr_default_manager"] * 2, "usr_default_admin"]
    assert "gone@" not in str(rows)
    assert "SECRET" not in str(rows)


def test_the_audit_log_is_verified_and_exported(
    person: Callable[[str], Browser], house: House, database: Database, objects: ObjectStore
) -> None:
    subscribe(person("subscriber"))
    manager = person("manager")
    assert "there is no anchor" in manager.post("/console/audit/verify", {}).text
    audit.write_anchor(database, objects, NOW)
    assert "The log is whole" in manager.post("/console/audit/verify", {}).text
    lines = manager.get("/console/audit/export?action=subscription.created").text.splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["subscription.created"]
    noted = [row["action"] for row in database.audit.find({"actor": "usr_default_manager"}).sort("seq", 1)]
    assert noted == ["audit.verified", "audit.verified", "audit.exported"]
    other = house.signed_in("usr_other_manager")
    assert other.post("/console/audit/verify", {}).status_code == 403
    assert "subscription.created" not in other.get("/console/audit/export").text
    assert person("analyst").get("/console/audit/export").status_code == 403
    database.audit.update_one({"action": "subscription.created"}, {"$set": {"actor": "usr_somebody"}})
    assert "cannot be vouched for" in manager.post("/console/audit/verify", {}).text


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


def test_a_report_is_held_and_let_go_on_its_page_and_listed_while_it_is_held(
    house: House, database: Database, objects: ObjectStore, person: Callable[[str], Browser]
) -> None:
    job = populate(database, objects)["job"]
    database.holds.delete_many({})
    manager, admin = person("manager"), person("admin")
    page = f"/console/jobs/{job}"
    assert "Keep this report beyond its time" in manager.get(page).text
    assert "beyond its time" not in person("subscriber").get(page).text
    assert "Reports that are held" not in manager.get("/console/operate").text
    refused = manager.post(f"{page}/hold", {"kind": "critical", "reason": "x"})
    assert refused.status_code == 422
    assert "say in 3 to 500 characters" in refused.text

    hostile = "<b>Inspection of 2026</b>"
    assert admin.post(f"{page}/hold", {"kind": "legal_hold", "reason": hostile}).status_code == 303
    for text in (manager.get(page).text, manager.get("/console/operate").text):
        assert "&lt;b&gt;Inspection of 2026" in text
    (held,) = database.holds.find()
    assert (held["kind"], held["by"]) == ("legal_hold", "usr_default_admin")
    # Somebody else's legal hold is loosened by nobody but an admin.
    assert manager.post(f"{page}/let-go", {}).status_code == 403
    assert manager.post(f"{page}/hold", {"kind": "critical", "reason": "not so strict"}).status_code == 403
    assert admin.post(f"{page}/let-go", {}).status_code == 303
    assert database.holds.count_documents({}) == 0
    assert {row["action"] for row in database.audit.find({"subject": held["_id"]})} >= {
        "report.held",
        "report.released",
    }


def test_the_audit_log_names_people_beside_their_ids(
    person: Callable[[str], Browser], database: Database
) -> None:
    database.users.update_one({"_id": "usr_default_manager"}, {"$set": {"name": "Mara <b>Ager</b>"}})
    subscribe(person("manager"))
    page = person("admin").get("/console/audit").text
    assert "Mara &lt;b&gt;Ager&lt;/b&gt;" in page
    assert "usr_default_manager" in page


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
