"""Objects that a lifecycle rule deleted under the pipeline: what can be made again is.

Pictures are a cache; snapshots, datasets and manifests are made from documents that stand. A report
whose inputs expired is made again, with the same bytes where the documents are the same.
"""

from __future__ import annotations

import shutil

import pytest

from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.stores.documents import Arrival
from reporting_pipeline_tests.automation.conftest import empty, instance  # noqa: F401 - fixtures
from reporting_pipeline_tests.automation.crank import Crank, document, usual_documents
from reporting_pipeline_tests.media.made_files import encoded, scene

TRIAL = "T-EXPIRED"


@pytest.fixture
def crank(empty: Crank) -> Crank:  # noqa: F811
    """A trial with two pictures, and one reader, whose edition is complete."""
    empty.add_trial(TRIAL)
    at = empty.period().start_at
    pictures = [
        Arrival(
            document(TRIAL, f"photo{n}", "imaging", at, file_name=f"photo{n}.jpg"),
            encoded(scene(400 + n, 300), "JPEG"),
        )
        for n in (1, 2)
    ]
    empty.arrive(*usual_documents(TRIAL, empty.period()), *pictures)
    empty.subscribe("reader", Filters(trials=(TRIAL,)))
    empty.complete()
    assert empty.edition_state() == "completed"
    assert empty.database.media.count_documents({}) == 2
    return empty


def expire(crank: Crank, *prefixes: str) -> int:
    """What a lifecycle rule does, and a fresh machine has nothing in its cache either."""
    keys = [key for prefix in prefixes for key in crank.objects.keys(prefix)]
    for key in keys:
        crank.objects.delete(key)
    shutil.rmtree(crank.settings.home / "cache", ignore_errors=True)
    return len(keys)


def test_a_report_whose_pictures_expired_is_made_with_them_all_the_same(crank: Crank) -> None:
    before = crank.report_bytes("sub_reader")
    pictures = [key for key in crank.objects.keys("media/") if key.endswith(".jpg")]
    for key in pictures:
        crank.objects.delete(key)
    shutil.rmtree(crank.settings.home / "cache")
    assert crank.by_hand("subscriber_reports", "sub_reader", force=True).success
    assert crank.report_bytes("sub_reader") == before
    assert crank.objects.missing(pictures) == set(), "they stand again for the next reader"


def test_a_new_period_asks_the_store_and_not_its_memory_whether_a_picture_stands(crank: Crank) -> None:
    pictures = {key for key in crank.objects.keys("media/") if key.endswith(".jpg")}
    assert expire(crank, "media/") == 3
    assert crank.by_hand("trial_media", TRIAL, force=True).success
    assert {key for key in crank.objects.keys("media/") if key.endswith(".jpg")} == pictures


@pytest.mark.parametrize("prefixes", [("media/",), ("media/", "datasets/", "snapshots/")])
def test_what_a_report_stands_on_is_made_again_when_it_expired(
    crank: Crank, prefixes: tuple[str, ...]
) -> None:
    """Somebody new asks for a report of it: the first try says what is gone, a later one has it."""
    assert expire(crank, *prefixes)
    crank.subscribe("newcomer", Filters(trials=(TRIAL,)), made=crank.clock.at)
    crank.tick()
    assert "is gone from the store" in crank.results("subscriber_reports")["sub_newcomer"].reason
    for _ in range(4):
        crank.clock.forward(minutes=6)
        crank.settle()
    result = crank.results("subscriber_reports")["sub_newcomer"]
    assert (result.state, result.reason) == ("done", "")
    assert crank.mailed() == ["newcomer@example.org", "reader@example.org"]


def test_a_home_that_takes_no_pictures_fails_no_report(crank: Crank) -> None:
    before = crank.report_bytes("sub_reader")
    cache = crank.settings.home / "cache"
    shutil.rmtree(cache)
    cache.write_text("no folder can be made here")
    assert crank.by_hand("subscriber_reports", "sub_reader", force=True).success
    assert crank.report_bytes("sub_reader") == before
