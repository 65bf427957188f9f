"""The server's Prometheus metrics, in a registry of their own.

Looking a child up by its labels costs more than counting with it: what counts each request keeps its children.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ..features.online import Found

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SCORE_BUCKETS = tuple(step / 10 for step in range(1, 11))


class Metrics:
    """Every metric of the server; one instance per application."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("http_requests", "Requests by path and status.", ["path", "status"], registry=registry)
        self.latency = Histogram(
            "http_request_duration_seconds", "Time to answer.", ["path"], buckets=LATENCY_BUCKETS, registry=registry
        )
        self.in_flight = Gauge("http_requests_in_flight", "Requests that wait for an answer.", registry=registry)
        self.predictions = Counter("predictions", "Answered rows by version.", ["version"], registry=registry)
        self.degraded = Counter(
            "predictions_degraded", "Answered rows without the features of a store that was away.", registry=registry
        )
        self.scores = Histogram(
            "prediction_score",
            "The champion's probabilities by version.",
            ["version"],
            buckets=SCORE_BUCKETS,
            registry=registry,
        )
        self.missing = Counter("features_missing", "Rows for which a view held no value.", ["view"], registry=registry)
        self.stale = Counter("features_stale", "Rows whose value was past its ttl.", ["view"], registry=registry)
        self.shadow_drops = Counter(
            "shadow_rows_dropped", "Answered rows that a shadow did not score.", ["alias"], registry=registry
        )
        self.bundle_loads = Counter(
            "bundle_loads", "Bundles that were loaded or refused.", ["alias", "outcome"], registry=registry
        )
        self.ready = Gauge("ready", "1 when this process should get traffic.", registry=registry)
        self.online_away = Gauge("online_store_away", "1 while the online store cannot be read.", registry=registry)
        self.champion_forced = Gauge(
            "champion_forced", "1 while the champion serves against its gates.", registry=registry
        )
        self._request = cache(lambda path, status: self.requests.labels(path, str(status)))
        self._latency = cache(self.latency.labels)
        self._answered = cache(lambda version: (self.predictions.labels(version), self.scores.labels(version)))

    def expect(self, views: Iterable[str]) -> None:
        """Show the counts of these views from zero on, so that a first gap is an increase."""
        for view in views:
            self.missing.labels(view)
            self.stale.labels(view)

    def request_done(self, path: str, status: int, seconds: float) -> None:
        """Count a request; `path` is a route's, or one name for all that is none."""
        self._request(path, status).inc()
        self._latency(path).observe(seconds)

    def answered(self, version: str, scores: Sequence[float], found: Found) -> None:
        """Count answered rows, their scores, and the values that they lacked."""
        predictions, histogram = self._answered(version)
        predictions.inc(len(scores))
        for score in scores:
            histogram.observe(score)
        if found.away:
            self.degraded.inc(len(scores))
            return  # by that, and not by view: nobody knows what is missing
        _add(self.missing, found.missing)
        _add(self.stale, found.stale)


def _add(counter: Counter, rows: Mapping[str, int]) -> None:
    for view, count in rows.items():
        if count:
            counter.labels(view).inc(count)
