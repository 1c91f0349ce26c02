"""Journeys in a real browser: by keyboard, with and without script, looked over by axe."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import cast
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from reporting_pipeline.delivery.links.tokens import report_url
from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.world import CODE, DOCUMENT, NOW, SUBSCRIPTION, populate
from reporting_pipeline_tests.console.chromium import chromium, needs_chromium
from reporting_pipeline_tests.console.conftest import House

pytestmark = needs_chromium
PATIENCE = 60_000  # milliseconds; the machine may be busy

PAGES = (
    "/console/",
    "/console/subscribe",
    "/console/schedules",
    "/console/confirm",
    "/console/operate",
    "/console/people",
    "/console/people/new",
    "/console/people/usr_default_subscriber",
    "/console/trials",
    "/console/trials/T1",
    "/console/trials/T1/close",
    "/console/organisations",
    "/console/organisations/default",
    "/console/audit",
    "/console/documents",
    "/console/documents/new",
    f"/console/documents/{DOCUMENT}",
    "/docs",
    f"/console/reports/{SUBSCRIPTION}",
    f"/console/reports/{SUBSCRIPTION}/change",
    f"/console/reports/{SUBSCRIPTION}/end",
)

#: What somebody sees who comes by a link of a mail or of a cover, signed in or not.
BY_LINK = (f"/v/{CODE}", "/v/aaaaaaaaaaaaaaaa", "/r/x", "/unsubscribe/x", "/confirm-address/x")


def report_link(house: House, database: Database) -> str:
    """The path of the link in a mail that was delivered."""
    sent = database.deliveries.find_one({"recipient": "a@default.example"})
    assert sent is not None
    return urlsplit(report_url(house.settings, cast("DeliveryRecord", sent), NOW)).path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def opened(house: House, browser: Browser, user: str, **options: object) -> BrowserContext:
    """A window in which `user` is signed in."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    name, value = house.cookie_of(user)
    context.add_cookies([{"name": name, "value": value, "url": house.base}])
    return context


