"""The page that a figure of a PDF leads to: the documents, as far as whoever opens it may read them."""

from __future__ import annotations

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.test_registry import store_report
from reporting_pipeline_tests.api.world import DOCUMENT, populate
from reporting_pipeline_tests.console.conftest import House


def test_a_figure_leads_to_its_documents_and_each_of_them_opens(
    house: House, database: Database, objects: ObjectStore
) -> None:
    ids = populate(database, objects)
    store_report(database, objects, ids["report"])
    browser = house.signed_in("usr_default_subscriber")
    address = f"/console/trace/{ids['report']}/documents"
    assert f'href="{address}"' in browser.get(f"/console/jobs/{ids['job']}").text
    answer = browser.get(address)
    assert (answer.status_code, f'href="/console/documents/{DOCUMENT}"' in answer.text) == (200, True)
    assert browser.get(f"/console/documents/{DOCUMENT}").status_code == 200
    assert browser.get(f"/console/trace/{ids['report']}/deaths").status_code == 200


def test_nobody_else_learns_that_there_is_such_a_report(
    house: House, database: Database, objects: ObjectStore
) -> None:
    ids = populate(database, objects)
    store_report(database, objects, ids["report"])
    browser = house.signed_in("usr_other_admin")
    there = browser.get(f"/console/trace/{ids['report']}/documents")
    nowhere = browser.get(f"/console/trace/rep_{'0' * 20}/documents")
    assert (there.status_code, there.text) == (nowhere.status_code, nowhere.text)
    assert there.status_code == 404


def test_what_is_kept_no_longer_is_said(house: House, database: Database, objects: ObjectStore) -> None:
    ids = populate(database, objects)
    store_report(database, objects, ids["report"])
    for key in list(objects.keys("datasets/")):
        objects.delete(key)
    answer = house.signed_in("usr_default_subscriber").get(f"/console/trace/{ids['report']}/documents")
    assert (answer.status_code, "kept no longer" in answer.text) == (410, True)
