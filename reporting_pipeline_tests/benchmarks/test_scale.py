"""The model of large editions: fitted to what was measured, held against what was left out of the fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.scale import (
    MEASURED,
    SPENDERS,
    TRIAL_SECONDS,
    Edition,
    check,
    cpu,
    fitted,
    measured_in,
    off_by,
    predict,
)
from reporting_pipeline_tests.benchmarks.small import ROOT

TWO = [Edition(100, 0, 10, 1, 15, 300), Edition(1_100, 0, 30, 11, 115, 400)]


def test_the_model_goes_through_two_editions_and_needs_two() -> None:
    for name in SPENDERS:
        line = fitted(TWO, name)
        assert [line.at(one.reports) for one in TWO] == pytest.approx([getattr(one, name) for one in TWO])
    assert fitted(TWO, "runs").each == pytest.approx(0.02)
    assert off_by(TWO, Edition(600, 0, 20, 6, 65, 350)) == pytest.approx(0)
    assert off_by(TWO, Edition(600, 0, 20, 6, 156, 350)) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="two editions"):
        fitted([MEASURED[0]], "runs")


def test_sizes_that_were_left_out_of_the_fit_are_predicted_within_fifteen_per_cent() -> None:
    off = check()
    assert set(off) == {"1000", "10000", "50000"}
    assert max(off.values()) < 0.15


def test_no_edition_costs_less_than_nothing_and_trials_cost_apart_from_reports() -> None:
    # Servers: 10 and 20 ms a report.
    steeper = [
        Edition(100, 0, 10, 1, 1, 300),
        Edition(1_000, 0, 30, 11, 20, 400),
    ]
    line = fitted(steeper, "servers")
    assert line.fixed == 0
    assert 0.010 < line.each < 0.020
    with_trials = [replace(one, trials=10, runs=one.runs + 10 * TRIAL_SECONDS) for one in TWO]
    assert fitted(with_trials, "runs").at(600) == pytest.approx(fitted(TWO, "runs").at(600))
    assert cpu(TWO, 600, 10)["runs"] == pytest.approx(cpu(TWO, 600, 0)["runs"] + 10 * TRIAL_SECONDS)


def test_more_cores_help_the_workers_alone_and_more_trials_cost_more() -> None:
    few, many = (predict(100_000, 500, cores, 100)["wall_s"] for cores in (2, 20))
    assert few["workers"] == pytest.approx(10 * many["workers"])
    assert {name: many[name] for name in many if name != "workers"} == {
        name: few[name] for name in few if name != "workers"
    }
    spent = [predict(100_000, trials, 2, 100)["predicted"]["cpu_s"]["runs"] for trials in (50, 500)]
    assert spent[1] > spent[0]


def test_a_measurement_that_is_none_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    file.write_text(json.dumps({"reports": 3_000, "trials": 50, "cpu": {"runs": 40}}))
    with pytest.raises(ValueError, match="daemon_and_code_servers"):
        measured_in(file)


def test_the_page_says_what_the_model_says() -> None:
    page = (ROOT / "docs" / "scale.md").read_text()
    figures = predict(1_000_000, 5_000, 16, 100)
    spent = figures["predicted"]["cpu_s"]
    for name in (*SPENDERS, "all"):
        assert f"{round(spent[name], -2):,.0f}" in page, name
    for name, seconds in figures["wall_s"].items():
        assert f"| {name} | {round(seconds, -1):,.0f} s |" in page, name
    assert figures["first_to_break"] == "one database of one core"
    for name, off in check().items():
        assert f"| {int(name):,} | {off:.0%} |" in page
