"""Every PDF is PDF/UA-1 and PDF/A-2a, of every type, for every audience, with any name on it."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import page
import pikepdf
import pytest

from reporting_pipeline.domain.datasets import TABLES, TrialDataset, table_from_rows
from reporting_pipeline.domain.disclosure import restricted
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.reports.types import REPORT_TYPES
from reporting_pipeline_tests.reports.conftest import jpeg, make_dataset, make_request

PROFILES = (page.ValidationProfile.PDF_UA_1, page.ValidationProfile.PDF_A_2A)


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> ReportRenderer:
    return ReportRenderer(lambda key: jpeg(), Path(tmp_path_factory.mktemp("thumbnails")))


def complaints(content: bytes) -> list[str]:
    return [
        f"{profile}: {failure.rule_id} {failure.message}"
        for profile in PROFILES
        for failure in page.validate_pdf_bytes(content, profile=profile).failures
    ]


def varied(whole: TrialDataset) -> TrialDataset:
    """The trial with several terms and people, so that every chart is drawn."""
    people = [f"01-700-{number}" for number in range(8)]
    key = {"window": "current", "site": "700", "document_id": "doc_0", "day": "2026-11-16"}
    result = {"unit": "U/L", "value_unit": "U/L", "low": 0.0, "high": 1.0, "collected": "2026-11-16"}
    subjects, events, labs = [], [], []
    for number, subject in enumerate(people, 1):
        one = {**key, "subject": subject}
        term = f"TERM {number % 3}"
        subjects.append({**one, "enrolled": f"2026-11-{number:02}"})
        events.append({**one, "term": term, "preferred_term": term, "serious": "yes"})
        for code in ("ALT", "BILI"):
            value = {"value": 4.0 * number, "value_text": str(4 * number)}
            labs.append({**one, **result, **value, "test_code": code, "test": code})
    rows: dict[str, list[dict[str, Any]]] = {"subjects": subjects, "adverse_events": events, "labs": labs}
    tables = {
        name: table_from_rows(name, [{k: v for k, v in row.items() if k in TABLES[name]} for row in some])
        for name, some in rows.items()
    }
    return replace(whole, tables={**whole.tables, **tables})


def request_for(kind: str, audience: Audience) -> ReportRequest:
    whole: tuple[TrialDataset, ...] = (make_dataset(), make_dataset("T2", note="Ein Satz, 二番目の試験 ≥ 3"))
    status = varied(make_dataset())
    if REPORT_TYPES[kind].one_person:
        whole = tuple(restricted(one, None, "01-700-0") for one in whole)
        status = restricted(status, None, "01-700-0")
    return replace(
        make_request(*whole, report_type=kind),
        audience=audience,
        statuses=(status,),
        console_url="https://reports.example.org",
    )


CASES = [(kind.name, audience) for kind in REPORT_TYPES.values() for audience in kind.audiences]


@pytest.mark.parametrize(("kind", "audience"), CASES)
def test_every_type_conforms_for_every_audience(
    kind: str, audience: Audience, renderer: ReportRenderer
) -> None:
    assert complaints(renderer.render(request_for(kind, audience)).content) == []


NAMES = ["محمد بن علي", "नमस्ते श्री", "สมชาย ≥ 中村", "ജോസഫ്", "\U0001f9ff x \ue000", "\ufdd0\x01\u202e<&>"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_conforms(name: str, renderer: ReportRenderer) -> None:
    made = renderer.render(make_request(make_dataset(title=name), name=name, subscription=name))
    assert complaints(made.content) == []


def test_a_period_without_documents_conforms(renderer: ReportRenderer) -> None:
    empty = replace(make_dataset(), tables={name: table_from_rows(name, []) for name in TABLES})
    assert complaints(renderer.render(make_request(empty)).content) == []


@pytest.mark.parametrize("entry", ["/MarkInfo", "/StructTreeRoot", "/Metadata", "/Lang", "/OutputIntents"])
def test_the_validator_misses_what_is_taken_out(entry: str, renderer: ReportRenderer) -> None:
    """Or the tests above would pass whatever was written."""
    with pikepdf.open(io.BytesIO(renderer.render(make_request()).content)) as file:
        del file.Root[entry]
        less = io.BytesIO()
        file.save(less)
    assert complaints(less.getvalue())


def test_the_structure_is_read_in_order_with_the_readers_own_branch(renderer: ReportRenderer) -> None:
    with pikepdf.open(io.BytesIO(renderer.render(make_request()).content)) as file:
        document = file.Root.StructTreeRoot.K[0]
        roles = [str(one.S) for one in document.K]
        assert roles[:4] == ["/P", "/H1", "/P", "/Sect"]
        own = document.K[3]
        assert document == own.P
        assert [str(one.S) for one in own.K] == ["/P"] * 5
        assert all(one.K[0].Stm.Subtype == "/Form" for one in own.K)
        table = next(one for one in document.K if one.S == "/Table")
        assert [str(one.S) for one in table.K[0].K] == ["/TH"] * 6
        assert {str(one.A.Scope) for one in table.K[0].K} == {"/Column"}
        link = table.K[1].K[0].K[0]
        assert link.S == "/Link"
        assert str(link.K[1].Obj.Contents) == "Go to Trial T1"


def test_charts_say_in_words_what_they_show(renderer: ReportRenderer) -> None:
    with pikepdf.open(io.BytesIO(renderer.render(make_request()).content)) as file:
        said = [str(one.Alt) for one in file.objects if isinstance(one, pikepdf.Dictionary) and "/Alt" in one]
    assert any(
        re.match(r"Bar chart\. Documents by day and kind: 9 in 7 bars, most in Mon 16 \(2\)\.", text)
        for text in said
    )
    assert any("NERVOUS SYSTEM DISORDERS: Mild 1, Moderate 1, Severe 1" in text for text in said)
    assert any("Alanine Aminotransferase: Below range 2" in text for text in said)
    assert any(text.startswith("Picture: ") for text in said)


def test_a_chart_of_points_says_its_axes_and_who_stands_out(renderer: ReportRenderer) -> None:
    made = renderer.render(request_for("medical_review", Audience.MONITOR))
    with pikepdf.open(io.BytesIO(made.content)) as file:
        said = [str(one.Alt) for one in file.objects if isinstance(one, pikepdf.Dictionary) and "/Alt" in one]
    liver, dots = said[0], said[1]
    assert liver.startswith("Chart of 8 points. Each person once")
    assert "Lines at Peak ALT or AST, times upper limit 3 and Peak bilirubin, times upper limit 2." in liver
    assert "8 stand out: 01-700-7, 01-700-6, " in liver
    assert dots.startswith("Dot chart. The most frequent terms. Subjects with the event, %: TERM ")


def test_the_two_accounts_that_a_file_gives_of_itself_agree(renderer: ReportRenderer) -> None:
    made = renderer.render(make_request(subscription="Ä & <b> 週報", format=Format.PDF))
    with pikepdf.open(io.BytesIO(made.content)) as file, file.open_metadata() as told:
        assert told["dc:title"] == str(file.docinfo["/Title"]) == "Ä & <b> 週報: 16 – 22 November 2026"
        assert told["pdf:Producer"] == str(file.docinfo["/Producer"])
        assert (told["pdfaid:part"], told["pdfaid:conformance"], told["pdfuaid:part"]) == ("2", "A", "1")
