"""The query engine: Ibis expressions on an embedded DuckDB, or on Spark. Every query of the project passes here."""

import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from ibis.backends.duckdb import Backend
from ibis.backends.sql.datatypes import DuckDBType

from .errors import DataError
from .lake import AnyPath, midnight, write_partition
from .objects import ObjectPath, dataset

BATCH = 100_000  # rows
DUCKDB, SPARK = "duckdb", "pyspark"
ARROW = "_arrow"  # what rows are called while DuckDB takes them in
WRITERS = 2  # partitions that are written at once; both pyarrow and the file system let other threads run


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


def write_days(
    con: Backend, rows: ir.Table | str, order: Sequence[str], root: AnyPath, table: str, days: Sequence[date]
) -> Iterator[tuple[date, str]]:
    """Write the rows available on each of `days` (UTC, consecutive) as its partition; yield each day once it is there.

    `rows` is an expression, or a query in DuckDB's SQL. With the day comes the sha256 of its file. The rows arrive in
    `order`, which begins with `available_at` and leaves no two rows equal, and are cut at the midnights: memory holds a
    few days of them and a batch, and the same rows give the same bytes. A day without rows becomes an empty partition.
    Raises DataError when a source partition cannot be read, or the disk is full; of a query that asks for what its
    tables do not have duckdb.Error.
    """
    if con.name == SPARK:
        from . import spark

        assert isinstance(root, Path)  # the command line builds no objects with Spark
        yield from spark.write_days(con, rows, order, root, table, days)
        return
    low, high = literal(midnight(days[0])), literal(midnight(days[-1] + timedelta(days=1)))
    query = rows if isinstance(rows, str) else con.compile(rows)
    chosen = (
        f"SELECT * FROM ({query}) WHERE available_at >= {low} AND available_at < {high} ORDER BY {', '.join(order)}"
    )
    with ThreadPoolExecutor(WRITERS) as pool:
        writing = deque[tuple[date, Future[str]]]()
        reader = _stream(con, chosen)
        for day, part in _cut(_batches(reader), days, reader.schema):
            writing.append((day, pool.submit(write_partition, root, table, day, part)))
            if len(writing) > 2 * WRITERS:
                yield _written(*writing.popleft())
        for each in writing:
            yield _written(*each)


def _written(day: date, writing: Future[str]) -> tuple[date, str]:
    return day, writing.result()


def _cut(batches: Iterator[pa.RecordBatch], days: Sequence[date], schema: pa.Schema) -> Iterator[tuple[date, pa.Table]]:
    """Yield the rows of each day, in one chunk wherever the batches were cut: a file's pages follow the chunks."""
    midnights = np.array([day + timedelta(days=1) for day in days], dtype="datetime64[us]")
    done, mine = 0, list[pa.RecordBatch]()
    for batch in batches:
        start = 0
        for end in np.searchsorted(batch["available_at"].to_numpy(zero_copy_only=False), midnights[done:]).tolist():
            mine.append(batch.slice(start, end - start))
            if end == batch.num_rows:
                break  # the day may go on in the next batch
            yield days[done], pa.Table.from_batches(mine, schema).combine_chunks()
            done, start, mine = done + 1, end, []
    for day in days[done:]:
        yield day, pa.Table.from_batches(mine, schema).combine_chunks()
        mine = []


def _stream(con: Backend, query: str) -> pa.RecordBatchReader:
    """Return the rows as they are made. Ibis's own `to_pyarrow_batches` calls what DuckDB 2.0 no longer has."""
    bound = con.con.sql(query)
    try:
        return bound.to_arrow_reader(BATCH)
    except duckdb.Error as error:
        raise _unreadable(error) from error


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    try:
        yield from reader
    except (duckdb.Error, OSError, pa.ArrowException) as error:  # what fails on the way arrives as Arrow's
        raise _unreadable(error) from error


