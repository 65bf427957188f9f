"""Micro-batches: the streaming views' own expressions, run every round over the few events that their windows hold."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from ..bundle import ViewSpec
from ..engine import connect, literal, over, quoted
from .feature_view import FeatureView
from .online import OnlineStore, Row, encode

NEW = "new "  # and the name of a source: the events of this tick alone


class MicroBatches:
    """Makes the streaming views' rows, round by round; its state is the events of the longest window, in memory.

    The SQL of each view is compiled from the same expression that builds the offline store, and prepared once, over
    tables that are Arrow's: events need not be written anywhere, and are forgotten by not being handed out.
    """

    def __init__(self, views: Iterable[FeatureView]) -> None:
        # A round is a few hundred events: planning a query for them costs more than running it, threads even more.
        self._engine = connect(threads=1)
        self._engine.con.execute("PRAGMA disable_optimizer").fetchall()
        self._views = [(view, view.spec) for view in views if view.streaming]
        self._lookback: dict[str, timedelta] = {}
        for view, _ in self._views:
            self._lookback[view.source] = max(view.lookback, self._lookback.get(view.source, timedelta(0)))
        self._held: dict[str, deque[tuple[datetime, pa.Table]]] = {source: deque() for source in self._lookback}
        """The events of past ticks, and when each tick was."""
        self._tables: dict[str, _Changing] = {}
        self._prepared = False

    def tick(self, online: OnlineStore, since: datetime, now: datetime, events: Mapping[str, pa.Table]) -> None:
        """Publish all that `compute` makes to a store where these views are defined. Raises DataError as its `put`."""
        for made in self.compute(since, [now], events):
            online.put(made)

    def compute(
        self, since: datetime, rounds: Sequence[datetime], events: Mapping[str, pa.Table]
    ) -> Sequence[Sequence[tuple[ViewSpec, Sequence[Row]]]]:
        """Return for each of some rounds the rows, by view, that became available since the one before it.

        `since` and the rounds are aware, in order and on the grid of rounds. `events` holds, per source, the events
        that became known in (since, last round]; the first call also needs those of (since - lookback(views), since].
        """
        now = rounds[-1]
        for source in self._lookback:
            self._fold(source, since, now, events[source])
        if not self._prepared:
            self._prepare()
        made = [list[tuple[ViewSpec, Sequence[Row]]]() for _ in rounds]
        ends = [int(at.timestamp()) for at in rounds]
        for view, spec in self._views:
            if not view.step and not events[view.source].num_rows:
                continue  # each of its rows is made by an event, and there was none
            found = self._engine.con.execute(f"EXECUTE {view.name}({literal(since)}, {literal(now)})").fetchall()
            width = len(view.keys)
            parts = [list[tuple[Any, ...]]() for _ in rounds]
            for row in found:
                parts[bisect_left(ends, row[width])].append((row[:width], row[width], row[width + 1 :]))
            for rows, mine in zip(parts, made, strict=True):
                if encoded := encode(spec, rows):
                    mine.append((spec, encoded))
        return made

    def _fold(self, source: str, since: datetime, now: datetime, events: pa.Table) -> None:
        held = self._held[source]
        while held and held[0][0] <= since - self._lookback[source]:
            held.popleft()
        if events.num_rows or not held:
            held.append((now, events))
        self._hand_out(source, pa.concat_tables(table for _, table in held).combine_chunks())
        self._hand_out(NEW + source, events)

    def _hand_out(self, name: str, rows: pa.Table) -> None:
        if name in self._tables:
            self._tables[name].rows = rows
        else:
            self._tables[name] = _Changing(rows)
            self._engine.con.register(name, self._tables[name])

    def _prepare(self) -> None:
        for view, _ in self._views:
            columns = ", ".join([*view.keys, "CAST(epoch(available_at) AS BIGINT)", *view.features])
            query = view.compiled
            if not view.lookback:
                query = over(query, view.source, f"SELECT * FROM {quoted(NEW + view.source)}")
            self._engine.con.execute(
                f"PREPARE {view.name} AS SELECT {columns} FROM ({query}) WHERE available_at > $1 AND available_at <= $2"
            ).fetchall()
        self._prepared = True


class _Changing:
    """A table of other rows at each tick: whoever scans it asks for them anew. To register another costs a plan."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the rows of now, by the Arrow PyCapsule interface."""
        return self.rows.__arrow_c_stream__(requested_schema)


def lookback(views: Iterable[FeatureView]) -> timedelta:
    """Return how far back of its start the first tick must see events: the longest lookback of a streaming view."""
    return max((view.lookback for view in views if view.streaming), default=timedelta(0))
