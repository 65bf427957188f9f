"""The world outside: which flights are due for a prediction, and which events have become known, at a virtual time."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa

from .. import problem
from ..lake import midnight
from ..sources import Source

STREAMED = ("departures", "arrivals", "weather")


class World:
    """The sources, read once; nothing of a later time is ever handed out."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        rows = {name: sources[name].read() for name in STREAMED}
        self._known_at = {name: table["known_at"] for name, table in rows.items()}
        self._streams = {name: pa.Table.from_pandas(table, preserve_index=False) for name, table in rows.items()}
        schedule = sources["schedules"].read()
        seconds = schedule["scheduled_departure"].astype("int64") // 1_000_000
        self._schedule = schedule.assign(prediction_time=problem.prediction_time(seconds)).sort_values(
            ["prediction_time", "carrier", "flight"], ignore_index=True
        )

    def due(self, day: date) -> dict[datetime, list[dict[str, Any]]]:
        """Return the flights of each round of a UTC day, as the bodies that the HTTP API takes."""
        low, high = (int(midnight(at).timestamp()) for at in (day, day + timedelta(days=1)))
        first, last = self._schedule["prediction_time"].searchsorted([low, high])
        today = self._schedule.iloc[first:last]
        rounds: dict[datetime, list[dict[str, Any]]] = {}
        for record in today[[*problem.REQUEST, "prediction_time"]].to_dict("records"):
            flight: dict[str, Any] = {name: record[name] for name in problem.REQUEST}
            instants = {name: flight[name].isoformat() for name in ("scheduled_departure", "scheduled_arrival")}
            tailnum = None if pd.isna(flight["tailnum"]) else flight["tailnum"]
            at = midnight(day) + timedelta(seconds=record["prediction_time"] - low)
            rounds.setdefault(at, []).append(flight | instants | {"tailnum": tailnum})
        return rounds

    def events(self, since: datetime, until: datetime) -> dict[str, pa.Table]:
        """Return the streamed rows that became known in (since, until], by source."""
        found = {}
        for name, rows in self._streams.items():
            low, high = self._known_at[name].searchsorted([pd.Timestamp(since), pd.Timestamp(until)], side="right")
            found[name] = rows.slice(low, high - low)
        return found
