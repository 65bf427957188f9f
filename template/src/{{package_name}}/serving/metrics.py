"""The server's Prometheus metrics, in a registry of their own.

Looking a child up by its labels costs more than counting with it: what counts each request keeps its children.
"""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SCORE_BUCKETS = tuple(step / 10 for step in range(1, 11))


class Metrics:
    """Every metric of the server; one instance per application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "http_requests", "Requests by path and status.", ["path", "status"], registry=self.registry
        )
        self.latency = Histogram(
            "http_request_duration_seconds",
            "Time to answer.",
            ["path"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "http_requests_in_flight",
            "Requests that wait for an answer.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.shed = Counter(
            "http_requests_shed", "Predictions refused at once, because too many waited.", registry=self.registry
        )
        self._request = cache(lambda path, status: self.requests.labels(path, str(status)))
        self._latency = cache(self.latency.labels)
        self.predictions = Counter("predictions", "Answered rows by version.", ["version"], registry=self.registry)
        self.scores = Histogram(
            "prediction_score", "The champion's probabilities.", buckets=SCORE_BUCKETS, registry=self.registry
        )
        self.missing = Counter(
            "features_missing", "Rows for which a view held no value.", ["view"], registry=self.registry
        )
        self.stale = Counter("features_stale", "Rows whose value was past its ttl.", ["view"], registry=self.registry)
        self.bundle_loads = Counter(
            "bundle_loads", "Bundles that were loaded or refused.", ["alias", "outcome"], registry=self.registry
        )
        self.ready = Gauge(
            "ready", "1 when a verified champion is loaded.", registry=self.registry, multiprocess_mode="livemin"
        )
        self.champion_forced = Gauge(
            "champion_forced",
            "1 while the champion serves against its gates.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )

    def request_done(self, path: str, status: int, seconds: float) -> None:
        """Count a request; `path` is a route's, or one name for all that is none."""
        self._request(path, status).inc()
        self._latency(path).observe(seconds)
