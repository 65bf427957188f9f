"""The world outside: which requests are due for a prediction, and which events have become known, at a virtual time."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from .. import problem
from ..features.feature_view import FeatureView
from ..lake import midnight
from ..source import Source


class World:
    """The sources, each read once, when it is first asked for; nothing of a later time is ever handed out."""

    def __init__(self, sources: Mapping[str, Source], views: Iterable[FeatureView]) -> None:
        self._sources = sources
        self._streamed = {view.source for view in views if view.streaming}

    @cached_property
    def _streams(self) -> dict[str, tuple[NDArray[np.int64], pa.Table]]:
        """The events of each source, and when they became known."""
        rows = {name: self._sources[name].everything() for name in self._streamed}
        return {
            name: (_microseconds(table["known_at"]), pa.Table.from_pandas(table, preserve_index=False))
            for name, table in rows.items()
        }

    @cached_property
    def _requests(self) -> pd.DataFrame:
        requests = self._sources[problem.REQUEST_SOURCE].everything()
        seconds = {name: requests[name].astype("int64") // 1_000_000 for name in problem.INSTANTS}
        return requests.assign(prediction_time=problem.prediction_time({**requests, **seconds})).sort_values(
            ["prediction_time", *problem.ENTITY], ignore_index=True
        )

    def due(self, day: date) -> dict[datetime, list[dict[str, Any]]]:
        """Return the requests of each round of a UTC day, as the bodies that the HTTP API takes."""
        low, high = (int(midnight(at).timestamp()) for at in (day, day + timedelta(days=1)))
        first, last = self._requests["prediction_time"].searchsorted([low, high])
        today = self._requests.iloc[first:last]
        rounds: dict[datetime, list[dict[str, Any]]] = {}
        for record in today[[*problem.REQUEST, "prediction_time"]].to_dict("records"):
            row: dict[str, Any] = {name: None if pd.isna(record[name]) else record[name] for name in problem.REQUEST}
            row |= {name: row[name].isoformat() for name in problem.INSTANTS}
            at = midnight(day) + timedelta(seconds=record["prediction_time"] - low)
            rounds.setdefault(at, []).append(row)
        return rounds

    def events(self, since: datetime, until: datetime) -> dict[str, pa.Table]:
        """Return the streamed rows that became known in (since, until], by source."""
        bounds = [int(at.timestamp()) * 1_000_000 + at.microsecond for at in (since, until)]
        found = {}
        for name, (known_at, rows) in self._streams.items():
            low, high = known_at.searchsorted(bounds, side="right").tolist()
            found[name] = rows.slice(low, high - low)
        return found


def _microseconds(instants: pd.Series) -> NDArray[np.int64]:
    """Return aware instants as whole microseconds since 1970-01-01 UTC: they are searched at every tick."""
    return np.asarray(instants.astype("datetime64[us, UTC]").astype("int64"), dtype=np.int64)