def read(con: Backend, files: Sequence[AnyPath]) -> ir.Table:
    """Return the rows of Parquet files with one schema as a table expression, without the partition column.

    Raises DataError when the first of them is not a whole Parquet file; of objects, when any is not.
    """
    if con.name == SPARK:
        from . import spark

        return spark.read(con, list(map(str, files)))
    if any(isinstance(file, ObjectPath) for file in files):
        return con.table(_registered(con, files))
    try:
        return con.read_parquet(list(map(str, files)), hive_partitioning=False)
    except duckdb.Error as error:
        raise _unreadable(error) from error


@contextmanager
def load(con: Backend, files: Sequence[AnyPath]) -> Iterator[ir.Table | str]:
    """Have the rows of `read`, read once for many queries: a temporary table, which spills to disk, until it is left.

    It is an expression, or the name of a table of DuckDB. Raises DataError when one of the files cannot be read.
    """
    if con.name != DUCKDB:
        with read(con, files).cache() as rows:
            yield rows
        return
    name = f"loaded_{uuid.uuid4().hex}"
    try:
        con.con.execute(f"CREATE TEMP TABLE {name} AS {scan(con, files)}")
    except duckdb.Error as error:
        raise _unreadable(error) from error
    try:
        yield name
    finally:
        con.con.execute(f"DROP TABLE {name}")


@contextmanager
def handed(con: Backend, name: str, rows: pa.Table) -> Iterator[None]:
    """Have rows as a table of DuckDB, until it is left. Ibis's own `create_table` takes four times as long."""
    con.con.register(ARROW, rows)
    con.con.execute(f"CREATE OR REPLACE TABLE {quoted(name)} AS SELECT * FROM {ARROW}")
    con.con.unregister(ARROW)
    try:
        yield
    finally:
        con.con.execute(f"DROP TABLE {quoted(name)}")


def columns(con: Backend, name: str) -> dict[str, dt.DataType]:
    """Return the columns of a table of DuckDB with their types."""
    held = con.con.table(name)
    return {column: _type(str(kind)) for column, kind in zip(held.columns, held.types, strict=True)}


@lru_cache(maxsize=256)
def _type(text: str) -> dt.DataType:
    return DuckDBType.from_string(text)


def scan(con: Backend, files: Sequence[AnyPath]) -> str:
    """Return the query of `read` in DuckDB's SQL: text, since to make an expression costs more than to read a day."""
    if any(isinstance(file, ObjectPath) for file in files):
        return f"SELECT * FROM {_registered(con, files)}"
    listed = ", ".join(quoted(str(file), "'") for file in files)
    return f"SELECT * FROM read_parquet([{listed}], hive_partitioning = false)"


def over(query: str, name: str, rows: str) -> str:
    """Return a query of DuckDB's SQL over a table of some `name`, with another query's rows for the table."""
    return f"WITH {quoted(name)} AS ({rows}) SELECT * FROM ({query})"


def fetch_sql(con: Backend, query: str) -> pa.Table:
    """Return the rows of a query of DuckDB's SQL. Raises DataError as `fetch` does."""
    try:
        return con.con.sql(query).to_arrow_table()
    except duckdb.Error as error:
        raise _unreadable(error) from error


def quoted(text: str, mark: str = '"') -> str:
    """Return a name, or a text with a single mark, as DuckDB's SQL writes it."""
    return f"{mark}{text.replace(mark, 2 * mark)}{mark}"


def seconds(column: Any) -> Any:
    """Return a timestamp column as whole seconds since 1970-01-01 UTC."""
    return column.epoch_seconds().cast("int64")


def literal(instant: datetime) -> str:
    """Return an aware instant as DuckDB's SQL writes it."""
    return f"TIMESTAMPTZ '{instant.astimezone(UTC).isoformat()}'"


def _registered(con: Backend, objects: Sequence[Any]) -> str:
    """Return the name of a table of the rows of objects, which lasts as long as the connection."""
    name = f"objects_{uuid.uuid4().hex}"
    con.con.register(name, dataset(objects))
    return name


def _unreadable(error: Exception) -> DataError:
    line = str(error).splitlines()[0]
    return DataError(f"the engine cannot use the stored data ({line}); remove that partition and build it again")
