"""What a source is, and what is promised of its partitions. Which sources there are: `sources.py`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import ibis.expr.datatypes as dt
import pandas as pd
import pandera.ibis as pa

UTC_TIME = dt.Timestamp(timezone="UTC", scale=6)


@dataclass(frozen=True)
class Reference:
    """What the rows of a source refer to: columns here, and their names in another landed source."""

    source: str
    columns: Mapping[str, str]
    within: timedelta | None = None
    """How many whole days before a row what it refers to may have landed; None for any time before."""
    misses: float = 0.0
    """The share of a day's rows that may refer to nothing. A null refers to nothing, and is no miss."""

    def days(self, day: date, known: set[date]) -> set[date]:
        """Return the days of the other source that the rows of `day` may refer to, of those that are `known`."""
        if self.within is None:
            return {other for other in known if other <= day}
        return {day - timedelta(days=back) for back in range(self.within.days + 1)}


@dataclass(frozen=True)
class Source:
    """One source table: how to read it and what must hold of it before anything uses it."""

    name: str
    read: Callable[[], pd.DataFrame]
    """Returns every row of the source, with `known_at` (UTC), ordered by `known_at` and key."""
    contract: pa.DataFrameSchema
    daily: bool = True
    """False for a small reference table that lands once, on the day it became known."""
    freshness: timedelta | None = None
    """How much older than the end of its UTC day the newest row of a partition may be."""
    volume: tuple[float, float] | None = None
    """The least and the most rows of a partition, in medians of the days that landed before it."""
    references: tuple[Reference, ...] = ()
