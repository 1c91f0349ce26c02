"""A subscription that shows less today than it did: what it was stays with those who may have that.

Narrowed by its owner, or passed on to somebody who sees less; by each list of its jobs and reports.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator

import pytest
import requests

from reporting_pipeline.stores.holds import place_hold
from reporting_pipeline_tests.attacks.world import NOW, World
from reporting_pipeline_tests.console.conftest import Browser

SUB, JOB = "sub_every", "every"
SAID = "MARKOMITTEDZZ"
HELD = "MARKHELDZZ"
ROWS = 98_765_431
API = (f"/api/subscriptions/{SUB}/jobs", f"/api/scheduled-reports/{SUB}/executions")


@pytest.fixture
def former(world: World) -> Iterator[World]:
    """A report of two trials, which left something out; then its subscription is of one trial."""
    job = world.jobs[JOB]
    before = world.database.subscriptions.find_one({"_id": SUB}) or {}
    omitted = [{"trial": "T2", "part": "labs/DRUG", "reason": SAID}]
    world.database.jobs.update_one({"_id": job}, {"$set": {"omissions": omitted, "error": SAID}})
    world.database.reports.update_one({"subscription": SUB}, {"$set": {"rows": ROWS}})
    world.database.subscriptions.update_one({"_id": SUB}, {"$set": {"filters.trials": ["T1"]}})
    yield world
    world.database.subscriptions.replace_one({"_id": SUB}, before)
    world.database.jobs.update_one({"_id": job}, {"$set": {"omissions": [], "error": None}})


def told(text: str, world: World) -> list[str]:
    return [one for one in (SAID, str(ROWS), f"{ROWS:,}", world.jobs[JOB]) if one in text]


@pytest.mark.parametrize("role", ["analyst", "manager", "admin", "service"])
def test_who_sees_it_as_it_is_hears_nothing_of_what_it_was(former: World, role: str) -> None:
    limited, unlimited = former.person(role, "trial"), former.person(role, "all")
    assert limited.get(f"/api/subscriptions/{SUB}").status_code == 200
    for path in API:
        answer = limited.get(path)
        assert answer.status_code == 200, path
        assert told(answer.text, former) == [], path
        assert former.jobs[JOB] in unlimited.get(path).text, path


@pytest.mark.parametrize("role", ["analyst", "manager"])
def test_the_console_tells_no_more(former: World, browser: Callable[[str], Browser], role: str) -> None:
    page = browser(f"usr_{role}_trial").get(f"/console/reports/{SUB}")
    assert page.status_code == 200
    assert told(page.text, former) == []
    assert former.jobs[JOB] in browser(f"usr_{role}_all").get(f"/console/reports/{SUB}").text


def test_it_is_passed_on_without_what_it_was(former: World, browser: Callable[[str], Browser]) -> None:
    heir = "usr_subscriber_trial"
    former.database.subscriptions.update_one({"_id": SUB}, {"$set": {"owner": heir}})
    person = former.person("subscriber", "trial")
    assert person.get(f"/api/subscriptions/{SUB}").status_code == 200
    for path in API:
        assert told(person.get(path).text, former) == [], path
    export = person.get(f"/api/users/{heir}/export")
    assert export.status_code == 200, export.text
    with zipfile.ZipFile(io.BytesIO(export.content)) as archive:
        text = "".join(archive.read(name).decode("utf-8", "replace") for name in archive.namelist())
        assert json.loads(archive.read("subscriptions.json"))
    assert [one for one in (SAID, str(ROWS)) if one in text] == []
    for page in ("/console/", f"/console/reports/{SUB}"):
        found = browser(heir).get(page)
        assert found.status_code == 200, page
        assert told(found.text, former) == [], page


def test_of_a_job_whose_report_is_closed_nothing_is_told_that_stands_in_it(
    world: World, browser: Callable[[str], Browser]
) -> None:
    """A blinded reader knows that the safety board's report was made, and not what it leaves out."""
    job = world.jobs["unblinded"]
    omitted = [{"trial": "T1", "part": "labs/DRUG (plasma)", "reason": SAID}]
    world.database.jobs.update_one({"_id": job}, {"$set": {"omissions": omitted}})
    report = world.database.reports.find_one_and_update(
        {"subscription": "sub_unblinded"}, {"$set": {"rows": ROWS}}
    )
    assert report is not None
    place_hold(
        world.database, world.objects, report["_id"], "critical", HELD, "usr_admin_all", NOW, "default"
    )
    paths = [f"/api/jobs/{job}", f"/api/report-executions/{job}", f"/api/events?job={job}&lasting=1"]
    for path in paths:
        assert [
            one for one in (SAID, str(ROWS), HELD) if one in world.person("manager", "all").get(path).text
        ] == []
        assert SAID in world.person("manager", "board").get(path).text, path
    page = browser("usr_manager_all").get(f"/console/jobs/{job}")
    assert page.status_code == 200
    assert [one for one in (SAID, HELD) if one in page.text] == []
    whole = browser("usr_manager_board").get(f"/console/jobs/{job}").text
    assert SAID in whole
    assert HELD in whole


@pytest.mark.parametrize("role", ["subscriber", "analyst", "service"])
def test_who_adds_nobody_learns_of_nobody(world: World, role: str) -> None:
    body = {"name": "x", "email": "x@default.example", "roles": ["subscriber"], "trials": []}
    person = world.person(role, "all")
    ids = ("usr_owner_of_default", "usr_owner_of_other", "usr_nobody_at_all")
    answers = [person.put(f"/api/users/{one}", json=body) for one in ids]
    assert len({(one.status_code, one.json()["detail"]) for one in answers}) == 1, [a.text for a in answers]


def test_a_site_that_is_closed_is_one_that_there_is_not(world: World) -> None:
    person = world.person("subscriber", "site")

    def asked(site: str) -> requests.Response:
        filters = {"trials": ["T1"], "sites": [site]}
        body = {"userId": "usr_subscriber_site", "reportType": "weekly", "filters": filters}
        return person.post("/api/subscriptions", json=body)

    closed, none, open_one = (asked(site) for site in ("702", "999", "701"))
    assert closed.status_code == none.status_code == 422
    assert closed.json()["errors"] == none.json()["errors"]
    assert open_one.status_code == 201, open_one.text
    assert person.delete(f"/api/subscriptions/{open_one.json()['subscriptionId']}").status_code == 204
