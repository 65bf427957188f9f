"""The server's Prometheus metrics, in a registry of their own.

What counts each request is a tally: plain numbers that the event loop alone changes, and that become samples when they
are asked for. A counter of the client library takes a lock, and more time than the prediction's model.
"""

from bisect import bisect_left
from collections import Counter as Count
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ..features.online import Found
from .auth import PATHS, PREDICT

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SCORE_BUCKETS = tuple(step / 10 for step in range(1, 11))


class Distribution:
    """How many values lie in each bucket, by one label."""

    def __init__(self, name: str, about: str, label: str, buckets: Sequence[float]) -> None:
        self._family = (name, about, None, [label])
        self._bounds = buckets
        self._counts: dict[str, list[int]] = defaultdict(lambda: [0] * (len(buckets) + 1))
        self._sums: dict[str, float] = defaultdict(float)

    def add(self, label: str, value: float) -> None:
        """Count a value."""
        self._counts[label][bisect_left(self._bounds, value)] += 1
        self._sums[label] += value

    def family(self) -> Metric:
        """Return the samples of now."""
        family = HistogramMetricFamily(*self._family[:2], labels=self._family[3])
        for label, counts in list(self._counts.items()):
            total, buckets = 0, []
            for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
                total += count
                buckets.append((bound, total))
            family.add_metric([label], buckets, self._sums[label])
        return family


class Tallies(Collector):
    """What is counted of every request, by plain numbers."""

    def __init__(self) -> None:
        # From zero on, so that the first failure is an increase: the error budget counts these.
        predictions = [path for path, role in PATHS.items() if role == PREDICT]
        self.requests = Count({(path, status): 0 for path in predictions for status in (200, 500, 503)})
        self.rows: Count[str] = Count()
        self.missing: Count[str] = Count()
        self.stale: Count[str] = Count()
        self.latency = Distribution("http_request_duration_seconds", "Time to answer.", "path", LATENCY_BUCKETS)
        self.scores = Distribution(
            "prediction_score", "The champion's probabilities by version.", "version", SCORE_BUCKETS
        )

    def collect(self) -> Iterator[Metric]:
        """Yield the samples of now; another thread asks, so that what it goes through is a copy."""
        requests = CounterMetricFamily("http_requests", "Requests by path and status.", labels=["path", "status"])
        for (path, status), count in list(self.requests.items()):
            requests.add_metric([path, str(status)], count)
        yield from (requests, self.latency.family(), self.scores.family())
        yield _counter("predictions", "Answered rows by version.", "version", self.rows)
        yield _counter("features_missing", "Rows for which a view held no value.", "view", self.missing)
        yield _counter("features_stale", "Rows whose value was past its ttl.", "view", self.stale)


class Metrics:
    """Every metric of the server; one instance per application."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._tallies = Tallies()
        registry.register(self._tallies)
        self.in_flight = Gauge("http_requests_in_flight", "Requests that wait for an answer.", registry=registry)
        self.degraded = Counter(
            "predictions_degraded", "Answered rows without the features of a store that was away.", registry=registry
        )
        self.shadow_drops = Counter(
            "shadow_rows_dropped", "Answered rows that a shadow did not score.", ["alias"], registry=registry
        )
        self.shed = Counter(
            "http_requests_shed", "Predictions refused at once, because too many waited.", registry=registry
        )
        self.bundle_loads = Counter(
            "bundle_loads", "Bundles that were loaded or refused.", ["alias", "outcome"], registry=registry
        )
        self.ready = Gauge("ready", "1 when this process should get traffic.", registry=registry)
        self.online_away = Gauge("online_store_away", "1 while the online store cannot be read.", registry=registry)
        self.log_away = Gauge("prediction_log_away", "1 while the prediction log cannot be written.", registry=registry)
        self.champion_forced = Gauge(
            "champion_forced", "1 while the champion serves against its gates.", registry=registry
        )

    def expect(self, views: Iterable[str]) -> None:
        """Show the counts of these views from zero on, so that a first gap is an increase."""
        for view in views:
            self._tallies.missing[view] += 0
            self._tallies.stale[view] += 0

    def request_done(self, path: str, status: int, seconds: float) -> None:
        """Count a request; `path` is a route's, or one name for all that is none."""
        self._tallies.requests[path, status] += 1
        self._tallies.latency.add(path, seconds)

    def answered(self, version: str, scores: Sequence[float], found: Found) -> None:
        """Count answered rows, their scores, and the values that they lacked."""
        self._tallies.rows[version] += len(scores)
        for score in scores:
            self._tallies.scores.add(version, score)
        if found.away:
            self.degraded.inc(len(scores))
            return  # by that, and not by view: nobody knows what is missing
        for view, count in found.missing.items():
            self._tallies.missing[view] += count
        for view, count in found.stale.items():
            self._tallies.stale[view] += count


def _counter(name: str, about: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, about, labels=[label])
    for value, count in list(counts.items()):
        family.add_metric([value], count)
    return family
