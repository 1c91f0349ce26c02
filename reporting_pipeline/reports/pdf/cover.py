"""The reader's own half of the first page, and the running header and footer.

Personal texts have fixed boxes and are cut to them, so that they never move what is shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from reporting_pipeline.languages import ENGLISH, Words, words_of
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.cover import trace_address
from reporting_pipeline.reports.palette import FAINT, INK, MUTED
from reporting_pipeline.reports.pdf.binding import PAGE_HEIGHT, BodyPage, Personal
from reporting_pipeline.reports.pdf.layout import CODE_ROOM, HALF, LEFT, RIGHT, WHO_TOP, WIDTH
from reporting_pipeline.reports.pdf.qr import square
from reporting_pipeline.reports.pdf.structure import Content, Structure
from reporting_pipeline.reports.pdf.surface import Surface
from reporting_pipeline.reports.pdf.typesetting import clean, fit, width_of, wrap
from reporting_pipeline.reports.request import ReportRequest

#: The square code stands in the title band, at its right end, on a white ground with the margin it needs.
_CODE, _CODE_GROUND = 66.0, CODE_ROOM
_CODE_LEFT, _CODE_BOTTOM = RIGHT - _CODE_GROUND, PAGE_HEIGHT - 114.0


def number_pages(pages: list[BodyPage], content: ReportContent) -> None:
    """The shared half of every footer: "Page x of y" and the age of the data."""
    say = words_of(content.language)
    english = content.language == ENGLISH and not content.plain
    timezone = content.period.timezone
    moment = (
        wording.moment(content.data_as_of, timezone) if english else say.moment(content.data_as_of, timezone)
    )
    as_of = say("Data as of {moment}", moment=moment)
    if content.preliminary_at:
        as_of = say("PRELIMINARY.") + " " + as_of
    words = fit(content.branding.footer, WIDTH, 7) if content.branding.footer else ""
    for number, page in enumerate(pages, 1):
        surface = page.surface
        with surface.artifact("Pagination"):
            surface.text(LEFT + WIDTH / 2, 16, words, 7, MUTED, align="center")
            surface.line(LEFT, 40, RIGHT, 40, FAINT, 0.5)
            surface.text(
                RIGHT,
                28,
                say("Page {number} of {count}", number=number, count=len(pages)),
                7.5,
                MUTED,
                align="right",
            )
            surface.text(LEFT + WIDTH / 2, 28, as_of, 7.5, MUTED, align="center")


def personal_parts(request: ReportRequest, content: ReportContent) -> Personal:
    """Cover and header of one reader, and the document information."""
    subscription = request.subscription
    title, say = content.title, words_of(content.language)
    period = wording.period_title(request.period)
    detail = wording.period_detail(request.period)
    if content.plain:
        period = detail = say.span(request.period.start, request.period.last_day)
    document = say("Document {number}", number=clean(request.document_id))
    early = say("Preliminary") + ": " if request.preliminary_at else ""
    cover, own = Surface(), Structure("Sect")
    width = HALF - 20
    with _block(cover, own):
        cover.text(LEFT, WHO_TOP, say("Prepared for"), 7.5, MUTED)
    with _block(cover, own):
        _lines(cover, LEFT, WHO_TOP - 16, request.owner_name, width, 14, True, 2)
    with _block(cover, own):
        cover.text(LEFT, WHO_TOP - 53, say("Subscription"), 7.5, MUTED)
    with _block(cover, own):
        _lines(cover, LEFT, WHO_TOP - 66, subscription.name, width, 10, False, 2)
    _verification(cover, own, request.verify_at, say)
    with _block(cover, own):
        cover.text(LEFT, 28, document, 7.5, MUTED)
    return Personal(
        cover=cover,
        structure=own,
        header=_header(request, f"{title}, {period}", document),
        title=clean(f"{early}{subscription.name}: {period}"[:400]),
        subject=f"{title}, {detail}",
        author=clean(request.organisation_name[:400]),
        keywords=clean(f"{request.document_id}, {request.subscription.report_type}"),
        creator=clean(f"reporting-pipeline {request.code_version}"),
        created=request.preliminary_at or request.period.end_at,
        address=trace_address(request),
    )


def _verification(cover: Surface, own: Structure, at: tuple[str, str] | None, say: Words) -> None:
    """Where anybody can look whether the document is genuine: as a square code, and in words to be read."""
    if at is None:
        return
    prefix, code = at
    margin = (_CODE_GROUND - _CODE) / 2
    with cover.artifact():
        cover.rectangle(_CODE_LEFT, _CODE_BOTTOM, _CODE_GROUND, _CODE_GROUND, fill=(1.0, 1.0, 1.0))
        cover.operators.append(square(prefix, code, _CODE_LEFT + margin, _CODE_BOTTOM + margin, _CODE))
    with _block(cover, own):
        told = say("Verify this document at {address}", address=f"{prefix}{code}")
        cover.text(LEFT, WHO_TOP - 100, fit(told, WIDTH, 7.5), 7.5, MUTED)


@contextmanager
def _block(surface: Surface, own: Structure) -> Iterator[None]:
    """A paragraph of the reader's own branch, on the first page."""
    element = own.add("P")
    with surface.marked("P", element) as number:
        own.add_kid(element, Content(0, number))
        yield


def _header(request: ReportRequest, title: str, document: str) -> Surface:
    """Above and below every other page: not read again, so an artifact."""
    header = Surface()
    title = fit(title, WIDTH * 0.6, 8)
    name = fit(f"{request.subscription.name}", WIDTH - width_of(title, 8) - 12, 8, True)
    with header.artifact("Pagination"):
        header.text(LEFT, PAGE_HEIGHT - 38, name, 8, MUTED, bold=True)
        header.text(RIGHT, PAGE_HEIGHT - 38, title, 8, MUTED, align="right")
        header.line(LEFT, PAGE_HEIGHT - 45, RIGHT, PAGE_HEIGHT - 45, FAINT, 0.5)
        header.text(LEFT, 28, document, 7.5, MUTED)
    return header


def _lines(
    surface: Surface, x: float, y: float, text: str, width: float, size: float, bold: bool, most: int
) -> None:
    lines = wrap(text, width, size, bold, most)
    if len(lines) > 1:  # two lines share the box of one
        size *= 0.82
        lines = wrap(text, width, size, bold, most)
    for number, line in enumerate(lines):
        surface.text(x, y - number * size * 1.2, line, size, INK, bold=bold)
