"""One idempotency key, one effect: whatever races, retries or dies."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from reporting_pipeline.stores import idempotency
from reporting_pipeline.stores.idempotency import LEASE, Claim, InProgress, KeyReused, StoredResponse
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline_tests.api.conftest import Api, weekly

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def test_five_hundred_posts_at_once_with_one_key_make_one_subscription(
    subscriber: Api, database: Database
) -> None:
    def post(_: int) -> tuple[int, str]:
        for _attempt in range(20):
            answer = subscriber.post("/api/subscriptions", json=weekly(), headers=keyed("once"))
            if not (answer.status_code == 409 and answer.json()["type"].endswith(":idempotency-in-progress")):
                break  # on a busy machine some are told to come back, and do
        return answer.status_code, answer.text

    with ThreadPoolExecutor(64) as pool:
        answers = set(pool.map(post, range(500)))
    assert len(answers) == 1, "everybody hears the same"
    assert answers.pop()[0] == 201
    assert database.subscriptions.count_documents({}) == 1
    assert database.audit.count_documents({"action": "subscription.created"}) == 1


def test_the_second_answer_is_the_first_to_the_letter(subscriber: Api) -> None:
    first, second = (
        subscriber.post("/api/subscriptions", json=weekly(), headers=keyed("k")) for _ in range(2)
    )
    assert second.content == first.content
    assert second.status_code == first.status_code == 201
    for header in ("ETag", "Location", "Content-Type"):
        assert second.headers[header] == first.headers[header]
    assert second.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers


@pytest.mark.parametrize("changed", [{"trials": ["T2"]}, {"roles": ["subscriber", "analyst"]}])
def test_an_answer_of_other_rights_is_not_given_again_nor_is_its_request_done_again(
    subscriber: Api, database: Database, changed: dict[str, object]
) -> None:
    first = subscriber.post("/api/subscriptions", json=weekly(), headers=keyed("k"))
    assert first.status_code == 201
    database.users.update_one({"_id": "usr_default_subscriber"}, {"$set": changed})
    again = subscriber.post("/api/subscriptions", json=weekly(), headers=keyed("k"))
    assert again.status_code == 409
    assert again.json()["type"].endswith(":idempotency-key-reused")
    assert first.json()["subscriptionId"] not in again.text
    assert database.subscriptions.count_documents({}) == 1


def test_a_key_stands_for_one_request_only(subscriber: Api) -> None:
    path = "/api/subscriptions"
    first = subscriber.post(path, json=weekly(), headers=keyed("k")).json()
    other_body = subscriber.post(path, json=weekly(name="Other"), headers=keyed("k"))
    other_path = subscriber.delete(f"{path}/{first['subscriptionId']}", headers=keyed("k"))
    for answer in (other_body, other_path):
        assert answer.status_code == 409
        assert answer.json()["type"].endswith(":idempotency-key-reused")
    assert len(subscriber.get(path).json()["items"]) == 1


def test_keys_belong_to_the_one_who_sends_them(subscriber: Api, manager: Api) -> None:
    for who, user in ((subscriber, "usr_default_subscriber"), (manager, "usr_default_manager")):
        answer = who.post("/api/subscriptions", json=weekly(user), headers=keyed("same"))
        assert answer.status_code == 201
        assert answer.json()["userId"] == user


def test_a_deletion_sent_twice_is_a_204_twice(subscriber: Api) -> None:
    made = subscriber.post("/api/subscriptions", json=weekly()).json()["subscriptionId"]
    answers = [
        subscriber.delete(f"/api/subscriptions/{made}", headers=keyed("d")).status_code for _ in range(2)
    ]
    assert answers == [204, 204]


def test_a_refusal_is_kept_too(subscriber: Api, database: Database) -> None:
    bad = weekly() | {"filters": {"trials": ["T3"]}}
    assert subscriber.post("/api/subscriptions", json=bad, headers=keyed("k")).status_code == 422
    database.trials.insert_one({"_id": "T3", "organisation": "default", "title": "Third"})
    again = subscriber.post("/api/subscriptions", json=bad, headers=keyed("k"))
    assert again.status_code == 422
    assert again.headers["Content-Type"].startswith("application/problem+json")
    assert subscriber.post("/api/subscriptions", json=bad, headers=keyed("k2")).status_code == 201


def test_our_own_failure_is_not_kept(subscriber: Api, database: Database) -> None:
    """The store refuses what it should not; when that is mended, the same request goes through."""
    database.subscriptions.create_index([("organisation", 1)], unique=True, name="fault")
    database.subscriptions.insert_one({"_id": "in the way", "organisation": "default", "status": "ended"})
    failed = subscriber.post("/api/subscriptions", json=weekly(), headers=keyed("k"))
    assert failed.status_code == 500
    assert set(failed.json()) == {"type", "title", "status", "detail", "instance", "request_id"}
    database.subscriptions.drop_index("fault")
    again = subscriber.post("/api/subscriptions", json=weekly(), headers=keyed("k"))
    assert again.status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "ümlaut", "tab\tin", "a blank"])
def test_a_key_is_short_printable_ascii(subscriber: Api, key: str) -> None:
    answer = subscriber.post("/api/subscriptions", json=weekly(), headers={"Idempotency-Key": key.encode()})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "Idempotency-Key"


def test_a_claim_of_a_dead_worker_is_taken_over_and_fenced(database: Database) -> None:
    first = idempotency.claim(database, "usr", "k", "f", NOW)
    assert isinstance(first, Claim)
    with pytest.raises(InProgress):
        idempotency.claim(database, "usr", "k", "f", NOW + LEASE - timedelta(seconds=1))
    second = idempotency.claim(database, "usr", "k", "f", NOW + LEASE)
    assert isinstance(second, Claim)
    assert not idempotency.keep_answer(database, first, StoredResponse(500))
    idempotency.release(database, first)
    assert idempotency.keep_answer(database, second, StoredResponse(201, {"etag": '"1"'}, b"{}"))
    assert idempotency.claim(database, "usr", "k", "f", NOW + 2 * LEASE) == StoredResponse(
        201, {"etag": '"1"'}, b"{}"
    )
    with pytest.raises(KeyReused):
        idempotency.claim(database, "usr", "k", "other", NOW + 2 * LEASE)


def test_a_key_is_free_again_after_a_day(database: Database) -> None:
    first = idempotency.claim(database, "usr", "k", "f", NOW)
    assert isinstance(first, Claim)
    idempotency.keep_answer(database, first, StoredResponse(201))
    later = NOW + idempotency.KEPT_FOR
    assert isinstance(idempotency.claim(database, "usr", "k", "other", later), Claim)
