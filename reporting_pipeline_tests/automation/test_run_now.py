"""What a person waits for: one run makes and delivers it, what comes meanwhile gathers, nothing twice."""

from __future__ import annotations

from typing import Any

import pytest
from dagster import RunRequest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType

from reporting_pipeline.assets import batch, reports
from reporting_pipeline.assets.batch import Made
from reporting_pipeline.assets.emails import DELIVERY_SENSOR, deliver_what_was_asked_for
from reporting_pipeline.assets.report_batch import ReportBatch
from reporting_pipeline.automation import control, watching
from reporting_pipeline.automation.tags import PROMPT, asked_of
from reporting_pipeline.partitions import SubscriptionPartition
from reporting_pipeline.stores.lifecycle import run_now
from reporting_pipeline_tests.automation.crank import Crank, document, event
from reporting_pipeline_tests.automation.test_dead_runs import started

REPORTS, DELIVERY = "weekly_subscriber_reports_job", "weekly_delivery_job"


@pytest.fixture
def quiet(crank: Crank) -> Crank:
    """One report was asked for before, so that the datasets of all trials stand."""
    ask(crank, "all")
    crank.settle()
    assert crank.mailed() == ["all@example.org"]
    forget(crank)
    return crank


def forget(crank: Crank) -> None:
    crank.clock.forward(minutes=1)
    crank.forget()
    for path in crank.settings.outbox.glob("*.eml"):
        path.unlink()


def ask(crank: Crank, *names: str) -> None:
    for name in names:
        run_now(crank.database, crank.subscription(name), crank.period(), f"usr_{name}", crank.clock.at)


def _turned(crank: Crank, status: InstigatorStatus) -> None:
    """As Dagster's UI turns the delivery sensor off and on."""
    location = RegisteredCodeLocationOrigin("reporting_pipeline")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), DELIVERY_SENSOR)
    state = InstigatorState(origin, InstigatorType.SENSOR, status)
    known = crank.instance.get_instigator_state(state.instigator_origin_id, state.selector_id)
    (crank.instance.update_instigator_state if known else crank.instance.add_instigator_state)(state)


def looked(crank: Crank) -> tuple[list[RunRequest], list[list[str]]]:
    """One tick of the sensor: what it asks for, and whose reports each of these runs makes."""
    requests = crank.sensor("on_demand_sensor")
    assert {request.job_name for request in requests} <= {REPORTS}
    assert all(request.tags[PROMPT] == "yes" for request in requests)
    return requests, [named(request) for request in requests]


def named(request: Any) -> list[str]:
    found = asked_of(request, "weekly__subscriber_reports")
    return sorted(one.removeprefix("sub_") for one in found)


