"""From an empty deployment to a first report, by nothing but what each page offers next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from reporting_pipeline.api.app import create_app
from reporting_pipeline.domain.entitlements import Entitlements
from reporting_pipeline.settings import Settings
from reporting_pipeline.sidecar import sidecar_of
from reporting_pipeline.stores import users
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.conftest import Server
from reporting_pipeline_tests.api.world import NOW
from reporting_pipeline_tests.console.chromium import chromium, needs_chromium
from reporting_pipeline_tests.console.conftest import House

PATIENCE = 60_000  # milliseconds; the machine may be busy


@pytest.fixture
def empty(database: Database, objects: ObjectStore, settings: Settings) -> Iterator[House]:
    """A deployment in which nothing was done yet."""
    with Server(sidecar_of(create_app(settings, database, objects, clock=lambda: NOW))) as server:
        yield House(server.base, settings, database)


@needs_chromium
def test_a_newcomer_gets_from_nothing_to_a_report_by_what_the_pages_offer(empty: House) -> None:
    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(empty.base + "/")
        page.get_by_role("button", name="Continue as admin").click()
        page.get_by_role("link", name="Register your organisation").click()
        expect(page.get_by_label("Id", exact=True)).to_have_value("default")
        page.get_by_label("Name", exact=True).fill("A hospital")
        page.get_by_role("button", name="Register").click()
        expect(page.get_by_role("heading", name="A hospital")).to_be_visible()

        page.get_by_role("link", name="My reports").click()
        page.get_by_role("link", name="Register a trial").click()
        page.get_by_label("Id", exact=True).fill("NEW01")
        page.get_by_label("Title").fill("A first trial")
        page.get_by_label("Sites").fill("701: Site 701")
        page.get_by_role("button", name="Register").click()
        page.get_by_role("link", name="Hand in a document").click()
        expect(page.get_by_label("Trial", exact=True)).to_have_value("NEW01")
        page.get_by_label("Site", exact=True).fill("701")
        page.get_by_label("Title").fill("A first note")
        page.get_by_role("button", name="Hand it in").click()
        expect(page.get_by_role("link", name="Hand in another")).to_be_visible()

        page.get_by_role("link", name="My reports").click()
        expect(page.get_by_text("To a first report")).to_have_count(0)
        page.get_by_role("link", name="Subscribe to a report").click()
        expect(page.get_by_text("That report will be empty")).to_be_visible()
        page.get_by_label("Name", exact=True).fill("My first")
        page.get_by_role("button", name="Subscribe", exact=True).click()
        expect(page.get_by_text("the report of the week from 2026-11-23")).to_be_visible()
        page.get_by_role("button", name="Run now").click()
        expect(page.get_by_text("Waiting").first).to_be_visible()


def test_each_empty_page_says_what_this_person_does_next(empty: House) -> None:
    for role, trials in (("admin", "all"), ("subscriber", ())):
        users.create_user(
            empty.database,
            "default",
            f"{role}@default.example",
            NOW,
            roles=[role],
            entitlements=Entitlements("all" if trials == "all" else ()),
            user_id=role,
        )
    admin, reader = empty.signed_in("admin"), empty.signed_in("subscriber")
    for path in ("/console/", "/console/subscribe", "/console/documents/new", "/console/trials"):
        assert 'href="/console/trials/new"' in admin.get(path).text, path
    assert "begin with your own" in admin.get("/console/organisations").text
    for path in ("/console/", "/console/subscribe", "/console/trials"):
        shown = reader.get(path).text
        assert "manages people here" in shown, path
        assert "/console/trials/new" not in shown, path
        assert "/console/organisations" not in shown, path
