"""A report's link, opened by a person: the page with the choice, and the report read in the browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from reporting_pipeline.api.app import create_app
from reporting_pipeline.domain.subscriptions import Filters, Format
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.personal_data import erase_user
from reporting_pipeline.stores.reports import StoredReport, reports_by_id
from reporting_pipeline.usecases import html_edition
from reporting_pipeline.usecases.html_edition import HtmlEditions, NotReadable
from reporting_pipeline_tests.api.conftest import Server
from reporting_pipeline_tests.automation.crank import ORGANISATION, Crank, usual_documents
from reporting_pipeline_tests.waiting import PATIENCE

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def delivered(empty: Crank) -> Crank:
    """A PDF of an organisation with a colour, mailed to a person who reads German, and a workbook."""
    empty.database.organisations.update_one(
        {"_id": ORGANISATION}, {"$set": {"name": "Example Pharma", "report_colour": "#5b2a86"}}, upsert=True
    )
    empty.add_trial("T-ALPHA")
    empty.arrive(*usual_documents("T-ALPHA", empty.period()))
    alpha = Filters(trials=("T-ALPHA",))
    empty.subscribe("pdf", alpha)
    empty.subscribe("sheet", alpha, format=Format.XLSX)
    empty.database.users.update_one({"_id": "usr_pdf"}, {"$set": {"language": "de"}})
    empty.database.subscriptions.update_many({}, {"$set": {"recipients": []}})
    empty.complete()
    return empty


@pytest.fixture
def base(delivered: Crank) -> Iterator[str]:
    app = create_app(delivered.settings, delivered.database, delivered.objects, lambda: delivered.clock.at)
    with Server(app) as server:
        yield server.base


def path_for(crank: Crank, name: str) -> str:
    """The path of the link in the mail to a reader."""
    mail = next(one for one in crank.mails() if str(one["To"]) == f"{name}@example.org")
    body = mail.get_body(("plain",))
    found = re.search(r"/r/[\w.-]+", body.get_content() if body else "")
    assert found is not None
    return found[0]


def look(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=PATIENCE, allow_redirects=False)


def opened(crank: Crank) -> list[dict[str, str]]:
    rows = audit.events_of(crank.database, ORGANISATION, action=audit.AuditAction.REPORT_DOWNLOADED)
    return [row["details"] for row in rows]


def report_of(crank: Crank, subscription: str) -> StoredReport:
    found = crank.database.reports.find_one({"subscription": subscription}) or {}
    return reports_by_id(crank.database, [found["_id"]])[found["_id"]]


def test_a_person_chooses_and_a_machine_gets_the_file(delivered: Crank, base: str) -> None:
    url = base + path_for(delivered, "pdf")
    page = look(url, **BROWSER)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    for told in ("Example Pharma", "#5b2a86", "Report for pdf", "Echt", "PDF öffnen", "Im Browser lesen"):
        assert told in page.text, told
    assert '<html lang="de">' in page.text
    assert opened(delivered) == [], "looking at the choice opens nothing"
    machine = look(url)
    assert (machine.status_code, "X-Amz-Signature" in machine.headers["Location"]) == (307, True)
    pdf = look(f"{url}?file=newest", **BROWSER)
    assert pdf.status_code == 307
    assert requests.get(pdf.headers["Location"], timeout=PATIENCE).content.startswith(b"%PDF")
    sheet = look(base + path_for(delivered, "sheet"), **BROWSER)
    assert sheet.status_code == 307, "of a workbook there is no choice"
    assert len(opened(delivered)) == 3


def test_the_edition_for_the_browser_has_the_content_and_is_noted(delivered: Crank, base: str) -> None:
    url = base + path_for(delivered, "pdf") + "?file=html"
    first, second = look(url, **BROWSER), look(url, **BROWSER)
    assert first.status_code == 200
    assert first.content == second.content
    for told in ("The trial T-ALPHA", "Reader pdf", "Headache", "--own: #5b2a86"):
        assert told in first.text, told
    assert "/v/" not in first.text, "the code speaks of the PDF's bytes"
    assert "<script" not in first.text
    assert "sandbox" in first.headers["Content-Security-Policy"]
    assert first.headers["Cache-Control"] == "no-store"
    assert [(one["edition"], one["sha256"]) for one in opened(delivered)] == [
        ("html", report_of(delivered, "sub_pdf").sha256)
    ] * 2


def test_what_is_kept_in_memory_opens_to_nobody_whose_right_ended(delivered: Crank, base: str) -> None:
    url = base + path_for(delivered, "pdf")

    def answers() -> set[tuple[int, bool]]:
        found = [look(address, **BROWSER) for address in (url, f"{url}?file=html")]
        return {(one.status_code, "T-ALPHA" in one.text) for one in found}

    users = delivered.database.users
    assert look(f"{url}?file=html", **BROWSER).status_code == 200
    users.update_many({}, {"$set": {"trials": []}})
    assert answers() == {(404, False)}, "the trial was withdrawn"
    users.update_many({}, {"$set": {"trials": "all"}})
    delivered.clock.forward(days=8)
    assert answers() == {(404, False)}, "the link is over"
    delivered.clock.forward(days=-8)
    assert look(f"{url}?file=html", **BROWSER).status_code == 200
    erase_user(delivered.database, delivered.objects, "usr_pdf", delivered.clock.at)
    assert answers() == {(404, False)}, "the person was erased"
    assert len(opened(delivered)) == 2


def test_where_there_is_no_edition_a_page_says_so_and_nothing_is_noted(delivered: Crank, base: str) -> None:
    url = base + path_for(delivered, "pdf") + "?file=html"
    reports = delivered.database.reports
    as_made = list(reports.find())

    def refused() -> bool:
        answer = look(url, **BROWSER)
        return answer.status_code == 404 and "Headache" not in answer.text

    changes: tuple[dict[str, Any], ...] = (
        {"awaiting_release": [{"concern": "asked", "said": "wait"}]},
        {"inputs": [], "worded": {}},  # made before this was kept
        {"worded": {"timezone": 7}},  # broken by hand
        {"inputs": [{"trial": "T-ALPHA"}]},
    )
    for change in changes:
        reports.update_many({}, {"$set": change})
        assert refused(), change
        for one in as_made:
            reports.replace_one({"_id": one["_id"]}, one)
    for key in list(delivered.objects.keys("datasets/")):
        delivered.objects.delete(key)
    assert refused(), "its data is kept no longer"
    assert opened(delivered) == []


def test_editions_are_bounded_in_rows_bytes_time_and_number(
    delivered: Crank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = report_of(delivered, "sub_pdf")
    editions = HtmlEditions(delivered.objects, tmp_path)
    with pytest.raises(NotReadable) as never:
        HtmlEditions(delivered.objects, tmp_path).edition(report_of(delivered, "sub_sheet"))
    assert not never.value.later
    for name, most in (("MOST_ROWS", 3), ("MOST_BYTES", 3), ("MOST_WAITING", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(html_edition, name, most)
            with pytest.raises(NotReadable, match=r"at most|others come first") as refused:
                editions.edition(report)
            assert refused.value.later is (name == "MOST_WAITING")
    with pytest.raises(NotReadable, match="being made") as slow:
        editions.edition(report, timedelta(0))
    assert slow.value.later
    assert editions.edition(report).startswith(b"<!doctype html>"), "the one that was asked for comes"