def test_what_lies_scattered_is_one_run_that_makes_that_alone_and_mails_it_once(
    quiet: Crank, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [len(quiet.materializations(asset)) for asset in ("subscriber_reports", "report_emails")]
    ask(quiet, "gamma", "alpha")
    assert quiet.tick() == 1
    assert quiet.mailed() == ["alpha@example.org", "gamma@example.org"]
    for asset, known in zip(("subscriber_reports", "report_emails"), before, strict=True):
        new = quiet.materializations(asset)[known:]
        assert sorted(key.split("|sub_")[1] for key in new) == ["alpha", "gamma"], asset
    assert quiet.settle() == 0
    assert len(quiet.mailed()) == 2
    assert {job["state"] for job in quiet.jobs_by_id().values() if job["on_demand"]} == {"completed"}

    # A run that dies before it delivered, or after: the delivery sensor is the net, and sends the rest once.
    deliver = deliver_what_was_asked_for
    for delivered, left in ((0, 1), (2, 0)):
        forget(quiet)
        ask(quiet, "gamma", "alpha")
        with monkeypatch.context() as patch:

            def died(*given: Any, delivered: int = delivered) -> None:
                if delivered:
                    deliver(*given)
                raise RuntimeError("the process ended here")

            patch.setattr(reports, "deliver_what_was_asked_for", died)
            (request,) = quiet.sensor("on_demand_sensor")
            assert not quiet.execute(request).success
        assert len(quiet.mailed()) == delivered
        quiet.settle()
        assert quiet.mailed() == ["alpha@example.org", "gamma@example.org"]
        assert (quiet.runs(REPORTS), quiet.runs(DELIVERY)) == (1, left), "what was made stands"

    # Whoever turned the delivery sensor off stopped every mail, also those that somebody waits for.
    forget(quiet)
    _turned(quiet, InstigatorStatus.STOPPED)
    ask(quiet, "gamma")
    (request,) = quiet.sensor("on_demand_sensor")
    assert quiet.execute(request).success
    assert quiet.mailed() == []
    _turned(quiet, InstigatorStatus.RUNNING)
    quiet.settle()
    assert quiet.mailed() == ["gamma@example.org"]

    # Rights are looked at when it is sent, here as there.
    forget(quiet)

    def revoked(*given: Any) -> None:
        quiet.database.users.update_one({"_id": "usr_alpha"}, {"$set": {"active": False}})
        deliver(*given)

    monkeypatch.setattr(reports, "deliver_what_was_asked_for", revoked)
    ask(quiet, "alpha", "gamma")
    quiet.settle()
    assert quiet.mailed() == ["gamma@example.org"]


def test_what_is_asked_for_while_runs_are_under_way_gathers_and_nothing_is_made_by_two(
    quiet: Crank, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Dagster begins a tick every five seconds: one that finds nothing stays and watches for who asks.
    glances: list[float] = []

    def meanwhile(seconds: float) -> None:
        glances.append(seconds)
        if len(glances) == 3:
            ask(quiet, "beta")

    with monkeypatch.context() as patch:
        patch.setattr(watching, "sleep", meanwhile)
        patch.setitem(quiet.settings.__dict__, "watch_seconds", 600.0)
        (request,), names = looked(quiet)
    assert names == [["beta"]]
    assert len(glances) == 3
    first = started(quiet, request)
    assert looked(quiet)[1] == [], "a run makes it"

    ask(quiet, "alpha", "gamma")
    (request,), names = looked(quiet)
    assert names == [["alpha", "gamma"]], "those that are made already are not asked for again"
    second = started(quiet, request)

    monkeypatch.setattr(control, "MOST_ASKED", 1)
    for name in ("events", "alpha2"):
        quiet.clock.forward(seconds=1)
        ask(quiet, name)
    assert looked(quiet)[1] == [], "as many runs as render at a time are under way"
    quiet.instance.report_run_canceled(first)
    assert looked(quiet)[1] == [["beta"]], "one place is free, and who asked first takes it"
    quiet.instance.report_run_canceled(second)
    quiet.settle()
    everybody = ("alpha", "alpha2", "beta", "events", "gamma")
    assert quiet.mailed() == sorted(f"{name}@example.org" for name in everybody)


def test_who_asks_while_a_run_of_the_edition_goes_on_is_served_at_once_and_nothing_is_made_or_mailed_twice(
    quiet: Crank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run of the edition has read its data and made a report; then documents come, and one asks."""
    monkeypatch.setattr(batch, "CLAIMED_AT_ONCE", 1)
    quiet.schedule()
    while not (requests := [one for one in quiet.sensor("edition_sensor") if one.job_name == REPORTS]):
        quiet.tick()
    make, asked, made = ReportBatch.make, list[str](), list[str]()

    def meanwhile(reports_of_run: ReportBatch, partition: SubscriptionPartition) -> Made:
        result = make(reports_of_run, partition)
        made.append(partition.subscription)
        if not asked:
            asked.append("gamma" if partition.subscription != "sub_gamma" else "events")
            quiet.clock.forward(minutes=1)
            quiet.arrive(document("T-GAMMA", "late", "adverse_event", quiet.period().start_at, event("Rash")))
            ask(quiet, *asked)
            for _ in range(3):  # its documents, its dataset, its report
                for request in quiet.sensor("on_demand_sensor"):
                    quiet.execute(request)
        return result

    monkeypatch.setattr(ReportBatch, "make", meanwhile)
    before = len(quiet.materializations("subscriber_reports"))
    for request in requests:
        assert quiet.execute(request).success
    (name,) = asked
    assert quiet.mailed() == [f"{name}@example.org"], "who asked waits for nobody else"
    assert made.count(f"sub_{name}") == 1
    dataset = quiet.results("trial_dataset")["T-GAMMA"].version
    report = {"subscription": f"sub_{name}", "dataset_versions.T-GAMMA": dataset}
    assert quiet.database.reports.count_documents(report) == 1, "what came before they asked is in it"
    told = [key.split("|")[1] for key in quiet.materializations("subscriber_reports")[before:]]
    assert sorted(told) == sorted({*told}), "one materialization each"
    quiet.settle()
    assert quiet.edition_state() == "completed"
    assert quiet.mailed().count(f"{name}@example.org") == 1
    everybody = ("alpha", "alpha2", "beta", "events", "gamma")
    assert set(quiet.mailed()) == {f"{one}@example.org" for one in everybody}
    assert quiet.database.reports.count_documents(report) == 1, "older data took its place"
