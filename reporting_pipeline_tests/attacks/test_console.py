"""People of every role and entitlement at the console, strangers' pages before it, and forms cut short."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import requests

from reporting_pipeline.usecases.callers.names import Names
from reporting_pipeline_tests.api.conftest import ROLES
from reporting_pipeline_tests.attacks.test_scope import known, own_documents
from reporting_pipeline_tests.attacks.world import DOCUMENTS, EDITION, ENTITLED, SHARED, World, mark
from reporting_pipeline_tests.console.conftest import Browser
from reporting_pipeline_tests.waiting import PATIENCE

PAGES = (
    *("/console/", "/console/schedules", "/console/operate", "/console/people", "/console/audit"),
    *("/console/documents", "/console/subscribe", "/console/audit/export", f"/console/editions/{EDITION}"),
)


def trials_named(page: str) -> set[str]:
    """Those that are told of; which trials other people have is told to who manages them."""
    told = page if "<h1>People of" not in page else page.partition("<h2>Trials</h2>")[2]
    return {trial for trial in ("T1", "T2", "X1") if f">{trial}<" in told}


@pytest.mark.parametrize(("role", "entitled"), list(itertools.product(ROLES, [*ENTITLED, "other"])))
def test_no_page_shows_what_is_not_theirs(
    world: World, browser: Callable[[str], Browser], role: str, entitled: str
) -> None:
    person = browser(f"usr_{role}_{entitled}")
    allowed = known(role, entitled) | own_documents(entitled)
    whole = {"other": {"X1"}, "all": {"T1", "T2"}, "board": {"T1", "T2"}, "nothing": set[str]()}
    open_trials = whole.get(entitled, {"T1"})
    for path in PAGES:
        page = person.get(path)
        assert page.status_code in (200, 403), path
        text = page.text.upper()
        assert [n for n in [*DOCUMENTS, *SHARED] if mark(n) in text and n not in allowed] == [], path
        assert trials_named(page.text) <= open_trials, path
    for name in SHARED:
        for path in (f"/console/reports/sub_{name}", f"/console/jobs/{world.jobs[name]}"):
            assert person.get(path).status_code == (200 if name in known(role, entitled) else 404), path


FORMS: list[tuple[str, dict[str, str]]] = [
    ("/console/subscribe/dates", {}),
    ("/console/subscribe", {"name": "x"}),
    ("/console/subscribe", {"name": "x", "timezone": "../../etc/passwd", "time": "99:99"}),
    ("/console/subscribe/expression", {"built_dates": "1," * 1000, "built_days": "9"}),
    ("/console/subscribe/recipients", {"recipients": "user: x\n" * 3000}),
    ("/console/schedules", {"action": "transfer", "chosen": "sub_whole", "new_owner": "\0", "sure": "1"}),
    ("/console/operate/requeue-all", {"channel": "$ne", "edition": "\0"}),
    ("/console/operate/requeue", {"delivery": "\0", "job": "\0"}),
    ("/console/operate/lift", {"address": "\0"}),
]


@pytest.mark.parametrize(("path", "fields"), FORMS, ids=lambda value: str(value)[:40])
def test_a_form_that_was_cut_short_or_made_up_is_answered(
    browser: Callable[[str], Browser], path: str, fields: dict[str, str]
) -> None:
    answer = browser("usr_manager_all").post(path, fields)
    assert answer.status_code < 500
    assert "Internal Server Error" not in answer.text


def test_a_fault_of_ours_has_a_page_of_its_own(
    world: World, browser: Callable[[str], Browser], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret of the machine")

    monkeypatch.setattr("reporting_pipeline.console.pages.people.users.list_users", broken)
    page = browser("usr_manager_all").get("/console/people")
    assert page.status_code == 500
    assert "Something went wrong on our side" in page.text
    assert "secret of the machine" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


NAMES = [
    ("127.0.0.1:8000", True),
    ("localhost", True),
    ("LOCALHOST:80", True),
    ("[::1]:8000", True),
    ("api", True),
    ("evil.example", False),
    ("evil.example.", False),
    ("127.0.0.1.evil.example", False),
    ("a@127.0.0.1", False),
    ("evil.example:80@localhost", False),
    ("", False),
    ("[", False),
]


@pytest.mark.parametrize(("host", "good"), NAMES)
def test_a_strangers_name_that_leads_here_is_answered_by_nobody(base: str, host: str, good: bool) -> None:
    """DNS rebinding: a page of a stranger reads what is answered to its own name."""
    assert Names("reports.example.org", near=True).fit(host) is good
    if not good and host != "[":
        for path in ("/console/sign-in", "/api/documents", "/openapi.json"):
            answer = requests.get(
                base + path, headers={"Host": host}, timeout=PATIENCE, allow_redirects=False
            )
            assert answer.status_code == 400, (host, path)


@pytest.mark.parametrize(
    ("host", "good"), [("reports.example.org", True), ("Reports.Example.org:443", True), ("localhost", False)]
)
def test_where_real_people_are_there_is_one_name(host: str, good: bool) -> None:
    assert Names("reports.example.org", near=False).fit(host) is good


def test_probes_come_by_any_name(base: str) -> None:
    assert (
        requests.get(f"{base}/healthz", headers={"Host": "10.0.0.7.evil"}, timeout=PATIENCE).status_code
        == 200
    )
