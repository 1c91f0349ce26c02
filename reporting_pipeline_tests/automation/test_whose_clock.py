"""A daemon and workers whose clocks are an hour ahead of the database server's: nothing happens early."""

from __future__ import annotations

from datetime import timedelta

from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.stores.editions import get_edition
from reporting_pipeline_tests.automation.crank import Crank, usual_documents

AN_HOUR = timedelta(hours=1)
OF_THE_TRIAL = Filters(trials=("T-ALPHA",))


def test_a_report_that_is_due_later_is_made_and_not_sent_before(empty: Crank) -> None:
    empty.add_trial("T-ALPHA")
    empty.arrive(*usual_documents("T-ALPHA", empty.period()))
    empty.subscribe("now", OF_THE_TRIAL)
    empty.subscribe("later", OF_THE_TRIAL, schedule=Schedule(cadence="weekly", day_of_week=1, time="00:40"))
    empty.clock.machines_ahead = AN_HOUR
    empty.complete()
    assert empty.mailed() == ["now@example.org"], "the other is due in half an hour"
    empty.clock.forward(minutes=40)
    empty.settle()
    assert empty.mailed() == ["later@example.org", "now@example.org"]


def test_an_edition_that_is_opened_before_its_period_has_ended_is_made_when_it_has(empty: Crank) -> None:
    week = empty.period()
    empty.add_trial("T-ALPHA")
    empty.arrive(*usual_documents("T-ALPHA", week))
    empty.subscribe("one", OF_THE_TRIAL)
    empty.clock.at = week.end_at - timedelta(minutes=30)
    empty.clock.machines_ahead = AN_HOUR
    assert "goes on" in empty.schedule()
    assert empty.settle() == 0, "documents may still come in"
    edition = f"weekly:{week.key}"
    assert get_edition(empty.database, edition).state == "open"
    empty.clock.at = week.end_at + timedelta(minutes=1)
    empty.settle()
    assert get_edition(empty.database, edition).state == "completed"
    assert empty.mailed() == ["one@example.org"]
