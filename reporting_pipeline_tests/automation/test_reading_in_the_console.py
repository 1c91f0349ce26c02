"""A report read by somebody who is signed in: as pages, as a page for the browser, and noted each time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from fastapi import Response

from reporting_pipeline.api.app import create_app
from reporting_pipeline.console.sessions import Cookies
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.sidecar import sidecar_of
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.sessions import begin_session
from reporting_pipeline_tests.api.conftest import Server
from reporting_pipeline_tests.automation.crank import ORGANISATION, Crank, usual_documents
from reporting_pipeline_tests.console.conftest import Browser


@pytest.fixture
def made(empty: Crank) -> Crank:
    """A PDF report of a trial, delivered to its owner."""
    empty.add_trial("T-ALPHA")
    empty.arrive(*usual_documents("T-ALPHA", empty.period()))
    empty.subscribe("pdf", Filters(trials=("T-ALPHA",)))
    empty.complete()
    return empty


@pytest.fixture
def browser(made: Crank) -> Iterator[Browser]:
    """Its owner, signed in."""
    settings = made.settings.model_copy(update={"requests_per_minute": 1_000_000})
    app = create_app(settings, made.database, made.objects, lambda: made.clock.at)
    with Server(sidecar_of(app)) as server:
        cookies, answer = Cookies(settings), Response()
        cookies.write(answer, begin_session(made.database, "usr_pdf", made.clock.at, made.clock.at))
        session = requests.Session()
        session.cookies.set(cookies.name, answer.headers["set-cookie"].split(";")[0].partition("=")[2])
        yield Browser(server.base, session)


def page_of(made: Crank) -> str:
    job = made.database.jobs.find_one({"subscription": "sub_pdf"}) or {}
    return f"/console/jobs/{job['_id']}"


def readings(made: Crank) -> list[dict[str, str]]:
    """Details of the rows, oldest first."""
    rows = audit.events_of(made.database, ORGANISATION, action=audit.AuditAction.REPORT_DOWNLOADED)
    return [row["details"] for row in reversed(list(rows)) if row["details"].get("by") == "console"]


def test_what_is_read_in_the_console_is_noted_and_opens_to_nobody_whose_right_ended(
    made: Crank, browser: Browser
) -> None:
    job = page_of(made)
    page = browser.get(job).text
    assert f'href="{job}/read"' in page
    assert readings(made) == [], "the page of a job shows nothing of the report itself"
    picture = browser.get(f"{job}/page/2.png")
    assert picture.content.startswith(b"\x89PNG")
    edition = browser.get(f"{job}/read")
    assert (edition.status_code, edition.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    for told in ("The trial T-ALPHA", "Headache"):
        assert told in edition.text, told
    assert "<script" not in edition.text
    assert "sandbox" in edition.headers["Content-Security-Policy"]
    assert edition.headers["Cache-Control"] == "no-store"
    assert browser.get(f"{job}/file").status_code == 303
    found = readings(made)
    assert [one.get("page") or one.get("edition") or "file" for one in found] == ["2", "html", "file"]
    assert len(found[1]["sha256"]) == 64
    made.database.users.update_many({}, {"$set": {"trials": []}})
    assert {browser.get(f"{job}/{part}").status_code for part in ("read", "page/1.png", "file")} == {404}
    assert readings(made) == found


def test_where_there_is_no_edition_the_page_of_the_report_says_what_to_do(
    made: Crank, browser: Browser
) -> None:
    job, reports = page_of(made), made.database.reports
    record = reports.find_one({"subscription": "sub_pdf"}) or {}
    # A newer rendering waits for its release, and what its record names is what that was made from.
    waiting = {"sha256": "0" * 64, "awaiting_release": [{"concern": "asked", "trial": "", "said": "wait"}]}
    reports.update_one({"_id": record["_id"]}, {"$set": {"superseded": [record], **waiting}})
    refused = browser.get(f"{job}/read")
    assert (refused.status_code, "waits for its release" in refused.text) == (409, True)
    reports.replace_one({"_id": record["_id"]}, record)
    for key in list(made.objects.keys("datasets/")):
        made.objects.delete(key)
    refused = browser.get(f"{job}/read")
    assert (refused.status_code, "Download the file instead." in refused.text) == (409, True)
    assert readings(made) == []
