"""What the daily run tells Prometheus: the figures of the newest day as gauges, pushed to a Pushgateway.

The run is over before Prometheus could ask it, and in a cluster nothing of its machine stays. A Pushgateway keeps what
was pushed last, for as long as nothing else is pushed: one gauge says when that was.
"""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta

import pandas as pd
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

from .. import bundle, problem
from ..errors import UserError
from ..features.feature_view import FeatureView
from ..lake import AnyPath, partition_days, stores
from ..landing import quarantined
from ..settings import Settings
from ..source import Source
from .daily import DECISIONS, DRIFT, EXPECTED, HELD, PERFORMANCE
from .labels import read_days
from .policy import Action

DAY = timedelta(days=1)
# A column of a table -> the gauge of it, and what it is.
FIGURES = {
    EXPECTED: {"expected_auc": ("model_auc_expected", "The AUC that the newest day's scores promise, if calibrated.")},
    PERFORMANCE: {
        "coverage": ("label_coverage", "The share of the newest matured day's predictions that have a label."),
        "count": ("labels_matured", "How many predictions of that day have a label."),
        "auc": ("model_auc", "The AUC realised on the newest matured day."),
        "auc_low": ("model_auc_low", "The lower 95 % bound of the realised AUC."),
        "auc_high": ("model_auc_high", "The upper 95 % bound of the realised AUC."),
        "calibration_error": ("model_calibration_error", "The calibration error realised on that day."),
        "label_rate": ("label_rate", "The share of that day's labels that are true."),
        "mean_score": ("model_mean_score", "The mean probability that was answered on that day."),
    },
}


def collect(
    settings: Settings,
    sources: Mapping[str, Source],
    views: Mapping[str, FeatureView],
    champion: bundle.Manifest | None,
    day: date,
    now: datetime,
) -> CollectorRegistry:
    """Return the gauges of a recorded UTC day; what is not known yet, such as the AUC of the first days, has none.

    A source is on time when the day before `day` has landed, and a view when that day was built into it. `now` is
    aware.
    """
    registry, data = CollectorRegistry(), stores(settings)

    def gauge(name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, labels, registry=registry)

    gauge("monitoring_last_success_timestamp_seconds", "When the daily run last succeeded.").set(now.timestamp())
    held = [source for source, _ in quarantined(data.quarantine, day - timedelta(days=HELD), day + DAY)]
    late = gauge("source_days_late", "How many days a source's newest partition is behind.", "source")
    waiting = gauge("source_quarantined_days", "Days of a source that wait in quarantine.", "source")
    for name in (name for name, source in sources.items() if source.daily):
        waiting.labels(name).set(held.count(name))
        if landed := partition_days(data.lake, name):
            late.labels(name).set(max(0, (day - DAY - landed[-1]).days))
    late = gauge("feature_view_days_late", "How many days a view's newest partition is behind.", "view", "source")
    for name, view in views.items():
        if built := partition_days(data.features, name):
            late.labels(name, view.source).set(max(0, (view.partition_of(day - DAY) - built[-1]).days))

    gauge("label_coverage_minimum", "The label coverage below which figures mean nothing.").set(
        problem.MINIMUM_COVERAGE
    )
    for table, columns in FIGURES.items():
        rows = _newest(data.monitoring, table, day)
        for column in columns.keys() & set(rows.columns):
            for value in rows[column].dropna():
                gauge(*columns[column]).set(value)
    if champion:
        gauge("model_auc_promised", "The champion's AUC on its own test week.").set(champion.metrics["auc"])
        trained = date.fromisoformat(champion.trained_until)
        gauge("model_age_days", "Days between the end of the champion's training data and the day.").set(
            (day - trained).days
        )

    drift = _newest(data.monitoring, DRIFT, day)
    if len(drift):
        gauge("drift_moved_share", "The share of the inputs that moved.").set(drift["moved"].mean())
        distance = gauge("drift_distance", "How far an input has moved since training.", "feature")
        for feature, value in drift.set_index("feature")["distance"].dropna().items():
            distance.labels(feature).set(value)

    decided = gauge("monitoring_decision", "1 for what the policy decided, 0 for what it did not.", "action")
    last = read_days(data.monitoring, DECISIONS, [day]).iloc[-1]
    for action in Action:
        decided.labels(action.value).set(action.value == last["action"])
    skewed = json.loads(last["evidence"])["skewed"]
    if skewed is not None:
        gauge("features_skewed", "Inputs that were served otherwise than training has them.").set(len(skewed))
    return registry


def push(url: str, job: str, gauges: CollectorRegistry) -> None:
    """Replace what a Pushgateway holds of `job` by these gauges. Raises UserError when it does not take them."""
    try:
        push_to_gateway(url, job, gauges, timeout=10)
    except OSError as error:
        raise UserError(
            f"the day is recorded, and its gauges could not be pushed to {url} ({getattr(error, 'reason', error)}); "
            "see that a Pushgateway answers there, and run it again"
        ) from error


def _newest(monitoring: AnyPath, table: str, day: date) -> pd.DataFrame:
    """Return the newest day of a table up to `day`; empty when there is none."""
    days = [held for held in partition_days(monitoring, table) if held <= day]
    return read_days(monitoring, table, days[-1:])
