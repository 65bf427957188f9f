"""Why a feature had its value: the row that the point-in-time join takes for one request, and what it was made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from ibis.backends.duckdb import Backend

from .. import problem
from ..engine import fetch, read, seconds
from ..errors import UserError
from ..lake import AnyPath, day_of, partition_days, partition_files
from ..sources import SOURCES
from .build import require_days
from .catalog import span
from .feature_view import FeatureView

INSTANT = timedelta(microseconds=1)  # the lake's resolution


@dataclass(frozen=True)
class Row:
    """One row of the offline store, of the key that is explained."""

    available_at: datetime
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class Evidence:
    """The source rows that features with one window were made from: those known in [since, until), newest first.

    Without a window, `since` equals `until`, and the rows are those known at that instant without which the values
    would be others.
    """

    features: tuple[str, ...]
    since: datetime
    until: datetime
    rows: pa.Table


@dataclass(frozen=True)
class Explanation:
    """What one view knew of one request at its prediction time."""

    view: FeatureView
    request: Mapping[str, Any]
    """The columns of problem.REQUEST, instants as int64 UTC seconds."""
    key: Mapping[str, Any]
    at: datetime
    """The prediction time (UTC)."""
    last: Row | None
    """The last row available at the prediction time, whatever its age."""
    before: Row | None
    """The row before that one."""
    after: Row | None
    """The first row that was not available yet."""
    evidence: tuple[Evidence, ...]
    """One for each window of the view; empty when no row is taken."""

    @property
    def taken(self) -> Row | None:
        """The row that the join takes: the last one, unless it is past the view's ttl."""
        return self.last if self.last and self.age(self.last) <= self.view.ttl else None

    @property
    def values(self) -> dict[str, float | None]:
        """Each feature's value, as training and serving see it."""
        return {name: self.taken.values[name] if self.taken else None for name in self.view.features}

    @property
    def missing(self) -> str | None:
        """Why there is no value, or None when there is one."""
        if unknown := [name for name, value in self.key.items() if value is None]:
            return f"{unknown[0]} of this request is unknown, and so is its key"
        if self.last is None:
            return f"no row of this key was available by {iso(self.at)}"
        if self.taken is None:
            return f"the last row was {span(self.age(self.last))} old, past the ttl of {span(self.view.ttl)}"
        return None

    @property
    def entity(self) -> dict[str, Any]:
        """The request's columns of problem.ENTITY."""
        return {name: self.request[name] for name in problem.ENTITY}

    def age(self, row: Row) -> timedelta:
        """Return how old a row was at the prediction time; negative for one that was still to come."""
        return self.at - row.available_at


