"""What is past its time goes, and nothing that a link, a hold, a job or an audit row still needs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from botocore.stub import Stubber
from dagster import DagsterInstance, DagsterRunStatus, job, op
from typer.testing import CliRunner

import reporting_pipeline
from reporting_pipeline.cli import app
from reporting_pipeline.operations.doctor import Diagnosis, examine
from reporting_pipeline.operations.retention.history import expiring
from reporting_pipeline.operations.retention.rules import keep_rules, retention_days
from reporting_pipeline.operations.retention.run import KINDS, RetentionReport, retain
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.bucket_rules import (
    RulesNotTaken,
    rule_problems,
    standing_rules,
    wanted_rules,
    write_rules,
)
from reporting_pipeline.stores.holds import ReportMissing, holds, lift_hold, place_hold
from reporting_pipeline.stores.mongo import INDEXES, Database
from reporting_pipeline.stores.objects import HELD, ORPHAN, RETENTION_TAG, STANDARD, ObjectStore
from reporting_pipeline.stores.upkeep import last_upkeep
from reporting_pipeline_tests.operations.ledger import FIRST_WEEK, Ledger, sizes

SHORT = {
    "retention_days": 14,
    "keep_reports_days": 14,
    "keep_inputs_days": 14,
    "keep_pictures_days": 14,
    "keep_history_days": 60,
}
LONG_AFTER = FIRST_WEEK + timedelta(days=900)


@pytest.fixture
def ledger(database: Database, objects: ObjectStore) -> Ledger:
    return Ledger(database, objects)


def retained(ledger: Ledger, settings: Settings, now: datetime, **options: Any) -> RetentionReport:
    report = retain(ledger.database, ledger.objects, settings, now, **{"dry_run": False, **options})
    assert report.failed == []
    return report


def figures(report: RetentionReport) -> dict[str, tuple[int, int]]:
    return {one.kind: (one.records, one.objects) for one in report.removed if one.records or one.objects}


def test_weeks_of_reports_do_not_grow_once_the_history_is_full(ledger: Ledger, settings: Settings) -> None:
    own = settings.model_copy(update=SHORT)
    measured = []
    for number in range(16):
        period = ledger.week(number, reports=20)
        retained(ledger, own, period.end_at + timedelta(hours=5))
        measured.append(sizes(ledger.database, ledger.objects))
    flat = measured[12:]
    assert flat[0]["jobs"] == 9 * 20, "60 days of history, and this week's"
    assert all(one == flat[0] for one in flat), "the same after every week"
    audit.record(ledger.database, "report.rendered", "system", "rep_x", FIRST_WEEK, organisation="default")
    assert audit.verify(ledger.database).ok


@pytest.mark.parametrize("field", ["cadence", "period", "subscription"])
@pytest.mark.parametrize("name", ["reports", "deliveries", "jobs", "editions"])
def test_one_record_that_somebody_broke_by_hand_keeps_no_other(
    ledger: Ledger, settings: Settings, name: str, field: str
) -> None:
    ledger.week(0, reports=2)
    collection: Any = ledger.database[name]
    broken = collection.find_one({})
    collection.update_one({"_id": broken["_id"]}, {"$unset": {field: ""}})
    retained(ledger, settings.model_copy(update=SHORT), LONG_AFTER)
    assert [one["_id"] for one in collection.find({})] in ([], [broken["_id"]])


def test_a_dry_run_says_what_a_real_one_does_and_changes_nothing(ledger: Ledger, settings: Settings) -> None:
    ledger.week(0)
    ledger.week(1)
    before = sizes(ledger.database, ledger.objects)
    tried = retained(ledger, settings, LONG_AFTER, dry_run=True)
    assert sizes(ledger.database, ledger.objects) == before
    assert last_upkeep(ledger.database, "retention") is None, "a dry run is no retention"
    said = figures(tried)
    assert said["reports"] == (10, 10)
    assert said["jobs"] == (10, 0)
    done = figures(retained(ledger, settings, LONG_AFTER))
    assert {kind: done[kind] for kind in ("reports", "inputs", "pictures", "jobs", "editions")} == {
        kind: said[kind] for kind in ("reports", "inputs", "pictures", "jobs", "editions")
    }
    assert not any(sizes(ledger.database, ledger.objects).values())
    assert figures(retained(ledger, settings, LONG_AFTER)) == {}, "nothing is left to do"


@pytest.mark.parametrize("kind", ["legal_hold", "critical"])
def test_a_held_report_outlives_every_rule_with_all_it_was_made_from(
    ledger: Ledger, settings: Settings, kind: Any
) -> None:
    period, other = ledger.week(0), ledger.week(1)
    held = ledger.report(period, "sub_00003")
    place_hold(ledger.database, ledger.objects, held, kind, "inspection 12", "usr_a", FIRST_WEEK)
    key = ledger.key(period, "sub_00003")
    assert ledger.objects.tags(key)[RETENTION_TAG] == HELD, "the bucket's rules see it"
    ledger.database.releases.insert_many(
        [{"_id": f"{one}:{'a' * 64}", "report": one, "at": FIRST_WEEK} for one in (held, "rep_of_long_ago")]
    )
    report = retained(ledger, settings, LONG_AFTER)
    assert {row["_id"] for row in ledger.database.reports.find()} == {held}
    assert {row["report"] for row in ledger.database.releases.find()} == {held}, "with who signed it"
    assert {row["subscription"] for row in ledger.database.jobs.find()} == {"sub_00003"}
    assert {row["subscription"] for row in ledger.database.deliveries.find()} == {"sub_00003"}
    keys = set(ledger.objects.keys(""))
    assert key in keys
    assert {one.partition("/")[0] for one in keys if period.key in one} >= {"snapshots", "datasets", "media"}
    assert not any(other.key in one for one in keys)
    assert dict(next(one.kept for one in report.removed if one.kind == "reports")) == {"held": 1}
    assert lift_hold(ledger.database, ledger.objects, held, "usr_a", FIRST_WEEK)
    assert ledger.objects.tags(key)[RETENTION_TAG] == STANDARD
    retained(ledger, settings, LONG_AFTER)
    assert not any(sizes(ledger.database, ledger.objects).values())
    assert ledger.database.releases.count_documents({}) == 0
    actions = [row["action"] for row in ledger.database.audit.find().sort("seq")]
    assert actions == ["report.held", "report.released"]


def test_a_hold_needs_a_reason_and_a_report_of_the_same_organisation(ledger: Ledger) -> None:
    report = ledger.report(ledger.week(0), "sub_00000")
    database, objects = ledger.database, ledger.objects
    with pytest.raises(ValueError, match="reason"):
        place_hold(database, objects, report, "critical", "  ", "usr_a", FIRST_WEEK)
    with pytest.raises(ReportMissing, match="no report has the id"):
        place_hold(database, objects, "rep_none", "critical", "why not", "usr_a", FIRST_WEEK)
    with pytest.raises(ReportMissing):
        place_hold(database, objects, report, "critical", "why not", "usr_a", FIRST_WEEK, "elsewhere")
    assert holds(database) == []
    assert not lift_hold(database, objects, report, "usr_a", FIRST_WEEK)


@pytest.mark.parametrize(
    ("collection", "change", "reason"),
    [
        ("deliveries", {"sending_at": LONG_AFTER - timedelta(days=3)}, "a link to it works"),
        ("deliveries", {"settled_at": LONG_AFTER - timedelta(days=3)}, "a link to it works"),
        ("deliveries", {"state": "pending", "settled_at": None}, "a link to it works"),
        ("deliveries", {"state": "unknown", "settled_at": None}, "a link to it works"),
        ("jobs", {"state": "rendered", "completed_at": None}, "its job is under way"),
    ],
)
def test_a_report_stays_while_somebody_may_still_open_or_get_it(
    ledger: Ledger, settings: Settings, collection: str, change: dict[str, Any], reason: str
) -> None:
    period = ledger.week(0)
    ledger.database[collection].update_one({"subscription": "sub_00002"}, {"$set": change})
    report = retained(ledger, settings, LONG_AFTER)
    assert [row["subscription"] for row in ledger.database.reports.find()] == ["sub_00002"]
    assert ledger.objects.exists(ledger.key(period, "sub_00002"))
    assert next(one.kept for one in report.removed if one.kind == "reports") == {reason: 1}


def test_a_report_is_not_deleted_before_its_time(ledger: Ledger, settings: Settings) -> None:
    period = ledger.week(0)
    rendered = period.end_at + timedelta(hours=1)
    retained(ledger, settings, rendered + timedelta(days=90) - timedelta(seconds=1))
    assert ledger.database.reports.count_documents({}) == 5
    retained(ledger, settings, rendered + timedelta(days=90, seconds=1))
    assert ledger.database.reports.count_documents({}) == 0
    assert ledger.database.jobs.count_documents({}) == 5, "what was sent is known for longer than it is kept"
    assert list(ledger.objects.keys("reports/")) == []


def test_renderings_that_were_superseded_go_with_the_report(ledger: Ledger, settings: Settings) -> None:
    period = ledger.week(0)
    older = f"reports/weekly/{period.key}/sub_00001/00000000.pdf"
    ledger.objects.put(older, b"the first rendering")
    retained(ledger, settings, LONG_AFTER)
    assert not ledger.objects.exists(older)


def test_the_rules_cannot_contradict_what_is_shown_linked_or_kept_from_being_sent_again(
    settings: Settings,
) -> None:
    rules = keep_rules(
        settings.model_copy(
            update={"retention_days": 365, "link_days": 90, "keep_reports_days": 7, "keep_history_days": 30}
        )
    )
    assert rules.reports == timedelta(days=90)
    assert rules.inputs == rules.runs == timedelta(days=365 + 32)
    assert rules.history >= rules.inputs
    assert rules.history >= rules.reports + rules.link


def test_tagged_orphans_go_after_their_time_unless_they_were_named_again(
    ledger: Ledger, settings: Settings
) -> None:
    for name, tag in (("lost", ORPHAN), ("found", STANDARD)):
        ledger.objects.put(f"files/T1/{name}.pdf", name.encode())
        ledger.objects.mark(f"files/T1/{name}.pdf", tag)
        ledger.database.orphans.insert_one(
            {"_id": f"files/T1/{name}.pdf", "size": 4, "tagged_at": FIRST_WEEK}
        )
    ledger.database.orphans.insert_one({"_id": "files/T1/gone.pdf", "size": 4, "tagged_at": FIRST_WEEK})
    retained(ledger, settings, FIRST_WEEK + timedelta(days=13))
    assert len(list(ledger.objects.keys("files/"))) == 2
    retained(ledger, settings, FIRST_WEEK + timedelta(days=15))
    assert list(ledger.objects.keys("files/")) == ["files/T1/found.pdf"]
    assert ledger.database.orphans.count_documents({}) == 0


def test_the_outbox_and_the_cache_are_bounded(ledger: Ledger, settings: Settings) -> None:
    period = ledger.week(0)
    settled, open_one = (ledger.delivery(period, name) for name in ("sub_00000", "sub_00001"))
    ledger.database.deliveries.update_one({"_id": open_one}, {"$set": {"state": "unknown"}})
    settings.outbox.mkdir(parents=True)
    for name in (
        f"{settled}.eml",
        f"{settled}.2.eml",
        f"{open_one}.eml",
        "ntc_1.eml",
        ".x.part",
        "notes.txt",
    ):
        (settings.outbox / name).write_bytes(b"x")
    cache = settings.home / "cache" / "thumbnails"
    cache.mkdir(parents=True)
    for number in range(12):
        path = cache / f"{number:02}.jpg"
        path.write_bytes(b"x" * 1_000_000)
        os.utime(path, (1_000 + number, 1_000 + number))
    own = settings.model_copy(update={"cache_limit_mb": 10})
    retained(ledger, own, datetime.now(UTC) + timedelta(days=91), only=["outbox", "cache"])
    assert {path.name for path in settings.outbox.iterdir()} == {f"{open_one}.eml", "notes.txt"}
    assert sorted(path.name for path in cache.iterdir()) == [f"{n:02}.jpg" for n in range(2, 12)]


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with (
        TemporaryDirectory() as home,
        DagsterInstance.local_temp(home, overrides={"telemetry": {"enabled": False}}) as opened,
    ):
        yield opened


def test_dagsters_ended_runs_go_with_their_events_and_logs(
    ledger: Ledger, settings: Settings, instance: DagsterInstance
) -> None:
    @op
    def say() -> None:
        """Leaves a log."""

    @job
    def talking() -> None:
        say()

    ids = [talking.execute_in_process(instance=instance).run_id for _ in range(3)]
    waiting = instance.create_run_for_job(talking, status=DagsterRunStatus.STARTED).run_id
    now = datetime.now(UTC)
    assert retained(ledger, settings, now, instance=instance, only=["runs"]).removed[0].records == 0
    later = now + timedelta(days=123)
    tried = retained(ledger, settings, later, instance=instance, only=["runs"], dry_run=True)
    assert tried.removed[0].records == 3
    assert retained(ledger, settings, later, instance=instance, only=["runs"]).removed[0].records == 3
    assert [run.run_id for run in instance.get_runs()] == [waiting], "what is under way stays"
    assert all(not instance.get_records_for_run(run).records for run in ids)


def test_a_kind_that_fails_is_named_and_stops_no_other(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.week(0)
    ledger.objects.delete_many(list(ledger.objects.keys("")))
    away = ObjectStore(ledger.objects.client, "no-such-bucket-anywhere")
    report = retain(ledger.database, away, settings, LONG_AFTER, dry_run=False)
    assert {one.kind for one in report.failed} >= {"inputs"}
    assert ledger.database.jobs.count_documents({}) == 0
    kept = last_upkeep(ledger.database, "retention")
    assert kept is not None
    assert kept["ok"] is False
    assert "NoSuchBucket" in kept["kinds"]["inputs"]["error"]


def test_an_unknown_kind_is_refused(ledger: Ledger, settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"'report' is no kind.*reports"):
        retain(ledger.database, ledger.objects, settings, LONG_AFTER, dry_run=True, only=["report"])
    assert len(KINDS) == 11


def test_the_buckets_rules_are_written_verified_and_leave_those_of_others(
    objects: ObjectStore, settings: Settings
) -> None:
    wanted = wanted_rules(settings.model_copy(update={"archive_class": "none"}), retention_days(settings))
    assert rule_problems(wanted, standing_rules(objects)), "nothing stands yet"
    foreign = {
        "ID": "owner-logs",
        "Status": "Enabled",
        "Filter": {"Prefix": "logs/"},
        "Expiration": {"Days": 3},
    }
    objects.client.put_bucket_lifecycle_configuration(
        Bucket=objects.bucket,
        LifecycleConfiguration={"Rules": [foreign]},  # type: ignore[list-item]
    )
    write_rules(objects, wanted)
    write_rules(objects, wanted)
    standing = standing_rules(objects)
    assert rule_problems(wanted, standing) == []
    assert "owner-logs" in {rule["ID"] for rule in standing}
    shorter = wanted_rules(
        settings.model_copy(update={"archive_class": "none"}), {**retention_days(settings), "reports/": 10}
    )
    assert rule_problems(shorter, standing) == [
        "the rule reporting-expire-reports is another; `reporting-pipeline bucket-rules --write`"
    ]


def test_a_rule_of_the_owner_that_begins_as_ours_do_stays(objects: ObjectStore, settings: Settings) -> None:
    own = settings.model_copy(update={"archive_class": "none"})
    wanted = wanted_rules(own, retention_days(own))
    foreign = {
        "ID": "reporting-expire-finance",
        "Status": "Enabled",
        "Filter": {"Prefix": "finance/"},
        "Expiration": {"Days": 3},
    }
    objects.client.put_bucket_lifecycle_configuration(
        Bucket=objects.bucket,
        LifecycleConfiguration={"Rules": [foreign]},  # type: ignore[list-item]
    )
    write_rules(objects, wanted)
    standing = standing_rules(objects)
    assert rule_problems(wanted, standing) == []
    assert "reporting-expire-finance" in {rule["ID"] for rule in standing}


def test_what_an_owner_chose_in_words_that_only_aws_knows_is_written_back(
    objects: ObjectStore, settings: Settings
) -> None:
    """No server here knows them: what is asked is held against boto3's own description of S3."""
    wanted = wanted_rules(settings, retention_days(settings))
    of_old = {"ID": "logs", "Prefix": "logs/", "Status": "Enabled", "Expiration": {"Days": 3}}
    before = {"Rules": [of_old, *wanted[:1]], "TransitionDefaultMinimumObjectSize": "varies_by_storage_class"}
    as_filter = {"ID": "logs", "Filter": {"Prefix": "logs/"}, "Status": "Enabled", "Expiration": {"Days": 3}}
    with Stubber(objects.client) as stub:
        stub.add_response("get_bucket_lifecycle_configuration", before, {"Bucket": objects.bucket})
        stub.add_response(
            "put_bucket_lifecycle_configuration",
            {},
            {
                "Bucket": objects.bucket,
                "LifecycleConfiguration": {"Rules": [as_filter, *wanted]},
                "TransitionDefaultMinimumObjectSize": "varies_by_storage_class",
            },
        )
        write_rules(objects, wanted)
        stub.assert_no_pending_responses()


