"""The feature views: WHAT is computed from which source, and when each value became known.

A view is an expression that yields `keys, available_at, features...`, one row for each time that a value became
known. `available_at` includes the delay of the pipeline that makes the row. Training joins the last row that was
available at the prediction time; the online store keeps the last row of each key. Nothing else defines a feature.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import ibis
import ibis.expr.types as ir

from ..bundle import ViewSpec
from ..engine import seconds
from ..problem import ROUND, is_late
from ..sources import SOURCES

DAY = timedelta(days=1)
BATCH_DELAY = timedelta(hours=6)  # the nightly build of a UTC day is done at 06:00 of the next


@dataclass(frozen=True)
class FeatureView:
    """One view. `ttl` is the age at which a value is no longer used; `lookback` is how far its windows reach."""

    name: str
    source: str
    keys: tuple[str, ...]
    features: tuple[str, ...]
    ttl: timedelta
    lookback: timedelta
    streaming: bool
    """True when ticks keep the online store fresh between two batch builds."""
    expression: Callable[[ir.Table], ir.Table]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the view's rows, in order."""
        return (*self.keys, "available_at", *self.features)

    @cached_property
    def definition(self) -> str:
        """Hash of what the view computes: of its SQL and of how long a value holds, not of how the code is laid out."""
        return hashlib.sha256(f"{self.sql('duckdb')}|{self.keys}|{self.ttl}".encode()).hexdigest()[:16]

    def sql(self, dialect: str) -> str:
        """Return the view's query over its source's table, in a dialect that ibis compiles to."""
        contract = SOURCES[self.source].contract
        source = ibis.table({name: column.dtype.type for name, column in contract.columns.items()}, name=self.source)
        return str(ibis.to_sql(self.expression(source).select(*self.columns), dialect=dialect))

    @property
    def spec(self) -> ViewSpec:
        """What the bundle tells serving about this view."""
        return ViewSpec(self.name, self.keys, self.features, int(self.ttl.total_seconds()), self.definition)


