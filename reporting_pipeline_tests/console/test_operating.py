"""What operators do in the console: try again, send to one more, hold, mend channels, read the log."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from reporting_pipeline.domain.masked_recipients import shown
from reporting_pipeline.stores import audit, suppressions
from reporting_pipeline.stores.deliveries import halt_channel
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.world import NOW, populate
from reporting_pipeline_tests.console.conftest import Browser, House
from reporting_pipeline_tests.console.subscribing import subscribe


def lost_delivery(database: Database, job: str) -> str:
    """Make the job's mail a dead letter; its id."""
    identifier = (database.deliveries.find_one({"job": job}) or {})["_id"]
    attempt = {"at": NOW, "attempt": 6, "outcome": "failed", "error": "mailbox full", "provider_id": None}
    changes = {"state": "failed", "error": "mailbox full", "settled_at": NOW, "attempts": [attempt]}
    database.deliveries.update_one({"_id": identifier}, {"$set": changes})
    return str(identifier)


def test_one_recipient_is_tried_again_from_the_report(
    house: House, database: Database, objects: ObjectStore, person: Callable[[str], Browser]
) -> None:
    job = populate(database, objects)["job"]
    identifier = lost_delivery(database, job)
    assert "Try this one again" not in person("subscriber").get(f"/console/jobs/{job}").text
    manager = person("manager")
    page = manager.get(f"/console/jobs/{job}").text
    assert "mailbox full" in page
    assert "may not have it.</strong>" in page
    assert f'value="{identifier}"' in page
    assert manager.post(f"/console/jobs/{job}/again", {"delivery": "dlv_none"}).status_code == 404
    assert person("analyst").post(f"/console/jobs/{job}/again", {"delivery": identifier}).status_code == 403
    assert manager.post(f"/console/jobs/{job}/again", {"delivery": identifier}).status_code == 303
    assert (database.deliveries.find_one({"_id": identifier}) or {})["state"] == "pending"
    assert manager.post(f"/console/jobs/{job}/again", {"delivery": identifier}).status_code == 409


def test_who_may_not_read_a_report_of_which_they_see_the_way_is_told_so(
    database: Database, objects: ObjectStore, person: Callable[[str], Browser]
) -> None:
    job = populate(database, objects)["job"]
    database.jobs.update_one({"_id": job}, {"$set": {"rendered_at": NOW}})
    assert "It is not open to you" not in person("manager").get(f"/console/jobs/{job}").text
    database.reports.delete_many({})
    page = person("manager").get(f"/console/jobs/{job}").text
    assert "It is not open to you" in page
    assert "Download" not in page


def test_a_job_says_by_when_it_is_expected(
    database: Database, objects: ObjectStore, person: Callable[[str], Browser]
) -> None:
    """Learnt from the subscription's last ones; once that time has passed the page says that, too."""
    sent = populate(database, objects)["job"]
    owner = person("subscriber")
    assert "xpected by" not in owner.get(f"/console/jobs/{sent}").text
    database.jobs.update_one({"_id": sent}, {"$set": {"completed_at": NOW + timedelta(minutes=4)}})
    record = database.jobs.find_one({"_id": sent}) or {}
    for identifier, due in (("job_soon", datetime.now(UTC)), ("job_late", NOW - timedelta(days=1))):
        waiting = {"_id": identifier, "occurrence": identifier, "state": "pending", "completed_at": None}
        database.jobs.insert_one({**record, **waiting, "rendered_at": None, "due_at": due, "created_at": due})
    assert "Expected by" in owner.get("/console/jobs/job_soon").text
    assert "It takes longer than the last ones did" in owner.get("/console/jobs/job_late").text


def test_a_report_is_sent_to_one_more_only_by_the_rules_of_recipients(
    house: House, database: Database, objects: ObjectStore, person: Callable[[str], Browser]
) -> None:
    job = populate(database, objects)["job"]
    manager = person("manager")
    for refused in ("stranger@elsewhere.example", "no address", ""):
        answer = manager.post(f"/console/jobs/{job}/send", {"recipient": refused})
        assert answer.status_code == 422, refused
    before = database.deliveries.count_documents({"job": job})
    added = {"recipient": "manager@default.example"}
    assert manager.post(f"/console/jobs/{job}/send", added).status_code == 303
    assert database.deliveries.count_documents({"job": job}) == before + 1
    assert person("subscriber").post(f"/console/jobs/{job}/send", added).status_code == 403


