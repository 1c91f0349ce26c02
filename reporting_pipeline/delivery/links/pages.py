"""The pages behind the links of mails, in the reader's language and an organisation's colour."""

from __future__ import annotations

from typing import Any

from reporting_pipeline.delivery.message import one_line, templates
from reporting_pipeline.languages import Words, words_for
from reporting_pipeline.settings import Settings

# What a page needs to be itself and nothing more: no script, no frame, no referrer with the token.
PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
LONGEST_BRAND = 60


def link_page(
    settings: Settings, template: str, say: Words, *, brand: str = "", colour: str = "", **told: Any
) -> str:
    """HTML of a template. `brand`, `colour` ("#rrggbb"): an organisation's; "": the product's."""
    context = {
        "say": say,
        "language": say.language,
        "brand": one_line(brand or settings.email_from_name, LONGEST_BRAND),
        "colour": colour,
        **told,
    }
    return templates().get_template(f"{template}.html.j2").render(context)


def gone_page(settings: Settings, browser: str) -> str:
    """HTML. One page for whatever is wrong with a link, in the language of the browser (Accept-Language)."""
    return link_page(settings, "gone", words_for(browser=browser))
