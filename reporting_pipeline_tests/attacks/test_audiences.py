"""What an audience must not see is in no answer: documents, restatements, registrations, exports, pages.

Rows outside an entitlement are `test_scope`'s. Here are people who may know of a thing, and not all of it.
"""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from reporting_pipeline.domain.disclosure import WITHHELD
from reporting_pipeline.domain.entitlements import ALL, Audience, Entitlements
from reporting_pipeline.stores import users
from reporting_pipeline_tests.attacks.world import NOW, SHARED, World, document_id, mark
from reporting_pipeline_tests.one_document import ingest

SECRETS = ("ARMSECRETZZ", "WORDSECRETZZ", "FILESECRETZZ")
ARRIVED = datetime(2026, 11, 17, tzinfo=UTC)
#: name -> (kind, data): each of T1, site 701, subject S1.
TELLING: dict[str, tuple[str, dict[str, Any]]] = {
    "exposure": ("exposure", {"treatment": "ARMSECRETZZ", "dose": 54}),
    "subject": ("subject", {"age": 61, "arm": "ARMSECRETZZ", "ACTARM": "ARMSECRETZZ"}),
    "event": ("adverse_event", {"term": "WORDSECRETZZ", "preferred_term": "NAUSEA", "arm": "ARMSECRETZZ"}),
    "note": ("note", {}),
}
AUDIENCES = tuple(Audience)
SEES_ARM = {Audience.SAFETY_BOARD}
SEES_WORDS = {Audience.SITE, Audience.MONITOR, Audience.SAFETY_BOARD}


def telling_id(name: str) -> str:
    return document_id(f"telling-{name}")


@pytest.fixture(scope="module")
def telling(world: World) -> World:
    """Documents whose fields tell what some audiences must not hear, and a reader of each audience."""
    for name, (kind, data) in TELLING.items():
        treated = name == "exposure"
        record = {
            "_id": telling_id(name),
            "organisation": "default",
            "trial": "T1",
            "site": "701",
            "subject": "S1",
            "kind": kind,
            "title": "ARMSECRETZZ" if treated else "WORDSECRETZZ",
            "note": "ARMSECRETZZ" if treated else "WORDSECRETZZ",
            "received_at": ARRIVED,
            "data": data,
            "file": {"name": "FILESECRETZZ.txt", "content_type": "text/plain"},
        }
        ingest(world.database, world.objects, record, b"x", NOW)
    for audience in AUDIENCES:
        subject = "S1" if audience is Audience.PARTICIPANT else ""
        for role in ("analyst", "manager"):
            users.create_user(
                world.database,
                "default",
                f"telling-{role}-{audience}@default.example",
                NOW,
                roles=[role],
                entitlements=Entitlements(("T1",), audience=audience, subject=subject),
                user_id=f"usr_{role}_of_{audience}",
            )
    return world


def hidden_from(audience: Audience, name: str) -> set[str]:
    """The secrets that must not be in any answer about a document."""
    hidden = set()
    if audience not in SEES_ARM:
        hidden.add("ARMSECRETZZ")
    if audience not in SEES_WORDS:
        hidden |= {"WORDSECRETZZ", "FILESECRETZZ"}
    if audience not in SEES_ARM and name == "exposure":
        hidden.add("FILESECRETZZ")
    return hidden


@pytest.mark.parametrize("name", TELLING)
@pytest.mark.parametrize("audience", AUDIENCES)
def test_a_document_tells_an_audience_what_its_reports_would(
    telling: World, audience: Audience, name: str
) -> None:
    person = telling.api.as_(f"usr_analyst_of_{audience}")
    hidden = hidden_from(audience, name)
    for path in ("", "/versions"):
        answer = person.get(f"/api/documents/{telling_id(name)}{path}")
        assert answer.status_code == 200, answer.text
        assert [secret for secret in hidden if secret in answer.text] == []
    file = person.get(f"/api/documents/{telling_id(name)}/file").status_code
    assert file == (404 if "FILESECRETZZ" in hidden else 307)
    shown = person.get(f"/api/documents/{telling_id(name)}").json()
    given = {secret for secret in SECRETS if secret in json.dumps(TELLING[name][1]) + shown["title"]}
    assert bool(shown["withheld"]) == bool(hidden & given or shown["title"] == WITHHELD), "it says so"
    if audience is Audience.SAFETY_BOARD:
        assert shown["data"] == TELLING[name][1]


