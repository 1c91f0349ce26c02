"""Everybody reaches for everything by every way in: what is not theirs is not there, not a byte of it.

Person (role x entitlement) x thing x way. Who may what is said in `world`, by hand.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from reporting_pipeline.domain.access import User
from reporting_pipeline.stores import users
from reporting_pipeline.stores.scope import Scoped
from reporting_pipeline.usecases.callers import subscribing
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline_tests.api.conftest import ROLES, Api
from reporting_pipeline_tests.attacks.world import (
    DOCUMENTS,
    EDITION,
    ENTITLED,
    NOW,
    SHARED,
    World,
    document_id,
    mark,
)

PEOPLE = list(itertools.product(ROLES, [*ENTITLED, "gone", "other"]))
READERS = {"analyst", "manager", "admin"}
KNOWING = READERS | {"service"}
DENIED = {403, 404}


def foreign_marks(answer: requests.Response, allowed: set[str]) -> list[str]:
    """The marks of things outside `allowed` that came with an answer, in its body or a header."""
    text = (answer.text + repr(dict(answer.headers))).upper()
    return [name for name in [*DOCUMENTS, *SHARED] if name not in allowed and mark(name) in text]


def known(role: str, entitled: str) -> set[str]:
    """The subscriptions, jobs and deliveries of others that a person may know of."""
    if entitled == "other":  # of the other organisation, where one thing is
        return {"foreign"} if role in KNOWING else set()
    return {name for name, one in SHARED.items() if entitled in one.known_to} if role in KNOWING else set()


def readable(role: str, entitled: str) -> set[str]:
    """The reports of others that a person may have."""
    if entitled == "other":
        return {"foreign"} if role in READERS else set()
    return {name for name, one in SHARED.items() if entitled in one.open_to} if role in READERS else set()


def own_documents(entitled: str) -> set[str]:
    if entitled == "other":
        return {"D4"}
    return {name for name, (_, _, _, who) in DOCUMENTS.items() if entitled in who}


def walked(person: Api, path: str) -> list[requests.Response]:
    """Every page of a list, one row at a time."""
    answers = []
    cursor = ""
    while True:
        parameters = {"limit": "1", **({"cursor": cursor} if cursor else {})}
        answer = person.get(path, params=parameters)
        answers.append(answer)
        found = answer.json() if answer.ok else {}
        cursor = found.get("next_cursor") or found.get("nextCursor") or ""
        if not cursor or len(answers) > 60:
            return answers


@pytest.mark.parametrize(("role", "entitled"), PEOPLE)
def test_documents(world: World, role: str, entitled: str) -> None:
    person, allowed = world.person(role, entitled), own_documents(entitled)
    for name, (trial, site, _, _) in DOCUMENTS.items():
        # Pictures and words as somebody wrote them are not for participants, of their own record neither.
        file = 404 if entitled == "participant" else 307
        for path, good in (("", 200), ("/file", file), ("/versions", 200)):
            answer = person.get(f"/api/documents/{document_id(name)}{path}")
            assert answer.status_code == good if name in allowed else answer.status_code in DENIED, path
            assert foreign_marks(answer, allowed) == []
        filtered = person.get("/api/documents", params={"trial": trial, "site": site})
        assert foreign_marks(filtered, allowed) == []
    pages = walked(person, "/api/documents")
    assert all(foreign_marks(page, allowed) == [] for page in pages)
    seen = {name for name in DOCUMENTS for page in pages if document_id(name) in page.text}
    assert seen == allowed, "what is theirs is there"
    if entitled == "participant":
        assert not any(mark(name) in page.text for name in DOCUMENTS for page in pages)


@pytest.mark.parametrize(("role", "entitled"), PEOPLE)
def test_subscriptions_and_jobs(world: World, role: str, entitled: str) -> None:
    person, allowed = world.person(role, entitled), known(role, entitled)
    for name in SHARED:
        for path in (
            f"/api/subscriptions/sub_{name}",
            f"/api/subscriptions/sub_{name}/jobs",
            f"/api/scheduled-reports/sub_{name}",
            f"/api/scheduled-reports/sub_{name}/executions",
            f"/api/jobs/{world.jobs[name]}",
        ):
            answer = person.get(path)
            assert answer.status_code == 200 if name in allowed else answer.status_code in DENIED, path
            assert foreign_marks(answer, allowed) == []
    for path in ("/api/subscriptions", "/api/scheduled-reports?limit=50"):
        pages = walked(person, path) if "?" not in path else [person.get(path)]
        assert all(foreign_marks(page, allowed) == [] for page in pages)
        seen = {name for name in SHARED for page in pages if mark(name) in page.text}
        assert seen == allowed


@pytest.mark.parametrize(("role", "entitled"), PEOPLE)
def test_reports(world: World, role: str, entitled: str) -> None:
    person, allowed = world.person(role, entitled), readable(role, entitled)
    for name in SHARED:
        answer = person.get(f"/api/report-executions/{world.jobs[name]}/download")
        assert answer.status_code == 307 if name in allowed else answer.status_code in DENIED, name
        assert foreign_marks(answer, allowed) == []


@pytest.mark.parametrize(("role", "entitled"), PEOPLE)
def test_mails_and_dead_letters(world: World, role: str, entitled: str) -> None:
    person, allowed = world.person(role, entitled), known(role, entitled)
    for path in (f"/api/reports/emails/{EDITION}", "/api/dead-letters"):
        for page in walked(person, path):
            assert foreign_marks(page, allowed) == []
            ids = [*world.sent.items(), *world.lost.items(), *world.jobs.items()]
            assert [name for name, identifier in ids if identifier in page.text and name not in allowed] == []


Attempt = Callable[[Api, World, str], requests.Response]
CHANGES: dict[str, Attempt] = {
    "change": lambda p, w, n: p.patch(f"/api/subscriptions/sub_{n}", json={"name": "taken over"}),
    "end": lambda p, w, n: p.delete(f"/api/subscriptions/sub_{n}"),
    "pause": lambda p, w, n: p.post(f"/api/scheduled-reports/sub_{n}/pause"),
    "run": lambda p, w, n: p.post(f"/api/scheduled-reports/sub_{n}/run"),
    "requeue": lambda p, w, n: p.post(f"/api/dead-letters/{w.lost[n]}/requeue"),
    "set its mail's state": lambda p, w, n: p.patch(
        f"/api/reports/emails/{w.sent[n]}", json={"status": "bounced"}
    ),
    "send it elsewhere": lambda p, w, n: p.post(
        "/api/reports/emails", json={"jobId": w.jobs[n], "recipient": "leak@default.example"}
    ),
}


@pytest.mark.parametrize(("role", "entitled"), PEOPLE)
def test_nobody_changes_what_they_may_not_know(world: World, role: str, entitled: str) -> None:
    person = world.person(role, entitled)
    # Whom an outside worker sends for it may not read: what its entitlements hold decides there, too.
    reader = "manager" if role == "service" else role
    before = _state(world)
    for way, attempt in CHANGES.items():
        theirs = readable(reader, entitled) if way == "send it elsewhere" else known(role, entitled)
        for name in SHARED:
            if name not in theirs:
                assert attempt(person, world, name).status_code in DENIED, (way, name)
    assert _state(world) == before


def test_requeueing_by_filter_takes_what_is_known_alone(world: World) -> None:
    before = _state(world)
    person = world.person("manager", "nothing")
    for body in ({"channel": "email"}, {"edition": EDITION}, {"subscription": "sub_second"}):
        assert person.post("/api/dead-letters/requeue", json=body).json()["requeued"] == 0
    assert _state(world) == before


def _state(world: World) -> dict[str, object]:
    """All that an attempt could have changed."""
    return {
        name: sorted(map(repr, world.database[name].find()))
        for name in ("subscriptions", "deliveries", "jobs", "reports")
    }


@pytest.mark.parametrize("path", ["", "/export"])
@pytest.mark.parametrize(("role", "entitled"), PEOPLE)
def test_the_owner_of_wider_things_is_not_exported(world: World, role: str, entitled: str, path: str) -> None:
    """Whoever may export a person gets their reports only as far as both may have them."""
    answer = world.person(role, entitled).get(f"/api/users/usr_owner_of_default{path}")
    reads = role in ({"admin"} if path else {"manager", "admin"})
    if entitled in ("gone", "other") or not reads:
        assert answer.status_code in DENIED
    assert not any(
        mark(name).encode() in answer.content and name not in readable(role, entitled)
        for name in SHARED
        if path
    )


WIDER = [
    {"email": "mine@default.example"},
    {"active": False},
    {"roles": ["manager"]},
    {"trials": ["T1"], "audience": "monitor"},
    {"audience": "monitor"},
]


@pytest.mark.parametrize("change", WIDER, ids=str)
@pytest.mark.parametrize("entitled", ["trial", "site", "participant", "nothing"])
@pytest.mark.parametrize("role", ["manager", "admin"])
def test_nobody_changes_a_person_who_sees_more(
    world: World, role: str, entitled: str, change: dict[str, object]
) -> None:
    standing = world.database.users.find_one({"_id": "usr_owner_of_default"})
    body = {
        "name": "Owner",
        "email": "owner@default.example",
        "roles": ["subscriber"],
        "trials": "all",
        "audience": "safety_board",
        **change,
    }
    answer = world.person(role, entitled).put("/api/users/usr_owner_of_default", json=body)
    assert answer.status_code == 403
    assert world.database.users.find_one({"_id": "usr_owner_of_default"}) == standing


GIFTS = [
    {"trials": "all"},
    {"trials": ["T2"]},
    {"trials": ["T1", "T2"]},
    {"trials": ["T1"], "audience": "safety_board"},
    {"trials": "all", "roles": ["admin"]},
    {"trials": ["T1"], "roles": ["service"]},
    {"trials": ["T1"], "sites": {"T1": ["702"]}},
]


@pytest.mark.parametrize("gift", GIFTS, ids=str)
@pytest.mark.parametrize("entitled", ["site", "participant", "nothing"])
def test_nobody_gives_what_they_do_not_see(world: World, entitled: str, gift: dict[str, object]) -> None:
    body = {"name": "New", "email": "fresh@default.example", "roles": ["subscriber"], **gift}
    answer = world.person("manager", entitled).put("/api/users/usr_fresh", json=body)
    assert answer.status_code == 403, answer.text
    assert world.database.users.find_one({"_id": "usr_fresh"}) is None


@pytest.mark.parametrize("roles", [["service"], ["admin", "service"], ["service", "subscriber"]], ids=str)
def test_an_admin_gives_roles_up_and_takes_none(world: World, roles: list[str]) -> None:
    own = {"name": "A", "email": "admin-all@default.example", "roles": roles, "trials": "all"}
    refused = world.person("admin", "all").put("/api/users/usr_admin_all", json=own)
    assert refused.status_code == 403, refused.text
    assert (world.database.users.find_one({"_id": "usr_admin_all"}) or {})["roles"] == ["admin"]


def test_a_mailbox_with_a_detail_is_of_whoever_has_it_without(world: World) -> None:
    """name+detail@ is delivered to name@ by most servers (RFC 5233)."""
    manager = world.person("manager", "all")
    recipient = {"type": "email", "value": "Subscriber-Nothing+reports@default.example"}
    body = {"userId": "usr_manager_all", "name": "x", "reportType": "weekly", "filters": {"trials": ["T1"]}}
    refused = manager.post("/api/subscriptions", json={**body, "recipients": [recipient]})
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == "#/recipients/0/value"
    sent = {"jobId": world.jobs["whole"], "recipient": recipient["value"]}
    assert manager.post("/api/reports/emails", json=sent).status_code == 422
    assert manager.post("/api/reports/emails", json={**sent, "recipient": "+a@default.example"}).ok


#: manager, owner of whom the report would show more, sites asked for.
THROUGH_OTHERS = [
    ("site", "subscriber_trial", []),  # all sites of T1
    ("site", "subscriber_trial", ["702"]),
    ("all", "subscriber_board", []),  # who gets which treatment
    ("trial", "subscriber_board", []),
    ("participant", "subscriber_trial", []),
]


@pytest.mark.parametrize(("entitled", "owner", "sites"), THROUGH_OTHERS, ids=str)
def test_nobody_has_made_for_others_what_is_closed_to_themselves(
    world: World, entitled: str, owner: str, sites: list[str]
) -> None:
    """To a mailbox of an allowed domain that is no user's, which nobody could ask for its rights."""
    filters = {"trials": ["T1"], **({"sites": sites} if sites else {})}
    body = {
        "name": "x",
        "userId": f"usr_{owner}",
        "reportType": "weekly",
        "filters": filters,
        "recipients": [{"type": "email", "value": "mailbox@default.example"}],
    }
    answer = world.person("manager", entitled).post("/api/subscriptions", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith("#/filters/trials")


def test_what_both_see_is_made_for_others(world: World) -> None:
    for entitled, owner, sites in (("site", "subscriber_trial", ["701"]), ("all", "subscriber_site", [])):
        filters = {"trials": ["T1"], **({"sites": sites} if sites else {})}
        body = {"name": "x", "userId": f"usr_{owner}", "reportType": "weekly", "filters": filters}
        made = world.person("manager", entitled).post("/api/subscriptions", json=body)
        assert made.status_code == 201, made.text
        found = made.json()["subscriptionId"]
        assert world.person("manager", "all").delete(f"/api/subscriptions/{found}").status_code == 204


def test_nobody_pushes_their_own_onto_somebody_else(world: World) -> None:
    mine, other = (users.get_user(world.database, f"usr_{name}_all") for name in ("subscriber", "analyst"))
    assert mine is not None
    assert other is not None
    api = world.person("subscriber", "all")
    body = {"name": "x", "userId": mine.id, "reportType": "weekly", "filters": {"trials": ["T1"]}}
    made = api.post("/api/subscriptions", json=body).json()["subscriptionId"]
    parts: Any = SimpleNamespace(settings=api.settings, database=world.database, now=datetime.now(UTC))
    with pytest.raises(Problem) as refused:
        subscribing.transfer(parts, mine, made, other)
    assert refused.value.status == 404
    assert api.delete(f"/api/subscriptions/{made}").status_code == 204


@pytest.mark.parametrize("role", ["manager", "admin", "service"])
def test_editions_are_opened_and_explained_at_home(world: World, role: str) -> None:
    foreign = world.person(role, "other")
    assert foreign.post("/api/reports", json={"reportType": "daily"}).status_code == 403
    world.database.editions.update_one({"_id": EDITION}, {"$set": {"reason": "MARKWHOLEZZ"}})
    answer = foreign.get(f"/api/reports/{EDITION}")
    assert answer.status_code == 200
    assert (answer.json()["reason"], answer.json()["result"]) == (None, {})
    assert answer.json()["jobs"] == 1


@pytest.mark.parametrize(("role", "entitled"), list(itertools.product(ROLES, ENTITLED)))
def test_figures_of_a_whole_trial_are_told_to_whoever_releases_and_sees_all_of_it(
    world: World, role: str, entitled: str
) -> None:
    """A report of one site waits for a person: why, is figures over all sites."""
    job = world.jobs["site"]
    reasons = [
        {"concern": "total_fell", "trial": trial, "said": f"visits of {trial or 'all'} were 41 and are 7 now"}
        for trial in ("T1", "T2", "")
    ]
    world.database.jobs.update_one(
        {"_id": job}, {"$set": {"awaiting_release": {"reasons": reasons, "at": NOW}}}
    )
    record = world.database.users.find_one({"_id": f"usr_{role}_{entitled}"})
    assert record is not None
    found = Scoped(world.database, User.from_record(record)).job(job)
    held = found["awaiting_release"] if found else None
    told = {one["trial"] for one in held["reasons"]} if held else set()
    whole = {"all": {"T1", "T2", ""}, "board": {"T1", "T2", ""}, "trial": {"T1", ""}, "site": {""}}
    assert told == (whole.get(entitled, set()) if role in {"manager", "admin"} else set())
    assert held is None if found is None else held is not None and held["at"] == NOW
