"""Figures of a trial so far: rates have denominators, and what is not known is never 0, normal or first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from reporting_pipeline.domain import trial_so_far as so_far
from reporting_pipeline.domain.clinical.reading import Reading
from reporting_pipeline.domain.clinical.rows import rows_of
from reporting_pipeline.domain.datasets import TABLES, TrialDataset, table_from_rows
from reporting_pipeline.domain.followed import followed
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.status_filters import of_kinds
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.domain.tidying import tidy_documents

WEEK = Period(Cadence.WEEKLY, date(2026, 11, 16))
UNTIL = WEEK.last_day


def status_of(**rows: list[dict[str, Any]]) -> TrialDataset:
    key = {"document_id": "d", "window": "previous", "site": "1", "subject": "1-1", "day": "2026-11-01"}
    tables = {name: table_from_rows(name, [{**key, **row} for row in rows.get(name, [])]) for name in TABLES}
    return TrialDataset("T", "T", WEEK, tables, "v", WEEK.end_at)


def result(subject: str, when: str, kind: str = "lab", **said: Any) -> dict[str, Any]:
    given = {"test_code": "ALT", "test": "ALT", "value": 20.0, "unit": "U/L", "low": 5.0, "high": 40.0} | said
    (made,) = rows_of(kind, {"results": [given]}, Reading())
    return {**made, "subject": subject, "collected": when}


def enrolled(site: str, subject: str, when: str, **said: str) -> dict[str, Any]:
    return {"site": site, "subject": subject, "enrolled": when, **said}


def test_who_has_no_full_date_is_counted_and_in_no_time() -> None:
    status = status_of(
        subjects=[enrolled("1", "a", "2026-11-13"), enrolled("1", "b", "2026-11"), enrolled("1", "c", "")]
    )
    days = {one.subject: one.days(UNTIL) for one in followed(status)}
    assert days == {"a": 10, "b": None, "c": None}


def test_the_hys_range_is_three_and_two_times_the_limit_at_the_limit_itself() -> None:
    labs = [
        result("in", "2026-01-01", value=120.0),
        result("in", "2026-02-01", test_code="BILI", test="Bilirubin", value=40.0, high=20.0),
        result("out", "2026-01-01", value=119.0),
        result("out", "2026-01-01", test_code="BILI", test="Bilirubin", value=60.0, high=20.0),
        result("alone", "2026-01-01", value=400.0),
        result("urine", "2026-01-01", test_code="BILI", specimen="URINE", value=99.0, high=1.0),
    ]
    points, alone = so_far.liver_points(status_of(labs=labs))
    assert [(one.subject, one.in_hys_range) for one in points] == [("in", True), ("out", False)]
    assert alone == 1


def test_over_a_limit_is_a_peak_under_one_is_none_and_who_cannot_be_placed_is_counted() -> None:
    def liver(subject: str, alt: object, **said: Any) -> list[dict[str, Any]]:
        bilirubin = result(subject, "2026-01-01", test_code="BILI", test="Bilirubin", value=60.0, high=20.0)
        return [result(subject, "2026-01-01", value=alt, **said), bilirubin]

    labs = [*liver("over", ">1000"), *liver("under", "<200"), *liver("low", "<10")]
    labs += [*liver("no limit", 400.0, high=None), result("words", "2026-01-01", value=None)]
    points, others = so_far.liver_points(status_of(labs=labs))
    assert {one.subject: (one.transaminase, one.in_hys_range) for one in points} == {
        "over": (25.0, True),
        "low": (0.25, False),
    }
    assert others == 3, "under <200 nothing is known, nor without a limit or a number"


def test_seriousness_that_is_not_stated_is_neither_serious_nor_not() -> None:
    events = [
        {"subject": subject, "preferred_term": "Syncope", "serious": serious}
        for subject, serious in (("a", "yes"), ("a", "unknown"), ("b", "no"), ("b", "unknown"), ("c", "no"))
    ]
    status = status_of(adverse_events=events, subjects=[enrolled("1", "a", "2026-01-01")])
    (rate,) = so_far.event_rates(status, followed(status))
    assert (rate.persons, rate.serious, rate.unknown) == (3, 1, 1)
    assert so_far.unknown_seriousness(status) == 2


def test_a_no_beside_a_death_or_a_criterion_is_counted_apart() -> None:
    events: list[dict[str, Any]] = [
        {"subject": "a", "serious": "no", "fatal": True},
        {"subject": "a", "serious": "no", "seriousness_criteria": "hospitalisation"},
        {"subject": "b", "serious": "no"},
        {"subject": "b", "serious": "yes", "seriousness_criteria": "death", "fatal": True},
        {"subject": "c", "serious": "unknown", "fatal": True},
    ]
    status = status_of(adverse_events=events, subjects=[enrolled("1", "a", "2026-01-01")])
    assert (so_far.not_serious_by_word_alone(status), so_far.unknown_seriousness(status)) == (2, 1)


def test_where_nobody_says_serious_or_missed_there_is_no_rate_and_no_share() -> None:
    people = [enrolled("1", "a", "2026-01-01")]
    events = [{"subject": "a", "serious": "unknown"}]
    visits = [{"subject": "a", "visit_status": "done"}]
    status = status_of(subjects=people, adverse_events=events, visits=visits)
    measures = so_far.site_measures(status, UNTIL)
    assert measures["Adverse events per person and year"]["1"] > 0
    for name in ("Serious adverse events per person and year", "Visits missed per person and year"):
        assert measures[name] == {}
    assert measures["Share of visits done"] == {}
    stated = [{"subject": "a", "serious": "no"}], [*visits, {"subject": "a", "visit_status": "missed"}]
    told = so_far.site_measures(status_of(subjects=people, adverse_events=stated[0], visits=stated[1]), UNTIL)
    assert told["Serious adverse events per person and year"] == {"1": 0.0}
    assert told["Share of visits done"] == {"1": 0.5}


def test_who_consented_is_not_enrolled_by_that_and_an_interval_is_no_day() -> None:
    status = status_of(
        subjects=[
            {"subject": "screened", "consented": "2026-11-13"},
            enrolled("1", "about", "2026-11-01/2026-11-15"),
        ]
    )
    assert {one.subject: one.enrolled for one in followed(status)} == {"screened": None, "about": None}


def test_results_that_no_limit_can_be_held_against_are_counted() -> None:
    def qtc(subject: str, value: object, unit: str | None) -> dict[str, Any]:
        said = {"test_code": "QTCF", "test": "QTcF", "value": value, "unit": unit, "low": None, "high": None}
        return result(subject, "2026-01-01", "ecg", **said)

    ecgs = [qtc("a", 440.0, "ms"), qtc("b", 0.52, "s"), qtc("c", 520.0, None), qtc("d", ">500", "ms")]
    assert so_far.qtc_measured(status_of(ecgs=ecgs)) == so_far.Measured(usable=1, unusable=3)


def test_a_result_without_a_day_is_nobody_s_first() -> None:
    labs = [result("a", "", value=90.0), result("a", "2026-01-02", value=20.0)]
    labs += [result("a", "2026-02-01", value=80.0)]
    labs += [result("b", "2026", value=20.0), result("b", "2026-02", value=80.0)]
    row = so_far.shifts(status_of(labs=labs)).loc["ALT"]
    assert row["NORMAL to HIGH"] == 1
    assert row["HIGH to HIGH"] == 0
    assert row["not assessed"] == 1


def test_qtc_over_a_limit_and_its_rise_are_told_and_other_units_are_not_guessed() -> None:
    def qtc(subject: str, when: str, value: float, unit: str = "ms") -> dict[str, Any]:
        said = {"test_code": "QTCF", "test": "QTcF", "value": value, "unit": unit, "low": None, "high": None}
        return result(subject, when, "ecg", **said)

    ecgs = [qtc("a", "2026-01-01", 440.0), qtc("a", "2026-02-01", 505.0), qtc("b", "2026-01-01", 450.0)]
    ecgs += [qtc("c", "", 400.0), qtc("c", "2026-02-01", 470.0), qtc("d", "2026-01-01", 0.6, "s")]
    found = {one.subject: one for one in so_far.qtc_outliers(status_of(ecgs=ecgs))}
    assert found["a"].why == "over 500 ms, rose by more than 60 ms"
    assert found["c"].why == "over 450 ms"
    assert set(found) == {"a", "c"}


def test_the_z_of_a_site_is_that_of_gsm_core() -> None:
    """By hand: counts 10, 2, 6 in one year each: mu 6, z0 = (x - 6) / sqrt(6), phi = mean of squares."""
    subjects = [enrolled(site, f"{site}-1", "2025-11-22") for site in ("1", "2", "3")]
    counts = {"1": 10, "2": 2, "3": 6}
    events = [{"site": site, "subject": f"{site}-1"} for site, n in counts.items() for _ in range(n)]
    status = status_of(subjects=subjects, adverse_events=events)
    found = so_far.site_rates(status, followed(status), UNTIL, "Adverse events")
    rates = {one.site: one for one in found}
    years = rates["1"].years
    mu = 18 / (3 * years)
    zeros = [(n / years - mu) / math.sqrt(mu / years) for n in (10, 2, 6)]
    phi = sum(z * z for z in zeros) / 3
    assert [rates[site].z for site in ("1", "2", "3")] == pytest.approx([z / math.sqrt(phi) for z in zeros])


def test_a_rate_counts_the_events_of_those_alone_whose_time_it_counts() -> None:
    subjects = [
        enrolled("1", "timed", "2025-11-23"),
        enrolled("1", "screened", ""),
        enrolled("2", "b", "2025-11-23"),
    ]
    events = [{"site": "1", "subject": who} for who in ("timed", "screened", "screened", "")]
    events.append({"site": "2", "subject": "b"})
    status = status_of(subjects=subjects, adverse_events=events)
    rates = so_far.site_rates(status, followed(status), UNTIL, "Adverse events")
    assert {one.site: one.count for one in rates} == {"1": 1, "2": 1}
    assert so_far.in_no_rate(status, rates, "Adverse events") == 3


def test_a_site_that_never_says_serious_has_no_rate_of_nought_beside_others_that_do() -> None:
    subjects = [enrolled(site, f"{site}-1", "2026-01-01") for site in ("1", "2", "3")]
    said = {"1": "unknown", "2": "yes"}
    events = [{"site": site, "subject": f"{site}-1", "serious": serious} for site, serious in said.items()]
    status = status_of(subjects=subjects, adverse_events=events)
    rates = so_far.site_rates(status, followed(status), UNTIL, so_far.SERIOUS_EVENTS)
    assert {one.site: one.count for one in rates} == {"2": 1, "3": 0}


def test_somebody_sent_without_a_site_or_moved_to_another_is_one_person_with_all_results() -> None:
    labs = [
        {**result("01-701-1", "2026-01-01", value=200.0), "site": "unknown"},
        {
            **result("01-701-1", "2026-01-01", test_code="BILI", test="B", value=60.0, high=20.0),
            "site": "701",
        },
        {**result("01-701-1", "2026-02-01", value=20.0), "site": "702"},
    ]
    people = [enrolled("701", "01-701-1", "2026-01-01"), enrolled("702", "01-701-1", "")]
    status = status_of(
        labs=labs, subjects=people, adverse_events=[{"site": "unknown", "subject": "01-701-1"}]
    )
    (one,) = followed(status)
    assert (one.site, one.enrolled) == ("702", date(2026, 1, 1))
    (point,) = so_far.liver_points(status)[0]
    assert (point.transaminase, point.in_hys_range) == (5.0, True)
    assert so_far.shifts(status).loc["ALT"].sum() == 1
    assert so_far.site_measures(status, UNTIL)["People followed"] == {"702": 1}


def test_whose_a_row_without_a_site_is_where_two_have_the_number_is_not_guessed() -> None:
    rows = [{**result("001", "2026-01-01"), "site": site} for site in ("701", "702", "unknown")]
    status = status_of(labs=rows, subjects=[enrolled(site, "001", "") for site in ("701", "702", "unknown")])
    assert [one.site for one in followed(status)] == ["701", "702", "unknown"]


def test_who_is_to_be_enrolled_later_is_not_enrolled() -> None:
    days = ("2026-11-20", UNTIL.isoformat(), "2026-11-23", "2062-11-03")
    status = status_of(subjects=[enrolled("1", day, day) for day in days])
    reached = so_far.enrolment(followed(status), UNTIL)
    assert reached == [(date(2026, 11, 20), 1), (UNTIL, 2)]


def test_what_nobody_ever_sent_has_no_rate_of_nought() -> None:
    status = status_of(subjects=[enrolled("1", "a", "2026-01-01")])
    assert so_far.site_rates(status, followed(status), UNTIL, "Protocol deviations") == []
    assert "1" not in so_far.site_measures(status, UNTIL)["Protocol deviations per person and year"]


@pytest.mark.parametrize(("sites", "told"), [(so_far.FEWEST_SITES - 1, False), (so_far.FEWEST_SITES, True)])
def test_a_median_of_few_sites_is_not_told(sites: int, told: bool) -> None:
    people = [enrolled(str(site), f"{site}-1", "2026-01-01") for site in range(1, sites + 1)]
    status = status_of(subjects=people)
    medians = so_far.site_medians(so_far.site_measures(status, UNTIL), None)
    assert (medians["People followed"] is not None) == told


@pytest.mark.parametrize(
    ("own", "told"), [(("1",), True), (("1", "2"), False), (("1", "2", "3", "4"), False), (("9",), True)]
)
def test_a_reader_of_several_sites_takes_them_out_of_no_median(own: tuple[str, ...], told: bool) -> None:
    """Who sees four of five sites knows the fifth by a median that is none of theirs."""
    sites = [site for site in range(1, 6) for _ in range(site)]
    people = [enrolled(str(site), f"{site}-{one}", "2026-01-01") for one, site in enumerate(sites)]
    measures = so_far.site_measures(status_of(subjects=people), UNTIL)
    assert (so_far.site_medians(measures, own)["People followed"] == 3.0) == told


def test_a_target_is_projected_at_the_last_quarter_s_pace_and_never_without_one() -> None:
    reached = [(UNTIL - timedelta(days=91), 10), (UNTIL, 19)]
    assert so_far.projected(reached, 28, UNTIL) == UNTIL + timedelta(days=91)
    assert so_far.projected([(UNTIL - timedelta(days=400), 10)], 20, UNTIL) is None
    assert so_far.projected(reached, 5, UNTIL) == UNTIL - timedelta(days=91)


def test_the_trial_so_far_holds_what_came_before_and_is_the_same_in_any_order() -> None:
    def document(number: int, weeks: int) -> Mapping[str, Any]:
        return {
            "_id": f"d{number}",
            "kind": "adverse_event",
            "site": "1",
            "subject": "1-1",
            "received_at": datetime(2026, 11, 17, tzinfo=UTC) - timedelta(weeks=weeks),
            "data": {"term": f"Event {number}"},
        }

    records = [document(number, weeks) for number, weeks in enumerate((0, 1, 2, 60))]
    late = document(9, -1)
    whole = tidy_documents([*records, late], {}, WEEK, so_far=True)
    again = tidy_documents([late, *reversed(records)], {}, WEEK, so_far=True)
    assert len(whole["adverse_events"]) == 4
    assert all(whole[name].equals(again[name]) for name in TABLES)
    assert len(tidy_documents(records, {}, WEEK)["adverse_events"]) == 2


def left(subject: str, start: str, **said: Any) -> dict[str, Any]:
    given = {"decoded": "WITHDRAWAL BY SUBJECT", "category": "DISPOSITION EVENT", "start": start} | said
    (made,) = rows_of("disposition", given, Reading())
    return {**made, "subject": subject}


@pytest.mark.parametrize(
    ("said", "dispositions", "days"),
    [
        ({}, [], 32),
        ({"ended": "2026-10-31"}, [], 10),
        ({"died": "yes", "death": "2026-10-31"}, [], 10),  # nobody is observed after their death
        ({"ended": "2026-11-20", "died": "yes", "death": "2026-10-31"}, [], 10),
        ({"died": "yes", "death": "2026-10"}, [], None),  # at risk until a day that nobody said
        ({"died": "yes"}, [], None),
        ({"died": "yes", "ended": "2026-10-31"}, [], 10),
        ({}, [{"decoded": "DEATH", "start": "2026-10-31"}], 10),
        ({}, [{"start": "2026-10-31"}], 10),
        ({}, [{"start": "2026-10"}], None),
        ({}, [{"start": "2026-10-31", "subcategory": "STUDY TREATMENT"}], 32),  # still followed
        ({"ended": "2026-11-10"}, [{"start": "2026-10-31"}], 20),  # what is stated as the end is the end
        ({}, [{"decoded": "COMPLETED", "start": "2026-10-31"}], 32),  # of an epoch, perhaps
        ({}, [{"decoded": "COMPLETED", "start": "2026-10-31", "subcategory": "STUDY PARTICIPATION"}], 10),
        ({}, [{"decoded": "SCREEN FAILURE", "start": "2026-10-31"}], 32),
    ],
)
def test_who_died_or_left_is_observed_no_longer(
    said: dict[str, str], dispositions: list[dict[str, Any]], days: int | None
) -> None:
    status = status_of(
        subjects=[enrolled("1", "a", "2026-10-22", **said)],
        dispositions=[left("a", **{"start": "", **one}) for one in dispositions],
    )
    (person,) = followed(status)
    assert person.days(UNTIL) == days


def test_events_and_time_of_a_rate_are_of_the_same_persons_where_a_death_has_no_day() -> None:
    status = status_of(
        subjects=[enrolled("1", "a", "2026-01-01"), enrolled("1", "b", "2026-01-01", died="yes")],
        adverse_events=[{"subject": "b", "serious": "yes"}],
    )
    (rate,) = so_far.site_rates(status, followed(status), UNTIL, "Adverse events")
    assert rate.count == 0
    assert so_far.in_no_rate(status, [rate], "Adverse events") == 1


def test_results_that_have_no_standard_units_count_as_they_were_collected() -> None:
    """What many systems of sites export: a number, its unit and its range, and nothing converted."""

    def original(code: str, number: str, unit: str, high: str, kind: str = "lab") -> dict[str, Any]:
        said = {"original_result": number, "original_unit": unit, "original_high": high}
        bare = {"value": None, "unit": "", "low": None, "high": None}
        return result("a", "2026-01-01", kind, test_code=code, **bare, **said)

    (point,) = so_far.liver_points(
        status_of(labs=[original("ALT", "125", "U/L", "40"), original("BILI", "45,0", "umol/L", "20")])
    )[0]
    assert (point.transaminase, point.bilirubin, point.in_hys_range) == (3.125, 2.25, True)
    (long,) = so_far.qtc_outliers(status_of(ecgs=[original("QTCF", "512", "msec", "450", "ecg")]))
    assert long.value == 512
    (high,) = so_far.pressure_outliers(status_of(vitals=[original("SYSBP", "190", "mm[Hg]", "", "vitals")]))
    assert high.value == 190
    nothing = status_of(vitals=[original("SYSBP", "190/80", "mmHg", "", "vitals")])
    assert so_far.pressures_measured(nothing) == so_far.Measured(usable=0, unusable=1)


def test_shifts_of_tests_that_share_a_name_are_apart() -> None:
    def two(value: float, **said: str) -> list[dict[str, Any]]:
        first = result("a", "2026-01-01", test_code="GLUC", test="Glucose", **said)
        return [first, result("a", "2026-02-01", test_code="GLUC", test="Glucose", value=value, **said)]

    labs = [*two(80.0, method="DIPSTICK"), *two(20.0, method="ENZYMATIC"), *two(2.0, specimen="URINE")]
    table = so_far.shifts(status_of(labs=labs))
    found = {name: row["NORMAL to HIGH"] + row["NORMAL to LOW"] for name, row in table.iterrows()}
    assert found == {"Glucose (dipstick)": 1, "Glucose (enzymatic)": 0, "Glucose (urine)": 1}


def test_the_filters_kinds_leave_facts_of_other_kinds_out_and_nobody_of_the_trial() -> None:
    status = status_of(
        subjects=[enrolled("1", "a", "2026-11-13")],
        labs=[result("a", "2026-01-01", value=120.0)],
        adverse_events=[{"subject": "b", "serious": "yes"}, {"subject": "a", "fatal": True}],
        vitals=[result("a", "2026-01-01", "vitals")],
        dispositions=[left("b", "2026-10-31")],
    )
    narrowed = of_kinds(status, Filters(kinds=("lab",)))
    left_in = {name for name, table in narrowed.tables.items() if len(table)}
    assert left_in == {"subjects", "labs", "dispositions", "adverse_events"}
    assert followed(narrowed) == followed(status)
    assert so_far.indicators_of(Filters(kinds=("lab",))) == []
    assert list(so_far.site_measures(narrowed, UNTIL, Filters(kinds=("lab",)))) == ["People followed"]
    assert of_kinds(status, Filters()) is status


def test_liver_tests_and_pressures_have_the_names_that_laboratories_and_forms_give_them() -> None:
    labs = [result("a", "2026-01-01", test_code="SGPT", value=200.0)]
    labs.append(result("a", "2026-01-01", test_code="tbil", test="Total bilirubin", value=60.0, high=20.0))
    labs.append(result("b", "2026-01-01", test_code="BILDIR", test="Direct", value=60.0, high=20.0))
    points, alone = so_far.liver_points(status_of(labs=labs))
    assert [(one.subject, one.in_hys_range) for one in points] == [("a", True)]
    assert alone == 0
    pressure = result("a", "2026-01-01", "vitals", test_code="DBP", value=125.0, unit="mm Hg")
    (high,) = so_far.pressure_outliers(status_of(vitals=[pressure]))
    assert (high.test, high.value) == ("DIABP", 125.0)
    assert so_far.pressures_measured(status_of(vitals=[pressure])) == so_far.Measured(usable=1, unusable=0)


def test_a_standard_result_in_words_counts_before_the_original_one() -> None:
    said: dict[str, Any] = {"value": None, "text_result": "60", "unit": "umol/L", "high": 20.0}
    said |= {"original_result": "3.5", "original_unit": "mg/dL", "original_high": 1.2}
    labs = [result("a", "2026-01-01", test_code="BILI", test="B", **said), result("a", "2026-01-01")]
    (point,) = so_far.liver_points(status_of(labs=labs))[0]
    assert point.bilirubin == 3.0


def test_the_baseline_is_what_its_source_calls_so_and_not_the_first_result() -> None:
    def alt(when: str, value: float, subject: str = "a", **said: Any) -> dict[str, Any]:
        return result(subject, when, value=value, **said)

    labs = [alt("2026-01-01", 90.0), alt("2026-01-08", 20.0, baseline=True), alt("2026-02-01", 80.0)]
    labs += [alt("2026-01-01", 90.0, "screened"), alt("2026-01-08", 20.0, "screened", baseline="Y")]
    same_day = [
        ("2026-01-08T08:00", 20.0, True),
        ("2026-01-08T07:00", 90.0, False),
        ("2026-01-08", 95.0, False),
    ]
    labs += [alt(when, value, "timed", baseline=said) for when, value, said in same_day]
    labs += [
        alt("2026-01-08T09:00", 21.0, "timed"),
        alt("2026-01-01", 20.0, "n"),
        alt("2026-01-02", 90.0, "n"),
        alt("2026-01-01", 90.0, "once"),  # of one result alone there is no shift
    ]
    row = so_far.shifts(status_of(labs=labs)).loc["ALT"]
    assert {name: count for name, count in row.items() if count} == {
        "NORMAL to HIGH": 2,  # a; and n, of whom nobody says which is the baseline
        "NORMAL to NORMAL": 1,  # timed: earlier that day, or on it at no stated time, is not later
        "not assessed": 1,  # screened: nothing came after the baseline
    }


def test_a_rise_is_since_the_baseline_and_a_long_qt_before_it_is_told_all_the_same() -> None:
    def qtc(when: str, value: float, **said: Any) -> dict[str, Any]:
        named = {"test_code": "QTCF", "test": "QTcF", "unit": "ms", "low": None, "high": None}
        return result("a", when, "ecg", value=value, **named, **said)

    ecgs = [qtc("2026-01-01", 505.0), qtc("2026-01-08", 400.0, baseline=True), qtc("2026-02-01", 465.0)]
    (one,) = so_far.qtc_outliers(status_of(ecgs=ecgs))
    assert (one.value, one.baseline, one.risen) == (505.0, 400.0, 65.0)
    assert one.why == "over 500 ms, rose by more than 60 ms"


def test_each_period_of_a_crossover_has_its_own_baseline() -> None:
    def alt(when: str, value: float, **said: Any) -> dict[str, Any]:
        return result("a", when, value=value, **said)

    labs = [alt("2026-01-01", 20.0, baseline=True), alt("2026-01-08", 90.0)]
    labs += [alt("2026-02-01", 21.0, baseline=True), alt("2026-02-08", 22.0)]
    row = so_far.shifts(status_of(labs=labs)).loc["ALT"]
    assert {name: count for name, count in row.items() if count} == {"NORMAL to HIGH": 1}

    named = {"test_code": "QTCF", "test": "QTcF", "unit": "ms", "low": None, "high": None}
    ecgs = [
        result("a", when, "ecg", value=value, baseline=said, **named)
        for when, value, said in (
            *(("2026-01-01", 400.0, True), ("2026-01-02", 462.0, False)),
            *(("2026-02-01", 440.0, True), ("2026-02-02", 461.0, False)),
        )
    ]
    (one,) = so_far.qtc_outliers(status_of(ecgs=ecgs))
    assert (one.baseline, one.risen) == (400.0, 62.0)


def test_hys_range_holds_each_result_against_its_own_limit_whatever_unit_another_site_has() -> None:
    """One site's ukat/L must not hide the liver of another site's person."""
    labs = [result("a", "2026-01-01", value=250.0)]
    labs.append(result("a", "2026-01-01", test_code="BILI", test="B", value=60.0, unit="umol/L", high=20.0))
    labs.append(result("b", "2026-01-01", value=4.2, unit="ukat/L", high=0.7))
    differing = [{**one, "units_differ": one["test_code"] == "ALT"} for one in labs]
    points, others = so_far.liver_points(status_of(labs=differing))
    assert [(one.subject, one.in_hys_range) for one in points] == [("a", True)]
    assert others == 1
