"""The same expressions on Spark, for work that outgrows one machine. Imported only where Spark is asked for.

The driver plans and renames; executors read and write, so a view never passes through the driver. Everything that a
session writes lies in the state folder: scratch files, the log of the JVM, and each table until it is complete.
"""

import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from .errors import DataError, UserError
from .lake import file_sha256, partition_path, replace_file, write_partition

LOOPBACK = ("local", "spark://127.0.0.1:", "spark://localhost:")


def connect(state: Path, master: str, memory: str) -> Any:
    """Return an Ibis backend on a new Spark session whose clock is UTC; `con.disconnect()` ends it.

    `memory` is that of the driver, and of each executor where `master` is a cluster. A process has one session.
    Raises UserError when pyspark or Java is missing, or when the master does not answer.
    """
    try:
        from py4j.protocol import Py4JError
        from pyspark import SparkConf, SparkContext
        from pyspark.errors import PySparkException
        from pyspark.java_gateway import launch_gateway
        from pyspark.logger import PySparkLogger
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise UserError(
            "Spark is not installed here; `make test-spark` makes .venv-spark, which has it, from locks/spark.txt"
        ) from error
    folder = (state / "spark").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {
        "spark.app.name": f"{__package__} features",
        "spark.driver.memory": memory,
        "spark.executor.memory": memory,
        "spark.local.dir": str(folder / "scratch"),
        "spark.log.level": "WARN",
        "spark.master": master,
        "spark.sql.ansi.enabled": "true",  # a value that does not fit stops the build, as on DuckDB, and is never null
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",  # the default is a type that only Spark writes
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if master.startswith(LOOPBACK):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        settings["spark.driver.host"] = "127.0.0.1"
    conf = SparkConf().setAll(list(settings.items()))
    # Spark reports on standard error, where this project has one line for a mistake: the JVM gets a file instead.
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True
    log = folder / "spark.log"
    try:
        with log.open("wb") as sink:
            SparkContext(conf=conf, gateway=launch_gateway(conf, {"stdout": sink, "stderr": sink}))
        return ibis.pyspark.connect(SparkSession.builder.getOrCreate())
    except (PySparkException, Py4JError, OSError) as error:
        raise UserError(
            f"Spark did not start with the master {master}; it needs Java 17 or later and a master that answers, "
            f"and {log} has its reason"
        ) from error


def read(con: Any, files: Sequence[str]) -> ir.Table:
    """Return the rows of Parquet files with one schema as a table expression, without the partition column.

    Spark itself would read a column that a file lacks as nulls. Raises DataError, which names the file, when one
    cannot be read or has other columns than the first.
    """
    schemas = {file: _schema(file) for file in files}
    first = files[0]
    for file, schema in schemas.items():
        if schema != schemas[first]:
            raise DataError(f"{file} has other columns or types than {first}; remove that partition and build it again")
    name = f"read_{uuid.uuid4().hex}"
    with _one_sentence():
        _session().read.parquet(*map(_local, map(Path, files))).createTempView(name)
    return con.table(name).cast(schemas[first])  # ibis takes the instants of Spark for local times


def fetch(expression: ir.Table) -> pa.Table:
    """Run an expression and return its rows. For small answers: they all pass through the driver."""
    con = expression.get_backend()
    with _one_sentence():
        return con.raw_sql(con.compile(expression)).toArrow()  # that of ibis goes through pandas


def write_days(
    con: Any, rows: ir.Table, order: Sequence[str], root: Path, table: str, days: Sequence[date]
) -> Iterator[tuple[date, str]]:
    """Write the rows available on each of `days` (UTC, consecutive) as its partition; yield each day once it is there.

    With the day comes the sha256 of its file. Executors write one file a day, sorted by `order`, into a folder beside
    the table, whose name other readers skip; when all are there, the driver renames each into its place. On a cluster
    every machine must see `root` at the same path. Raises DataError when a source cannot be read or a file not be
    written; the old partitions stay.
    """
    from pyspark.sql.functions import col, lit, to_date, when

    at = col("available_at")
    staging = (root / f"_{table}-{uuid.uuid4().hex}").absolute()
    try:
        with _one_sentence():
            frame = con.raw_sql(con.compile(rows))
            # Spark marks a column that cannot be null as required. DuckDB never does, and a table has one schema.
            frame = frame.select(*[when(at.isNotNull(), col(name)).alias(name) for name in frame.columns])
            frame = frame.withColumn("date", to_date(at)).filter(col("date").between(lit(days[0]), lit(days[-1])))
            frame = frame.repartition("date").sortWithinPartitions("date", *order)
            frame.write.partitionBy("date").option("compression", "zstd").parquet(_local(staging))
        for day in days:
            yield day, _publish(staging, root, table, day, rows)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _publish(staging: Path, root: Path, table: str, day: date, rows: ir.Table) -> str:
    written = list(staging.glob(f"date={day}/*.parquet"))
    if not written:
        return write_partition(root, table, day, rows.schema().to_pyarrow().empty_table())
    (file,) = written
    sha256 = file_sha256(file)
    replace_file(partition_path(root, table, day), file.rename)
    return sha256


def _session() -> Any:
    from pyspark.sql import SparkSession

    return SparkSession.active()


def _local(path: Path) -> str:
    # With the scheme, because the default file system of a cluster may be another one.
    return f"file://{path.absolute()}"


def _schema(file: str) -> ibis.Schema:
    with suppress(OSError, pa.ArrowException):
        return ibis.Schema.from_pyarrow(pq.read_schema(file))
    raise DataError(f"{file} is no whole Parquet file; remove that partition and build it again")


@contextmanager
def _one_sentence() -> Iterator[None]:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        why = str(getattr(error, "java_exception", error)).splitlines()[0]
        raise DataError(f"Spark stopped ({why}); where it names a partition, remove that and build again") from error
