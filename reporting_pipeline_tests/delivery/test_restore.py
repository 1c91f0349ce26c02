"""A backup from before an edition was delivered, restored after it: nobody gets the report twice."""

from __future__ import annotations

from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.deliveries import plan_deliveries
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.delivery.seeds import NOW, Clock, seed
from reporting_pipeline_tests.delivery.test_outbox import deliver, mails

COUNT = 12


def restore(database: Database, backup: dict[str, list[dict[str, object]]]) -> None:
    for name in database.list_collection_names():
        database[name].delete_many({})
    for name, records in backup.items():
        if records:
            database[name].insert_many(records)


def test_after_a_restore_of_what_stood_before_the_delivery_nobody_is_mailed_twice(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    jobs = seed(database, objects, COUNT, plan=False)
    backup = {name: list(database[name].find()) for name in database.list_collection_names()}
    subscriptions = {row["_id"]: row for row in database["subscriptions"].find()}

    plan_deliveries(database, jobs, subscriptions, NOW)
    first = {outcome.delivery for outcome in deliver(database, objects, settings)}
    sent = {path.name: path.read_bytes() for path in settings.outbox.glob("*.eml")}
    message_ids = {mail["Message-ID"] for mail in mails(settings)}

    restore(database, backup)
    later = Clock()
    later.forward(hours=2)
    plan_deliveries(database, jobs, subscriptions, later.at)
    again = {outcome.delivery for outcome in deliver(database, objects, settings, later)}

    assert again == first
    assert len(message_ids) == len(sent) == COUNT
    assert {path.name: path.read_bytes() for path in settings.outbox.glob("*.eml")} == sent
    assert database["deliveries"].count_documents({"state": "sent"}) == COUNT
