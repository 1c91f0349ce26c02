"""The audit log is read in words: every event has some, and what is noted is no dump of a program."""

from __future__ import annotations

from typing import Any

import pytest

from reporting_pipeline.console.audit_words import EVENTS, detail_words, event_words, page_of
from reporting_pipeline.stores.audit import AuditAction


def test_every_event_has_words_of_its_own() -> None:
    assert set(EVENTS) == set(AuditAction)
    assert len(set(EVENTS.values())) == len(EVENTS)
    assert event_words("of.a_newer_version") == "of.a_newer_version"


@pytest.mark.parametrize(
    ("noted", "words"),
    [
        (None, "–"),
        ("", "–"),
        ([], "–"),
        ({}, "–"),
        (True, "yes"),
        (0, "0"),
        (["name", "roles"], "name, roles"),
        ({"sent_to": 3, "force": False}, "(sent to 3, force no)"),
        ([{"roles": ["manager"]}], "(roles manager)"),
    ],
)
def test_what_is_noted_is_said_plainly(noted: Any, words: str) -> None:
    assert detail_words(noted) == words


def test_what_has_a_page_leads_there() -> None:
    assert page_of("sub_1") == "/console/reports/sub_1"
    assert page_of("job_1") == "/console/jobs/job_1"
    assert page_of("usr_1") == "/console/people/usr_1"
    assert page_of("weekly:2026-11-16") is None


@pytest.mark.parametrize(
    ("subject", "details", "address"),
    [
        ("job_1", {}, "/console/jobs/job_1"),
        ("rep_1", {}, None),
        ("rep_1", {"job": "job_1", "by": "console"}, "/console/jobs/job_1"),
        (
            "rep_1",
            {"subscription": "sub_1", "period": "2026-11-16"},
            "/console/reports/sub_1/periods/2026-11-16",
        ),
        ("rep_1", {"job": '"><script>'}, "/console/jobs/%22%3E%3Cscript%3E"),
    ],
)
def test_what_an_event_is_about_leads_to_its_page(
    subject: str, details: dict[str, str], address: str | None
) -> None:
    assert page_of(subject, details) == address
