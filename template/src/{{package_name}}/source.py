"""What a source is, and what is promised of its partitions. Which sources there are: `sources.py`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import pandas as pd
import pandera.ibis as pa

from .lake import midnight

TABLE = "_to_be_checked"
WHOLE_UNITS = "whole_units"
UTC_TIME = dt.Timestamp(timezone="UTC", scale=6)

Read = Callable[[datetime, datetime], pd.DataFrame]
"""Returns the rows that became known in [since, until), two UTC instants, ordered by `known_at` and key."""


def in_memory(rows: Callable[[], pd.DataFrame]) -> Read:
    """Return how a source is read whose rows are all there, in order. A warehouse is asked for the span instead."""

    def read(since: datetime, until: datetime) -> pd.DataFrame:
        table = rows()
        first, last = table["known_at"].searchsorted([pd.Timestamp(since), pd.Timestamp(until)])
        return table.iloc[first:last]

    return read


def _in_range(column: Any, min_value: Any, max_value: Any, include_min: bool, include_max: bool) -> Any:
    low = column >= min_value if include_min else column > min_value
    return low & (column <= max_value if include_max else column < max_value)


def whole_units(unit: float, named: str) -> pa.Check:
    """Return the check that values are whole multiples of a unit: read off an instrument, and converted by this factor.

    A value that was measured or converted otherwise is none, whatever is usual: other units are found in an hour.
    """
    condition = CONDITIONS[WHOLE_UNITS]
    return pa.Check(
        lambda data: data.table.select(condition(data.table[data.key], unit).name(data.key)),
        name=WHOLE_UNITS,
        error=f"{WHOLE_UNITS}({named})",
        statistics={"unit": unit},
    )


# What Pandera's checks of these names ask of a column.
CONDITIONS: Mapping[str, Callable[..., Any]] = {
    "in_range": _in_range,
    "greater_than_or_equal_to": lambda column, min_value: column >= min_value,
    WHOLE_UNITS: lambda column, unit: ((column / unit) - (column / unit).round()).abs() < 0.01,
    "str_matches": lambda column, pattern: column.re_search(pattern if pattern.startswith("^") else f"^{pattern}"),
}


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
    read: Read
    contract: pa.DataFrameSchema
    begins: date
    """The UTC day of the first rows that are landed."""
    daily: bool = True
    """False for a small reference table that lands once, on the day it became known."""
    freshness: timedelta | None = None
    """How much older than the end of its UTC day the newest row of a partition may be."""
    volume: tuple[float, float] | None = None
    """The least and the most rows of a partition, in medians of the days that landed before it."""
    references: tuple[Reference, ...] = ()

    @property
    def types(self) -> dict[str, dt.DataType]:
        """The columns that its contract asks for, with their types."""
        return {name: column.dtype.type for name, column in self.contract.columns.items()}

    def everything(self) -> pd.DataFrame:
        """Return all of its rows: for a simulation, whose future is there already."""
        return self.read(midnight(self.begins), datetime.max.replace(tzinfo=UTC))

    @cached_property
    def sound(self) -> str | None:
        """SQL of DuckDB for "every row of TABLE keeps the contract"; None where that asks for more than CONDITIONS.

        The table has `types`. Pandera asks the same condition by condition, and takes fifty queries for it.
        """
        contract = self.contract
        columns = contract.columns.items()
        checks = [(name, check) for name, column in columns for check in column.checks]
        known = all(check.name in CONDITIONS and not check.element_wise and check.ignore_na for _, check in checks)
        if contract.checks or not contract.strict or not known:
            return None
        table = ibis.table(self.types, name=TABLE)
        kept = [table[name].notnull() for name, column in columns if not column.nullable]
        kept += [~table[n].isnan() for n, column in columns if not column.nullable and table[n].type().is_floating()]
        kept += [CONDITIONS[check.name](table[name], **check.statistics) for name, check in checks]
        whole = [condition.fill_null(True).all() for condition in kept]
        if contract.unique:
            key = ibis.struct({name: table[name] for name in contract.unique})
            whole.append(key.nunique() == table.count())
        return str(ibis.to_sql(table.aggregate(kept=ibis.and_(*whole)), dialect="duckdb"))
