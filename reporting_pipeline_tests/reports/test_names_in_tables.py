"""Tables of pages: a name that is too long for its column is told from the others, and a flag is found."""

from __future__ import annotations

import re

import pytest

from reporting_pipeline.reports.blocks import Column, Flag, Pair
from reporting_pipeline.reports.pdf import tables
from reporting_pipeline.reports.pdf.typesetting import width_of, wrap_name
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline_tests.reports.conftest import make_dataset, make_request
from reporting_pipeline_tests.reports.reading import page_texts


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize(
    "start",
    [
        "PROTOCOL-2026-EXTRAORDINARILY-LONG-",
        "Université Hospitalière de Rouen ",
        "中央病院第三研究棟内科循環器科",
    ],
)
def test_names_that_differ_at_their_ends_are_told_apart(start: str, most: int) -> None:
    """Sixty sites of one hospital stood in a table under one name, and subjects of one protocol, too."""
    width = 60.0
    shown = {wrap_name(f"{start}{number}", width, 7.5, True, most) for number in range(1000, 1060)}
    assert len(shown) == 60
    for lines in shown:
        assert len(lines) <= most
        assert all(width_of(line, 7.5, True) <= width for line in lines)
        assert "".join(lines).startswith(start[:2])


def test_a_name_that_has_room_stands_whole() -> None:
    assert wrap_name("01-701-1015", 60, 7.5) == ("01-701-1015",)
    assert "".join(wrap_name("PROTOCOL-001-701-1015", 60, 7.5, False, 2)) == "PROTOCOL-001-701-1015"


def test_a_flag_stands_where_its_column_does() -> None:
    """The z of a site stood under the rate."""

    def places(align: str) -> list[float]:
        columns = (Column("Rate", 50, "right"), Column("z", 50, align))
        strip = tables.row(columns, ("20.24", Flag("2.0", "up")), 200.0)
        return [float(one) for one in re.findall(r"([0-9.]+) [-0-9.]+ T[dm]", strip.content)]

    assert places("right")[-1] > places("left")[-1] + 50


def test_a_site_under_a_subject_is_told_apart_too() -> None:
    column = Column("Subject, site", 1, names=True)
    sites = [f"{'Very long hospital ' * 5}{number}" for number in (1, 2)]
    assert len({tables.row((column,), (Pair("01", site),), 70.0).content for site in sites}) == 2


@pytest.mark.parametrize("kind", ["safety_summary", "data_listing"])
def test_an_outcome_keeps_the_words_that_count(renderer: ReportRenderer, kind: str) -> None:
    """ "RECOVERED/RESOLVED WITH SEQUELAE" stood there as "RECOVERED/ RESOLVED…"."""
    dataset = make_dataset(outcome="RECOVERED/RESOLVED WITH SEQUELAE", action_taken="DRUG INTERRUPTED")
    pages = page_texts(renderer.render(make_request(dataset, report_type=kind)).content)
    assert sum(page.count("SEQUELAE") for page in pages) == 3


def test_why_an_event_is_serious_is_not_cut(renderer: ReportRenderer) -> None:
    """Under a class of a long name stood "crite…"."""
    dataset = make_dataset(
        system_organ_class="NEOPLASMS BENIGN, MALIGNANT AND UNSPECIFIED (INCL CYSTS AND POLYPS)",
        seriousness_criteria="hospitalisation, life threatening",
        serious="yes",
    )
    pages = page_texts(renderer.render(make_request(dataset, report_type="safety_summary")).content)
    assert sum(page.count("threatening") for page in pages) >= 3
