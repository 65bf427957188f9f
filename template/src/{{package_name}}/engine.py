"""The query engine: Ibis expressions on an embedded DuckDB. Every query of the project passes through here."""

from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb import Backend

from .errors import DataError


def connect(threads: int = 2, memory_limit: str = "1GB") -> Backend:
    """Return an in-memory DuckDB whose clock is UTC; it spills to disk beyond `memory_limit`."""
    con = ibis.duckdb.connect(threads=threads, memory_limit=memory_limit)
    con.raw_sql("SET TimeZone = 'UTC'")
    return con


def fetch(expression: ir.Table) -> pa.Table:
    """Run an expression and return its rows.

    Raises DataError with the engine's own first line, which names the file, when a partition cannot be read.
    """
    try:
        return expression.to_pyarrow()
    except duckdb.Error as error:
        raise _unreadable(error) from error


def read(con: Backend, files: list[str]) -> ir.Table:
    """Return the rows of Parquet files with one schema as a table expression, without the partition column.

    Raises DataError when the first of them is not a whole Parquet file.
    """
    try:
        return con.read_parquet(files, hive_partitioning=False)
    except duckdb.Error as error:
        raise _unreadable(error) from error


def seconds(column: Any) -> Any:
    """Return a timestamp column as whole seconds since 1970-01-01 UTC."""
    return column.epoch_seconds().cast("int64")


def _unreadable(error: duckdb.Error) -> DataError:
    line = str(error).splitlines()[0]
    return DataError(f"the engine cannot use the stored data ({line}); remove that partition and build it again")
