"""What a feature view is, and the trailing windows that most of them are made of. Which views there are: `views.py`.

A view is an expression that yields `keys, available_at, features...`, one row for each time that a value became
known. `available_at` includes the delay of the pipeline that makes the row. Training joins the last row that was
available at the prediction time; the online store keeps the last row of each key. Nothing else defines a feature.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import ibis
import ibis.expr.types as ir

from ..bundle import ViewSpec
from ..engine import seconds
from ..lake import day_of, days, midnight
from ..sources import SOURCES

DAY = timedelta(days=1)


@dataclass(frozen=True)
class FeatureView:
    """One view. `ttl` is the age at which a value is no longer used.

    A row that is available at t holds, of each feature, the source rows with its keys that became known in
    [t - delay - window, t - delay); with a window of zero, those that became known at t - delay. What a view is for
    is part of it: `features list` and docs/features.md are made from here.
    """

    name: str
    source: str
    keys: tuple[str, ...]
    """Columns of the source, and of the request or what entity_columns makes of it."""
    features: tuple[str, ...]
    ttl: timedelta
    streaming: bool
    """True when ticks keep the online store fresh between two batch builds."""
    expression: Callable[[ir.Table], ir.Table]
    windows: Mapping[str, timedelta]
    """How far back each feature looks; zero when it is read off what became known at one instant."""
    step: timedelta
    """How often rows are made; zero when each source row makes its own."""
    delay: timedelta
    """From the end of the windows to `available_at`: what the pipeline needs."""
    entity: str
    """What one key stands for."""
    why_then: str
    """Why a value is available when `step` and `delay` say, and not earlier."""
    why_ttl: str
    """Why a value holds for `ttl`, and not longer."""
    why: str
    """What breaks, or what is lost, without the view."""
    required: bool = False
    """Whether the server gives no answer while the online store is away; otherwise the features are missing."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the view's rows, in order."""
        return (*self.keys, "available_at", *self.features)

    @property
    def lookback(self) -> timedelta:
        """How far a row's events reach back: of a stream from `available_at`, of a batch from the midnight before."""
        return max(self.windows.values())

    def partition_of(self, source_day: date) -> date:
        """Return the day whose rows a source day completes: of a batch view the next, when the build has been done."""
        return source_day if self.streaming else source_day + DAY

    def source_days(self, day: date) -> list[date]:
        """Return the source days (UTC) that the rows of `day` are made from, in order; the last one completes them."""
        first = day_of(midnight(day) - self.lookback)
        return list(days(first, day + DAY if self.streaming else day))

    @cached_property
    def compiled(self) -> str:
        """The view's query in DuckDB's SQL, over a table of its source's name. To compile it costs more than a day."""
        return self.sql("duckdb")

    @cached_property
    def definition(self) -> str:
        """Hash of what the view computes: of its SQL and of how long a value holds, not of how the code is laid out."""
        return hashlib.sha256(f"{self.compiled}|{self.keys}|{self.ttl}".encode()).hexdigest()[:16]

    def rows(self, source: ir.Table) -> ir.Table:
        """Return the view's rows over a table of its source, with `columns` in order."""
        return self.expression(source).select(*self.columns)

    @property
    def unbound(self) -> ir.Table:
        """The view's rows over a table of its source's name and columns, which belongs to no engine."""
        contract = SOURCES[self.source].contract
        source = ibis.table({name: column.dtype.type for name, column in contract.columns.items()}, name=self.source)
        return self.rows(source)

    def sql(self, dialect: str) -> str:
        """Return the view's query over its source's table, in a dialect that ibis compiles to."""
        return str(ibis.to_sql(self.unbound, dialect=dialect))

    @property
    def spec(self) -> ViewSpec:
        """What the bundle tells serving about this view."""
        return ViewSpec(
            self.name, self.keys, self.features, int(self.ttl.total_seconds()), self.definition, self.required
        )


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
    group-by finishes the work. This costs rows x steps of the longest window, takes no more SQL than every engine has,
    and never looks ahead. Counts are added as float64: without an error up to 2**53, where DuckDB's sums of integers
    are 128 bits wide and Snowflake's quotients of integers are decimals.
    The events carry `known_at` (UTC), `label` (bool) and `value`, a whole number: sums of fractions depend on their
    order. A measure gets (count, count of labels, sum of values) of one window, and its feature is named
    `<measure>_<window>`. A row is available `delay` after the end of its step.
    """
    width = int(step.total_seconds())
    steps = {name: int(window / step) for name, window in windows.items()}
    longest = max(steps.values())
    counted = (
        events.mutate(step=(seconds(events.known_at) // width + 1).cast("int64"))
        .group_by([*keys, "step"])
        .agg(
            count=lambda t: t.count().cast("float64"),
            labels=lambda t: t.label.cast("int64").sum().cast("float64"),
            total=lambda t: t.value.sum().cast("float64"),
        )
    )
    offsets = ibis.range(0, longest).unnest().name("offset").as_table()
    handed = counted.cross_join(offsets).mutate(step=lambda t: t.step + t.offset)
    sums = {
        f"{column}_{name}": (lambda t, c=column, n=n: t[c].sum(where=t.offset < n if n < longest else None))
        for name, n in steps.items()
        for column in ("count", "labels", "total")
    }
    summed = handed.group_by([*keys, "step"]).agg(**sums)
    features = {
        f"{measure}_{name}": (lambda t, f=f, name=name: f(t[f"count_{name}"], t[f"labels_{name}"], t[f"total_{name}"]))
        for name in steps
        for measure, f in measures.items()
    }
    at = int(delay.total_seconds())
    return summed.mutate(
        available_at=lambda t: (t.step * width + at).as_timestamp("s").cast("timestamp('UTC', 6)"), **features
    ).select(*keys, "available_at", *features)


def share(count: Any, labels: Any, total: Any) -> Any:
    """Return the share of a window's events that have the label."""
    return labels / count


def mean(count: Any, labels: Any, total: Any) -> Any:
    """Return the mean of a window's values."""
    return total / count
