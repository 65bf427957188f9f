"""Publish the last offline row of each key to the online store."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from ibis.backends.duckdb import Backend

from ..engine import fetch_sql, literal, quoted, scan
from ..errors import DataError
from ..lake import AnyPath, day_of, partition_days, partition_files
from .build import require_definition
from .feature_view import FeatureView
from .online import OnlineStore


def publish(con: Backend, views: Iterable[FeatureView], store: AnyPath, online: OnlineStore, as_of: datetime) -> None:
    """Write each key's last row that was available at `as_of` (aware) and is within its ttl; safe to repeat.

    A view whose newest rows are all past their ttl has nothing to publish. Raises DataError when one was never built,
    or by another definition than the code's: its values would be taken for those of this one.
    """
    views = list(views)
    online.define(view.spec for view in views)
    for view in views:
        first, last = day_of(as_of - view.ttl), day_of(as_of)
        if not partition_days(store, view.name, first, last + timedelta(days=1)):
            if not partition_days(store, view.name):
                raise DataError(f"{view.name} was never built; run `features build` first")
            continue
        require_definition(store, view, first, last + timedelta(days=1))
        rows = scan(con, partition_files(store, view.name, first, last + timedelta(days=1)))
        newest = f"max(available_at) OVER (PARTITION BY {', '.join(map(quoted, view.keys))})"
        known = f"SELECT * FROM ({rows}) WHERE available_at <= {literal(as_of)} QUALIFY available_at = {newest}"
        online.write(view.spec, records(view, fetch_sql(con, known)))


def records(view: FeatureView, table: pa.Table) -> Iterator[tuple[tuple[Any, ...], int, Sequence[float | None]]]:
    """Yield a view's rows in the form that OnlineStore.write takes."""
    at = table["available_at"].cast(pa.int64()).to_pylist()
    keys = zip(*(table[name].to_pylist() for name in view.keys), strict=True)
    values = zip(*(table[name].to_pylist() for name in view.features), strict=True)
    for key, microseconds, features in zip(keys, at, values, strict=True):
        yield key, microseconds // 1_000_000, features
