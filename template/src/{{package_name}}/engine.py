"""The query engine: Ibis expressions on an embedded DuckDB, or on Spark. Every query of the project passes here."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from ibis.backends.duckdb import Backend

from .errors import DataError
from .lake import midnight, write_partition

SPARK = "pyspark"


def connect(threads: int = 2, memory_limit: str = "1GB") -> Backend:
    """Return an in-memory DuckDB whose clock is UTC; it spills to disk beyond `memory_limit`."""
    con = ibis.duckdb.connect(threads=threads, memory_limit=memory_limit)
    con.raw_sql("SET TimeZone = 'UTC'")
    return con


def fetch(expression: ir.Table) -> pa.Table:
    """Run an expression and return its rows.

    Raises DataError with the engine's own first line, which names the file, when a partition cannot be read.
    """
    if expression.get_backend().name == SPARK:
        from . import spark

        return spark.fetch(expression)
    try:
        return expression.to_pyarrow()
    except duckdb.Error as error:
        raise _unreadable(error) from error


def read(con: Backend, files: list[str]) -> ir.Table:
    """Return the rows of Parquet files with one schema as a table expression, without the partition column.

    Raises DataError when the first of them is not a whole Parquet file.
    """
    if con.name == SPARK:
        from . import spark

        return spark.read(con, files)
    try:
        return con.read_parquet(files, hive_partitioning=False)
    except duckdb.Error as error:
        raise _unreadable(error) from error


def write_days(
    con: Backend, rows: ir.Table, order: Sequence[str], root: Path, table: str, days: Sequence[date]
) -> None:
    """Replace the partitions of `days` by the rows whose `available_at` lies in them, each day's sorted by `order`."""
    if con.name == SPARK:
        from . import spark

        return spark.write_days(con, rows, order, root, table, days)
    found = fetch(rows.order_by(list(order)))
    at = found["available_at"]
    for day in days:
        low, high = midnight(day), midnight(day + timedelta(days=1))
        write_partition(root, table, day, found.filter(pc.and_(pc.greater_equal(at, low), pc.less(at, high))))


def seconds(column: Any) -> Any:
    """Return a timestamp column as whole seconds since 1970-01-01 UTC."""
    return column.epoch_seconds().cast("int64")


def _unreadable(error: duckdb.Error) -> DataError:
    line = str(error).splitlines()[0]
    return DataError(f"the engine cannot use the stored data ({line}); remove that partition and build it again")
