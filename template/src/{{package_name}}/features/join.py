"""The point-in-time join: to each row, the last value of a view that was available at its prediction time.

One definition in two forms, which a test compares on real rows. `last_known` is what training, batch scoring and
monitoring run: a binary search among the view's rows, in half of the time of DuckDB's as-of join. `point_in_time` is an
expression that every engine and warehouse can run, also those without an as-of join: rows and view rows are laid on one
integer clock, a running maximum over ROWS carries the last `available_at` forward, and a join fetches its values.
"""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from ibis.backends.duckdb import Backend
from numpy.typing import NDArray

from ..engine import fetch_sql, quoted, scan, seconds
from ..lake import AnyPath
from .feature_view import FeatureView

SPAN = 1 << 37  # seconds, some four thousand years: between two keys' instants on one axis


def known_values(con: Backend, view: FeatureView, files: Sequence[AnyPath]) -> pa.Table:
    """Return the rows of `view` in these files by DuckDB: its keys, `known` (UTC seconds) and its features.

    Raises DataError when a file cannot be read.
    """
    keys, features = (", ".join(map(quoted, names)) for names in (view.keys, view.features))
    known = "CAST(epoch(available_at) AS BIGINT) AS known"  # as `seconds` compiles
    return fetch_sql(con, f"SELECT {keys}, {known}, {features} FROM ({scan(con, files)})")


def last_known(rows: pa.Table, view: FeatureView, values: pa.Table) -> pd.DataFrame:
    """Return the features of `view` of each of n rows, in their order, as float64; NaN where none was known, or fresh.

    `rows` has `prediction_time` (int, UTC seconds) and every entity key of the view, `values` are those of
    `known_values`. A value available at the very prediction time is used, and one that is as old as the ttl.
    """
    asked, held = _numbered(rows, values, view.keys)
    # Keys and instants on one axis: the last value that was known of a key is the last one that is not above.
    ours, theirs = asked * SPAN + rows["prediction_time"].to_numpy(), held * SPAN + values["known"].to_numpy()
    order = np.argsort(theirs)
    theirs = theirs[order]
    place = np.searchsorted(theirs, ours, side="right") - 1
    found = np.flatnonzero((place >= 0) & (asked >= 0))
    found = found[ours[found] - theirs[place[found]] <= int(view.ttl.total_seconds())]  # that of another key is far
    taken = order[place[found]]
    features = np.full((len(view.features), len(ours)), np.nan)
    for feature, name in zip(features, view.features, strict=True):
        feature[found] = values[name].to_numpy()[taken]
    return pd.DataFrame(dict(zip(view.features, features, strict=True)))


def _numbered(rows: pa.Table, values: pa.Table, names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a number for the key of each row of both tables, the same for the same key; -1 when a part of it is null.

    The numbers are fewer than the rows, so that with SPAN for each none is too large.
    """
    parts = []
    for name in names:
        both = pa.chunked_array([*rows[name].cast(values[name].type).chunks, *values[name].chunks], values[name].type)
        codes = both.dictionary_encode().combine_chunks().indices
        parts.append(codes.fill_null(-1).to_numpy().astype(np.int64))
    numbers = parts[0]
    for part in parts[1:]:
        numbers = pd.factorize(numbers * (len(part) + 1) + part)[0]
    numbers[np.min(parts, axis=0) < 0] = -1
    return numbers[: len(rows)], numbers[len(rows) :]


def point_in_time(rows: ir.Table, view: FeatureView, values: ir.Table) -> ir.Table:
    """Return `row` and the features of `view` of each row for which a value was known and within its ttl.

    `rows` has a unique `row` (int), `prediction_time` (int, UTC seconds) and every entity key of the view, of which
    `values` are the rows. A value available at the very prediction time is used.
    """
    asked = rows.select("row", *view.keys, "prediction_time")
    values = values.mutate(known=seconds(values.available_at)).drop("available_at")
    moments = asked.filter(asked[view.keys[0]].notnull()).select(*view.keys, clock="prediction_time").distinct()
    timeline = ibis.union(
        moments.mutate(known=ibis.null("int64"), asked=1), values.select(*view.keys, "known", clock="known", asked=0)
    )
    running = ibis.window(group_by=view.keys, order_by=["clock", "asked"], preceding=None, following=0)
    last = timeline.mutate(last=timeline.known.max().over(running)).filter(lambda t: t.asked == 1)
    last = last.select(*view.keys, prediction_time="clock", known="last").inner_join(values, [*view.keys, "known"])
    found = asked.inner_join(last, [*view.keys, "prediction_time"])
    fresh = found.prediction_time - found.known <= int(view.ttl.total_seconds())
    return found.filter(fresh).select("row", *view.features)
