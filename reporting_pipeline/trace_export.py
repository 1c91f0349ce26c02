"""What becomes of spans: sampled, kept for errors, sent by OTLP over HTTP. Only this imports OpenTelemetry.

A share of the traces is exported whole (`REPORTING_TRACE_SHARE`), decided by the trace's id and so alike
in every process. Of the others each process keeps its part until that has ended, and exports it where
something in it failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from threading import Lock
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

from reporting_pipeline.settings import Settings

SERVICE = "reporting-pipeline"
#: Seconds that one request to the collector may take, tries included; and that an ending process waits.
EXPORT_TIMEOUT = 5
FLUSH_MILLISECONDS = 3_000
#: Traces, and spans of one, that are kept until it is known whether something failed.
KEPT_TRACES, KEPT_SPANS = 1_000, 200
_PROPAGATOR = TraceContextTextMapPropagator()


class Exporting:
    """The spans of one process and their way out."""

    def __init__(self, settings: Settings) -> None:
        if settings.otlp_endpoint is None:
            raise ValueError("OTEL_EXPORTER_OTLP_ENDPOINT is not set")
        headers = settings.otlp_headers.get_secret_value() if settings.otlp_headers else ""
        exporter = OTLPSpanExporter(
            endpoint=settings.otlp_endpoint.rstrip("/") + "/v1/traces",
            headers=parse_env_headers(headers, liberal=True),
            timeout=EXPORT_TIMEOUT,
        )
        self._share = TraceIdRatioBased(settings.trace_share)
        self._provider = TracerProvider(
            sampler=Share(self._share),
            resource=Resource.create(
                {
                    "service.name": SERVICE,
                    "service.version": version(SERVICE),
                    "deployment.environment.name": settings.environment,
                }
            ),
        )
        self._provider.add_span_processor(ErrorsToo(BatchSpanProcessor(exporter)))
        self._tracer = self._provider.get_tracer(SERVICE)

    def current(self) -> str:
        return _traceparent(trace.get_current_span().get_span_context())

    def adopted(self, traceparent: str) -> str:
        context = trace.get_current_span(_context(traceparent)).get_span_context()
        found = self._share.should_sample(None, context.trace_id, "")
        flags = int(found.decision is Decision.RECORD_AND_SAMPLE)
        return _traceparent(SpanContext(context.trace_id, context.span_id, True, TraceFlags(flags)))

    @contextmanager
    def span(self, name: str, parent: str, attributes: Mapping[str, str | int]) -> Iterator[OpenSpan]:
        with self._tracer.start_as_current_span(
            name,
            context=_context(parent),
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as started:
            yield OpenSpan(started)

    def told(
        self,
        name: str,
        parent: str,
        started: datetime,
        ended: datetime,
        error: str,
        attributes: Mapping[str, str | int],
    ) -> None:
        around = trace.get_current_span().get_span_context()
        one = self._tracer.start_span(
            name,
            context=_context(parent),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[Link(around)] if around.is_valid else [],
            start_time=_nanoseconds(started),
        )
        if error:
            OpenSpan(one).failed(error)
        one.end(end_time=max(_nanoseconds(ended), _nanoseconds(started)))

    def flush(self) -> None:
        self._provider.force_flush(FLUSH_MILLISECONDS)

    def shut_down(self) -> None:
        self.flush()
        self._provider.shutdown()


class OpenSpan:
    """A span under way, as `tracing.Span` has it."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self.traceparent = _traceparent(span.get_span_context())

    def failed(self, word: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR))
        self._span.set_attribute("error.type", word)

    def named(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, **attributes: str | int) -> None:
        self._span.set_attributes(attributes)


class Share(Sampler):
    """A share of the traces by their ids; the others are recorded and wait for an error (`ErrorsToo`)."""

    def __init__(self, by_id: TraceIdRatioBased) -> None:
        self._by_id = by_id

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        parent = trace.get_current_span(parent_context).get_span_context()
        if parent.is_valid:
            sampled = parent.trace_flags.sampled
        else:
            found = self._by_id.should_sample(parent_context, trace_id, name, kind, attributes, links)
            sampled = found.decision is Decision.RECORD_AND_SAMPLE
        decision = Decision.RECORD_AND_SAMPLE if sampled else Decision.RECORD_ONLY
        return SamplingResult(decision, attributes, parent.trace_state if parent.is_valid else trace_state)

    def get_description(self) -> str:
        return f"{self._by_id.get_description()}, and what failed"


class ErrorsToo(SpanProcessor):
    """Hands on what is sampled, and of the rest this process's part of each trace in which a span failed."""

    def __init__(self, to: SpanProcessor) -> None:
        self._to = to
        self._kept: dict[int, list[ReadableSpan]] = {}
        self._turn = Lock()

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        self._to.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        context = span.context
        if context is None or context.trace_flags.sampled:
            self._to.on_end(span)
            return
        with self._turn:
            kept = self._kept.setdefault(context.trace_id, [])
            if len(kept) < KEPT_SPANS or span.status.status_code is StatusCode.ERROR:
                kept.append(span)
            if span.parent is not None and not span.parent.is_remote:
                if len(self._kept) > KEPT_TRACES:
                    self._kept.pop(next(iter(self._kept)))
                return
            whole = self._kept.pop(context.trace_id)
        if any(one.status.status_code is StatusCode.ERROR for one in whole):
            for one in whole:
                self._to.on_end(_as_sampled(one))

    def shutdown(self) -> None:
        self._to.shutdown()

    def force_flush(self, timeout_millis: int = FLUSH_MILLISECONDS) -> bool:
        return self._to.force_flush(timeout_millis)


def _as_sampled(span: ReadableSpan) -> ReadableSpan:
    """The same span, marked as one that goes out."""
    context = span.get_span_context()
    if context is None:
        return span
    return ReadableSpan(
        name=span.name,
        context=SpanContext(
            context.trace_id, context.span_id, context.is_remote, TraceFlags(TraceFlags.SAMPLED)
        ),
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _context(traceparent: str) -> Context | None:
    """A context whose parent is elsewhere; None where the one under way is meant."""
    return _PROPAGATOR.extract({"traceparent": traceparent}, Context()) if traceparent else None


def _traceparent(context: SpanContext) -> str:
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1_000
