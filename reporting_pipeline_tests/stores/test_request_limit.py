"""What all processes together send to S3 stays within one limit."""

from __future__ import annotations

import time

import boto3
import pytest

from reporting_pipeline.settings import Settings, SettingsError, load_settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import (
    CLIENT_CONFIG,
    ObjectStore,
    connection_arguments,
    open_object_store,
)
from reporting_pipeline.stores.request_limit import SharedLimit, limit_requests


class Pauses:
    """Sleeps, and remembers that it did."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        time.sleep(seconds)


def test_what_one_process_took_another_waits_for(database: Database) -> None:
    one, other = SharedLimit(database, 20, Pauses()), SharedLimit(database, 20, Pauses())
    started = time.monotonic()
    one.wait()
    for _ in range(3):
        other.wait()
    assert time.monotonic() - started > 2.5 / 20, "three more requests take three twentieths of a second"


def test_the_portion_of_one_process_is_gone_for_the_other(database: Database) -> None:
    def told(seconds: float) -> None:
        raise TimeoutError(f"{seconds:.0f} s")

    one, other = SharedLimit(database, 1e-6, told), SharedLimit(database, 1e-6, told)
    one.wait()
    with pytest.raises(TimeoutError, match="1 s"):  # twelve days to the next, asked again after a second
        other.wait()


def test_a_portion_is_spent_without_asking_and_not_hoarded(database: Database) -> None:
    at, pauses = [100.0], Pauses()
    limit = SharedLimit(database, 200, pauses, lambda: at[0])
    for _ in range(10):
        limit.wait()
    bucket = database.token_buckets.find_one({"_id": "s3"})
    assert bucket is not None
    assert bucket["tokens"] == 0, "ten requests cost one look-up"
    limit.wait()
    at[0] += 60
    limit.wait()
    assert limit._left == 9, "what was left of an old portion is let go"


def test_every_request_of_the_client_waits_for_its_turn(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    turns = []

    class Counted(SharedLimit):
        def wait(self) -> None:
            turns.append(1)
            super().wait()

    client = boto3.client("s3", config=CLIENT_CONFIG, **connection_arguments(settings))
    limit_requests(client, Counted(database, 1_000))
    store = ObjectStore(client, objects.bucket, settings.s3_encryption)
    store.put("files/a", b"body")
    assert store.get("files/a") == b"body"
    assert len(turns) == 2
    client.close()


def test_the_setting_limits_the_deployments_own_store(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    store = open_object_store(settings.model_copy(update={"s3_requests_per_second": 500.0}))
    store.put("files/a", b"body")
    assert database.token_buckets.find_one({"_id": "s3"}) is not None
    with pytest.raises(SettingsError, match="REPORTING_S3_REQUESTS_PER_SECOND"):
        load_settings({"REPORTING_S3_REQUESTS_PER_SECOND": "0"})
