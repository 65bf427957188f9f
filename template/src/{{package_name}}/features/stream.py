"""Micro-batches: the streaming views' own expressions, run every round over the few events that their windows hold."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from ..bundle import ViewSpec
from ..engine import connect, literal
from .feature_view import FeatureView
from .online import OnlineStore, Row, encode

TRIM_EVERY = timedelta(hours=2)  # of the clock; forgetting at every tick would cost more than it saves


class MicroBatches:
    """Makes the streaming views' rows, round by round; its state is the events of the longest window, in memory.

    The SQL of each view is compiled from the same expression that builds the offline store, and prepared once.
    """

    def __init__(self, views: Iterable[FeatureView]) -> None:
        # A round is a few hundred events: planning a query for them costs more than running it, threads even more.
        self._engine = connect(threads=1)
        self._engine.con.execute("PRAGMA disable_optimizer").fetchall()
        self._views = [(view, view.spec) for view in views if view.streaming]
        self._lookback: dict[str, timedelta] = {}
        for view, _ in self._views:
            self._lookback[view.source] = max(view.lookback, self._lookback.get(view.source, timedelta(0)))
        self._prepared = False
        self._trimmed = datetime.min.replace(tzinfo=UTC)

    def tick(self, online: OnlineStore, since: datetime, now: datetime, events: Mapping[str, pa.Table]) -> None:
        """Publish what `compute` returns to a store where these views are defined. Raises DataError as its `put`."""
        for view, rows in self.compute(since, now, events):
            online.put(view, rows)

    def compute(
        self, since: datetime, now: datetime, events: Mapping[str, pa.Table]
    ) -> Sequence[tuple[ViewSpec, Sequence[Row]]]:
        """Return the rows, by view, that became available in (since, now], both aware and on the grid of rounds.

        `events` holds, per source, the events that became known in (since, now]; the first tick also needs those of
        (since - lookback(views), since].
        """
        run = self._engine.con.execute
        for source in self._lookback:
            self._fold(source, events[source])
        if not self._prepared:
            self._prepare()
        made = list[tuple[ViewSpec, Sequence[Row]]]()
        for view, spec in self._views:
            if not view.step and not events[view.source].num_rows:
                continue  # each of its rows is made by an event, and there was none
            rows = run(f"EXECUTE {view.name}({literal(since)}, {literal(now)})").fetchall()
            width = len(view.keys)
            if encoded := encode(spec, [(row[:width], row[width], row[width + 1 :]) for row in rows]):
                made.append((spec, encoded))
        if now - self._trimmed >= TRIM_EVERY:
            for source, reach in self._lookback.items():
                run(f"DELETE FROM {source} WHERE known_at <= {literal(now - reach)}").fetchall()
            self._trimmed = now
        return made

    def _fold(self, source: str, events: pa.Table) -> None:
        if not self._prepared:
            self._engine.create_table(source, events)
        elif events.num_rows:
            self._engine.con.register("_arrived", events)  # instead of those of the last time
            self._engine.con.execute(f"INSERT INTO {source} BY NAME SELECT * FROM _arrived").fetchall()

    def _prepare(self) -> None:
        for view, _ in self._views:
            columns = ", ".join([*view.keys, "CAST(epoch(available_at) AS BIGINT)", *view.features])
            self._engine.con.execute(
                f"PREPARE {view.name} AS SELECT {columns} FROM ({view.compiled}) "
                "WHERE available_at > $1 AND available_at <= $2 ORDER BY available_at"
            ).fetchall()
        self._prepared = True


def lookback(views: Iterable[FeatureView]) -> timedelta:
    """Return how far back of its start the first tick must see events: the longest lookback of a streaming view."""
    return max((view.lookback for view in views if view.streaming), default=timedelta(0))
