"""Whose clinical record it is, a name beside a subject id says: that is told to those who see the record."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from reporting_pipeline.domain.entitlements import Audience, Entitlements
from reporting_pipeline.stores import users
from reporting_pipeline_tests.attacks.world import NOW, World

SUBJECT = "SUBJECTOFSOMEBODYZZ"
PERSON = "usr_somebody_of_t1"
SEES_THEM = {"all": True, "trial": True, "board": True, "site": False, "participant": False, "nothing": False}


@pytest.fixture(scope="module")
def known(world: World) -> World:
    """A participant whose rights were given by a change, so that the audit log speaks of them."""
    users.create_user(
        world.database,
        "default",
        "somebody@default.example",
        NOW,
        name="Somebody",
        entitlements=Entitlements(("T1",), subject="S9", audience=Audience.PARTICIPANT),
        user_id=PERSON,
    )
    given = world.person("manager", "all").put(f"/api/users/{PERSON}", json=_body(SUBJECT))
    assert given.status_code == 200, given.text
    return world


def _body(subject: str, **changed: str) -> dict[str, object]:
    person = {"name": "Somebody", "email": "somebody@default.example", "roles": ["subscriber"]}
    return {**person, "trials": ["T1"], "subject": subject, "audience": "participant", **changed}


@pytest.mark.parametrize(("entitled", "sees"), SEES_THEM.items())
def test_a_subject_id_is_told_to_those_who_see_the_record(known: World, entitled: str, sees: bool) -> None:
    manager, admin = known.person("manager", entitled), known.person("admin", entitled)
    for path in (f"/api/users/{PERSON}", f"/api/audit?subject={PERSON}"):
        answer = manager.get(path)
        assert answer.status_code == 200
        assert (SUBJECT in answer.text) is sees, path
    listed = [one for one in manager.get("/api/users?limit=200").json()["items"] if one["id"] == PERSON]
    assert [one["subject"] for one in listed] == [SUBJECT if sees else "…"]
    with zipfile.ZipFile(io.BytesIO(admin.get(f"/api/users/{PERSON}/export").content)) as export:
        whole = b"".join(export.read(name) for name in export.namelist()).decode()
    assert (SUBJECT in whole) is sees


def test_they_know_their_own(known: World) -> None:
    themselves = known.api.as_(PERSON)
    assert themselves.get(f"/api/users/{PERSON}").json()["subject"] == SUBJECT
    with zipfile.ZipFile(io.BytesIO(themselves.get(f"/api/users/{PERSON}/export").content)) as export:
        assert json.loads(export.read("user.json"))[0]["subject"] == SUBJECT


def test_what_was_withheld_stays_when_the_rest_is_changed(known: World) -> None:
    outside = known.person("manager", "nothing")
    changed = outside.put(f"/api/users/{PERSON}", json=_body("…", name="Somebody Else"))
    assert changed.status_code == 200, changed.text
    assert (changed.json()["name"], changed.json()["subject"]) == ("Somebody Else", "…")
    record = known.database.users.find_one({"_id": PERSON}) or {}
    assert (record["name"], record["subject"]) == ("Somebody Else", SUBJECT)
    guessed = outside.put(f"/api/users/{PERSON}", json=_body("S9"))
    right = outside.put(f"/api/users/{PERSON}", json=_body(SUBJECT, name="x"))
    assert guessed.status_code == right.status_code == 403
    assert guessed.json()["detail"] == right.json()["detail"], "a guess is answered alike, right or wrong"


def test_nobody_new_has_a_withheld_one(known: World) -> None:
    body = {**_body("…"), "email": "fresh@default.example"}
    refused = known.person("manager", "all").put("/api/users/usr_fresh", json=body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "#/subject"