def test_every_rule_that_we_write_is_known_as_ours(settings: Settings) -> None:
    for archive in ("none", "GLACIER_IR"):
        own = settings.model_copy(update={"archive_class": archive})
        wanted = wanted_rules(own, retention_days(own))
        assert rule_problems([], wanted) == [
            f"the rule {rule['ID']} is not wanted any more; write the rules again" for rule in wanted
        ]


def test_a_server_without_storage_classes_is_told_with_the_setting_that_helps(
    objects: ObjectStore, settings: Settings
) -> None:
    with pytest.raises(RulesNotTaken, match="REPORTING_ARCHIVE_CLASS=none"):
        write_rules(objects, wanted_rules(settings, retention_days(settings)))


def test_the_doctor_holds_the_bucket_s_rules_against_those_that_it_would_write(
    database: Database, objects: ObjectStore, settings: Settings
) -> None:
    simple = settings.model_copy(update={"archive_class": "none"})

    def told() -> list[Diagnosis]:
        return [
            one for one in examine(database, objects, simple) if "rule" in one.text or "ended" in one.text
        ]

    assert [(one.state, one.todo) for one in told()] == [
        ("warning", "run `reporting-pipeline bucket-rules --write`")
    ]
    wanted = wanted_rules(simple, retention_days(simple))
    write_rules(objects, wanted[1:])  # a rule under one prefix ends nothing under another
    assert [one.state for one in told()] == ["warning"]
    write_rules(objects, wanted)
    assert [one.state for one in told()] == ["ok"]


