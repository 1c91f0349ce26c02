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


def test_a_document_behind_a_figure_is_told_by_its_title_kind_and_site(
    house: House, database: Database, objects: ObjectStore
) -> None:
    ids = populate(database, objects)
    store_report(database, objects, ids["report"])
    database.documents.update_one({"_id": DOCUMENT}, {"$set": {"subject": "01-701-1015"}})
    address = f"/console/trace/{ids['report']}/documents"
    shown = house.signed_in("usr_default_subscriber").get(address).text
    for words in ("A note", "Note", "01-701-1015", "701", "2026-11-17"):
        assert words in shown, words
    database.users.update_one({"_id": "usr_default_subscriber"}, {"$set": {"audience": "sponsor"}})
    blinded = house.signed_in("usr_default_subscriber").get(address).text
    assert "A note" not in blinded
    database.documents.delete_one({"_id": DOCUMENT})
    database.users.update_one(
        {"_id": "usr_default_subscriber"}, {"$set": {"trials": "all", "audience": "monitor"}}
    )
    gone = house.signed_in("usr_default_subscriber").get(address)
    assert (gone.status_code, "withdrawn or deleted since" in gone.text) == (200, True)