@pytest.mark.parametrize("audience", AUDIENCES)
def test_no_list_tells_more_than_its_documents(telling: World, audience: Audience) -> None:
    page = telling.api.as_(f"usr_analyst_of_{audience}").get("/api/documents", params={"limit": "200"})
    assert {telling_id(name) for name in TELLING} <= {one["id"] for one in page.json()["items"]}
    for one in page.json()["items"]:
        name = next((name for name in TELLING if telling_id(name) == one["id"]), "")
        assert not name or [s for s in hidden_from(audience, name) if s in json.dumps(one)] == []


def test_what_is_known_of_a_subject_stays_when_the_arm_goes(telling: World) -> None:
    answer = telling.api.as_("usr_analyst_of_monitor").get(f"/api/documents/{telling_id('subject')}").json()
    assert (answer["data"], answer["withheld"]) == ({"age": 61}, ["data"])


@pytest.mark.parametrize("audience", [Audience.MONITOR, Audience.SPONSOR])
def test_a_correction_answers_what_was_sent_and_no_file_of_before(telling: World, audience: Audience) -> None:
    path = f"/api/documents/{telling_id('exposure')}"
    person = telling.api.as_(f"usr_manager_of_{audience}")
    sent = {
        "document": {
            "trial": "T1",
            "site": "701",
            "subject": "S1",
            "kind": "exposure",
            "title": "Dose",
            "data": {"treatment": "sent", "dose": 1},
        },
        "reason": f"ARMSECRETZZ as {audience}",
    }
    answer = person.put(path, json=sent)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["data"]["treatment"], answer.json()["file"]) == ("sent", None)
    assert "ARMSECRETZZ" not in person.get(f"{path}/versions").text
    telling.database.documents.update_one(
        {"_id": telling_id("exposure")}, {"$set": {"data": TELLING["exposure"][1], "title": "ARMSECRETZZ"}}
    )


# --- reports


def test_what_is_closed_to_the_sponsor_comes_by_no_report_of_a_monitor(telling: World) -> None:
    """Reports hold words as somebody wrote them, which no document tells the sponsor."""
    job = telling.jobs["whole"]
    report = (telling.database.jobs.find_one({"_id": job}) or {})["report"]
    analyst, manager = (telling.api.as_(f"usr_{role}_of_sponsor") for role in ("analyst", "manager"))
    monitor = telling.person("manager", "all")
    for path in (
        f"/api/report-executions/{job}/download",
        f"/api/trace/{report}",
        f"/api/trace/{report}/documents",
    ):
        assert analyst.get(path).status_code == 404, path
        assert monitor.get(path).status_code != 404, path
    sent = {"jobId": job, "recipient": "mailbox@default.example"}
    assert manager.post("/api/reports/emails", json=sent).status_code == 404
    to_sponsor = {"jobId": job, "recipient": "telling-analyst-sponsor@default.example"}
    assert monitor.post("/api/reports/emails", json=to_sponsor).status_code == 422