def listening(page: Page) -> list[str]:
    """What the browser complains about: refused scripts and styles, failing script."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    return complaints


@pytest.mark.parametrize("script", [True, False])
def test_a_person_subscribes_runs_it_and_sees_how_it_gets_on(
    house: House, browser: Browser, database: Database, script: bool
) -> None:
    context = opened(house, browser, "usr_default_subscriber", java_script_enabled=script)
    page = context.new_page()
    complaints = listening(page)
    page.goto(house.base + "/")
    page.get_by_role("link", name="Subscribe to a report").click()
    page.get_by_label("Name").fill("By hand")
    page.get_by_label("T1").check()
    page.get_by_role("button", name="Subscribe", exact=True).click()
    expect(page.get_by_role("heading", name="By hand")).to_be_visible()
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("Waiting").first).to_be_visible()
    if script:
        job = database.jobs.find_one({}) or {}
        database.jobs.update_one({"_id": job["_id"]}, {"$set": {"state": "processing"}})
        expect(page.locator("#status")).to_have_text("Being made", timeout=PATIENCE)
        expect(page.get_by_text("Being made").first).to_be_visible(timeout=PATIENCE)
    assert complaints == []
    context.close()


def test_a_cron_schedule_is_made_by_keyboard_alone(
    house: House, browser: Browser, database: Database
) -> None:
    context = opened(house, browser, "usr_default_manager")
    page = context.new_page()
    page.goto(house.base + "/console/subscribe")
    reach(page, "name")
    page.keyboard.type("By keyboard")
    reach(page, "weekly")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    reach(page, "cron_expression")
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("30 6 * * MON-FRI")
    page.keyboard.press("Tab")
    expect(page.locator("#preview")).to_contain_text("06:30", timeout=PATIENCE)
    reach(page, "save")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="By keyboard")).to_be_visible()
    stored = database.subscriptions.find_one({"name": "By keyboard"}) or {}
    assert stored["schedule"]["cron_expression"] == "30 6 * * MON-FRI"
    context.close()


def reach(page: Page, wanted: str) -> None:
    """Press Tab until the field or button of that name or value has the focus."""
    for _ in range(120):
        page.keyboard.press("Tab")
        focused = page.evaluate("[document.activeElement.name, document.activeElement.value]")
        if wanted in focused:
            return
    raise AssertionError(f"{wanted} cannot be reached by keyboard")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(
    house: House, browser: Browser, database: Database, objects: ObjectStore, scheme: str
) -> None:
    ids = populate(database, objects)
    context = opened(house, browser, "usr_default_admin", color_scheme=scheme)
    page = context.new_page()
    complaints = listening(page)
    found = []
    for path in (*PAGES, f"/console/jobs/{ids['job']}", f"/console/editions/{ids['edition']}"):
        page.goto(house.base + path)
        results = Axe().run(page)
        found += [
            f"{path}: {one['id']}: {one['nodes'][0]['html'][:120]}" for one in results.response["violations"]
        ]
    context.close()
    stranger = browser.new_context(color_scheme=scheme).new_page()  # type: ignore[arg-type]
    for path in ("/console/sign-in", *BY_LINK, report_link(house, database)):
        stranger.goto(house.base + path)
        found += [f"{path}: {one['id']}" for one in Axe().run(stranger).response["violations"]]
    # A form of a session that has ended.
    stranger.goto(house.base + "/console/sign-in")
    stranger.locator("form").first.evaluate("form => form.action = '/console/subscribe'")
    stranger.locator("form button").first.click()
    expect(stranger.get_by_role("heading", name="Your session has ended")).to_be_visible()
    found += [f"kept form: {one['id']}" for one in Axe().run(stranger).response["violations"]]
    stranger.context.close()
    assert found == []
    assert [one for one in complaints if "Content Security Policy" in one] == []


@pytest.mark.parametrize("width", [320, 768, 2560])
def test_no_page_is_wider_than_the_screen(
    house: House, browser: Browser, database: Database, objects: ObjectStore, width: int
) -> None:
    ids = populate(database, objects)
    long = "W" * 200
    database.subscriptions.update_one({"_id": SUBSCRIPTION}, {"$set": {"name": long}})
    omissions = [{"trial": "T1", "part": "trial", "reason": long}]
    database.jobs.update_many({}, {"$set": {"error": long, "omissions": omissions}})
    database.jobs.update_one(
        {"_id": ids["awaiting"]}, {"$set": {"awaiting_release.reasons": [{"trial": "T1", "said": long}]}}
    )
    database.deliveries.update_many({}, {"$set": {"error": long}})
    database.documents.update_one({"_id": DOCUMENT}, {"$set": {"title": long, "note": long}})
    of_jobs = [f"/console/jobs/{ids[name]}" for name in ("job", "awaiting")]
    context = opened(house, browser, "usr_default_admin", viewport={"width": width, "height": 800})
    page = context.new_page()
    linked = (report_link(house, database), *BY_LINK)
    for path in (*PAGES, *of_jobs, f"/console/documents/{DOCUMENT}/correct", f"/console/{long}", *linked):
        page.goto(house.base + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()


@pytest.mark.parametrize("script", [True, False])
def test_a_session_that_ended_in_the_middle_of_the_form_loses_nothing(
    house: House, browser: Browser, database: Database, script: bool
) -> None:
    context = opened(house, browser, "usr_default_subscriber", java_script_enabled=script)
    page = context.new_page()
    page.goto(house.base + "/console/subscribe")
    database.console_sessions.delete_many({})
    page.get_by_label("Name").fill("Too late")
    page.get_by_label("T1").check()
    if script:  # what the page asks by itself does not put a page of the sign-in into the form
        expect(page.locator("#status")).to_contain_text("Your session has ended", timeout=PATIENCE)
        assert page.locator("#preview form").count() == 0
    page.get_by_role("button", name="Subscribe", exact=True).click()
    expect(page.get_by_role("heading", name="Your session has ended")).to_be_visible()
    with context.expect_page() as popped:
        page.get_by_role("link", name="Sign in in another tab").click()
    other = popped.value
    other.get_by_role("button", name="Continue as subscriber").click()
    expect(other.get_by_role("heading", name="My reports")).to_be_visible()
    database.users.update_one({"_id": "usr_local_subscriber"}, {"$set": {"trials": ["T1"]}})
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="You have signed in anew")).to_be_visible()
    page.get_by_role("button", name="Send it as").click()
    expect(page.get_by_role("heading", name="Too late")).to_be_visible()
    assert [one["owner"] for one in database.subscriptions.find()] == ["usr_local_subscriber"]
    context.close()


def test_a_double_click_subscribes_once(house: House, browser: Browser, database: Database) -> None:
    context = opened(house, browser, "usr_default_subscriber")
    page = context.new_page()
    page.goto(house.base + "/console/subscribe")
    page.get_by_label("Name").fill("Once")
    page.get_by_role("button", name="Subscribe", exact=True).dblclick()
    expect(page.get_by_role("heading", name="Once")).to_be_visible()
    assert database.subscriptions.count_documents({}) == 1
    context.close()


@pytest.mark.parametrize("script", [True, False])
def test_a_bounce_is_seen_and_tried_again_and_so_is_every_dead_letter(
    house: House, browser: Browser, database: Database, objects: ObjectStore, script: bool
) -> None:
    job = populate(database, objects)["job"]
    bounced = {"state": "bounced", "error": "no such mailbox"}
    database.deliveries.update_one({"job": job}, {"$set": bounced})
    context = opened(house, browser, "usr_default_manager", java_script_enabled=script)
    page = context.new_page()
    page.goto(f"{house.base}/console/jobs/{job}")
    expect(page.get_by_text("Bounced", exact=True).first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("no such mailbox").first).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Try this one again").first.click()
    expect(page.get_by_text("It is tried again.")).to_be_visible(timeout=PATIENCE)
    page.goto(house.base + "/console/operate")
    page.get_by_role("button", name="dead letters that match again").click()
    page.get_by_role("button", name="Yes, try").click()
    expect(page.get_by_text("to be tried again")).to_be_visible(timeout=PATIENCE)
    assert database.deliveries.count_documents({"state": {"$in": ["failed", "bounced"]}}) == 0
    context.close()


@pytest.mark.parametrize("script", [True, False])
def test_going_back_finds_the_form_as_it_was_typed(house: House, browser: Browser, script: bool) -> None:
    context = opened(house, browser, "usr_default_subscriber", java_script_enabled=script)
    page = context.new_page()
    page.goto(house.base + "/console/subscribe")
    page.get_by_label("Name").fill("Back and forth")
    page.get_by_label("T1").check()
    page.get_by_role("link", name="Trials", exact=True).click()
    expect(page.get_by_role("heading", name="Trials")).to_be_visible(timeout=PATIENCE)
    page.go_back()
    expect(page.get_by_label("Name")).to_have_value("Back and forth", timeout=PATIENCE)
    expect(page.get_by_label("T1")).to_be_checked(timeout=PATIENCE)
    context.close()


def test_what_somebody_writes_and_where_they_are_stays_when_the_page_moves(
    house: House, browser: Browser, database: Database, objects: ObjectStore
) -> None:
    """A report that goes on renews its page; that empties no field, and folds or moves nothing in use."""
    job = populate(database, objects)["job"]
    database.jobs.update_one({"_id": job}, {"$set": {"state": "processing"}})
    context = opened(house, browser, "usr_default_manager")
    page = context.new_page()
    page.goto(f"{house.base}/console/jobs/{job}")
    page.get_by_text("Send it to one more").click()
    field = page.get_by_label("Address", exact=True)
    field.press_sequentially("somebody@default")
    before = NOW - timedelta(minutes=10)
    database.console_sessions.update_many({}, {"$set": {"seen_at": before}})
    page.evaluate("window.seen = document.querySelector('#progress table')")
    omissions = [{"trial": "T1", "part": "labs", "reason": "two units"}]
    database.jobs.update_one({"_id": job}, {"$set": {"state": "delivering", "omissions": omissions}})
    expect(page.locator("#status")).to_have_text("Being sent", timeout=PATIENCE)
    expect(page.get_by_text("two units")).to_be_visible()
    expect(field).to_have_value("somebody@default")
    expect(field).to_be_focused()
    assert page.evaluate("window.seen === document.querySelector('#progress table')")
    # Nobody did anything: a page that is left open lets its session end.
    assert {one["seen_at"] for one in database.console_sessions.find()} == {before}
    context.close()
