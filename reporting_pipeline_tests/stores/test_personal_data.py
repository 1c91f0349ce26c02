"""One person's data: all of it given out, or none of it left anywhere."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.planning import report_id
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Recipient, Subscription
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.deliveries import plan_deliveries
from reporting_pipeline.stores.editions import open_edition
from reporting_pipeline.stores.jobs import mark_rendered, plan_edition
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.personal_data import UserUnknown, erase_user, export_user
from reporting_pipeline.stores.reports import StoredReport, report_key, save_reports
from reporting_pipeline.stores.subscriptions import create_subscription
from reporting_pipeline.stores.users import create_user, get_user

NOW = datetime(2026, 11, 23, 0, 5, tzinfo=UTC)
WEEK = Period(Cadence.WEEKLY, date(2026, 11, 16))
NAME, ADDRESS = "Perpetua Quillfeather", "perpetua.quillfeather@example.org"


def subscription(identifier: str, owner: str, *recipients: Recipient) -> Subscription:
    return Subscription(
        id=identifier,
        organisation="org_1",
        owner=owner,
        name=f"Report for {NAME}" if owner == "usr_ann" else "Report",
        schedule=Schedule(time="00:00"),
        recipients=recipients,
        created_at=NOW,
        updated_at=NOW,
    )


def store_report(database: Database, objects: ObjectStore, identifier: str, text: str) -> None:
    for version in ("older", "newest"):
        body = f"%PDF {version} {text}".encode()
        stored = objects.put(report_key(WEEK, identifier, f"{version}{'0' * 20}", "pdf"), body)
    report = StoredReport(
        id=report_id(WEEK.cadence, WEEK.key, identifier),
        subscription=identifier,
        organisation="org_1",
        cadence="weekly",
        period=WEEK.key,
        key=stored.key,
        sha256=stored.sha256,
        size=stored.size,
        pages=1,
        format="pdf",
        content_type="application/pdf",
        file_name="../../report.pdf",
        data_as_of=NOW,
        dataset_versions={},
        code_version="1",
        rendered_at=NOW,
    )
    save_reports(database, [report])
    mark_rendered(database, [(identifier, WEEK.key)], NOW)


@pytest.fixture
def people(database: Database, objects: ObjectStore) -> Database:
    """Ann with a subscription of her own, and Bob who sends his to her too; both reported and planned."""
    create_user(database, "org_1", ADDRESS, NOW, name=NAME, user_id="usr_ann")
    create_user(database, "org_1", "bob@example.org", NOW, name="Bob", user_id="usr_bob")
    to_ann = Recipient(value=ADDRESS.upper())
    create_subscription(database, subscription("sub_ann", "usr_ann"), NOW)
    create_subscription(
        database, subscription("sub_bob", "usr_bob", to_ann, Recipient(value="bob@example.org")), NOW
    )
    create_subscription(
        database, subscription("sub_only", "usr_bob", Recipient(type="user", value="usr_ann")), NOW
    )
    plan_edition(database, open_edition(database, WEEK.cadence, WEEK.key, "schedule", NOW), WEEK, NOW)
    store_report(database, objects, "sub_ann", f"{NAME} {ADDRESS}")
    store_report(database, objects, "sub_bob", "Bob")
    rows = {row["_id"]: row for row in database.subscriptions.find({})}
    plan_deliveries(database, list(database.jobs.find({})), rows, NOW)
    database.deliveries.update_one(
        {"recipient": ADDRESS},
        {"$set": {"attempts": [{"at": NOW, "error": f"550 no mailbox {ADDRESS}"}], "error": ADDRESS}},
    )
    mark = audit.address_mark(database, "org_1", ADDRESS)
    audit.record(database, "recipient.added", "usr_bob", mark, NOW, organisation="org_1")
    audit.record(database, "user.changed", "usr_ann", "usr_ann", NOW, organisation="org_1")
    database.unsubscribes.insert_one({"subscription": "sub_bob", "recipient": ADDRESS})
    database.suppressions.insert_one({"_id": ADDRESS, "reason": "bounced"})
    database.alerts.insert_one({"_id": "a", "text": f"{ADDRESS} bounced", "open": True})
    answer = {"body": json.dumps({"to": ADDRESS}).encode(), "principal": "usr_bob", "key": "k"}
    database.idempotency.insert_one(answer)
    return database


def everything(database: Database, objects: ObjectStore) -> Iterator[tuple[str, str]]:
    for name in database.list_collection_names():
        for row in database[name].find({}):
            yield f"{name}/{row['_id']}", repr(row)
    for key in objects.keys(""):
        yield key, key + objects.get(key).decode("latin-1")


def places_of(database: Database, objects: ObjectStore) -> list[str]:
    wanted = [NAME.lower(), ADDRESS, "quillfeather"]
    return [
        place for place, text in everything(database, objects) if any(word in text.lower() for word in wanted)
    ]


def test_an_export_holds_the_records_and_the_reports(people: Database, objects: ObjectStore) -> None:
    archive = zipfile.ZipFile(io.BytesIO(export_user(people, objects, "usr_ann", NOW)))

    def read(name: str) -> Any:
        return json.loads(archive.read(f"{name}.json"))

    assert archive.testzip() is None
    assert read("user")[0]["email"] == ADDRESS
    assert [row["_id"] for row in read("subscriptions")] == ["sub_ann"]
    assert {row["subscription"] for row in read("deliveries")} == {"sub_ann", "sub_bob", "sub_only"}
    assert [row["action"] for row in read("audit")] == ["user.changed"]
    (report,) = [name for name in archive.namelist() if name.startswith("reports/")]
    assert ".." not in report
    assert NAME.encode() in archive.read(report)
    assert read("missing_files") == []
    assert "Bob" not in archive.read("subscriptions.json").decode()


def test_a_report_whose_file_is_gone_does_not_stop_the_export(people: Database, objects: ObjectStore) -> None:
    for key in list(objects.keys("reports/weekly/2026-11-16/sub_ann/")):
        objects.delete(key)

    archive = zipfile.ZipFile(io.BytesIO(export_user(people, objects, "usr_ann", NOW)))

    assert json.loads(archive.read("missing_files.json")) == [report_id(WEEK.cadence, WEEK.key, "sub_ann")]


def test_after_an_erasure_the_person_is_nowhere_and_the_chain_is_whole(
    people: Database, objects: ObjectStore
) -> None:
    audit.write_anchor(people, objects, NOW)
    assert len(places_of(people, objects)) > 10

    done = erase_user(people, objects, "usr_ann", NOW)
    details = {key: value for key, value in done.__dict__.items()}
    audit.record(people, "user.erased", "usr_bob", "usr_ann", NOW, organisation="org_1", details=details)

    assert places_of(people, objects) == []
    assert audit.verify(people, objects).ok
    assert (done.subscriptions, done.reports, done.objects, done.recipients) == (1, 1, 2, 2)
    user = get_user(people, "usr_ann")
    assert user is not None
    assert (user.active, user.name, user.roles) == (False, "", frozenset())


def test_an_erasure_leaves_what_is_others(people: Database, objects: ObjectStore) -> None:
    erase_user(people, objects, "usr_ann", NOW)

    assert [
        row["value"] for row in (people.subscriptions.find_one({"_id": "sub_bob"}) or {})["recipients"]
    ] == ["bob@example.org"]
    assert len(list(objects.keys("reports/weekly/2026-11-16/sub_bob/"))) == 2
    states = {row["_id"]: row["status"] for row in people.subscriptions.find({})}
    assert states == {"sub_ann": "ended", "sub_bob": "active", "sub_only": "paused"}
    waiting = people.deliveries.find({"state": "pending"})
    assert [row["recipient"] for row in waiting] == ["bob@example.org"]
    assert people.jobs.count_documents({"subscription": "sub_ann", "state": "skipped"}) == 1


def test_an_erasure_may_be_repeated(people: Database, objects: ObjectStore) -> None:
    erase_user(people, objects, "usr_ann", NOW)

    again = erase_user(people, objects, "usr_ann", NOW)

    assert (again.deliveries, again.reports, again.recipients, again.other_records) == (0, 0, 0, 0)
    assert places_of(people, objects) == []


def test_two_erased_people_of_one_organisation_do_not_collide(people: Database, objects: ObjectStore) -> None:
    erase_user(people, objects, "usr_ann", NOW)
    erase_user(people, objects, "usr_bob", NOW)

    assert people.users.count_documents({"erased_at": {"$exists": True}}) == 2


def test_nobody_is_neither_exported_nor_erased(database: Database, objects: ObjectStore) -> None:
    with pytest.raises(UserUnknown):
        export_user(database, objects, "usr_nobody", NOW)
    with pytest.raises(UserUnknown):
        erase_user(database, objects, "usr_nobody", NOW)