def find_request(con: Backend, lake: AnyPath, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the columns problem.REQUEST of the one landed request whose problem.ENTITY has these values, as text.

    Instants are int64 UTC seconds. Raises UserError when a name or a value means nothing, or not one request fits.
    """
    if unknown := [name for name in given if name not in problem.ENTITY]:
        raise UserError(f"{unknown[0]} is no part of the entity; give {', '.join(problem.ENTITY)}")
    table = read(con, partition_files(lake, problem.REQUEST_SOURCE, None, None))
    wanted = [table[name] == _parsed(name, text) for name, text in given.items()]
    instants = {name: seconds(table[name]) for name in problem.INSTANTS}
    fitting = (table.filter(wanted) if wanted else table).order_by("known_at")
    rows: list[dict[str, Any]] = fetch(fitting.mutate(**instants).select(*problem.REQUEST)).to_pylist()
    said = " ".join(f"{name}={text}" for name, text in given.items()) or "no key"
    if not rows:
        raise UserError(
            f"no request in {lake / problem.REQUEST_SOURCE} has {said}; correct it, or land the data until its day"
        )
    if len(rows) > 1:
        more = spelled({name: rows[0][name] for name in problem.ENTITY if name not in given})
        raise UserError(f"{len(rows)} requests have {said}; add what tells them apart, for example {more}")
    return rows[0]


def spelled(request: Mapping[str, Any]) -> str:
    """Return columns of a request as find_request takes them."""
    texts = {name: iso(_utc(value)) if name in problem.INSTANTS else value for name, value in request.items()}
    return " ".join(f"{name}={text}" for name, text in texts.items())


def iso(instant: datetime) -> str:
    """Return an instant as text, in UTC; seconds only where there are some."""
    utc = instant.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}Z" if utc.second else f"{utc:%Y-%m-%dT%H:%M}Z"


def explain(con: Backend, view: FeatureView, lake: AnyPath, store: AnyPath, request: Mapping[str, Any]) -> Explanation:
    """Return which row of `view` the point-in-time join takes for a request (see find_request), and why.

    Raises DataError when a day that the answer needs is missing from the view or from its source.
    """
    columns = {name: np.array([value]) for name, value in request.items()}
    columns |= problem.entity_columns(columns)
    at = _utc(columns["prediction_time"][0])
    key = {name: columns[name].tolist()[0] for name in view.keys}
    stored = read(con, partition_files(store, view.name, None, None))
    _require(store, view.name, at - view.ttl, at)
    last, before, after = _rows_around(stored, view, key, at)
    explanation = Explanation(view, request, key, at, last, before, after, ())
    if explanation.taken is None:
        return explanation
    return replace(explanation, evidence=_evidence(con, lake, view, key, explanation.taken))


def _rows_around(
    stored: ir.Table, view: FeatureView, key: Mapping[str, Any], at: datetime
) -> tuple[Row | None, Row | None, Row | None]:
    """Return the last row of a key that was available at `at`, the one before it, and the first that was not."""
    if None in key.values():  # nothing is stored under an unknown key
        return None, None, None
    rows = stored.filter([stored[name] == value for name, value in key.items()])
    clock, then = seconds(rows.available_at), int(at.timestamp())  # the clock of the join
    known = fetch(rows.filter(clock <= then).order_by(ibis.desc("available_at")).limit(2)).to_pylist()
    coming = fetch(rows.filter(clock > then).order_by("available_at").limit(1)).to_pylist()
    past = [_row(view, row) for row in known]
    return (*past, None, None)[0], (*past, None, None)[1], _row(view, coming[0]) if coming else None


def _row(view: FeatureView, row: Mapping[str, Any]) -> Row:
    return Row(row["available_at"], {name: row[name] for name in view.features})


def _evidence(
    con: Backend, lake: AnyPath, view: FeatureView, key: Mapping[str, Any], taken: Row
) -> tuple[Evidence, ...]:
    """Return the source rows behind a row of `view`, one Evidence for each of its windows."""
    until = taken.available_at - view.delay
    found = []
    for window in dict.fromkeys(view.windows.values()):
        names = tuple(name for name in view.features if view.windows[name] == window)
        since, end = until - window, until if window else until + INSTANT
        _require(lake, view.source, since, end - INSTANT)
        source = read(con, partition_files(lake, view.source, day_of(since), day_of(end) + timedelta(days=1)))
        source = source.filter([source[name] == value for name, value in key.items()])
        source = source.filter(source.known_at >= since, source.known_at < end)
        rows = fetch(source.order_by(ibis.desc("known_at")))
        found.append(Evidence(names, since, until, rows if window else _needed(con, view, names, rows)))
    return tuple(found)


def _needed(con: Backend, view: FeatureView, names: Sequence[str], rows: pa.Table) -> pa.Table:
    """Return the rows of one instant without those that can go and leave the values as they are."""
    whole = _computed(con, view, names, rows)
    for index in reversed(range(rows.num_rows)):
        fewer = pa.concat_tables([rows.slice(0, index), rows.slice(index + 1)])
        if fewer.num_rows and _computed(con, view, names, fewer) == whole:
            rows = fewer
    return rows


def _computed(con: Backend, view: FeatureView, names: Sequence[str], rows: pa.Table) -> list[dict[str, Any]]:
    source = con.create_table("_explained", rows, overwrite=True)
    try:
        computed: list[dict[str, Any]] = fetch(view.expression(source).select(*names)).to_pylist()
    finally:
        con.drop_table("_explained")
    return computed


def _require(root: AnyPath, table: str, since: datetime, until: datetime) -> None:
    """Raise DataError when `table` lacks a day of [since, until] after its first one."""
    first = partition_days(root, table)[:1] or [date.max]
    require_days(root, table, max(day_of(since), *first), day_of(until) + timedelta(days=1))


def _type(name: str) -> Any:
    return SOURCES[problem.REQUEST_SOURCE].contract.columns[name].dtype.type


def _parsed(name: str, text: str) -> Any:
    """Return a value of the command line in the type of its column."""
    kind = _type(name)
    try:
        if kind.is_integer():
            return int(text)
        if kind.is_timestamp():
            instant = datetime.fromisoformat(text)
            if instant.tzinfo is None:
                raise ValueError
            return instant
    except ValueError as error:
        wanted = "an instant with its zone, like 2013-02-05T17:30:00Z" if kind.is_timestamp() else "a whole number"
        raise UserError(f"{name}={text} cannot be looked up; write {wanted}") from error
    return text


def _utc(second: int) -> datetime:
    return datetime.fromtimestamp(int(second), UTC)
