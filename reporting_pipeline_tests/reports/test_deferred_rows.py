"""A listing of a table that stays on disk: the same bytes as from memory, whoever reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pandas as pd
import pyarrow.parquet as pq
import pytest

from reporting_pipeline.domain.datasets import TrialDataset, table_from_rows
from reporting_pipeline.domain.disclosure import WITHHELD, for_audience, restricted
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.figures import Figure, figures_for
from reporting_pipeline.domain.subscriptions import Filters, Format
from reporting_pipeline.reports import rows as row_batches
from reporting_pipeline.reports import xlsx
from reporting_pipeline.reports.renderer import ReportRenderer, deferrable_tables
from reporting_pipeline.reports.request import ReportError
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
    dataset.tables["labs"].to_parquet(file, index=False)
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
]


@pytest.mark.parametrize("audience", [Audience.SITE, Audience.SPONSOR, Audience.SAFETY_BOARD])
@pytest.mark.parametrize(("options", "filters", "form"), CHOICES)
def test_a_table_on_disk_gives_the_bytes_that_it_gives_in_memory(
    renderer: ReportRenderer,
    monkeypatch: pytest.MonkeyPatch,
    audience: Audience,
    options: Mapping[str, Any],
    filters: Filters,
    form: Format,
) -> None:
    monkeypatch.setattr(row_batches, "BATCH_ROWS", 8)
    monkeypatch.setattr(dataset_store, "BATCH_ROWS", 5)
    monkeypatch.setattr(xlsx, "FEW_ROWS", 0)
    whole = [in_memory(), in_memory("T2", 9)]
    request = make_request(format=form, report_type="data_listing", filters=filters)
    parameters = {"table": "labs", **options}
    subscription = request.subscription.model_copy(update={"parameters": parameters})
    request = replace(request, subscription=subscription, audience=audience)
    assert deferrable_tables(subscription) == {"labs"}
    # By a renderer of its own: one that made the first kept what it was made from.
    on_disks = ReportRenderer(lambda _key: b"", Path())
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


def test_figures_of_a_table_on_disk_are_absent_and_no_zeros() -> None:
    figures = figures_for(on_disk(in_memory()), Filters())
    assert figures.values[Figure.LAB_RESULTS_ASSESSED] is None
    assert figures.values[Figure.RESULTS_ASSESSED] is None
    assert figures.values[Figure.DOCUMENTS] is not None


def test_what_was_odd_about_results_that_were_not_looked_at_is_not_told_to_the_blinded() -> None:
    """A result on disk may tell the treatment, and what was said of it, too."""
    dataset = in_memory()
    finding = dataset.tables["findings"].assign(field="results[0].value", message="99 of Xanomeline")
    told = replace(dataset, tables={**dataset.tables, "findings": finding})
    for audience, hidden in ((Audience.SITE, True), (Audience.SAFETY_BOARD, False)):
        shown = for_audience(on_disk(told), audience).tables["findings"].query("code != 'withheld'")
        assert (set(shown["message"]) == {WITHHELD}) is hidden


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


def test_a_listing_on_disk_beyond_the_organisations_rows_is_refused(renderer: ReportRenderer) -> None:
    request = make_request(format=Format.CSV, report_type="data_listing")
    subscription = request.subscription.model_copy(update={"parameters": {"table": "labs"}})
    request = replace(request, subscription=subscription, datasets=(on_disk(in_memory()),), most_rows=20)
    with pytest.raises(ReportError, match="has 32 rows; Research Network allows 20"):
        renderer.render(request)