def test_dead_letters_are_filtered_and_all_that_match_tried_again_after_a_count(
    house: House, database: Database, objects: ObjectStore, person: Callable[[str], Browser]
) -> None:
    identifier = lost_delivery(database, populate(database, objects)["job"])
    manager = person("manager")
    assert identifier in manager.get("/console/operate?channel=email").text
    assert identifier not in manager.get("/console/operate?channel=slack").text
    assert identifier not in manager.get("/console/operate?edition=weekly:2020-01-06").text
    asked = manager.post("/console/operate/requeue-all", {"channel": "email"})
    assert "Try 2 dead letters again?" in asked.text  # the world has one of its own
    assert (database.deliveries.find_one({"_id": identifier}) or {})["state"] == "failed"
    assert person("analyst").post("/console/operate/requeue-all", {"sure": "1"}).status_code == 403
    done = manager.told("/console/operate/requeue-all", {"channel": "email", "sure": "1"})
    assert "2 to be tried again" in done
    assert (database.deliveries.find_one({"_id": identifier}) or {})["state"] == "pending"


def test_a_halted_channel_and_held_back_addresses_need_attention(
    person: Callable[[str], Browser], house: House, database: Database
) -> None:
    halt_channel(database, "email", "535 authentication failed", NOW)
    suppressions.suppress_address(database, "default", "gone@default.example", "no such mailbox", NOW)
    suppressions.suppress_address(database, "other", "theirs@other.example", "no such mailbox", NOW)
    hooks = [f"https://hooks.example.org/SECRET{number}" for number in (1, 2)]
    for url in hooks:
        suppressions.suppress_address(database, "default", url, "it answered 410", NOW)
    manager = person("manager")
    page = manager.get("/console/operate").text
    assert "SECRET" not in page
    assert "written to again" in manager.told("/console/operate/lift", {"address": shown(hooks[1])})
    kept = suppressions.suppressed_among(database, [("default", url) for url in hooks])
    assert list(kept) == [("default", hooks[0])]
    assert "535 authentication failed" in page
    assert "gone@default.example" in page
    assert "theirs@other.example" not in page
    assert "gone@default.example" not in person("analyst").get("/console/operate").text
    assert "535" not in house.signed_in("usr_other_manager").get("/console/operate").text
    refused = manager.post("/console/operate/lift", {"address": "theirs@other.example"}).text
    assert "is not held back" in refused
    lifted = manager.told("/console/operate/lift", {"address": "gone@default.example"})
    assert "written to again" in lifted
    assert "gone@default.example" not in manager.get("/console/operate").text
    resumed = person("admin").told("/console/operate/resume", {"channel": "email"})
    assert "sends again" in resumed
    rows = list(database.audit.find({"action": {"$in": ["suppression.lifted", "channel.resumed"]}}))
    assert [row["actor"] for row in rows] == [*["usr_default_manager"] * 2, "usr_default_admin"]
    assert "gone@" not in str(rows)
    assert "SECRET" not in str(rows)


def test_the_audit_log_is_verified_and_exported(
    person: Callable[[str], Browser], house: House, database: Database, objects: ObjectStore
) -> None:
    subscribe(person("subscriber"))
    manager = person("manager")
    assert "there is no anchor" in manager.post("/console/audit/verify", {}).text
    audit.write_anchor(database, objects, NOW)
    assert "The log is whole" in manager.post("/console/audit/verify", {}).text
    lines = manager.get("/console/audit/export?action=subscription.created").text.splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["subscription.created"]
    noted = [row["action"] for row in database.audit.find({"actor": "usr_default_manager"}).sort("seq", 1)]
    assert noted == ["audit.verified", "audit.verified", "audit.exported"]
    other = house.signed_in("usr_other_manager")
    assert other.post("/console/audit/verify", {}).status_code == 403
    assert "subscription.created" not in other.get("/console/audit/export").text
    assert person("analyst").get("/console/audit/export").status_code == 403
    database.audit.update_one({"action": "subscription.created"}, {"$set": {"actor": "usr_somebody"}})
    assert "cannot be vouched for" in manager.post("/console/audit/verify", {}).text


