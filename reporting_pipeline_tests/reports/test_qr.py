"""The square code on a cover: what a camera reads, and that each reader has another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isqrt

import pypdfium2
import pytest
import zxingcpp

from reporting_pipeline.reports.pdf.qr import _bits, square
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline_tests.reports.conftest import make_dataset, make_request

PREFIX = "https://reports.example.org/v/"


def read(pdf: bytes) -> str:
    """What a camera reads on the first page."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        picture = document[0].render(scale=2).to_pil()
    finally:
        document.close()
    (found,) = zxingcpp.read_barcodes(picture)
    return str(found.text)


def test_a_camera_reads_the_address_of_each_reader_s_own_cover(
    new_renderer: Callable[[], ReportRenderer],
) -> None:
    renderer = new_renderer()
    request = make_request(make_dataset())
    files = set()
    for code in ("k7q2m4tzw6xa5b3c", "aaaaaaaaaaaaaaaa", "7777zzzz2222qqqq"):
        made = renderer.render(replace(request, verify_at=(PREFIX, code)))
        assert read(made.content) == f"{PREFIX}{code}"
        files.add(made.body_id)
    assert len(files) == 1, "the body is shared"


@pytest.mark.parametrize("code", ["abcdefghijklmnop", "qrstuvwxyz234567"])
def test_what_is_laid_over_is_the_symbol_that_would_be_made(code: str) -> None:
    whole = _bits(PREFIX + code)
    modules = isqrt(whole.bit_length())  # the first module is dark
    drawn = square(PREFIX, code, 0, 0, 10).split(" ID ")[1].partition(">")[0]
    width = -(-modules // 8) * 2
    rows = [int(drawn[at : at + width], 16) >> (width * 4 - modules) for at in range(0, len(drawn), width)]
    assert sum(row << (modules * (modules - 1 - n)) for n, row in enumerate(rows)) == whole