@pytest.mark.parametrize(
    ("prefix", "told"),
    [
        ("", "deletes uploaded documents"),
        ("files/T1/", "deletes uploaded documents"),
        ("reports/", "deletes reports"),
        ("media/", ""),
    ],
)
def test_a_rule_of_others_that_deletes_what_must_stay_is_told(
    settings: Settings, prefix: str, told: str
) -> None:
    wanted = wanted_rules(settings, retention_days(settings))
    own = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": prefix}, "Expiration": {"Days": 9}}
    problems = rule_problems(wanted, [*wanted, own])
    assert [told in problem for problem in problems] == ([True] if told else [])


def test_the_commands(
    ledger: Ledger, settings: Settings, endpoints: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reporting_pipeline.settings import current_settings

    period = ledger.week(0)
    for name, value in {
        "REPORTING_ENVIRONMENT": "test",
        "REPORTING_HOME": str(settings.home),
        "REPORTING_MONGODB_DATABASE": settings.mongodb_database,
        "REPORTING_S3_BUCKET": settings.s3_bucket,
        "REPORTING_ARCHIVE_CLASS": "none",
        **endpoints.as_environment(),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    current_settings.cache_clear()
    run = CliRunner().invoke
    try:
        done = run(app, ["retention", "--dry-run", "--only", "reports"])
        assert done.exit_code == 0, done.output
        assert "a dry run" in done.output
        held = ledger.report(period, "sub_00000")
        assert run(app, ["hold", "place", held, "--reason", "audit of 2026"]).exit_code == 0
        assert held in run(app, ["hold", "list"]).output
        assert run(app, ["hold", "lift", held]).exit_code == 0
        assert run(app, ["hold", "lift", held]).exit_code == 1
        assert run(app, ["bucket-rules"]).exit_code == 2
        assert run(app, ["bucket-rules", "--write"]).exit_code == 0
        assert run(app, ["bucket-rules"]).exit_code == 0
    finally:
        current_settings.cache_clear()


WRITTEN = re.compile(r"database\.([a-z_]+)\.(?:insert|update|replace|bulk_write|find_one_and)")
#: Collection -> the kind of retention whose function deletes from it, beside those that expire by an index.
RETAINED = {
    "reports": "reports",
    "asset_results": "inputs",
    "media": "pictures",
    "orphans": "orphans",
    "deliveries": "deliveries",
    "delivery_events": "deliveries",
    "jobs": "jobs",
    "editions": "editions",
    "alerts": "alerts",
    "usage": "expired",
    "releases": "expired",
}
#: Collection -> why retention leaves it. Records about a person go with the person (`stores.personal_data`).
STAYS = {
    "documents": "the trial's data; withdrawn by people alone",
    "document_versions": "what a corrected document said before",
    "trials": "registered by people",
    "users": "until erased",
    "organisations": "registered by people",
    "subscriptions": "ended ones tell what was sent and to whom",
    "subscription_counts": "a number for each organisation",
    "registrations": "one for an address and cadence; goes when it is cancelled",
    "unsubscribes": "who opted out stays opted out",
    "suppressions": "an address that bounced is not written to again",
    "address_marks": "what the audit log calls an address; erased with the person",
    "audit": "append-only",
    "audit_heads": "one for each chain",
    "person_keys": "destroyed with the person",
    "holds": "lifted by people",
    "channel_states": "one for each channel",
    "token_buckets": "one for each rate",
    "restores": "one for each restore",
    "measures": "counts, added to in place",
    "upkeep": "one for each work",
    "schema": "one for each migration",
    "figures": "two: what is counted now, and what is stored",
}


def test_of_every_collection_it_is_decided_when_its_records_go() -> None:
    decided = {*RETAINED, *STAYS, *expiring()}
    written = {
        name
        for path in Path(reporting_pipeline.__file__).parent.rglob("*.py")
        for name in WRITTEN.findall(path.read_text(encoding="utf-8"))
    }
    assert {"jobs", "usage"} <= written, "the walk saw the stores"
    assert {*INDEXES, *written} - decided == set(), "give it a kind, an expiring index or a reason"
    assert set(RETAINED.values()) <= set(KINDS)
    assert not (set(RETAINED) | set(expiring())) & set(STAYS)


def test_what_expires_by_an_index_goes_where_the_server_sweeps_nothing(
    ledger: Ledger, settings: Settings
) -> None:
    for name, (field, age) in expiring().items():
        old, young = FIRST_WEEK - age - timedelta(seconds=1), FIRST_WEEK - age + timedelta(seconds=1)
        # Of the unique index of kept answers.
        ledger.database[name].insert_one({"_id": "old", field: old, "principal": "a", "key": "old"})
        ledger.database[name].insert_one({"_id": "young", field: young, "principal": "a", "key": "young"})
    retained(ledger, settings, FIRST_WEEK, only=["expired"])
    left = {name: [one["_id"] for one in ledger.database[name].find({})] for name in expiring()}
    assert {"console_sessions", "console_sign_ins"} <= set(left)
    assert left == {name: ["young"] for name in left}
