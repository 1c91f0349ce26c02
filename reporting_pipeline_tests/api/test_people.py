"""Users over HTTP: nobody gives away more than they have; export and erasure reach everything."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from reporting_pipeline.domain.access import User
from reporting_pipeline.domain.entitlements import ALL, Entitlements
from reporting_pipeline.domain.user_changes import refused_change
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.conftest import ROLES, Api, weekly
from reporting_pipeline_tests.api.world import REGISTERED, populate


def person(**changed: Any) -> dict[str, Any]:
    return {
        "name": "New",
        "email": "new@default.example",
        "roles": ["subscriber"],
        "trials": "all",
        **changed,
    }


def test_a_user_is_added_then_replaced(manager: Api) -> None:
    added = manager.put("/api/users/usr_new", json=person(trials=["T1"], timezone="Asia/Tokyo"))
    assert added.status_code == 201, added.text
    assert manager.get("/api/users/usr_new").json() == added.json()
    replaced = manager.put("/api/users/usr_new", json=person(active=False, trials=[]))
    assert replaced.status_code == 200
    assert (replaced.json()["active"], replaced.json()["trials"]) == (False, [])


def test_people_are_listed_to_those_who_manage_them(api: Api, manager: Api) -> None:
    listed: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        page = manager.get(f"/api/users?limit=2{cursor and f'&cursor={cursor}'}").json()
        listed, cursor = listed + page["items"], page["next_cursor"]
    assert [one["id"] for one in listed] == sorted(f"usr_default_{role}" for role in ROLES)
    assert listed[0] == manager.get(f"/api/users/{listed[0]['id']}").json()
    alone = api.as_("usr_default_subscriber").get("/api/users").json()
    assert [one["id"] for one in alone["items"]] == ["usr_default_subscriber"]
    assert alone["next_cursor"] is None
    others = api.as_("usr_other_admin").get("/api/users").json()["items"]
    assert {one["organisation"] for one in others} == {"other"}


def test_people_have_a_language_until_they_say_another_or_none(manager: Api) -> None:
    path = "/api/users/usr_new"
    asked = [person(language="de"), person(), person(language="fr"), person(language="")]
    told = [manager.put(path, json=one).json()["language"] for one in asked]
    assert told == ["de", "de", "fr", ""]
    assert manager.put(path, json=person()).json()["language"] == ""


def test_people_say_within_how_many_minutes_reports_go_in_one_mail(manager: Api, api: Api) -> None:
    path = "/api/users/usr_new"
    asked = [person(), person(combine_minutes=30), person(), person(combine_minutes=0)]
    told = [manager.put(path, json=one).json()["combine_minutes"] for one in asked]
    assert told == [0, 30, 30, 0]
    own = {"name": "Sub", "email": "subscriber@default.example", "roles": ["subscriber"], "trials": "all"}
    mine = api.as_("usr_default_subscriber").put(
        "/api/users/usr_default_subscriber", json={**own, "combine_minutes": 60}
    )
    assert (mine.status_code, mine.json()["combine_minutes"]) == (200, 60), "it is their own to say"


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"combine_minutes": 61}, "#/combine_minutes"),
        ({"combine_minutes": -1}, "#/combine_minutes"),
        ({"email": "no address"}, "#/email"),
        ({"timezone": "Mars"}, "#/timezone"),
        ({"language": "tlh"}, "#/language"),
        ({"roles": []}, "#/roles"),
        ({"roles": ["root"]}, "#/roles/0"),
        ({"trials": ["X1"]}, "#/trials/0"),
        ({"organisation": "other"}, "#/organisation"),
    ],
)
def test_a_bad_user_names_its_field(manager: Api, changed: dict[str, Any], pointer: str) -> None:
    answer = manager.put("/api/users/usr_new", json=person(**changed))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_an_address_or_id_that_is_taken_is_a_conflict_or_hidden(manager: Api) -> None:
    taken = person(email="analyst@default.example")
    assert manager.put("/api/users/usr_new", json=taken).status_code == 409
    assert manager.put("/api/users/usr_other_analyst", json=person()).status_code == 404


def test_nobody_raises_themselves(api: Api) -> None:
    own = {"name": "Me", "email": "subscriber@default.example", "roles": ["subscriber"], "trials": "all"}
    subscriber, path = api.as_("usr_default_subscriber"), "/api/users/usr_default_subscriber"
    assert subscriber.put(path, json={**own, "timezone": "Asia/Tokyo", "language": "es"}).status_code == 200
    for field, value in (
        ("roles", ["admin"]),
        ("email", "other@default.example"),
        ("active", False),
        ("trials", ["T1"]),
    ):
        answer = subscriber.put(path, json={**own, field: value})
        assert answer.status_code == 403, field
        assert answer.json()["errors"][0]["pointer"] == f"#/{field}"
    manager = api.as_("usr_default_manager")
    assert manager.put("/api/users/usr_new", json=person(roles=["admin"])).status_code == 403
    assert manager.put("/api/users/usr_new", json=person(roles=["service"])).status_code == 403
    admin = {"name": "Admin", "email": "admin@default.example", "roles": ["subscriber"], "trials": "all"}
    assert manager.put("/api/users/usr_default_admin", json=admin).status_code == 403
    assert api.as_("usr_default_admin").put("/api/users/usr_new", json=person(roles=["admin"])).ok


def test_a_limited_manager_gives_limited_trials() -> None:
    narrow_one, all_of_them = Entitlements(("A",)), Entitlements(ALL)
    manager = User("usr_m", "o", frozenset({"manager"}), narrow_one)
    wide = User("usr_n", "o", entitlements=all_of_them)
    narrow = User("usr_n", "o", entitlements=narrow_one)
    assert refused_change(manager, None, narrow) is None
    assert (refused_change(manager, None, wide) or ("",))[0] == "trials"
    assert (refused_change(manager, narrow, wide) or ("",))[0] == "trials"
    assert (refused_change(manager, wide, narrow) or ("",))[0] == "trials"
    assert (refused_change(manager, wide, replace(wide, email="mine@example.org")) or ("",))[0] == "trials"
    assert refused_change(manager, wide, wide) is None


def test_an_export_holds_what_there_is(api: Api, database: Database, objects: ObjectStore) -> None:
    populate(database, objects)
    answer = api.as_("usr_default_subscriber").get("/api/users/usr_default_subscriber/export")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert b"World" in archive.read("subscriptions.json")
    assert [archive.read(name) for name in archive.namelist() if name.endswith(".pdf")] == [b"%PDF-1.7 world"]
    assert audit.events_of(database, "default", action="user.exported")


def test_an_erased_user_is_nowhere_and_the_chain_holds(
    api: Api, database: Database, objects: ObjectStore
) -> None:
    """Also out of what the API itself keeps: stored answers and registrations."""
    names = populate(database, objects)
    manager, admin = api.as_("usr_default_manager"), api.as_("usr_default_admin")
    registered = manager.post(
        "/api/reports/registered-users",
        json={"email": REGISTERED, "name": "Zebedee Quux"},
        headers={"Idempotency-Key": "r"},
    )
    owner = (database.users.find_one({"email": REGISTERED}) or {})["_id"]
    api.as_(owner).post(
        "/api/subscriptions",
        json=weekly(owner, name="Zebedee Quux's own"),
        headers={"Idempotency-Key": "own"},
    )
    assert registered.status_code == 201
    assert admin.delete(f"/api/users/{owner}", headers={"Idempotency-Key": "e"}).status_code == 204
    left = [place for place, text in searched_texts(database, objects) if REGISTERED in text]
    assert left == []
    assert [place for place, text in searched_texts(database, objects) if "Zebedee" in text] == []
    assert api.as_(owner).get("/api/subscriptions").status_code == 403
    assert audit.verify(database).ok
    # A second one leaves as well: what stands for the first does not block it.
    assert admin.delete(f"/api/users/{names['user']}").status_code == 204
    assert audit.verify(database).ok


def searched_texts(database: Database, objects: ObjectStore) -> Iterator[tuple[str, str]]:
    """(where, text) of everything that is kept."""
    for name in sorted(database.list_collection_names()):
        for row in database[name].find({}):
            yield f"{name}/{row['_id']}", repr(row)
    for key in objects.keys(""):
        yield f"s3:{key}", key + objects.get(key).decode("latin-1")
