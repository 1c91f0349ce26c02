"""A row of the list of adverse events: no plain No stands beside what makes an event serious."""

from __future__ import annotations

import pytest

from reporting_pipeline.domain.datasets import TABLES
from reporting_pipeline.reports.blocks import Flag
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline.reports.sections.assessed import EVENT_COLUMNS, event_row
from reporting_pipeline_tests.reports.conftest import make_dataset, make_request
from reporting_pipeline_tests.reports.reading import page_texts

EMPTY = {
    name: {"float": float("nan"), "bool": False}.get(dtype, "")
    for name, dtype in TABLES["adverse_events"].items()
}
SERIOUS = [column.title for column in EVENT_COLUMNS].index("Serious")


@pytest.mark.parametrize(
    ("serious", "fatal", "criteria", "shown"),
    [
        ("no", False, "", "No"),
        ("unknown", False, "", Flag("Unknown")),
        ("yes", False, "hospitalisation", Flag("Yes", "up")),
        ("yes", True, "death", Flag("Yes", "up")),
        ("no", True, "", Flag("No", "up", under="fatal")),
        ("unknown", True, "death", Flag("Unknown", "up", under="fatal")),
        ("no", False, "hospitalisation", Flag("No", "up", under="criterion met")),
        ("unknown", False, "life_threatening", Flag("Unknown", "up", under="criterion met")),
    ],
)
def test_what_makes_an_event_serious_stands_under_another_answer(
    serious: str, fatal: bool, criteria: str, shown: object
) -> None:
    row = {**EMPTY, "serious": serious, "fatal": fatal, "seriousness_criteria": criteria}
    assert event_row(row)[SERIOUS] == shown


def test_it_stands_whole_on_the_page(renderer: ReportRenderer) -> None:
    dataset = make_dataset(serious="no", seriousness_criteria="hospitalisation")
    pages = " ".join(page_texts(renderer.render(make_request(dataset)).content))
    assert "criterion met" in " ".join(pages.split())


@pytest.mark.parametrize(
    ("serious", "criteria", "said"),
    [
        ("no", "hospitalisation", "none serious (3 answered No, yet fatal or with a criterion of it), "),
        ("no", "", "none serious, "),
        ("yes", "hospitalisation", "3 serious, "),
    ],
)
def test_the_sentence_on_events_does_not_leave_it_at_none(
    serious: str, criteria: str, said: str, renderer: ReportRenderer
) -> None:
    dataset = make_dataset(serious=serious, seriousness_criteria=criteria)
    pages = " ".join(page_texts(renderer.render(make_request(dataset)).content))
    assert said in " ".join(pages.split())
