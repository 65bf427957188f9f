"""The point-in-time join: to each row, the last value of each view that was available at its prediction time.

One portable form serves every engine, also those without an as-of join: rows and view rows are laid on one integer
clock, a running maximum over ROWS carries the last `available_at` forward, and an ordinary join fetches its values.
"""

from collections.abc import Iterable, Mapping

import ibis
import ibis.expr.types as ir

from ..engine import seconds
from .feature_view import FeatureView


def point_in_time(rows: ir.Table, views: Iterable[FeatureView], offline: Mapping[str, ir.Table]) -> ir.Table:
    """Return `rows` with every feature of `views`, null where nothing was known or the value was past its ttl.

    `rows` has a unique `row` (int), `prediction_time` (int, UTC seconds) and every entity key of the views; `offline`
    holds each view's rows. A value available at the very prediction time is used. No row is lost or repeated.
    """
    joined = rows
    for view in views:
        keys = list(view.keys)
        values = offline[view.name]
        values = values.mutate(clock=seconds(values.available_at)).drop("available_at")
        asked = rows.filter(rows[keys[0]].notnull()).select(*keys, clock="prediction_time").distinct()
        timeline = ibis.union(
            asked.mutate(known=ibis.null("int64"), asked=1), values.select(*keys, "clock", known="clock", asked=0)
        )
        running = ibis.window(group_by=keys, order_by=["clock", "asked"], preceding=None, following=0)
        found = timeline.mutate(last=timeline.known.max().over(running)).filter(lambda t: t.asked == 1)
        fresh = found.filter(found.clock - found["last"] <= int(view.ttl.total_seconds()))
        features = (
            fresh.select(*keys, "last", prediction_time="clock")
            .inner_join(values, [*keys, ("last", "clock")])
            .select(*keys, "prediction_time", *view.features)
        )
        joined = joined.left_join(features, [*keys, "prediction_time"]).drop(
            *[f"{name}_right" for name in (*keys, "prediction_time")]
        )
    return joined