def test_a_report_is_held_and_let_go_on_its_page_and_listed_while_it_is_held(
    house: House, database: Database, objects: ObjectStore, person: Callable[[str], Browser]
) -> None:
    job = populate(database, objects)["job"]
    database.holds.delete_many({})
    manager, admin = person("manager"), person("admin")
    page = f"/console/jobs/{job}"
    assert "Keep this report beyond its time" in manager.get(page).text
    assert "beyond its time" not in person("subscriber").get(page).text
    assert "Reports that are held" not in manager.get("/console/operate").text
    refused = manager.post(f"{page}/hold", {"kind": "critical", "reason": "x"})
    assert refused.status_code == 422
    assert "say in 3 to 500 characters" in refused.text

    hostile = "<b>Inspection of 2026</b>"
    assert admin.post(f"{page}/hold", {"kind": "legal_hold", "reason": hostile}).status_code == 303
    for text in (manager.get(page).text, manager.get("/console/operate").text):
        assert "&lt;b&gt;Inspection of 2026" in text
    (held,) = database.holds.find()
    assert (held["kind"], held["by"]) == ("legal_hold", "usr_default_admin")
    # Somebody else's legal hold is loosened by nobody but an admin.
    assert manager.post(f"{page}/let-go", {}).status_code == 403
    assert manager.post(f"{page}/hold", {"kind": "critical", "reason": "not so strict"}).status_code == 403
    assert admin.post(f"{page}/let-go", {}).status_code == 303
    assert database.holds.count_documents({}) == 0
    assert {row["action"] for row in database.audit.find({"subject": held["_id"]})} >= {
        "report.held",
        "report.released",
    }


def test_the_audit_log_names_people_beside_their_ids(
    person: Callable[[str], Browser], database: Database
) -> None:
    database.users.update_one({"_id": "usr_default_manager"}, {"$set": {"name": "Mara <b>Ager</b>"}})
    subscribe(person("manager"))
    page = person("admin").get("/console/audit").text
    assert "Mara &lt;b&gt;Ager&lt;/b&gt;" in page
    assert "usr_default_manager" in page


def test_the_audit_log_is_filtered_by_a_name_or_an_address(
    person: Callable[[str], Browser], database: Database
) -> None:
    for user, name in (("usr_default_manager", "Mara Ager"), ("usr_default_analyst", "Mara Berg")):
        database.users.update_one({"_id": user}, {"$set": {"name": name}})
    subscribe(person("manager"))
    admin = person("admin")
    for typed in ("mara a", "manager@default.example", "usr_default_manager"):
        page = admin.get("/console/audit", params={"actor": typed}).text
        assert "subscription.created" in page
        assert "actor=usr_default_manager" in page  # the export asks for the same
    several = admin.get("/console/audit?actor=mara").text
    assert "Several people are called mara" in several
    assert "<td" not in several.replace('<td colspan="6"', "")


def test_who_got_a_report_is_told_by_each_channel(
    person: Callable[[str], Browser], database: Database, objects: ObjectStore
) -> None:
    """Two webhooks of one report are told apart, and neither's key is shown."""
    ids = populate(database, objects)
    hook = "https://hooks.default.example/secret-key"
    database.deliveries.update_one(
        {"_id": ids["delivery"]}, {"$set": {"channel": "slack", "recipient": "#safety"}}
    )
    database.deliveries.update_one(
        {"_id": ids["letter"]}, {"$set": {"channel": "webhook", "recipient": hook}}
    )
    page = person("manager").get(f"/console/jobs/{ids['job']}").text
    assert "Slack: #safety" in page
    assert "Webhook: https://hooks.default.example/" in page
    assert "secret-key" not in page


@pytest.mark.parametrize("page", ["operate", "schedules"])
def test_the_address_of_a_page_puts_no_words_of_others_on_it(
    person: Callable[[str], Browser], page: str
) -> None:
    answer = person("manager").get(f"/console/{page}?done=call+0900+123+to+unlock")
    assert answer.status_code == 404
    assert "0900" not in answer.text


def test_who_chose_nothing_is_told_so(person: Callable[[str], Browser]) -> None:
    told = person("manager").told("/console/schedules", {"action": "pause"})
    assert "nothing, as none was chosen" in told


def test_what_needs_attention_is_named_as_its_readers_know_it(
    database: Database, objects: ObjectStore, person: Callable[[str], Browser]
) -> None:
    lost_delivery(database, populate(database, objects)["job"])
    page = person("manager").get("/console/operate").text
    assert re.search(r">World<span[^>]*> \(2026-11-16\)</span></a>", page)
    assert 'aria-label="Choose the e-mail of World, 2026-11-16"' in page
    assert not re.search(r">\s*job_\w+\s*<", page), "an id in the place of a name"
