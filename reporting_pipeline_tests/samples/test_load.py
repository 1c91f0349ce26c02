"""Both trials and the subscribers: repeatable, added once, and really different from one another."""

from __future__ import annotations

import unicodedata
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.entitlements import Entitlements
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.schedules import occurrences
from reporting_pipeline.domain.subscriptions import Format, Subscription
from reporting_pipeline.domain.tidying import tidy_documents
from reporting_pipeline.samples import cdisc_pilot, synthetic_trial
from reporting_pipeline.samples.load import load_samples
from reporting_pipeline.samples.subscribers import PILOT, make_subscribers
from reporting_pipeline.stores.documents import documents_of, trials_of
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore

NOW = datetime(2026, 11, 23, 0, 10, tzinfo=UTC)
WEEK = Period.last_closed(Cadence.WEEKLY, NOW)


def scripts(texts: list[str]) -> set[str]:
    """The first word of the Unicode name of every letter: LATIN, GREEK, CJK, HANGUL and so on."""
    return {unicodedata.name(c).split()[0] for text in texts for c in text if c.isalpha()}


def test_samples_load_once_for_one_organisation_and_can_be_reported_on(
    database: Database, objects: ObjectStore
) -> None:
    seen: list[tuple[str, int]] = []
    loaded = load_samples(database, objects, now=NOW, progress=lambda trial, done: seen.append((trial, done)))
    assert [trial["_id"] for trial in trials_of(database, "default")] == [PILOT, synthetic_trial.TRIAL]
    assert (
        loaded.created
        == database.documents.count_documents({})
        == sum(max(done for trial, done in seen if trial == name) for name in (PILOT, synthetic_trial.TRIAL))
    )
    again = load_samples(database, objects, now=NOW)
    assert (again.created, again.changed) == (0, 0)
    for trial in trials_of(database):
        found = documents_of(database, trial["_id"], WEEK.previous().start_at, WEEK.end_at)
        tables = tidy_documents(found, {}, WEEK)
        kinds = set(tables["documents"].query("window == 'current'")["kind"])
        assert kinds >= {kind.value for kind in (Kind.LAB, Kind.VITALS, Kind.ADVERSE_EVENT, Kind.VISIT)}
        assert kinds >= {kind.value for kind in (Kind.DISPOSITION, Kind.ECG, Kind.IMAGING, Kind.NOTE)}
        assert set(tables["documents"]["site"]) <= {site["id"] for site in trial["sites"]}
    dispositions = {"trial": PILOT, "site": "702", "kind": "disposition"}
    week = {"received_at": {"$gte": WEEK.start_at, "$lt": WEEK.end_at}}
    assert database.documents.count_documents({**dispositions, **week}) == 0  # somebody subscribes to that


def test_a_week_of_the_synthetic_trial_follows_from_its_monday_alone() -> None:
    zone = ZoneInfo("UTC")
    for back in range(20):
        monday = date(2026, 11, 16) - timedelta(weeks=back)
        records = list(synthetic_trial.week_records("default", monday, zone))
        assert records == list(synthetic_trial.week_records("default", monday, zone))
        assert 60 <= len(records) + synthetic_trial.FILES_PER_WEEK <= 100
        assert {
            one["received_at"].date() - timedelta(days=one["received_at"].weekday()) for one in records
        } == {monday}
        assert all(one["synthetic"] for one in records)
    assert {"HEBREW", "ARABIC", "CJK", "HANGUL", "DEVANAGARI", "GREEK", "LATIN"} <= scripts(
        [site.name for site in synthetic_trial.SITES]
    )


def test_the_synthetic_trial_is_sound_but_for_partial_dates() -> None:
    records = list(synthetic_trial.week_records("default", WEEK.start, ZoneInfo("UTC")))
    findings = tidy_documents(records, {}, WEEK)["findings"]
    assert set(findings["code"]) <= {"partial_date"}


def test_subscribers_are_added_once_and_left_as_people_changed_them(database: Database) -> None:
    assert make_subscribers(database, 60, now=NOW).subscriptions == 60
    users, subscriptions = list(database.users.find()), list(database.subscriptions.find())
    assert len({user["email"] for user in users}) == 60
    database.subscriptions.update_one({"_id": subscriptions[0]["_id"]}, {"$set": {"status": "paused"}})
    again = make_subscribers(database, 60, now=NOW + timedelta(days=7))
    assert (again.users, again.subscriptions) == (0, 0)
    assert database.subscriptions.find_one({"_id": subscriptions[0]["_id"]})["status"] == "paused"  # type: ignore[index]
    assert make_subscribers(database, 65, now=NOW).subscriptions == 5


def test_subscriptions_differ_share_and_are_due_when_the_week_has_closed(database: Database) -> None:
    make_subscribers(database, 60, now=NOW)
    kept = [
        Subscription.model_validate({"id": one.pop("_id"), **one}) for one in database.subscriptions.find()
    ]
    owners = {user["_id"]: user for user in database.users.find()}
    fingerprints = Counter(one.filters.fingerprint() for one in kept)
    assert len(fingerprints) >= 15
    assert max(fingerprints.values()) >= 4
    formats = Counter(one.format for one in kept)
    assert formats[Format.PDF] > 45
    assert min(formats[Format.CSV], formats[Format.XLSX]) >= 2
    for one in kept:
        (occurrence,) = occurrences(one.schedule, WEEK.end, WEEK.end + timedelta(days=7))
        assert occurrence.due_at <= WEEK.end_at
        owner = owners[one.owner]
        assert [recipient.value for recipient in one.recipients] == [owner["email"]]
        assert len(one.id) == len("sub_") + 16
        own = Entitlements.from_record(owner)
        for trial in one.filters.trials or (PILOT,):
            assert own.effective_sites(trial, one.filters.sites) != (), "nobody asks for nothing"
    sites = {site.id for site in synthetic_trial.SITES} | {
        site["id"] for site in cdisc_pilot.trial_record("default", 0)["sites"]
    }
    assert {site for one in kept for site in one.filters.sites} <= sites
    expected = {
        "LATIN", "GREEK", "CYRILLIC", "ARABIC", "HEBREW", "CJK", "HIRAGANA", "HANGUL", "DEVANAGARI", "THAI",
    }  # fmt: skip
    assert expected <= scripts([user["name"] for user in owners.values()])
