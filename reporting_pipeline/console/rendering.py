"""Templates: one environment, autoescaped, in which an undefined name is an error."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse

from reporting_pipeline.console import wording
from reporting_pipeline.console.forms import reason_of
from reporting_pipeline.domain.masked_recipients import shown
from reporting_pipeline.reports import palette

MOST_WATCHED = 50  # things that one page hears of


@lru_cache(maxsize=1)
def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("reporting_pipeline.console", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        job_state=wording.job_state,
        delivery_state=wording.delivery_state,
        edition_state=wording.edition_state,
        attempt_words=wording.attempt_words,
        channel_words=wording.channel_words,
        meanings=wording.MEANINGS,
        kind_words=wording.kind_words,
        type_words=wording.type_words,
        moment=wording.moment,
        moment_utc=wording.moment_utc,
        schedule_words=wording.schedule_words,
        status_words=wording.status_words,
        size=wording.size,
        duration=wording.duration,
        watch_address=watch_address,
        shown_recipient=shown,
        reason_of=reason_of,
    )
    return made


def watch_address(jobs: Iterable[str] = (), editions: Iterable[str] = ()) -> str:
    """Where a page hears that these have moved; "" for none. Fifty of each at most."""
    pairs = [("job", one) for one in list(jobs)[:MOST_WATCHED]]
    pairs += [("edition", one) for one in list(editions)[:MOST_WATCHED]]
    return f"/console/changes?{urlencode(pairs)}" if pairs else ""


def html(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page or a part of one."""
    return HTMLResponse(environment().get_template(template).render(**values), status)


def _hex(colour: palette.Colour) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in colour)


@lru_cache(maxsize=1)
def tokens_css() -> str:
    """The colours of reports/palette.py as custom properties; in the dark, the same hues made lighter."""
    light = {
        "ink": _hex(palette.INK),
        "muted": _hex(palette.MUTED),
        "faint": _hex(palette.FAINT),
        "hair": _hex(palette.HAIR),
        "paper": _hex(palette.PAPER),
        "tint": _hex(palette.TINT),
        "accent": _hex(palette.ACCENT),
        "on-accent": "#ffffff",
        "alarm": _hex(palette.ALARM),
        "good": "#00634a",
        "odd": "#7a4470",
        "focus": "#b35900",
    }
    dark = {
        "ink": "#e8edf2",
        "muted": "#a9b6c2",
        "faint": "#46525e",
        "hair": "#333e49",
        "paper": "#12181e",
        "tint": "#1b242d",
        "accent": "#7cc4f2",
        "on-accent": "#0b1720",
        "alarm": "#ffab7a",
        "good": "#6fd3ac",
        "odd": "#dca6d1",
        "focus": "#ffb454",
    }
    return (
        f":root {{ color-scheme: light dark; {_declared(light)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {_declared(dark)} }} }}\n"
        f"@media print {{ :root {{ {_declared(light)} }} }}\n"
    )


def _declared(tokens: dict[str, str]) -> str:
    return " ".join(f"--{name}: {value};" for name, value in tokens.items())
