"""Traces: where one report's time went, from the request to the mail, over all processes.

A job keeps the trace it belongs to (`trace`, a W3C traceparent): that of the request that made it, or one
that begins with its planning. Whoever works on it later, in whatever process, adds spans to that trace.
Nothing happens, and nothing of OpenTelemetry is imported, before `set_up` found an address to send to.

Spans carry ids and words from short lists: never an address, a name, a clinical word or an error's text.
Add here: what names a span or hands it on. Keep out: sampling and exporting, which are in `trace_export`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import structlog

from reporting_pipeline.settings import Settings

if TYPE_CHECKING:
    from reporting_pipeline.trace_export import Exporting

#: The tag of a run with the trace of whoever waits for it.
RUN_TAG = "reporting/trace"
#: A W3C traceparent of version 00; ids of zeros only are none.
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_exporting: Exporting | None = None
#: A record of some kind.
Kept = TypeVar("Kept", bound=Mapping[str, Any])


def set_up(settings: Settings) -> None:
    """Let this process export its spans, where the settings say where to. Once a process."""
    global _exporting
    if settings.otlp_endpoint is not None and _exporting is None:
        from reporting_pipeline.trace_export import Exporting

        _exporting = Exporting(settings)


def shut_down() -> None:
    """Export what waits and make no spans any more."""
    global _exporting
    if _exporting is not None:
        _exporting.shut_down()
    _exporting = None


def on() -> bool:
    """Whether this process makes spans."""
    return _exporting is not None


def trace_id(traceparent: str) -> str:
    """The id by which a trace is found, 32 hex digits; "" where `traceparent` is none."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else ""


def adopted(header: str) -> str:
    """A traceparent from outside: the id is the caller's, whether it is exported is decided here."""
    return _exporting.adopted(header) if _exporting is not None and trace_id(header) else ""


def current() -> str:
    """The traceparent of what this thread or task does now; "" where that is no part of a trace."""
    return _exporting.current() if _exporting is not None else ""


@contextmanager
def span(name: str, parent: str = "", **attributes: str | int) -> Iterator[Span]:
    """A span around the block, of the trace `parent`, else of the one under way, else of a new one.

    Log lines written inside carry its trace's id as `trace`. What the block raises marks it as failed, by
    the error's class alone: its text may say more than a trace may hold.
    """
    if _exporting is None:
        yield _NoSpan()
        return
    with _exporting.span(name, parent, attributes) as one, logged(one.traceparent):
        try:
            yield one
        except Exception as error:
            one.failed(type(error).__name__)
            raise


def told(
    name: str,
    parent: str,
    started: datetime,
    ended: datetime,
    error: str = "",
    **attributes: str | int,
) -> None:
    """A span in hindsight, of the trace `parent`, linked to what is under way. `error`: a word for it."""
    if _exporting is not None and parent:
        _exporting.told(name, parent, started, ended, error, attributes)


def begun(record: Kept, name: str, **attributes: str | int) -> Kept:
    """`record`, about to be written, with its `trace`: the one under way, or one that begins here."""
    if _exporting is None:
        return record
    with _exporting.span(name, "", attributes) as one:
        return cast(Kept, {**record, "trace": one.traceparent})


def logged(traceparent: str) -> Any:
    """Put the trace's id on each line that is written inside the block, in this thread or task."""
    found = trace_id(traceparent)
    return structlog.contextvars.bound_contextvars(**({"trace": found} if found else {}))


def flush() -> None:
    """Export what waits, for a process that is about to end. Waits for some seconds at most."""
    if _exporting is not None:
        _exporting.flush()


class Span(Protocol):
    """What a block may say of its span."""

    traceparent: str

    def failed(self, word: str) -> None:
        """Mark it as failed: its trace is exported, whatever the sampling says."""

    def named(self, name: str) -> None:
        """Give it a name that was not known before."""

    def note(self, **attributes: str | int) -> None:
        """Add attributes."""


class _NoSpan:
    """Where nothing is traced all of it is said to nobody."""

    traceparent = ""

    def failed(self, word: str) -> None: ...

    def named(self, name: str) -> None: ...

    def note(self, **attributes: str | int) -> None: ...
