"""The training set: matured labels with the features that were known at each row's prediction time."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from ibis.backends.duckdb import Backend

from .. import problem
from ..engine import fetch, fetch_sql, over, quoted, read, scan, seconds
from ..errors import DataError
from ..features.build import require_current, require_days, require_definition
from ..features.feature_view import FeatureView
from ..features.join import known_values, last_known
from ..lake import AnyPath, day_of, midnight, partition_days, partition_files
from ..sources import SOURCES

TEST = VALIDATION = timedelta(days=7)


@dataclass(frozen=True)
class Split:
    """Half-open spans of prediction days (UTC) that never touch: train, then validation, then test."""

    since: date
    validation: date
    test: date
    until: date


def split_days(lake: AnyPath, until: date) -> Split:
    """Return the time-ordered split of all landed days before `until`: the last week tests, the one before validates.

    The days whose labels have not matured by `until` are left out. Raises DataError when nothing has landed.
    """
    days = partition_days(lake, problem.LABEL_SOURCE)
    if not days:
        raise DataError(f"{lake} holds no {problem.LABEL_SOURCE}; land the data first")
    end = until - problem.LABEL_DELAY
    return Split(days[0], end - TEST - VALIDATION, end - TEST, end)


def request_rows(con: Backend, lake: AnyPath, since: date, until: date) -> pd.DataFrame:
    """Return one row per request whose prediction time lies in [since, until), ordered by it.

    Columns: problem.REQUEST with instants as int64 UTC seconds. Requests that never get a label are included.
    """
    rows: pd.DataFrame = fetch(_requests(con, lake, since, until).order_by(list(problem.ENTITY))).to_pandas()
    return rows


def _requests(con: Backend, lake: AnyPath, since: date, until: date) -> ir.Table:
    first = day_of(midnight(since) - problem.REQUEST_AHEAD)
    table = read(con, partition_files(lake, problem.REQUEST_SOURCE, first, until + timedelta(days=1)))
    table = table.mutate(**{name: seconds(table[name]) for name in problem.INSTANTS})
    at = problem.prediction_time(table)
    chosen = table.filter(at >= int(midnight(since).timestamp()), at < int(midnight(until).timestamp()))
    return chosen.select(*problem.REQUEST)


def labels(con: Backend, lake: AnyPath, since: date, until: date) -> pd.DataFrame:
    """Return `problem.ENTITY` and `label` (bool) for each label known in [since, until) (UTC days), in that order."""
    known: pd.DataFrame = fetch_sql(con, _known_labels(con, lake, since, until)).to_pandas()
    return known


def _known_labels(con: Backend, lake: AnyPath, since: date, until: date) -> str:
    return over(_labels(), problem.LABEL_SOURCE, scan(con, partition_files(lake, problem.LABEL_SOURCE, since, until)))


def labelled_requests(con: Backend, lake: AnyPath, split: Split) -> pd.DataFrame:
    """Return the requests of the split's days with `label`, of those whose label came in time; see request_rows.

    Raises DataError when one of them has two rows or labels.
    """
    requests = con.compile(_requests(con, lake, split.since, split.until))
    known = _known_labels(con, lake, split.since, split.until + problem.LABEL_DELAY)
    entity = ", ".join(map(quoted, problem.ENTITY))
    rows: pd.DataFrame = fetch_sql(
        con, f"SELECT * FROM ({requests}) JOIN ({known}) USING ({entity}) ORDER BY {entity}"
    ).to_pandas()
    columns = {name: rows[name].to_numpy() for name in problem.ENTITY}
    twice = np.logical_and.reduce([column[1:] == column[:-1] for column in columns.values()])
    if twice.any():
        one = ", ".join(f"{name} {column[twice.argmax()]}" for name, column in columns.items())
        tables = f"{problem.REQUEST_SOURCE} or {problem.LABEL_SOURCE}"
        raise DataError(f"{tables} has more than one row of {one}; mend the source and land it again")
    return rows


@cache
def _labels() -> str:
    """Return the query of `labels` in DuckDB's SQL, over a table of the source's name."""
    table = ibis.table(SOURCES[problem.LABEL_SOURCE].types, name=problem.LABEL_SOURCE)
    keys = {name: seconds(table[name]) if name in problem.INSTANTS else table[name] for name in problem.ENTITY}
    known = table.select(**keys, label=problem.label(table), known_at=table["known_at"]).order_by("known_at")
    return str(ibis.to_sql(known.drop("known_at"), dialect="duckdb"))


def with_features(con: Backend, views: Sequence[FeatureView], store: AnyPath, rows: pd.DataFrame) -> pd.DataFrame:
    """Return `rows` (problem.REQUEST columns) with prediction time, entity keys and every feature.

    The order and number of the rows stay. Raises DataError when the offline store lacks a view, or holds rows of
    another definition of it.
    """
    for view, span in zip(views, _spans(views, rows), strict=True):
        require_definition(store, view, *span)
    return _with_features(con, views, store, rows)


def _spans(views: Sequence[FeatureView], rows: pd.DataFrame) -> list[tuple[date, date]]:
    """Return the days [since, until) of each view's partitions that may hold what the rows ask for."""
    at = pd.to_datetime(problem.prediction_time(rows), unit="s", utc=True)
    return [((at.min() - view.ttl).date(), at.max().date() + timedelta(days=1)) for view in views]


def _with_features(con: Backend, views: Sequence[FeatureView], store: AnyPath, rows: pd.DataFrame) -> pd.DataFrame:
    """Return what with_features does, of a store whose definitions have been looked at."""
    keyed = rows.reset_index(drop=True).assign(
        **problem.entity_columns({name: rows[name].to_numpy() for name in problem.REQUEST})
    )
    keys = sorted({key for view in views for key in view.keys})
    asked, found = pa.Table.from_pandas(keyed[[*keys, "prediction_time"]], preserve_index=False), []
    with ThreadPoolExecutor(1) as pool:  # while the engine reads the next view
        for view, (since, until) in zip(views, _spans(views, rows), strict=True):
            held = partition_days(store, view.name)
            first = pd.to_datetime(keyed["prediction_time"].min(), unit="s").date()
            require_days(store, view.name, max(first, held[0] if held else date.min), until - timedelta(days=1))
            values = known_values(con, view, partition_files(store, view.name, since, until))
            found.append(pool.submit(last_known, asked, view, values))
    featured: pd.DataFrame = pd.concat([keyed, *(features.result() for features in found)], axis=1)
    return featured.assign(**problem.derived_features({name: featured[name].to_numpy() for name in featured.columns}))


def training_set(
    con: Backend, views: Sequence[FeatureView], lake: AnyPath, store: AnyPath, split: Split
) -> pd.DataFrame:
    """Return every labelled row predicted in the split's days: features, `label` (bool) and `day` (UTC date).

    Only labels known by the end of the label delay are read, so the set is the one that was knowable then.
    Raises DataError when features in it are stale.
    """
    require_days(lake, problem.LABEL_SOURCE, split.since, split.until + problem.LABEL_DELAY)
    with ThreadPoolExecutor(1) as pool:  # while the engine reads the requests
        first = split.since - max(view.ttl for view in views)
        current = pool.submit(require_current, views, lake, store, first, split.until)
        labelled = labelled_requests(con, lake, split)
        current.result()
    featured = _with_features(con, views, store, labelled)
    return featured.assign(day=pd.to_datetime(featured["prediction_time"], unit="s").dt.date)
