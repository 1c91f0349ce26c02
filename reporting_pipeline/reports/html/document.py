"""The file around the shared body: head, style sheet, what is one reader's own."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files

import segno

from reporting_pipeline.languages import ENGLISH, Words, words_of
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.cover import trace_address
from reporting_pipeline.reports.html.flow import ADDRESS, PERSONAL, HtmlFlow, attribute, told
from reporting_pipeline.reports.pdf.qr import MASK
from reporting_pipeline.reports.request import ReportRequest


@dataclass(frozen=True)
class HtmlBody:
    """What all readers share: `html` with the marks of `flow`, and the language it is in."""

    html: str
    language: str
    colour: str = ""  # the organisation's own, "#rrggbb"


@dataclass(frozen=True)
class PersonalHead:
    """What is one reader's own, as HTML; `address`: below which figures lead to their documents."""

    head: str
    block: str
    foot: str
    address: str


def body_of(flow: HtmlFlow, content: ReportContent) -> HtmlBody:
    return HtmlBody(flow.body(), content.language, content.branding.colour)


def personal_head(request: ReportRequest, content: ReportContent) -> PersonalHead:
    """Title and facts about the file, the block with the reader's names, and the last lines."""
    say = words_of(content.language)
    period = wording.period_title(request.period)
    if content.plain:
        period = say.span(request.period.start, request.period.last_day)
    early = say("Preliminary") + ": " if request.preliminary_at else ""
    document = say("Document {number}", number=request.document_id)
    told_of = {
        "author": request.organisation_name,
        "description": f"{content.title}, {period}",
        "keywords": f"{request.document_id}, {request.subscription.report_type}",
        "generator": f"reporting-pipeline {request.code_version}",
    }
    head = f"<title>{attribute(f'{early}{request.subscription.name}: {period}')}</title>\n" + "".join(
        f'<meta name="{name}" content="{attribute(text)}">\n' for name, text in told_of.items()
    )
    words = f"<p>{told(content.branding.footer)}</p>" if content.branding.footer else ""
    return PersonalHead(
        head=head,
        block=(
            '<dl class="facts own">'
            f"<div><dt>{told(say('Prepared for'))}</dt><dd><b>{told(request.owner_name)}</b></dd></div>"
            f"<div><dt>{told(say('Subscription'))}</dt><dd>{told(request.subscription.name)}</dd></div>"
            f"{_proof(request.verify_at, say)}</dl>\n"
        ),
        foot=f"<footer>{words}<p>{told(document)}</p><p>{told(_as_of(content, say))}</p></footer>\n",
        address=trace_address(request),
    )


def _as_of(content: ReportContent, say: Words) -> str:
    english = content.language == ENGLISH and not content.plain
    moment = (wording if english else say).moment(content.data_as_of, content.period.timezone)
    early = say("PRELIMINARY.") + " " if content.preliminary_at else ""
    return early + say("Data as of {moment}", moment=moment)


def _proof(at: tuple[str, str] | None, say: Words) -> str:
    """Where anybody can look whether the document is genuine: a link, and a square code for print."""
    if at is None:
        return ""
    address = "".join(at)
    before, _, after = say("Verify this document at {address}", address="\x02").partition("\x02")
    link = f'<a href="{attribute(address)}" rel="noreferrer">{told(address)}</a>'
    return f'<div class="proof">{_code(address)}<dt>{told(before)}</dt><dd>{link}{told(after)}</dd></div>'


def _code(address: str) -> str:
    """The symbol as one path. It says what the link beside it says, so it is nothing to be read out."""
    code = segno.make_qr(address, error="m", mask=MASK, boost_error=False, mode="byte")
    rows = enumerate(code.matrix)
    dark = "".join(f"M{x} {y}h1v1h-1z" for y, row in rows for x, module in enumerate(row) if module)
    side = len(code.matrix) + 8
    return (
        f'<svg class="code" viewBox="-4 -4 {side} {side}" width="88" height="88" aria-hidden="true">'
        f'<path fill="#fff" d="M-4 -4h{side}v{side}h-{side}z"/><path d="{dark}"/></svg>'
    )


@lru_cache(maxsize=64)
def _style(colour: str) -> tuple[str, str]:
    """The style sheet, and its hash as a content security policy says it."""
    text = files("reporting_pipeline.reports.html").joinpath("report.css").read_text("utf-8")
    if colour:
        text += f":root {{ --own: {colour}; }}\n"
    return text, b64encode(sha256(text.encode()).digest()).decode("ascii")


def whole_document(body: HtmlBody, own: PersonalHead) -> bytes:
    """The file, UTF-8."""
    style, digest = _style(body.colour)
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    shared = body.html.replace(PERSONAL, own.block, 1).replace(ADDRESS, attribute(own.address))
    return (
        f'<!doctype html>\n<html lang="{attribute(body.language)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{attribute(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">\n'
        f"{own.head}<style>{style}</style>\n</head>\n<body>\n{shared}{own.foot}</body>\n</html>\n"
    ).encode("utf-8", "replace")
