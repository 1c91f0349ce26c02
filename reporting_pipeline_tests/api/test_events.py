"""The stream for machines, heard as a client hears it: what stands, what moves, and nothing of others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import pytest
import requests

from reporting_pipeline.api.routes.events import EXAMPLE
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.usecases import changes
from reporting_pipeline.usecases.callers.following import MOST_WATCHED
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.api.world import EDITION, populate
from reporting_pipeline_tests.console.test_live import MANY_PINGS, endless
from reporting_pipeline_tests.waiting import wait_until

__all__ = ["endless"]


@pytest.fixture
def ids(database: Database, objects: ObjectStore) -> dict[str, str]:
    return populate(database, objects)


def events_of(answer: requests.Response) -> Iterator[dict[str, str]]:
    """Each event's fields, as RFC-less clients read them; comments apart."""
    event: dict[str, str] = {}
    for line in answer.iter_lines(decode_unicode=True):
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif event:
            yield event
            event = {}


def heard(api: Api, query: str, **headers: str) -> list[dict[str, str]]:
    """All events until the stream ends by itself."""
    with api.get(f"/api/events?lasting=1&{query}", headers=headers, stream=True) as answer:
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [one for one in events_of(answer) if "event" in one]


def test_a_client_hears_what_stands_and_each_move(
    subscriber: Api, database: Database, ids: dict[str, str]
) -> None:
    with subscriber.get(f"/api/events?job={ids['job']}&edition={EDITION}", stream=True) as answer:
        events = events_of(answer)
        assert next(events) == {"": "listening", "retry": "1000"}
        edition, job = next(events), next(events)
        assert (edition["event"], json.loads(edition["data"])["reportId"]) == ("edition", EDITION)
        assert json.loads(edition["data"]) == subscriber.get(f"/api/reports/{EDITION}").json()
        assert (job["event"], json.loads(job["data"])) == (
            "job",
            subscriber.get(f"/api/jobs/{ids['job']}").json(),
        )
        assert "id" not in edition, "cut off here, both are told again"
        database.deliveries.update_one({"_id": ids["delivery"]}, {"$set": {"state": "delivered"}})
        moved = next(events)
        assert moved["event"] == "job"
        assert moved["id"] != job["id"]
        database.users.update_one({"_id": "usr_default_subscriber"}, {"$set": {"active": False}})
        database.deliveries.update_one({"_id": ids["delivery"]}, {"$set": {"state": "bounced"}})
        assert list(events) == [], "who is let in no more hears no more"


def test_who_comes_again_hears_only_what_moved_since(
    subscriber: Api, database: Database, ids: dict[str, str]
) -> None:
    query = f"job={ids['job']}"
    (first,) = heard(subscriber, query)
    assert heard(subscriber, query, **{"Last-Event-ID": first["id"]}) == []
    assert heard(subscriber, query, **{"Last-Event-ID": "of another stream"}) == [first]


def test_who_names_nothing_hears_of_their_own(subscriber: Api, ids: dict[str, str]) -> None:
    told = heard(subscriber, "")
    assert {one["event"] for one in told} == {"job", "edition"}
    jobs = {json.loads(one["data"])["jobId"] for one in told if one["event"] == "job"}
    assert jobs == {ids["job"], ids["awaiting"]}


def test_what_is_not_theirs_is_not_there(api: Api, ids: dict[str, str]) -> None:
    foreign = api.as_("usr_other_subscriber")
    assert foreign.get(f"/api/events?job={ids['job']}").status_code == 404
    assert foreign.get("/api/events?job=job_none").status_code == 404
    assert foreign.get("/api/events?edition=weekly:2001-01-01").status_code == 404
    assert [one["event"] for one in heard(foreign, "")] == ["edition"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("jobs=job_1", "jobs"),
        ("edition=weekly", "edition"),
        ("lasting=0", "lasting"),
        ("lasting=51", "lasting"),
        ("&".join(f"job=job_{n}" for n in range(MOST_WATCHED + 1)), "job"),
        ("&".join(["edition=weekly:2026-11-16", *(f"job=job_{n}" for n in range(MOST_WATCHED))]), "job"),
    ],
)
def test_what_is_asked_wrongly_is_said(subscriber: Api, query: str, field: str) -> None:
    answer = subscriber.get(f"/api/events?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"].split(".")[0] == field


def test_one_person_follows_so_much_and_no_more(
    subscriber: Api, api: Api, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MOST_OF_ONE", 1)
    query = f"/api/events?job={ids['job']}"
    with subscriber.get(query, stream=True) as answer:
        events = events_of(answer)
        next(events), next(events)
        second = subscriber.get(query)
        assert (second.status_code, second.headers["retry-after"]) == (429, "5")
        assert heard(api.as_("usr_default_analyst"), f"job={ids['job']}"), "another person's are apart"


def test_a_burst_of_one_person_has_as_many_places_as_one_at_a_time(
    subscriber: Api, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MOST_OF_ONE", 2)
    path = f"/api/events?job={ids['job']}"
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: subscriber.get(path, stream=True), range(12)))
    assert sorted(one.status_code for one in answers) == [200] * 2 + [429] * 10
    for one in answers:
        one.close()

    def has_a_place_again() -> bool:
        with subscriber.get(path, stream=True) as answer:
            return bool(answer.status_code == 200)

    wait_until("who left has given their place back", has_a_place_again)


@pytest.mark.parametrize("changed", [{"active": False}, {"trials": []}, {"roles": []}, {"trials": ["T1"]}])
def test_a_stream_in_which_nothing_moves_ends_with_the_rights_it_was_opened_by(
    subscriber: Api, database: Database, ids: dict[str, str], endless: None, changed: dict[str, Any]
) -> None:
    with subscriber.get(f"/api/events?job={ids['job']}", stream=True) as answer:
        events = events_of(answer)
        next(events), next(events)
        database.users.update_one({"_id": "usr_default_subscriber"}, {"$set": changed})
        told = list(islice(events, MANY_PINGS))
    assert len(told) < MANY_PINGS, "it goes on"
    assert not [one for one in told if "event" in one]


def test_the_documents_example_is_a_stream() -> None:
    blocks: list[Any] = EXAMPLE.strip().split("\n\n")
    assert json.loads(blocks[1].splitlines()[1].partition(": ")[2])["jobId"]


def test_records_broken_by_hand_silence_no_other(
    api: Api, subscriber: Api, database: Database, ids: dict[str, str]
) -> None:
    database.jobs.update_one({"_id": ids["awaiting"]}, {"$set": {"state": "done?"}})
    (job,) = heard(subscriber, f"job={ids['awaiting']}&job={ids['job']}")
    assert json.loads(job["data"])["jobId"] == ids["job"]
    assert "id" in job
    database.editions.update_one({"_id": EDITION}, {"$unset": {"cadence": ""}})
    assert [one["event"] for one in heard(subscriber, "")] == ["job"]
    assert api.as_("usr_default_manager").get("/api/reports").json()["items"] == []
