"""An organisation's own colour, logo and words on its reports, and on nobody else's."""

from __future__ import annotations

import io
from base64 import b64decode
from dataclasses import replace

import page
import pikepdf
import pytest

from reporting_pipeline.domain.branding import Branding
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.domain.thumbnails import Thumbnail
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline_tests.reports.conftest import jpeg, make_request
from reporting_pipeline_tests.reports.reading import page_texts
from reporting_pipeline_tests.reports.test_html import Document

OWN = Branding("#5b2a86", "Example Pharma. <Confidential>", Thumbnail("ab" * 32, "logos/x/ab.jpg", 320, 200))


def branded(form: Format, own: Branding = OWN) -> ReportRequest:
    return replace(make_request(format=form), branding=own)


def test_every_page_says_the_words_and_the_first_has_the_logo(renderer: ReportRenderer) -> None:
    made = renderer.render(branded(Format.PDF))
    assert all(OWN.footer in text for text in page_texts(made.content))
    with pikepdf.open(io.BytesIO(made.content)) as file:
        content = file.pages[0].Contents.read_bytes().decode("latin-1")
        assert content.rindex("/Figure") > content.index("0.949"), "over the ground, or nobody would see it"
        assert "0.357 0.165 0.525 rg" in content
    for profile in (page.ValidationProfile.PDF_UA_1, page.ValidationProfile.PDF_A_2A):
        failures = page.validate_pdf_bytes(made.content, profile=profile).failures
        assert [one.rule_id for one in failures] == []


def test_the_document_has_them_too(renderer: ReportRenderer) -> None:
    content = renderer.render(branded(Format.HTML)).content
    document = Document(content)
    (logo,) = (one for one in document.named("img") if one.get("class") == "logo")
    assert b64decode(logo["src"].partition(",")[2]) == jpeg()
    assert logo["alt"] == "Research Network"
    assert OWN.footer in document.text
    assert b":root { --own: #5b2a86; }" in content


@pytest.mark.parametrize("form", [Format.PDF, Format.HTML])
def test_no_body_is_shared_by_two_looks(form: Format, renderer: ReportRenderer) -> None:
    others = [Branding(), replace(OWN, colour=""), replace(OWN, footer=""), replace(OWN, logo=None), OWN]
    made = [renderer.render(branded(form, own)) for own in others]
    assert len({one.body_id for one in made}) == len({one.sha256 for one in made}) == len(others)
    assert renderer.render(branded(form)).content == made[-1].content


@pytest.mark.parametrize(("width", "height"), [(480, 40), (40, 480), (1, 1)])
def test_a_logo_of_any_shape_leaves_the_title_alone(
    width: int, height: int, renderer: ReportRenderer
) -> None:
    own = replace(OWN, logo=Thumbnail("cd" * 32, "logos/x/cd.jpg", width, height))
    request = replace(branded(Format.PDF, own), organisation_name="An organisation of a very long name " * 4)
    made = renderer.render(request)
    with pikepdf.open(io.BytesIO(made.content)) as file:
        boxes = [line.split() for line in file.pages[0].Contents.read_bytes().decode("latin-1").split("q ")]
    (box,) = ([float(one) for one in words[:6]] for words in boxes if "cm" in words[6:7] and "Do" in words)
    assert box[0] <= 120.01
    assert box[3] <= 36.01
    assert box[0] / box[3] == pytest.approx(width / height, rel=0.05)
    assert "Weekly trial activity" in page_texts(made.content)[0]
