"""Every figure of three reports equals a count of the raw tables that shares no code with the pipeline."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import boto3
import polars as pl
import pytest

from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.figures import TrialFigures, figures_for
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.samples import cdisc_pilot
from reporting_pipeline.settings import Settings, load_settings
from reporting_pipeline.stores.datasets import load_dataset
from reporting_pipeline.stores.documents import Arrival, upsert_trial
from reporting_pipeline.stores.mongo import open_database
from reporting_pipeline.stores.objects import CLIENT_CONFIG, ObjectStore, connection_arguments
from reporting_pipeline_tests.automation.crank import Crank, dagster_instance, open_crank
from reporting_pipeline_tests.end_to_end import raw_tables
from reporting_pipeline_tests.end_to_end.raw_tables import Week, key_figures
from reporting_pipeline_tests.reports.reading import page_texts
from reporting_pipeline_tests.spare_databases import drop

WHOLE: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
TWO_SITES = (("701", "710"), ())
SAFETY = ((), ("adverse_event", "lab"))
REPORTS = {"whole": WHOLE, "sites": TWO_SITES, "safety": SAFETY}


@dataclass(frozen=True)
class Printed:
    """One report as it was printed, the figures under it, and what the raw tables say."""

    name: str
    text: str  # of all pages, blanks and line breaks as one space
    figures: TrialFigures
    now: Week
    before: Week
    figures_week: date
    kinds: Sequence[str]


@pytest.fixture(scope="module")
def edition(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crank]:
    """The two weeks of the trial that count, through the whole pipeline, for three subscriptions."""
    home = tmp_path_factory.mktemp("recomputed")
    settings: Settings = load_settings(
        {
            "REPORTING_ENVIRONMENT": "test",
            "REPORTING_HOME": str(home),
            "REPORTING_MONGODB_DATABASE": "test_recomputed",
            "REPORTING_S3_BUCKET": "test-recomputed",
            **endpoints.as_environment(),
        }
    )
    assert settings.mongodb_uri is not None
    database = open_database(settings.mongodb_uri.get_secret_value(), settings.mongodb_database)
    client = boto3.client("s3", config=CLIENT_CONFIG, **connection_arguments(settings))
    objects = ObjectStore(client, settings.s3_bucket, settings.s3_encryption)
    objects.ensure_bucket()
    with (
        pytest.MonkeyPatch.context() as patch,
        dagster_instance() as instance,
    ):
        crank = open_crank(settings, database, objects, instance, patch)
        _fill(crank)
        crank.complete()
        assert crank.edition_state() == "completed"
        yield crank
    drop(database)
    client.delete_bucket(Bucket=settings.s3_bucket)
    client.close()


def _fill(crank: Crank) -> None:
    period = crank.period()
    weeks = (period.start - cdisc_pilot.BUSIEST_WEEK).days // 7
    upsert_trial(crank.database, cdisc_pilot.trial_record("default", weeks))
    shift = cdisc_pilot.Shift(weeks, crank.settings.zone)
    crank.arrive(
        *(
            Arrival(record)
            for record in cdisc_pilot.records("default", shift)
            if period.previous().start_at - timedelta(days=30) <= record["received_at"] < crank.clock.at
        )
    )
    for name, (sites, kinds) in REPORTS.items():
        crank.subscribe(name, Filters(trials=(cdisc_pilot.TRIAL,), sites=sites, kinds=kinds))


@pytest.fixture(scope="module")
def dataset(edition: Crank) -> TrialDataset:
    detail = edition.results("trial_dataset")[cdisc_pilot.TRIAL].detail
    return load_dataset(edition.objects, detail["prefix"])


@pytest.fixture(scope="module", params=list(REPORTS))
def printed(request: pytest.FixtureRequest, edition: Crank, dataset: TrialDataset) -> Printed:
    sites, kinds = REPORTS[request.param]
    monday = edition.period().start
    weeks = (monday - cdisc_pilot.BUSIEST_WEEK).days // 7
    pages = page_texts(edition.report_bytes(f"sub_{request.param}"))
    return Printed(
        name=request.param,
        text=" ".join("\n".join(pages).split()),
        figures=figures_for(dataset, Filters(sites=sites, kinds=kinds)),
        now=raw_tables.week(monday, weeks, sites, kinds),
        before=raw_tables.week(monday - timedelta(days=7), weeks, sites, kinds),
        figures_week=monday,
        kinds=kinds,
    )


def test_the_key_figures_and_their_changes_are_printed_as_the_raw_tables_count_them(printed: Printed) -> None:
    now, before = (key_figures(one, printed.kinds) for one in (printed.now, printed.before))
    assert now["Documents received"] > 20, "the busiest week of the trial"
    cover = printed.text.split("Key figures ", 1)[1].split(" Trials in this report", 1)[0]
    expected = {
        name: f"{name} {_shown(name, value)} {_change(name, value, before[name])}"
        for name, value in now.items()
        if name != "Lab results assessed"  # in the sentence below, not among the tiles
    }
    for name, tile in expected.items():
        assert tile in cover, name
    left_out = {name for name in key_figures(printed.now) if name not in now}
    assert not {name for name in left_out if f"{name} " in cover.replace("Subjects with an AE", "")}
    if "Lab results assessed" in now:
        share = _shown("Share out of range", now["Share out of range"])
        sentence = f"of {now['Lab results assessed']:,.0f} laboratory results assessed ({share})"
        assert f"{now['Lab results out of range']:,.0f} {sentence}" in printed.text


def test_the_key_figures_are_the_ones_of_the_raw_tables(printed: Printed) -> None:
    now, before = (key_figures(one, printed.kinds) for one in (printed.now, printed.before))
    found = {
        figure.label: (value.current, value.previous)
        for figure, value in printed.figures.values.items()
        if value is not None and figure.label in now
    }
    assert found == {name: pytest.approx((value, before[name])) for name, value in now.items()}


def test_the_charts_show_the_numbers_of_the_raw_tables(printed: Printed) -> None:
    figures, now = printed.figures, printed.now
    documents = now.documents()
    assert _cells(figures.documents_by_day) == Counter(
        (str(day), kind) for day, kind in documents.select("DAY", "kind").iter_rows()
    )
    assert _cells(figures.adverse_events_by_class) == Counter(
        now.events.select("AEBODSYS", "AESEV").iter_rows()
    )
    assert _cells(figures.visits_by_site) == Counter(
        (site, "unplanned" if visit.startswith("UNSCHEDULED") else "planned")
        for site, visit in now.visits.select("SITEID", "VISIT").iter_rows()
    )
    abnormal, assessed = now.abnormal(), now.assessed()
    by_test: Counter[tuple[str, str]] = Counter()
    for test, below, above, other in abnormal.select("LBTEST", "below", "above", "other").iter_rows():
        by_test[test, "below"] += below
        by_test[test, "above"] += above
        by_test[test, "other"] += other
    for (test,) in assessed.select("LBTEST").iter_rows():
        if test in set(abnormal["LBTEST"]):
            by_test[test, "assessed"] += 1
    assert _cells(figures.labs_outside_range) == +by_test


def test_every_adverse_event_of_the_raw_table_is_listed_once_and_no_other(printed: Printed) -> None:
    row = re.compile(
        r"(01-\d{3}-\d{4}) Site (\d{3}) (.+?) (Severe|Moderate|Mild) (Yes|No) .+? "
        r"(\d{4}(?:-\d\d){0,2}) (?:\d{4}(?:-\d\d){0,2}|no end given)(?= )"
    )
    listed = Counter(
        (
            subject,
            site,
            term.split(";")[0].lower(),
            severity.upper(),
            serious[0],
            start if len(start) == 10 else "partial",
        )
        for subject, site, term, severity, serious, start in row.findall(
            _section(printed.text, "Adverse events Fatal events first")
        )
    )
    weeks = (printed.figures_week - cdisc_pilot.BUSIEST_WEEK).days // 7
    expected = Counter(
        (
            one["USUBJID"],
            one["SITEID"],
            f"{one['AEDECOD']} {one['AEBODSYS']}".lower(),
            one["AESEV"],
            one["AESER"],
            str(raw_tables.arrived(one["AESTDTC"], weeks)) if len(one["AESTDTC"] or "") >= 10 else "partial",
        )
        for one in printed.now.events.iter_rows(named=True)
    )
    assert listed == expected


def test_every_lab_result_out_of_range_is_listed_once_and_no_other(printed: Printed) -> None:
    row = re.compile(
        r"(01-\d{3}-\d{4}) Site (\d{3}) (\d{4}-\d\d-\d\d) (\D.*?) (?:–|[\d.]+ ?–? ?[\d.]*) "
        r"(HIGH|LOW|ABNORMAL) (?:[\d.]+|–)(?= |$)"
    )
    found = row.findall(_section(printed.text, f"Results out of range {printed.now.abnormal().height} of"))
    listed = Counter((site, subject, day, flag) for subject, site, day, _, flag in found)
    weeks = (printed.figures_week - cdisc_pilot.BUSIEST_WEEK).days // 7
    expected = Counter(
        (
            one["SITEID"],
            one["USUBJID"],
            str(raw_tables.arrived(one["LBDTC"], weeks)),
            "LOW" if one["below"] else "HIGH" if one["above"] else "ABNORMAL",
        )
        for one in printed.now.abnormal().iter_rows(named=True)
    )
    assert listed == expected
    names = {name.lower() for name in printed.now.abnormal()["LBTEST"]}
    assert all(any(name in test.lower() for name in names) for _, _, _, test, _ in found)


def test_the_activity_of_every_site_is_the_one_of_the_raw_tables(printed: Printed) -> None:
    now, kinds = printed.now, printed.kinds
    section = printed.text.split("Files missing or unreadable ", 1)[1]
    rows = {
        match[1]: match[2].split() for match in re.finditer(r"\b(\d{3})((?: (?:[\d,]+|–)){8})(?= )", section)
    }
    documents = now.documents()
    columns = (
        ("", documents["SITEID"]),
        ("", documents.select("SITEID", "USUBJID").unique()["SITEID"]),
        ("visit", now.visits["SITEID"]),
        ("adverse_event", now.events["SITEID"]),
        ("adverse_event", now.events.filter(pl.col("AESER") == "Y")["SITEID"]),
        ("lab", now.assessed()["SITEID"]),
        ("lab", now.abnormal()["SITEID"]),
    )
    expected = {
        site: [
            f"{(values == site).sum():,}" if not kind or not kinds or kind in kinds else "–"
            for kind, values in columns
        ]
        + ["0"]
        for site in documents["SITEID"].unique()
    }
    assert rows == expected


# --- how a report writes its numbers ---------------------------------------------------------------


def _shown(name: str, value: float) -> str:
    return f"{value:.1f} %" if name.startswith("Share") else f"{value:,.0f}"


def _change(name: str, now: float, before: float) -> str:
    amount = f"{abs(now - before):.1f} pts" if name.startswith("Share") else f"{abs(now - before):,.0f}"
    if amount in ("0", "0.0 pts"):
        return "same as the week before"
    return f"{'+' if now > before else '−'}{amount} (week before: {_shown(name, before)})"


def _cells(frame: Any) -> Counter[tuple[str, str]]:
    """The cells of a counting frame that are not zero."""
    return +Counter(
        {
            (row, column): int(count)
            for row, counts in zip(frame.index, frame.to_numpy(), strict=True)
            for column, count in zip(frame.columns, counts, strict=True)
        }
    )


def _section(text: str, heading: str) -> str:
    """From a heading and its sentence to the next table's; "" when the report has no such section."""
    if heading not in text:
        return ""
    rest = text.split(heading, 1)[1]
    ends = [
        rest.index(following)
        for following in ("Results out of range ", "Activity by site Site")
        if following in rest
    ]
    return rest[: min(ends)] if ends else rest
