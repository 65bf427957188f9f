"""The feature views of this problem: WHAT is computed from which source, when each value became known, and why."""

from datetime import timedelta

import ibis.expr.types as ir

from ..problem import ROUND, label
from .feature_view import DAY, FeatureView, mean, share, trailing

BATCH_DELAY = timedelta(hours=6)  # the nightly build of a UTC day is done at 06:00 of the next
MONTH = 28 * DAY
SIX_HOURS = timedelta(hours=6)


def _events(deliveries: ir.Table) -> ir.Table:
    return deliveries.mutate(label=label(deliveries), value=deliveries.delay_minutes)


def _courier_history(deliveries: ir.Table) -> ir.Table:
    measures = {"courier_late_rate": share, "courier_mean_delay": mean}
    return trailing(_events(deliveries), ["courier"], DAY, BATCH_DELAY, {"28d": MONTH}, measures)


def _depot_stream(deliveries: ir.Table) -> ir.Table:
    measures = {"depot_late_rate": share, "depot_mean_delay": mean}
    return trailing(_events(deliveries), ["depot"], ROUND, timedelta(0), {"6h": SIX_HOURS}, measures)


VIEWS = {
    view.name: view
    for view in (
        FeatureView(
            name="courier_history",
            source="deliveries",
            keys=("courier",),
            features=("courier_late_rate_28d", "courier_mean_delay_28d"),
            windows=dict.fromkeys(("courier_late_rate_28d", "courier_mean_delay_28d"), MONTH),
            step=DAY,
            delay=BATCH_DELAY,
            ttl=3 * DAY,
            streaming=False,
            expression=_courier_history,
            entity="a courier, over all depots",
            why_then="The nightly build counts whole UTC days of deliveries; what came since midnight is not in it.",
            why_ttl="Two nightly builds may fail before it reads as missing; four weeks move little in three days.",
            why="A courier's name stands for how punctual it was in the training months, and this for how it is now.",
        ),
        FeatureView(
            name="depot_stream",
            source="deliveries",
            keys=("depot",),
            features=("depot_late_rate_6h", "depot_mean_delay_6h"),
            windows=dict.fromkeys(("depot_late_rate_6h", "depot_mean_delay_6h"), SIX_HOURS),
            step=ROUND,
            delay=timedelta(0),
            ttl=SIX_HOURS,
            streaming=True,
            expression=_depot_stream,
            entity="a depot, over the deliveries of all couriers",
            why_then="A micro-batch closes on the grid of the predictions, with the deliveries reported by then.",
            why_ttl="Six rounds may be missed; then the window holds none of the deliveries that are going on now.",
            why="A depot has good days and bad ones, and no history knows of today's.",
        ),
    )
}
