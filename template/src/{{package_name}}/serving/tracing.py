"""OpenTelemetry traces, when OTEL_EXPORTER_OTLP_ENDPOINT says where to send them; without it nothing of it is imported.

The SDK's own variables are the settings: OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG (by default every trace, or
what the caller decided), OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES. Spans are sent by a thread, in batches;
when nobody takes them they are dropped, and no request waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def make_traces(name: str) -> Traces | None:
    """Return what makes the spans of a service of that name, or None when the environment names no receiver."""
    return Traces(name) if any(os.environ.get(each) for each in ENDPOINTS) else None


class Traces:
    """A span for each request, and child spans for its parts."""

    def __init__(self, name: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        os.environ.setdefault("OTEL_SERVICE_NAME", name)
        self._provider = TracerProvider(resource=Resource.create())
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer: Tracer = self._provider.get_tracer(name)

    def begin(self, headers: Mapping[bytes, bytes], method: str, request_id: str) -> Span:
        """Return the span of a request, a child of the caller's when it sent a `traceparent`."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        sent = {
            name: headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in headers
        }
        context = TraceContextTextMapPropagator().extract(sent)
        attributes = {"http.request.method": method, "request.id": request_id}
        return self._tracer.start_span(method, context, SpanKind.SERVER, attributes)

    def within(self, span: Span, function: Callable[[], Any]) -> Any:
        """Call a function whose spans are children of this one."""
        from opentelemetry.trace import use_span

        with use_span(span, record_exception=False, set_status_on_exception=False):
            return function()

    def end(self, span: Span, path: str, status: int, version: str) -> None:
        """End the span of a request."""
        from opentelemetry.trace import StatusCode

        span.update_name(path)
        span.set_attributes({"http.route": path, "http.response.status_code": status, "model.version": version})
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end()

    def parts(self, whole: Any, **names: str) -> Any:
        """Return an object that is like `whole`, with a span of the given name around each call of some methods."""
        return _Parts(self._tracer, whole, names)

    def close(self) -> None:
        """Send what is left; a receiver that is gone is not waited for longer than its timeout."""
        self._provider.shutdown()


class _Parts:
    def __init__(self, tracer: Tracer, whole: Any, names: Mapping[str, str]) -> None:
        self._whole = whole
        for method, name in names.items():
            setattr(self, method, _traced(tracer, name, getattr(whole, method)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)


def _traced(tracer: Tracer, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Any:
        with tracer.start_as_current_span(name):
            return function(*args, **kwargs)

    return traced
