"""The feature views of this problem: WHAT is computed from which source, and when each value became known."""

from datetime import timedelta

import ibis.expr.types as ir

from ..problem import ROUND, label
from .feature_view import FeatureView, mean, share, trailing

DAY = timedelta(days=1)
BATCH_DELAY = timedelta(hours=6)  # the nightly build of a UTC day is done at 06:00 of the next


def _courier_history(deliveries: ir.Table) -> ir.Table:
    events = deliveries.mutate(value=deliveries.delay_hours, label=label(deliveries))
    measures = {"courier_late_rate": share, "courier_mean_delay": mean}
    return trailing(events, ["courier"], DAY, BATCH_DELAY, {"28d": 28 * DAY}, measures)


def _depot_stream(deliveries: ir.Table) -> ir.Table:
    events = deliveries.mutate(value=deliveries.delay_hours, label=label(deliveries))
    measures = {"depot_late_rate": share, "depot_mean_delay": mean}
    return trailing(events, ["depot"], ROUND, timedelta(0), {"6h": timedelta(hours=6)}, measures)
