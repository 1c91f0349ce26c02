"""Checks of reports and deliveries stand in Dagster as those of datasets do, over the whole period."""

from __future__ import annotations

from dagster import AssetCheckSeverity, AssetKey, AssetSelection, define_asset_job

from reporting_pipeline.definitions import build_defs
from reporting_pipeline_tests.automation.crank import Crank, usual_documents


def whole(crank: Crank) -> dict[str, tuple[bool, AssetCheckSeverity]]:
    """check -> (passed, severity), as it was evaluated last."""
    found = {}
    for asset, name in (
        ("subscriber_reports", "reports_stand"),
        ("subscriber_reports", "reports_whole"),
        ("subscriber_reports", "reports_may_go"),
        ("report_emails", "deliveries_arrive"),
    ):
        evaluation = crank.check(asset, name)
        assert evaluation is not None, name
        found[name] = (evaluation.passed, evaluation.severity)
    return found


def one_report(crank: Crank) -> None:
    crank.add_trial("T-ALPHA")
    crank.arrive(*usual_documents("T-ALPHA", crank.period()))
    crank.subscribe("one")


def test_a_sound_edition_passes_and_a_dead_letter_fails_the_check_of_deliveries(empty: Crank) -> None:
    one_report(empty)
    empty.complete()
    assert all(passed for passed, _ in whole(empty).values())
    check = empty.check("subscriber_reports", "reports_stand")
    assert check is not None
    assert check.metadata["periods"].value == empty.period().key

    empty.database.deliveries.update_many({}, {"$set": {"state": "unknown"}})
    run_the_check(empty)
    assert whole(empty)["deliveries_arrive"] == (False, AssetCheckSeverity.WARN)
    empty.database.deliveries.update_many({}, {"$set": {"state": "bounced"}})
    run_the_check(empty)
    assert whole(empty)["deliveries_arrive"] == (False, AssetCheckSeverity.ERROR)


def run_the_check(crank: Crank) -> None:
    """By the button in the UI."""
    key = AssetKey(["weekly", "report_emails"])
    job = define_asset_job("by_button", selection=AssetSelection.checks_for_assets(key))
    definitions = build_defs(crank.settings, crank.clock.at)
    definitions = type(definitions).merge(definitions, type(definitions)(jobs=[job]))
    done = definitions.resolve_job_def("by_button").execute_in_process(instance=crank.instance)
    assert done.success


def test_a_run_for_one_report_does_not_hide_another_that_failed_waits_or_leaves_something_out(
    empty: Crank,
) -> None:
    one_report(empty)
    empty.subscribe("two")
    empty.complete()
    jobs, two = empty.database.jobs, {"subscription": "sub_two"}
    for change, name, severity in (
        ({"state": "failed", "failed_in": "rendering"}, "reports_stand", AssetCheckSeverity.ERROR),
        ({"state": "awaiting_release"}, "reports_may_go", AssetCheckSeverity.WARN),
        ({"state": "completed", "has_omissions": True}, "reports_whole", AssetCheckSeverity.WARN),
    ):
        jobs.update_one(two, {"$set": change})
        assert empty.by_hand("subscriber_reports", "sub_one").success
        failed = {check: found for check, found in whole(empty).items() if not found[0]}
        assert failed == {name: (False, severity)}