def trailing(
    events: ir.Table,
    keys: Sequence[str],
    step: timedelta,
    delay: timedelta,
    windows: Mapping[str, timedelta],
    measures: Mapping[str, Callable[[Any, Any, Any], Any]],
) -> ir.Table:
    """Return trailing windows of `events`, one row per key and step in which a window holds an event.

    An event known in [t - step, t) is handed to each of the steps t, t + step, ... whose window still holds it; a
    group-by finishes the work. This costs rows x steps per window, runs on any SQL engine, and never looks ahead.
    The events carry `known_at` (UTC) and `delay` (minutes). A measure gets (count, late count, sum of delays) of one
    window and its feature is named `<measure>_<window>`. A row is available `delay` after the end of its step.
    """
    width = int(step.total_seconds())
    steps = {name: int(window / step) for name, window in windows.items()}
    counted = (
        events.mutate(step=(seconds(events.known_at) // width + 1).cast("int64"))
        .group_by([*keys, "step"])
        .agg(
            count=lambda t: t.count(),
            late=lambda t: is_late(t.delay).cast("int64").sum(),
            total=lambda t: t.delay.sum(),
        )
    )
    offsets = ibis.range(0, max(steps.values())).unnest().name("offset").as_table()
    handed = counted.cross_join(offsets).mutate(step=lambda t: t.step + t.offset)
    sums = {
        f"{column}_{name}": (lambda t, column=column, n=n: t[column].sum(where=t.offset < n))
        for name, n in steps.items()
        for column in ("count", "late", "total")
    }
    summed = handed.group_by([*keys, "step"]).agg(**sums)
    features = {
        f"{measure}_{name}": (lambda t, f=f, name=name: f(t[f"count_{name}"], t[f"late_{name}"], t[f"total_{name}"]))
        for name in steps
        for measure, f in measures.items()
    }
    at = int(delay.total_seconds())
    return summed.mutate(
        available_at=lambda t: (t.step * width + at).as_timestamp("s").cast("timestamp('UTC', 6)"), **features
    ).select(*keys, "available_at", *features)


# The casts are for the engines whose integers divide to a decimal with six places.
def _late_rate(count: Any, late: Any, total: Any) -> Any:
    return late.cast("float64") / count


def _mean_delay(count: Any, late: Any, total: Any) -> Any:
    return total.cast("float64") / count


def _departures(count: Any, late: Any, total: Any) -> Any:
    return count.fill_null(0).cast("float64")


def _history(name: str, keys: Sequence[str]) -> FeatureView:
    """Return the view of how late arrivals by `keys` were in the last 28 whole days (UTC)."""
    measures = {f"{name}_late_rate": _late_rate, f"{name}_mean_delay": _mean_delay}

    def expression(arrivals: ir.Table) -> ir.Table:
        events = arrivals.filter(arrivals[keys[0]].notnull()).mutate(delay=arrivals.arrival_delay)
        return trailing(events, keys, DAY, BATCH_DELAY, {"28d": 28 * DAY}, measures)

    return FeatureView(
        name=f"{name}_history",
        source="arrivals",
        keys=tuple(keys),
        features=tuple(f"{measure}_28d" for measure in measures),
        ttl=3 * DAY,
        lookback=29 * DAY,
        streaming=False,
        expression=expression,
    )


def _stream(
    name: str, keys: Sequence[str], source: str, delay: str, measures: Mapping[str, Callable[[Any, Any, Any], Any]]
) -> FeatureView:
    """Return the view of how late the events of `source` by `keys` were in the last hour and the last three."""
    hour = timedelta(hours=1)
    windows = {"1h": hour, "3h": 3 * hour}
    named = {f"{name}_{measure}": f for measure, f in measures.items()}

    def expression(events: ir.Table) -> ir.Table:
        return trailing(events.mutate(delay=events[delay]), keys, ROUND, timedelta(0), windows, named)

    return FeatureView(
        name=f"{name}_stream",
        source=source,
        keys=tuple(keys),
        features=tuple(f"{measure}_{window}" for window in windows for measure in named),
        ttl=hour,
        lookback=3 * hour + ROUND,
        streaming=True,
        expression=expression,
    )


def _aircraft_last(event: str, past: str, source: str, instant: str) -> FeatureView:
    """Return the view of an aircraft's last known departure from New York, or its arrival: when, and how late."""

    def expression(events: ir.Table) -> ir.Table:
        known = events.filter(events.tailnum.notnull())
        return known.group_by("tailnum", available_at=known.known_at).agg(
            **{
                f"last_{event}_delay": known[f"{event}_delay"].max().cast("float64"),
                f"last_{past}_at": seconds(known[instant]).max().cast("float64"),
            }
        )

    return FeatureView(
        name=f"aircraft_last_{event}",
        source=source,
        keys=("tailnum",),
        features=(f"last_{event}_delay", f"last_{past}_at"),
        ttl=2 * DAY,
        lookback=timedelta(0),
        streaming=True,
        expression=expression,
    )


def _origin_weather(weather: ir.Table) -> ir.Table:
    # A feed that was down delivers several hours at once: only the newest of them is the last observation.
    # The maximum is a column of its own: filtered by directly it is QUALIFY, which Spark and Trino do not have.
    weather = weather.mutate(newest=weather.observed_at.max().over(group_by=["origin", "known_at"]))
    newest = weather.filter(weather.observed_at == weather.newest)
    return newest.mutate(available_at=newest.known_at).select("origin", "available_at", *WEATHER)


WEATHER = (
    "temperature",
    "dew_point",
    "humidity",
    "wind_speed",
    "wind_gust",
    "precipitation",
    "pressure",
    "visibility",
)

LATENESS = {"mean_delay": _mean_delay, "late_rate": _late_rate}

VIEWS = {
    view.name: view
    for view in (
        _history("carrier", ["carrier"]),
        _history("route", ["dest", "origin"]),
        _history("origin_hour", ["departure_hour", "origin"]),
        _history("aircraft", ["tailnum"]),
        _stream("origin", ["origin"], "departures", "departure_delay", {"departures": _departures} | LATENESS),
        _stream("carrier", ["carrier"], "departures", "departure_delay", LATENESS),
        _stream("destination", ["dest"], "arrivals", "arrival_delay", LATENESS),
        _aircraft_last("departure", "departed", "departures", "departed_at"),
        _aircraft_last("arrival", "arrived", "arrivals", "known_at"),
        FeatureView(
            name="origin_weather",
            source="weather",
            keys=("origin",),
            features=WEATHER,
            ttl=timedelta(hours=3),
            lookback=timedelta(0),
            streaming=True,
            expression=_origin_weather,
        ),
    )
}
