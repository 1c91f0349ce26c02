"""Lines: a parted word says that it goes on, and is read as one; names and codes get no sign of ours."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from reporting_pipeline.reports import charts
from reporting_pipeline.reports.pdf.surface import Surface
from reporting_pipeline.reports.pdf.typesetting import (
    ELLIPSIS,
    SOFT_HYPHEN,
    shape,
    width_of,
    wrap,
    wrap_label,
    wrap_name,
)
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline_tests.reports.conftest import make_dataset, make_request
from reporting_pipeline_tests.reports.reading import page_texts

LONG = "Arzneimittelüberempfindlichkeitsreaktion"


@pytest.mark.parametrize("width", [22.0, 40.0, 61.5])
@pytest.mark.parametrize("text", [LONG, f"A {LONG} of it", "ΑΝΤΙΣΥΝΤΑΓΜΑΤΙΚΟΤΗΤΑ", "сверхчувствительность"])
def test_a_parted_word_ends_its_line_with_a_hyphen(text: str, width: float) -> None:
    lines = wrap(text, width, 7.5)
    assert all(width_of(line, 7.5) <= width for line in lines)
    assert " ".join(lines).replace(f"{SOFT_HYPHEN} ", "") == text
    assert any(line.endswith(SOFT_HYPHEN) for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "STUDY001SITE00000004",
        "X-ABCDEFGHIJKLMNOPQR",
        "scan20261014final.dcm",
        "日本語のとても長い文章",
        "موقع" * 9,
    ],
)
def test_a_code_and_a_script_without_hyphens_get_none(text: str) -> None:
    assert "".join(wrap(text, 40, 7.5)) == text


def test_a_name_is_parted_without_a_sign() -> None:
    assert SOFT_HYPHEN not in "".join(wrap_name(LONG, 40, 7.5, False, 9))
    assert SOFT_HYPHEN not in "".join(wrap_name(LONG, 40, 7.5, False, 2))


def test_a_word_of_compounds_is_parted_at_its_own_hyphen_once() -> None:
    assert wrap("Arzneimittel-Überempfindlichkeit", 60, 7.5)[0] == "Arzneimittel-"


def test_what_is_cut_after_parted_lines_has_no_gap() -> None:
    for text in (LONG, "STUDY001SITE0000000444455556666"):
        cut = wrap(text, 40, 7.5, False, 2)[-1]
        assert cut.endswith(ELLIPSIS)
        assert cut.rstrip(ELLIPSIS) in text


def test_the_hyphen_is_drawn_and_wide_as_one() -> None:
    assert shape("Arznei" + SOFT_HYPHEN).width == pytest.approx(shape("Arznei-").width)
    surface = Surface()
    surface.text(0, 0, "Arznei" + SOFT_HYPHEN, 8)
    assert "/ActualText <FEFF00AD>" in surface.content()


def test_a_parted_word_is_found_in_the_text_of_the_page(renderer: ReportRenderer, tmp_path: Path) -> None:
    term = "Pharmakovigilanzüberwachungsgesellschaftsmitteilung" * 2
    request = make_request(make_dataset(preferred_term=term), report_type="safety_summary")
    made = renderer.render(request).content
    file = tmp_path / "report.pdf"
    file.write_bytes(made)
    poppler = subprocess.run(["pdftotext", "-raw", file, "-"], capture_output=True, check=True)
    for text in ("\n".join(page_texts(made)), poppler.stdout.decode()):
        assert term[:60] in re.sub(r"[\s\u00ad\ufffe\x02]", "", text)


def test_sites_of_one_hospital_are_told_apart_in_a_chart() -> None:
    """Every bar of visits by site had one name: its number had been cut."""
    names = [f"Universitätsklinikum-Schleswig-Holstein {number}" for number in range(701, 709)]
    frame = pd.DataFrame({state: [3] * len(names) for state in charts.VISIT_STATES}, index=names)
    drawn = charts.visits_by_site(frame, 240).content()
    assert len({wrap_label(name, 60, 6) for name in names}) == len(names)
    for name in names:
        last = shape(wrap_label(name, 60, 6)[-1]).segments[0].operators
        assert last[-15:] in drawn  # its number
