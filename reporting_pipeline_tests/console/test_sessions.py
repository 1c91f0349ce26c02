"""Signing in and out, and what a session and its forms are good for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import BytesIO

import pytest
import requests
from reportlab.pdfgen.canvas import Canvas

from reporting_pipeline.api.app import create_app
from reporting_pipeline.settings import Settings
from reporting_pipeline.sidecar import sidecar_of
from reporting_pipeline.stores import sessions
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.conftest import Server
from reporting_pipeline_tests.api.world import NOW, populate
from reporting_pipeline_tests.console.conftest import Browser, House, csrf_in, hidden_fields
from reporting_pipeline_tests.console.subscribing import subscribe
from reporting_pipeline_tests.waiting import PATIENCE

PAGES = (
    "/console/",
    "/console/subscribe",
    "/console/schedules",
    "/console/operate",
    "/console/people",
    "/console/audit",
    "/console/documents",
    "/console/jobs/job_x",
    "/console/reports/sub_x",
    "/console/editions/weekly:2026-11-16",
)


@pytest.mark.parametrize("path", PAGES)
def test_nobody_sees_a_page_without_signing_in(house: House, path: str) -> None:
    answer = house.stranger().get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/console/sign-in?next=")


def test_one_click_signs_in_as_a_role_on_ones_own_machine(house: House) -> None:
    browser = house.stranger()
    page = browser.get("/console/sign-in?next=/console/subscribe")
    fields = {"role": "manager", "next": "/console/subscribe"}
    answer = browser.post("/console/sign-in/local", fields, csrf_in(page.text))
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/subscribe")
    assert "Local manager" in browser.get("/console/").text


def test_one_click_signs_in_as_a_reader_of_an_audience_where_there_is_one(house: House) -> None:
    database = house.database
    reader = {"audience": "site", "trials": ["T1"], "sites": [{"trial": "T1", "sites": ["701"]}]}
    assert "Continue as site" not in house.stranger().get("/console/sign-in").text
    database.users.update_one(
        {"_id": "usr_default_subscriber"},
        {"$set": {**reader, "name": "Site reader", "roles": ["subscriber"]}},
    )
    browser = house.stranger()
    page = browser.get("/console/sign-in")
    assert "Continue as site" in page.text
    answer = browser.post("/console/sign-in/local", {"reader": "sponsor"}, csrf_in(page.text))
    assert answer.status_code == 403  # nobody is of that audience
    answer = browser.post("/console/sign-in/local", {"reader": "site"}, csrf_in(page.text))
    assert answer.status_code == 303
    assert "Site reader" in browser.get("/console/").text


def test_one_click_signs_in_as_a_monitor_and_as_who_cleans_the_data(house: House) -> None:
    database = house.database
    for who, audience in (("monitor", "monitor"), ("lister", "monitor")):
        database.users.insert_one(
            {
                **(database.users.find_one({"_id": "usr_default_subscriber"}) or {}),
                **{"_id": f"usr_z_{who}", "email": f"{who}@default.example", "name": f"A {who}"},
                **{"roles": ["subscriber"], "audience": audience, "trials": ["T1"]},
            }
        )
    subscribe(house.signed_in("usr_z_lister"), report_type="data_listing", format="xlsx")
    for reader, name in (("monitor", "A monitor"), ("data_manager", "A lister")):
        browser = house.stranger()
        page = browser.get("/console/sign-in")
        assert f"Continue as {reader.replace('_', ' ')}" in page.text
        browser.post("/console/sign-in/local", {"reader": reader}, csrf_in(page.text))
        assert name in browser.get("/console/").text


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_one_click_does_not_exist_where_people_are(
    house: House, environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reporting_pipeline.console import signing_in

    monkeypatch.setattr(
        signing_in,
        "is_local",
        lambda settings: settings.model_copy(update={"environment": environment}).environment == "local",
    )
    browser = house.stranger()
    page = browser.get("/console/sign-in")
    assert "Continue as" not in page.text
    for chosen in ({"role": "admin"}, {"reader": "site"}):
        answer = browser.post("/console/sign-in/local", chosen, csrf_in(page.text))
        assert answer.status_code == 403
    assert house.database.console_sessions.count_documents({}) == 0


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/console//evil.example",
        "/\\evil.example",
        "javascript:1",
        "/api/users",
    ],
)
def test_signing_in_leads_to_pages_of_the_console_only(house: House, target: str) -> None:
    browser = house.stranger()
    page = browser.get("/console/sign-in", params={"next": target})
    answer = browser.post("/console/sign-in/local", {"role": "admin", "next": target}, csrf_in(page.text))
    assert answer.headers["location"] == "/console/"


def test_a_form_of_another_session_changes_nothing(person: Callable[[str], Browser]) -> None:
    one, other = person("manager"), person("manager")
    token = csrf_in(other.get("/console/").text)
    assert one.post("/console/sign-out", {}, token).status_code == 403
    assert one.post("/console/sign-out", {}, "").status_code == 403
    assert one.get("/console/").status_code == 200


def test_what_is_refused_before_any_page_says_what_to_do(person: Callable[[str], Browser]) -> None:
    browser = person("manager")
    large = browser.post("/console/subscribe", {"description": "d" * 400_000}, "x")
    assert large.status_code == 413
    assert "Go back: what you wrote stands there" in large.text
    foreign = browser.session.post(
        browser.base + "/console/subscribe", headers={"sec-fetch-site": "cross-site"}, timeout=60
    )
    assert foreign.status_code == 403
    assert "send its form from there" in foreign.text


def test_a_form_of_another_site_changes_nothing(person: Callable[[str], Browser]) -> None:
    browser = person("manager")
    token = csrf_in(browser.get("/console/").text)
    answer = browser.session.post(
        browser.base + "/console/sign-out",
        data={"csrf": token},
        headers={"Sec-Fetch-Site": "cross-site"},
        timeout=PATIENCE,
        allow_redirects=False,
    )
    assert answer.status_code == 403
    assert browser.get("/console/").status_code == 200


SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
ODD = '"><script>x</script> \u202eright to left'


def test_what_was_written_when_the_session_ended_comes_back_and_is_sent_by_whoever_signs_in(
    house: House, person: Callable[[str], Browser]
) -> None:
    browser = person("subscriber")
    form = [("name", ODD), ("cadence", "weekly"), ("trials", "T1"), ("format", "pdf"), ("save", "1")]
    form += [("report_type", "trial_activity"), ("time", "07:00"), ("timezone", "UTC"), ("day_of_week", "1")]
    token = csrf_in(browser.get("/console/").text)
    house.database.console_sessions.delete_many({})
    ended = browser.post("/console/subscribe", form, token)
    assert (ended.status_code, "Your session has ended" in ended.text) == (403, True)
    assert "<script>x" not in ended.text
    assert hidden_fields(ended.text) == [("csrf", ""), *form]
    name, value = house.cookie_of("usr_default_subscriber")
    browser.session.cookies.set(name, value)
    browser.session.headers.update(SAME_ORIGIN)
    again = browser.post("/console/subscribe", form, "")
    assert (again.status_code, "You have signed in anew" in again.text) == (403, True)
    assert house.database.subscriptions.count_documents({}) == 0, "it is sent by a person, not by itself"
    (_, fresh), *written = hidden_fields(again.text)
    assert written == form
    assert browser.post("/console/subscribe", written, fresh).status_code == 303
    assert [one["name"] for one in house.database.subscriptions.find()] == [ODD]


@pytest.mark.parametrize("site", [None, "same-site", "none"])
def test_a_form_that_no_browser_vouches_for_comes_back_without_a_token(
    person: Callable[[str], Browser], site: str | None
) -> None:
    browser = person("manager")
    browser.session.headers.update({"Sec-Fetch-Site": site} if site else {})
    refused = browser.post("/console/sign-out", {"everywhere": "1"}, "of another")
    assert refused.status_code == 403
    assert csrf_in(refused.text) == ""


def test_a_form_with_a_file_is_not_read_of_somebody_who_is_not_signed_in(house: House) -> None:
    answer = house.stranger().session.post(
        house.base + "/console/documents/new", files={"file": ("x.pdf", b"x")}, timeout=PATIENCE
    )
    assert (answer.status_code, "cannot be kept" in answer.text) == (403, True)


def test_signing_out_ends_the_session_on_the_server(person: Callable[[str], Browser]) -> None:
    browser = person("subscriber")
    cookies = browser.session.cookies.copy()
    browser.post("/console/sign-out", {})
    browser.session.cookies = cookies
    assert browser.get("/console/").status_code == 303


def test_signing_out_everywhere_ends_every_session(person: Callable[[str], Browser]) -> None:
    one, other = person("subscriber"), person("subscriber")
    assert 'name="everywhere"' in one.get("/console/people/usr_default_subscriber").text
    assert 'name="everywhere"' not in person("manager").get("/console/people/usr_default_subscriber").text
    assert "here and everywhere else" in one.told("/console/sign-out", {"everywhere": "1"})
    assert other.get("/console/").status_code == 303


def test_a_cookie_that_was_not_signed_here_is_none(house: House) -> None:
    name, value = house.cookie_of("usr_default_admin")
    signed, _, signature = value.rpartition(".")
    # The first character: of the last one, not every bit counts.
    other = f"{signed}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    for forged in (other, value.partition(".")[0], "x" * 5000, ""):
        browser = house.stranger()
        browser.session.cookies.set(name, forged)
        assert browser.get("/console/").status_code == 303


def test_a_deactivated_person_is_out_at_once(house: House, person: Callable[[str], Browser]) -> None:
    browser = person("analyst")
    assert browser.get("/console/").status_code == 200
    house.database.users.update_one({"_id": "usr_default_analyst"}, {"$set": {"active": False}})
    assert browser.get("/console/").status_code == 303


@pytest.mark.parametrize(
    ("after", "good"),
    [
        (sessions.IDLE - timedelta(seconds=1), True),
        (sessions.IDLE, False),
        (sessions.LONGEST, False),
    ],
)
def test_a_session_that_is_not_used_ends(database: Database, after: timedelta, good: bool) -> None:
    token = sessions.begin_session(database, "usr_x", NOW)
    assert (sessions.session_of(database, token, NOW + after) is not None) is good


def test_a_session_ends_however_busy_it_is(database: Database) -> None:
    token = sessions.begin_session(database, "usr_x", NOW)
    at, step = NOW, timedelta(minutes=20)
    while at + step < NOW + sessions.LONGEST:
        at += step
        assert sessions.session_of(database, token, at) is not None
    assert sessions.session_of(database, token, NOW + sessions.LONGEST) is None


def test_who_reads_the_database_cannot_take_a_session_over(database: Database) -> None:
    token = sessions.begin_session(database, "usr_x", NOW)
    assert token not in str(database.console_sessions.find_one())


def test_every_answer_forbids_foreign_script_and_framing(house: House) -> None:
    policy = house.stranger().get("/console/sign-in").headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors" in policy


def test_no_picture_of_a_report_stays_in_a_browser(
    house: House, person: Callable[[str], Browser], database: Database, objects: ObjectStore
) -> None:
    """On a shared machine the next one finds it there, also after who saw it had signed out."""
    ids = populate(database, objects)
    drawn = BytesIO()
    page = Canvas(drawn)
    page.drawString(72, 72, "A page")
    page.save()
    report = database.reports.find_one({"_id": ids["report"]}) or {}
    objects.put(report["key"], drawn.getvalue(), "application/pdf")
    database.reports.update_one({"_id": ids["report"]}, {"$set": {"format": "pdf", "pages": 1}})
    picture = person("subscriber").get(f"/console/jobs/{ids['job']}/page/1.png")
    assert picture.status_code == 200
    assert picture.headers["cache-control"] == "no-store"


def test_over_tls_no_cookie_of_the_sign_in_goes_without_it(
    settings: Settings, database: Database, objects: ObjectStore
) -> None:
    chosen = settings.model_copy(update={"public_url": "https://reports.default.example"})
    with Server(sidecar_of(create_app(chosen, database, objects))) as server:
        page = requests.get(f"{server.base}/console/sign-in", timeout=PATIENCE)
        assert "Secure" in page.headers["set-cookie"]


def test_an_error_keeps_the_way_to_ones_own_pages(house: House, person: Callable[[str], Browser]) -> None:
    for path, status in (("/console/nowhere", 404), ("/console/jobs/job_none", 404)):
        page = person("manager").get(path)
        assert page.status_code == status, path
        assert 'href="/console/operate"' in page.text, path
        assert "Sign out" in page.text, path
    refused = person("subscriber").get("/console/operate")
    assert refused.status_code == 403
    assert 'href="/console/subscribe"' in refused.text
    assert 'href="/console/operate"' not in refused.text
    stranger = house.stranger().get("/console/nowhere")
    assert stranger.status_code == 404
    assert "Sign out" not in stranger.text
    assert 'href="/console/"' in stranger.text