@pytest.mark.parametrize(
    "recipient",
    [
        {"type": "user", "value": "usr_analyst_of_sponsor"},
        {"type": "email", "value": "Telling-Analyst-Sponsor@Default.Example"},
    ],
    ids=str,
)
def test_no_monitor_has_a_report_sent_to_the_sponsor(telling: World, recipient: dict[str, str]) -> None:
    body = {
        "userId": "usr_manager_all",
        "name": "x",
        "reportType": "weekly",
        "filters": {"trials": ["T1"]},
        "recipients": [recipient],
    }
    refused = telling.person("manager", "all").post("/api/subscriptions", json=body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == "#/recipients/0/value"


@pytest.mark.parametrize("audience", ["monitor", "site", "safety_board"])
def test_the_sponsor_gives_nobody_a_view_that_shows_more(telling: World, audience: str) -> None:
    person = {"name": "New", "email": "fresh@default.example", "roles": ["subscriber"]}
    body = {**person, "trials": ["T1"], "audience": audience}
    refused = telling.api.as_("usr_manager_of_sponsor").put("/api/users/usr_fresh", json=body)
    assert refused.status_code == 403, refused.text
    assert telling.database.users.find_one({"_id": "usr_fresh"}) is None


# --- registering, erasing, exporting


@pytest.mark.parametrize("trials", [[], ["T1"]])
def test_registering_an_address_opens_no_unblinded_view(world: World, trials: list[str]) -> None:
    address = f"registered-{len(trials)}@default.example"
    board = world.person("manager", "board")
    body = {"email": address, "trials": trials}
    assert board.post("/api/reports/registered-users", json=body).status_code == 201
    made = world.database.users.find_one({"email": address}) or {}
    assert made["audience"] == "monitor"
    row = world.database.audit.find_one({"action": "user.created", "subject": made["_id"]}) or {}
    assert row["details"]["after"]["trials"] == (trials or ALL)


def test_a_participants_own_record_is_given_to_nobody_by_registering_them(world: World) -> None:
    person = world.person("manager", "participant")
    answer = person.post("/api/reports/registered-users", json={"email": "someone@default.example"})
    assert answer.status_code == 403, answer.text
    assert world.database.users.find_one({"email": "someone@default.example"}) is None


@pytest.mark.parametrize("entitled", ["trial", "site", "participant", "nothing"])
def test_nobody_erases_a_person_who_sees_more(world: World, entitled: str) -> None:
    before = world.database.users.find_one({"_id": "usr_owner_of_default"})
    assert world.person("admin", entitled).delete("/api/users/usr_owner_of_default").status_code == 403
    assert world.database.users.find_one({"_id": "usr_owner_of_default"}) == before


@pytest.mark.parametrize("entitled", ["trial", "site", "nothing"])
def test_an_export_by_somebody_else_holds_no_record_of_what_they_may_not_know(
    world: World, entitled: str
) -> None:
    """Names, jobs and deliveries, too, and not the files alone."""
    answer = world.person("admin", entitled).get("/api/users/usr_owner_of_default/export")
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        text = "".join(archive.read(name).decode("utf-8", "replace") for name in archive.namelist())
    known = {name for name, one in SHARED.items() if entitled in one.known_to}
    found = {name for name in SHARED if mark(name) in text or mark(name).lower() in text}
    assert found <= known
    assert known <= found
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        withheld = json.loads(archive.read("withheld.json"))
    assert {f"sub_{name}" for name, one in SHARED.items() if one.organisation == "default"} - {
        f"sub_{name}" for name in known
    } <= {one["_id"] for one in withheld}


def test_one_takes_ones_own_data_along_whole(world: World) -> None:
    answer = world.api.as_("usr_owner_of_default").get("/api/users/usr_owner_of_default/export")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        held = {one["_id"] for one in json.loads(archive.read("subscriptions.json"))}
    assert held == {f"sub_{name}" for name, one in SHARED.items() if one.organisation == "default"}


# --- who says it first


def test_sites_that_are_added_at_the_same_moment_all_stand(world: World) -> None:
    manager = world.person("manager", "all")
    wanted = [f"81{number}" for number in range(8)]

    def add(site: str) -> int:
        return manager.post("/api/trials/T2/sites", json={"id": site, "name": site}).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(add, wanted)) == {201}
    standing = [site["id"] for site in manager.get("/api/trials/T2/sites").json()["items"]]
    assert set(wanted) <= set(standing)
    assert len(standing) == len(set(standing))
    renamed = manager.post("/api/trials/T2/sites", json={"id": "810", "name": "anew"}).json()["items"]
    assert [site["name"] for site in renamed if site["id"] == "810"] == ["anew"]
