"""One person's data: all of it given out, or none of it left anywhere."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from reporting_pipeline.domain.access import User
from reporting_pipeline.domain.entitlements import Entitlements
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.planning import report_id
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Recipient, Subscription
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.deliveries import plan_deliveries
from reporting_pipeline.stores.editions import open_edition
from reporting_pipeline.stores.jobs import mark_rendered, plan_edition
from reporting_pipeline.stores.mongo import Database, Record, job_records
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.personal_data import UserUnknown, erase_user, export_user
from reporting_pipeline.stores.reports import StoredReport, report_key, save_reports
from reporting_pipeline.stores.subscriptions import create_subscription
from reporting_pipeline.stores.suppressions import opt_out_marks, suppressed_among, unsubscribed_among
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
    plan_deliveries(database, list(job_records(database).find({})), rows, NOW)
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


def test_an_export_tells_no_figures_of_whole_trials(people: Database, objects: ObjectStore) -> None:
    said = [{"concern": "total_fell", "trial": "T1", "said": "visits were 41 and are 7 now"}]
    people.jobs.update_many({}, {"$set": {"awaiting_release": {"reasons": said, "at": NOW}}})
    people.reports.update_many({}, {"$set": {"unusual": said}})
    archive = zipfile.ZipFile(io.BytesIO(export_user(people, objects, "usr_ann", NOW)))
    assert json.loads(archive.read("jobs.json"))
    assert json.loads(archive.read("reports.json"))
    assert [name for name in archive.namelist() if b"were 41" in archive.read(name)] == []


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


SPELLINGS = [
    "Perpetua.Quillfeather@Example.ORG",
    "perpetua.quillfeather@ｅｘａｍｐｌｅ．ｏｒｇ",
    "ｐｅｒｐｅｔｕａ.quillfeather@example.org",
    "perpetua.quillfeather＠example.org",
    "perpetua.quillfeather@example。org",
    "old.quill@example.org",
]
OTHERS = [
    "aperpetua.quillfeather@example.org",
    "perpetua.quillfeather@example.org.uk",
    "x-perpetua.quillfeather@example.org",
    "perpetua.quillfeather+trial@example.org",
    "perpetua.quillfeather@sub.example.org",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_address_goes_however_it_is_written(people: Database, objects: ObjectStore, spelling: str) -> None:
    """Also an address that the person had before."""
    people.users.update_one({"_id": "usr_ann"}, {"$set": {"former_emails": ["old.quill@example.org"]}})
    people.subscriptions.update_one(
        {"_id": "sub_bob"}, {"$push": {"recipients": {"type": "email", "value": spelling}}}
    )
    people.alerts.insert_one({"_id": "b", "text": f"mail to <{spelling}>, bounced."})
    people.deliveries.update_one({"subscription": "sub_bob"}, {"$set": {"recipient": spelling}})
    erase_user(people, objects, "usr_ann", NOW)
    assert [place for place, text in everything(people, objects) if spelling in text] == []


@pytest.mark.parametrize("other", OTHERS)
def test_a_longer_address_of_somebody_else_stays(people: Database, objects: ObjectStore, other: str) -> None:
    create_user(people, "org_1", other, NOW, user_id="usr_maria")
    people.alerts.insert_one({"_id": "b", "text": f"mail to {other} and {ADDRESS} bounced"})
    before = people.users.find_one({"_id": "usr_maria"})
    erase_user(people, objects, "usr_ann", NOW)
    assert people.users.find_one({"_id": "usr_maria"}) == before
    assert (people.alerts.find_one({"_id": "b"}) or {})["text"] == f"mail to {other} and [erased] bounced"


def test_another_organisation_keeps_what_is_its_own(people: Database, objects: ObjectStore) -> None:
    """The same address is somebody there: not one byte of theirs changes."""
    create_user(people, "org_2", ADDRESS, NOW, user_id="usr_there")
    rows: dict[str, Record] = {
        "subscriptions": {
            "recipients": [{"type": "email", "value": ADDRESS}],
            "status": "active",
            "version": 1,
        },
        "deliveries": {"recipient": ADDRESS, "state": "pending", "job": "j", "channel": "email"},
        "registrations": {"address": ADDRESS, "cadence": "weekly"},
        "address_marks": {"address": ADDRESS},
    }
    for name, row in rows.items():
        people[name].insert_one({"_id": "theirs", "organisation": "org_2", **row})
    people.unsubscribes.insert_one({"_id": "theirs", "subscription": "theirs", "recipient": ADDRESS})
    names = [*rows, "unsubscribes"]
    before = [people[name].find_one({"_id": "theirs"}) for name in names]
    user = people.users.find_one({"_id": "usr_there"})
    erase_user(people, objects, "usr_ann", NOW)
    assert [people[name].find_one({"_id": "theirs"}) for name in names] == before
    assert people.users.find_one({"_id": "usr_there"}) == user
    assert suppressed_among(people, [("org_1", ADDRESS)])


def test_an_opt_out_survives_its_address(people: Database, objects: ObjectStore) -> None:
    erase_user(people, objects, "usr_ann", NOW)
    asked = [("org_1", ADDRESS), ("org_1", "bob@example.org")]
    assert suppressed_among(people, asked) == {("org_1", ADDRESS): "it was suppressed"}
    pairs = unsubscribed_among(people, ["sub_bob"])
    assert ("sub_bob", opt_out_marks(ADDRESS)[0]) in pairs
    assert not any("@" in recipient for _, recipient in pairs)


def test_an_id_with_capitals_leaves_too(people: Database, objects: ObjectStore) -> None:
    create_user(people, "org_1", "cap@example.org", NOW, user_id="usr_Ann_B")
    people.subscriptions.update_one(
        {"_id": "sub_bob"}, {"$push": {"recipients": {"type": "user", "value": "usr_Ann_B"}}}
    )
    erase_user(people, objects, "usr_Ann_B", NOW)
    row = people.subscriptions.find_one({"_id": "sub_bob"}) or {}
    assert "usr_Ann_B" not in [each["value"] for each in row["recipients"]]


def test_a_report_that_is_not_open_any_more_is_withheld_and_named(
    people: Database, objects: ObjectStore
) -> None:
    """By what it was made from, for the person and for whoever asks."""
    identifier = report_id(WEEK.cadence, WEEK.key, "sub_ann")
    people.reports.update_one({"_id": identifier}, {"$set": {"dataset_versions": {"T1": "x", "T2": "x"}}})
    everything_open = User("usr_boss", "org_1", frozenset({"admin"}), Entitlements("all"))
    limited = User("usr_boss", "org_1", frozenset({"admin"}), Entitlements(("T1",)))

    def exported(caller: User | None) -> tuple[list[str], list[str], bytes]:
        content = export_user(people, objects, "usr_ann", NOW, caller)
        archive = zipfile.ZipFile(io.BytesIO(content))
        files = [name for name in archive.namelist() if name.startswith("reports/")]
        return files, [one["_id"] for one in json.loads(archive.read("withheld.json"))], content

    assert exported(everything_open)[:2] == ([], [identifier])  # Ann herself has no trial
    people.users.update_one({"_id": "usr_ann"}, {"$set": {"trials": "all"}})
    files, withheld, _ = exported(limited)
    assert (files, withheld[0]) == ([], identifier)
    # The subscription shows all that is open to her: neither it nor its job and mail are theirs to know.
    assert [one.partition("_")[0] for one in withheld[1:]] == ["sub", "job", "dlv"]
    files, withheld, content = exported(everything_open)
    assert (len(files), withheld) == (1, [])
    assert exported(None)[1] == []
    assert content


def test_nobody_is_neither_exported_nor_erased(database: Database, objects: ObjectStore) -> None:
    with pytest.raises(UserUnknown):
        export_user(database, objects, "usr_nobody", NOW)
    with pytest.raises(UserUnknown):
        erase_user(database, objects, "usr_nobody", NOW)
