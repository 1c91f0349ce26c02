"""A listing of a table that stays on disk: the same bytes as from memory, whoever reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reporting_pipeline.domain.datasets import TrialDataset, arrow_schema, table_from_rows
from reporting_pipeline.domain.disclosure import for_audience, restricted, row_digest
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.figures import Figure, figures_for
from reporting_pipeline.domain.restatements import shows_the_same
from reporting_pipeline.domain.subscriptions import Filters, Format
from reporting_pipeline.reports import json as json_of_reports
from reporting_pipeline.reports import rows as row_batches
from reporting_pipeline.reports import xlsx
from reporting_pipeline.reports.renderer import ReportRenderer, deferrable_tables
from reporting_pipeline.reports.request import ReportError
from reporting_pipeline.reports.types import data_listing
from reporting_pipeline.stores import datasets as dataset_store
from reporting_pipeline.stores.datasets import load_dataset, save_dataset
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.reports.conftest import make_dataset, make_request

VALUE, ALT = ["subject", "value", "value_text", "text_result"], {"test": ["ALT", "=ALT"]}


def results(rows: int = 47) -> pd.DataFrame:
    """Numbers and words, both windows, some that tell the treatment, at three sites."""
    return table_from_rows(
        "labs",
        [
            {
                "document_id": f"doc_{number % 9}",
                "window": "previous" if number % 5 == 0 else "current",
                "site": f"70{number % 3}",
                "subject": f"01-70{number % 3}-{number % 4}",
                "day": "2026-11-17",
                "test_code": "ALT",
                "test": "=ALT" if number % 4 else "ALT",
                "value": number / 3 if number % 2 else float("nan"),
                "value_text": f"{number / 3:.2f}"
                if number % 2
                else ("12" if number % 3 else "seen by Dr. Roe"),
                "original_result": "as said" if number % 2 else "words",
                "text_result": "words of a person, with a comma",
                "unblinding": number % 7 == 0,
                "visit": "WEEK 8 X INFUSION" if number % 6 == 0 else "WEEK 2",
                "visit_number": number / 2 if number % 4 else float("nan"),
                "visit_unblinding": number % 6 == 0,
                "out_of_range": number % 3 == 0,
                "flag": "HIGH" if number % 3 == 0 else "",
            }
            for number in range(rows)
        ],
    )


def in_memory(trial: str = "T1", rows: int = 47) -> TrialDataset:
    dataset = make_dataset(trial)
    return replace(dataset, tables={**dataset.tables, "labs": results(rows)})


def on_disk(dataset: TrialDataset) -> TrialDataset:
    file = BytesIO()
    labs_kept = pa.Table.from_pandas(dataset.tables["labs"], arrow_schema("labs"), preserve_index=False)
    pq.write_table(labs_kept, file)
    labs = dataset_store.deferred_table("labs", file)
    assert labs is not None
    tables = {**dataset.tables, "labs": table_from_rows("labs", [])}
    return replace(dataset, tables=tables, deferred={"labs": labs})


CHOICES: list[tuple[Mapping[str, Any], Filters, Format]] = [
    ({}, Filters(), Format.CSV),
    ({"columns": VALUE}, Filters(sites=("701", "702")), Format.PARQUET),
    ({"where": ALT}, Filters(kinds=("lab",)), Format.XLSX),
    ({"columns": ["test"], "where": {"value_text": ["12", ""]}}, Filters(sites=("700",)), Format.CSV),
    ({"columns": ["visit"], "where": {"visit": ["WEEK 8 X INFUSION", "Visit 3"]}}, Filters(), Format.CSV),
    ({"where": {"unblinding": ["no"]}}, Filters(), Format.DATASET_JSON),
    ({}, Filters(kinds=("visit",)), Format.PARQUET),
    ({}, Filters(), Format.JSON),
    ({"columns": VALUE, "where": ALT}, Filters(sites=("701",)), Format.JSON),
    ({}, Filters(kinds=("visit",)), Format.JSON),
    ({}, Filters(), Format.PDF),
    ({"columns": VALUE, "where": ALT}, Filters(sites=("700",)), Format.HTML),
    ({"where": {"unblinding": ["no"]}}, Filters(), Format.HTML),
]


@pytest.mark.parametrize("audience", [Audience.SITE, Audience.SPONSOR, Audience.SAFETY_BOARD])
@pytest.mark.parametrize(("options", "filters", "form"), CHOICES)
def test_a_table_on_disk_gives_the_bytes_that_it_gives_in_memory(
    renderer: ReportRenderer,
    new_renderer: Callable[[], ReportRenderer],
    monkeypatch: pytest.MonkeyPatch,
    audience: Audience,
    options: Mapping[str, Any],
    filters: Filters,
    form: Format,
) -> None:
    monkeypatch.setattr(row_batches, "BATCH_ROWS", 8)
    monkeypatch.setattr(dataset_store, "BATCH_ROWS", 5)
    monkeypatch.setattr(xlsx, "FEW_ROWS", 0)
    monkeypatch.setattr(data_listing, "CAP", 6)
    whole = [in_memory(), in_memory("T2", 9)]
    request = make_request(format=form, report_type="data_listing", filters=filters)
    parameters = {"table": "labs", **options}
    subscription = request.subscription.model_copy(update={"parameters": parameters})
    request = replace(request, subscription=subscription, audience=audience)
    assert deferrable_tables(subscription) == {"labs"}
    # By a renderer of its own: one that made the first kept what it was made from.
    on_disks = new_renderer()
    shown = [
        tuple(restricted(one, ("700", "701"), "") for one in datasets)
        for datasets in (whole, [on_disk(one) for one in whole])
    ]
    in_one = renderer.render(replace(request, datasets=shown[0]))
    assert on_disks.render(replace(request, datasets=shown[1])).content == in_one.content


def test_one_person_gets_their_own_rows_of_a_table_on_disk(renderer: ReportRenderer) -> None:
    request = make_request(format=Format.PARQUET, report_type="data_listing")
    subscription = request.subscription.model_copy(update={"parameters": {"table": "labs"}})
    own = restricted(on_disk(in_memory()), None, "01-701-1")
    rendered = renderer.render(
        replace(request, subscription=subscription, audience=Audience.PARTICIPANT, datasets=(own,))
    )
    with ZipFile(BytesIO(rendered.content)) as archive:
        rows = pq.read_table(BytesIO(archive.read("labs.parquet"))).to_pylist()
    assert rows
    assert {row["subject"] for row in rows} == {"01-701-1"}


@pytest.mark.parametrize("audience", [Audience.SITE, Audience.SAFETY_BOARD])
@pytest.mark.parametrize("filters", [Filters(), Filters(sites=("701",)), Filters(kinds=("visit",))])
def test_figures_of_a_table_on_disk_are_those_of_memory_or_absent(
    audience: Audience, filters: Filters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_store, "BATCH_ROWS", 5)
    whole = in_memory()
    labs = whole.tables["labs"].assign(assessed=lambda rows: rows["value"].notna())
    whole = replace(whole, tables={**whole.tables, "labs": labs})
    kept, aside = (for_audience(restricted(one, ("700", "701")), audience) for one in (whole, on_disk(whole)))
    in_one, counted = figures_for(kept, filters), figures_for(aside, filters)
    for figure in Figure:
        assert repr(counted.values[figure]) == repr(in_one.values[figure])  # a share of nothing is NaN
        assert counted.documents_behind(figure) == in_one.documents_behind(figure)
    unread = figures_for(aside, filters, all_results=False)
    assert unread.values[Figure.LAB_RESULTS_ASSESSED] is None
    assert unread.values[Figure.RESULTS_ASSESSED] is None
    assert unread.values[Figure.DOCUMENTS] is not None


_NUMBERS = st.integers(0, 8)
_RESULTS = st.lists(
    st.tuples(_NUMBERS, st.booleans(), st.booleans(), st.booleans(), st.sampled_from(["ALT", "XAN", "K"])),
    max_size=12,
)


@settings(max_examples=25)
@given(rows=_RESULTS, sites=st.sampled_from([None, ("700",), ()]), audience=st.sampled_from(list(Audience)))
def test_what_is_withheld_of_a_table_on_disk_is_told_as_of_one_in_memory(
    rows: list[tuple[int, bool, bool, bool, str]], sites: Sequence[str] | None, audience: Audience
) -> None:
    """Counts, titles, findings, omissions and rows: whoever reads, whatever tells the treatment."""
    given_rows: list[dict[str, object]] = [
        {
            "document_id": f"doc_{number}",
            "window": "current" if current else "previous",
            "site": f"70{number % 3}",
            "subject": f"01-70{number % 3}-{number}",
            "test_code": code,
            "value_text": "seen" if current else "3",
            "visit": "WEEK 8 X INFUSION" if visit else "WEEK 2",
            "visit_number": float(number),
            "unblinding": unblinding,
            "visit_unblinding": visit,
        }
        for number, current, unblinding, visit, code in rows
    ]
    found: list[dict[str, object]] = [
        {
            "document_id": f"doc_{number}",
            "window": "current",
            "site": f"70{number % 3}",
            "field": name,
            "code": "partial_date",
            "message": f"99 of Xanomeline in {name}",
        }
        for number in range(9)
        for name in ("results[0].value", "unit", "start")
    ]
    omitted: list[dict[str, object]] = [
        {"part": f"labs/{code}", "reason": "two units"} for code in ("ALT", "XAN", "K")
    ]
    dataset = make_dataset()
    more = {"labs": given_rows, "findings": found, "omissions": omitted}
    tables = {**dataset.tables, **{name: table_from_rows(name, some) for name, some in more.items()}}
    whole = replace(dataset, tables=tables)
    kept, aside = (for_audience(restricted(one, sites), audience) for one in (whole, on_disk(whole)))
    assert kept.shown == aside.shown
    for name, table in kept.tables.items():
        if name != "labs":
            pd.testing.assert_frame_equal(aside.tables[name], table, obj=name)
    assert row_digest(aside, "labs") == row_digest(kept, "labs")
    assert shows_the_same([kept], [aside])
    one_more = replace(
        whole, tables={**tables, "labs": table_from_rows("labs", [*given_rows, {"site": "700"}])}
    )
    other = for_audience(restricted(on_disk(one_more), sites), audience)
    assert shows_the_same([kept], [other]) is (sites == ())


@pytest.mark.parametrize("sites", [None, ("700",)])
def test_a_table_on_disk_says_how_many_results_it_withholds(sites: tuple[str, ...] | None) -> None:
    def told(dataset: TrialDataset, audience: Audience) -> list[str]:
        findings = for_audience(restricted(dataset, sites), audience).tables["findings"]
        results = (findings["code"] == "withheld") & (findings["field"] == "labs")
        return [str(message) for message in findings["message"][results]]

    for audience in (Audience.SITE, Audience.SPONSOR, Audience.SAFETY_BOARD):
        assert told(on_disk(in_memory()), audience) == told(in_memory(), audience)
    assert "Results that tell" in told(on_disk(in_memory()), Audience.SITE)[0]


def test_a_test_that_tells_the_treatment_is_named_in_no_omission_of_a_table_on_disk() -> None:
    dataset = in_memory()
    labs = dataset.tables["labs"].assign(
        test_code=lambda rows: rows["unblinding"].map({True: "XAN", False: "ALT"})
    )
    omitted: list[dict[str, object]] = [
        {"part": "labs/XAN", "reason": "two units"},
        {"part": "labs/ALT", "reason": "two units"},
    ]
    tables = {**dataset.tables, "labs": labs, "omissions": table_from_rows("omissions", omitted)}
    whole = replace(dataset, tables=tables)
    for audience, parts in ((Audience.SITE, ["labs/ALT"]), (Audience.SAFETY_BOARD, ["labs/XAN", "labs/ALT"])):
        for one in (whole, on_disk(whole)):
            assert for_audience(one, audience).tables["omissions"]["part"].tolist() == parts


def test_only_what_is_large_and_asked_for_stays_on_disk(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = save_dataset(objects, in_memory())
    assert not load_dataset(objects, prefix, deferrable={"labs"}).deferred
    monkeypatch.setattr(dataset_store, "MOST_IN_MEMORY", 40)
    assert not load_dataset(objects, prefix).deferred
    found = load_dataset(objects, prefix, deferrable={"labs", "documents"})
    assert set(found.deferred) == {"labs"}
    assert found.tables["labs"].empty
    batches = list(found.deferred["labs"].read(["window", "test"]))
    assert sum(batch.num_rows for batch in batches) == found.deferred["labs"].rows == 47


def test_json_of_a_listing_on_disk_is_refused_before_its_rows_are_read(
    renderer: ReportRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_of_reports, "MOST_ROWS", 20)
    request = make_request(format=Format.JSON, report_type="data_listing")
    subscription = request.subscription.model_copy(update={"parameters": {"table": "labs"}})
    dataset = on_disk(in_memory())
    labs, asked = dataset.deferred["labs"], []

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        asked.append(set(columns))
        return labs.read(columns)

    dataset = replace(dataset, deferred={"labs": replace(labs, read=read)})
    request = replace(request, subscription=subscription, datasets=(dataset,))
    for refused in (renderer.render, renderer.refuse_too_many_rows):
        with pytest.raises(ReportError, match="JSON takes 20 at most: choose CSV, XLSX, Parquet or"):
            refused(request)
    assert asked
    assert not any("reference_text" in columns for columns in asked), "it is counted by few columns"


def test_pages_of_a_listing_on_disk_are_read_as_far_as_they_are_shown(
    renderer: ReportRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_listing, "CAP", 6)
    monkeypatch.setattr(dataset_store, "BATCH_ROWS", 5)
    dataset = on_disk(in_memory())
    labs, whole_rows = dataset.deferred["labs"], []

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for batch in labs.read(columns):
            if "reference_text" in columns:
                whole_rows.append(batch.num_rows)
            yield batch

    dataset = replace(dataset, deferred={"labs": replace(labs, read=read)})
    request = make_request(dataset, format=Format.HTML, report_type="data_listing")
    subscription = request.subscription.model_copy(update={"parameters": {"table": "labs"}})
    page = renderer.render(replace(request, subscription=subscription)).content.decode()
    assert "26 more rows not shown here: CSV and XLSX have all." in page
    assert 6 <= sum(whole_rows) <= 15


def test_a_listing_on_disk_beyond_the_organisations_rows_is_refused(renderer: ReportRenderer) -> None:
    request = make_request(format=Format.CSV, report_type="data_listing")
    subscription = request.subscription.model_copy(update={"parameters": {"table": "labs"}})
    request = replace(request, subscription=subscription, datasets=(on_disk(in_memory()),), most_rows=20)
    with pytest.raises(ReportError, match="has 32 rows; Research Network allows 20"):
        renderer.render(request)
