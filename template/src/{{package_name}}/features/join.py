"""The point-in-time join: to each row, the last value of a view that was available at its prediction time.

One definition in two forms, which a test compares on real rows. The portable one serves every engine, also those
without an as-of join: rows and view rows are laid on one integer clock, a running maximum over ROWS carries the last
`available_at` forward, and an ordinary join fetches its values. DuckDB's own as-of join takes half of the time.
"""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from ..engine import seconds
from .feature_view import FeatureView

ROWS = "_rows"  # what the rows are called that ask
_COMPILED: dict[tuple[str, str, pa.Schema], str] = {}  # to compile a join costs more than to run one over a day


def compiled(view: FeatureView, rows: pa.Schema) -> str:
    """Return `point_in_time` with an as-of join in DuckDB's SQL, over tables ROWS and of the view's name."""
    key = (view.name, view.definition, rows)
    if key not in _COMPILED:
        asked = ibis.table(ibis.Schema.from_pyarrow(rows), name=ROWS)
        values = ibis.table(view.unbound.schema(), name=view.name)
        _COMPILED[key] = str(ibis.to_sql(point_in_time(asked, view, values, as_of=True), dialect="duckdb"))
    return _COMPILED[key]


def point_in_time(rows: ir.Table, view: FeatureView, values: ir.Table, *, as_of: bool = False) -> ir.Table:
    """Return `row` and the features of `view` of each row for which a value was known and within its ttl.

    `rows` has a unique `row` (int), `prediction_time` (int, UTC seconds) and every entity key of the view, of which
    `values` are the rows. A value available at the very prediction time is used. `as_of` says that the engine has an
    as-of join of its own.
    """
    asked = rows.select("row", *view.keys, "prediction_time")
    values = values.mutate(known=seconds(values.available_at)).drop("available_at")
    found = (_as_of if as_of else _portable)(asked, view.keys, values)
    fresh = found.prediction_time - found.known <= int(view.ttl.total_seconds())
    return found.filter(fresh).select("row", *view.features)


def _as_of(asked: ir.Table, keys: Sequence[str], values: ir.Table) -> ir.Table:
    """Return `asked` with the last of `values` by its prediction time, null where there is none."""
    return asked.asof_join(values, asked.prediction_time >= values.known, keys)


def _portable(asked: ir.Table, keys: Sequence[str], values: ir.Table) -> ir.Table:
    """Return `asked` with the last of `values` by its prediction time, without the rows for which there is none."""
    moments = asked.filter(asked[keys[0]].notnull()).select(*keys, clock="prediction_time").distinct()
    timeline = ibis.union(
        moments.mutate(known=ibis.null("int64"), asked=1), values.select(*keys, "known", clock="known", asked=0)
    )
    running = ibis.window(group_by=keys, order_by=["clock", "asked"], preceding=None, following=0)
    found = timeline.mutate(last=timeline.known.max().over(running)).filter(lambda t: t.asked == 1)
    last = found.select(*keys, prediction_time="clock", known="last").inner_join(values, [*keys, "known"])
    return asked.inner_join(last, [*keys, "prediction_time"])
