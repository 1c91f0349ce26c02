"""The same done by several at the same moment, in several processes: done once, and the others are told."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from reporting_pipeline.domain.access import User
from reporting_pipeline.settings import Settings, load_settings
from reporting_pipeline.stores import audit, releases, reports, subscriptions, users
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.usecases import releasing
from reporting_pipeline.usecases.callers import subscribing
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.changed_addresses import ask_for_address, confirm_address
from reporting_pipeline_tests.api.conftest import organisations
from reporting_pipeline_tests.api.test_changed_addresses import NEW, OLD, PERSON, link, to
from reporting_pipeline_tests.api.world import NOW, populate, subscription
from reporting_pipeline_tests.stores.racing import race

__all__ = ["organisations"]

PROCESSES, THREADS = 2, 3
RACERS = PROCESSES * THREADS
TEST = {"REPORTING_ENVIRONMENT": "test"}


def as_the_tests_chain() -> None:
    audit.use_keys(audit.audit_keys(load_settings(TEST)))


# --- another owner


def give_two(database: Database, name: str) -> list[str]:
    """Two of a manager's subscriptions given to the subscriber, who may have four; what came of each."""
    as_the_tests_chain()
    settings = load_settings({**TEST, "REPORTING_SUBSCRIPTIONS_PER_USER": "4"})
    parts: Any = SimpleNamespace(settings=settings, database=database, now=NOW)
    manager, owner = (users.get_user(database, f"usr_default_{role}") for role in ("manager", "subscriber"))
    assert manager is not None
    assert owner is not None
    found = []
    for number in range(2):
        try:
            subscribing.transfer(parts, manager, f"sub_{name}-{number}", owner)
        except Problem as problem:
            found.append(problem.slug)
        else:
            found.append("given")
    return found


def test_nobody_is_given_more_than_they_may_have(
    database: Database, settings: Settings, organisations: None
) -> None:
    for process in range(PROCESSES):
        for thread in range(THREADS):
            for number in range(2):
                one = subscription(f"sub_{process}-{thread}-{number}", "usr_default_manager")
                subscriptions.create_subscription(database, one, NOW)

    came = [each for both in race(settings, give_two, PROCESSES, THREADS) for each in both]

    assert sorted(came) == ["given"] * 4 + ["quota-exceeded"] * (2 * RACERS - 4)
    assert subscriptions.count_subscriptions(database, "default", owner="usr_default_subscriber") == 4
    record = database.subscription_counts.find_one({"_id": "default"}) or {}
    assert record["pending"] == {}, "every place is given back"


# --- a release


def release_one(database: Database, name: str) -> str:
    """The report that awaits it released by a person of their own; who was it, or what was told."""
    as_the_tests_chain()
    job: Any = database.jobs.find_one({"subscription": "sub_awaiting"})
    report = reports.reports_by_id(database, [job["report"]])[job["report"]]
    person = User(id=f"usr_{name}", organisation="default", roles=frozenset({"manager"}), name=f"Boss {name}")
    try:
        decision = releasing.release(database, job, report, person, NOW, "approval", "Looked at it", NOW)
    except (releasing.NotReleasable, releases.DecidedAlready) as told:
        return type(told).__name__
    return str(decision["by"])


def test_of_several_who_release_one_does_and_one_mail_goes(
    database: Database, objects: ObjectStore, settings: Settings, organisations: None
) -> None:
    populate(database, objects)

    came = race(settings, release_one, PROCESSES, THREADS)

    (winner,) = [one for one in came if one.startswith("usr_")]
    assert set(came) - {winner} <= {"NotReleasable", "DecidedAlready"}
    (decision,) = database.releases.find()
    (row,) = audit.events_of(database, "default", action=audit.AuditAction.RELEASE_GIVEN)
    assert decision["by"] == row["actor"] == winner
    assert "lease_until" not in decision, "nothing is left to do"
    job = database.jobs.find_one({"subscription": "sub_awaiting"}) or {}
    assert database.deliveries.count_documents({"job": job["_id"]}) == 1
    report = database.reports.find_one({"_id": job["report"]}) or {}
    assert report["released"]["name"] == decision["name"]


def test_what_a_killed_process_left_of_a_release_is_done_by_whoever_decides_next(
    database: Database, objects: ObjectStore, organisations: None
) -> None:
    populate(database, objects)
    job: Any = database.jobs.find_one({"subscription": "sub_awaiting"})
    report = reports.reports_by_id(database, [job["report"]])[job["report"]]
    ada, bob = (
        User(id=f"usr_{name}", organisation="default", roles=frozenset({"manager"}), name=name)
        for name in ("Ada", "Bob")
    )
    releases.decide(
        database,
        report.id,
        report.sha256,
        "released",
        organisation="default",
        job=job["_id"],
        by=ada.id,
        name=ada.name,
        meaning="approval",
        reason="Looked at it",
        reasons=(),
        authenticated_at=NOW,
        now=NOW,
    )
    for at, state in ((NOW, "awaiting_release"), (NOW + releases.LEASE, "delivering")):
        with pytest.raises(releases.DecidedAlready):
            releasing.refuse(database, job, report, bob, at, "I disagree", at)
        assert (database.jobs.find_one({"_id": job["_id"]}) or {})["state"] == state
    (row,) = audit.events_of(database, "default", subject=report.id, action=audit.AuditAction.RELEASE_GIVEN)
    assert row["actor"] == ada.id


def test_a_signature_lets_no_other_file_go_that_was_made_meanwhile(
    database: Database, objects: ObjectStore, organisations: None
) -> None:
    populate(database, objects)
    job: Any = database.jobs.find_one({"subscription": "sub_awaiting"})
    report = reports.reports_by_id(database, [job["report"]])[job["report"]]
    database.reports.update_one({"_id": report.id}, {"$set": {"sha256": "f" * 64}})
    person = User(id="usr_boss", organisation="default", roles=frozenset({"manager"}), name="Boss")
    with pytest.raises(releasing.NotReleasable, match="made again"):
        releasing.release(database, job, report, person, NOW, "approval", "Looked at it", NOW)
    assert (database.jobs.find_one({"_id": job["_id"]}) or {})["state"] == "awaiting_release"


# --- a changed address


def confirm(database: Database, name: str, *, settings: Settings, token: str) -> bool:
    as_the_tests_chain()
    return confirm_address(database, settings, token, NOW) is not None


def test_an_address_confirmed_by_several_clicks_is_taken_and_told_once(
    database: Database, settings: Settings, organisations: None
) -> None:
    person = users.get_user(database, PERSON)
    assert person is not None
    ask_for_address(database, settings, person, NEW, "usr_default_manager", NOW)
    token = link(settings).rpartition("/")[2]

    came = race(settings, partial(confirm, settings=settings, token=token), PROCESSES, THREADS)

    assert True in came
    assert len(to(settings, OLD)) == 2, "that it was asked, that it is done"
    rows = [row["action"] for row in audit.events_of(database, "default", subject=PERSON)]
    assert rows == ["address.confirmed", "address.asked"]
    record = database.users.find_one({"_id": PERSON}) or {}
    assert (record["email"], record["former_emails"]) == (NEW, [OLD])
    assert "email_confirmed" not in record
