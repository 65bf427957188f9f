"""What the partitions of a source break of its contract, told day by day. The checks run inside the engine.

A span of days costs one query a check. Only the days on which its schema fails are looked at one by one.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

import ibis.expr.types as ir
import pandera.ibis as pandera_ibis
import pyarrow as pa
import pyarrow.compute as pc
from ibis.backends.duckdb import Backend
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from .engine import columns, fetch, fetch_sql, handed, quoted, scan
from .lake import AnyPath, midnight, partition_days, partition_path, partition_rows
from .source import TABLE, Reference, Source

HISTORY = timedelta(days=28)  # of the table's own landed days: what volume is usual, and which keys came before
ENOUGH_DAYS = 7  # landed days in HISTORY before a volume is judged
SPAN, PARTITION = TABLE, "_partition"
DAY = "_day"


@dataclass(frozen=True)
class Violation:
    """One check that a partition broke."""

    column: str
    """One column, or several with commas between them."""
    check: str
    """What was asked of it; of a partition as a whole also what was measured."""
    rows: pa.Table | None = None
    """The rows that broke it; None when it was the partition as a whole."""
    expectation: bool = False
    """True of freshness, volume and references: a person may know that the day was like that."""

    def __str__(self) -> str:
        return f"{self.column}: {self.check}"


def violations(con: Backend, contract: pandera_ibis.DataFrameSchema, rows: pa.Table) -> list[Violation]:
    """Return what `rows` break of the schema: columns, types, ranges, nulls and uniqueness."""
    if not rows.num_rows:
        return []  # to Pandera, where there is no row, no row keeps a check
    with handed(con, PARTITION, rows):
        errors = _validate(contract, con.table(PARTITION))
        return sorted((_violation(error, rows) for error in errors), key=str)


def check(
    con: Backend, source: Source, partitions: Mapping[date, pa.Table], lake: AnyPath, quarantine: AnyPath
) -> dict[date, list[Violation]]:
    """Return what each partition breaks of its source's contract, by UTC day; a day that keeps it is left out.

    `partitions` are in the order of their days. They are compared with what the lake holds and with each other as if
    they landed one by one, so that a span gives the same answer as its days. A partition that breaks the schema is
    compared with nothing: its columns may not be there.
    """
    rows = pa.concat_tables(partitions.values())
    with handed(con, SPAN, rows):
        errors = _validate(source.contract, con.table(SPAN)) if rows.num_rows and not _keeps(con, source) else []
        suspects = _suspects(errors, rows, list(partitions))
        found = {day: violations(con, source.contract, partitions[day]) for day in suspects}
        broken = {day: items for day, items in found.items() if items}
        sound = [day for day in partitions if day not in broken]
        if sound:
            broken |= _compare(con, source, {day: partitions[day] for day in sound}, lake, quarantine)
        return broken


def _compare(
    con: Backend,
    source: Source,
    partitions: Mapping[date, pa.Table],
    lake: AnyPath,
    quarantine: AnyPath,
) -> dict[date, list[Violation]]:
    """Check freshness, volume, references and keys that came before, of partitions that keep their schema.

    They are in the table SPAN. What is asked of it is written as SQL: to compile an expression costs more than a day.
    """
    days = list(partitions)
    earlier = [day for day in partition_days(lake, source.name, days[0] - HISTORY, days[-1]) if day not in partitions]
    usual = {day: partition_rows(lake, source.name, day) for day in earlier}  # and each good day, as it is found
    found: dict[date, list[Violation]] = defaultdict(list)
    for reference in source.references:
        for day, violation in _orphans(con, reference, partitions, lake, quarantine).items():
            found[day].append(violation)
    keys = list(source.contract.unique or ())
    delivered = _delivered(con, source.name, keys, _of_days(days), earlier, lake)
    repeated = _repeated_days(con, keys, _of_days(days), delivered)
    for day, rows in partitions.items():
        found[day] += _freshness(source, day, rows) + _volume(source, day, rows, usual)
        if again := repeated.get(day, set()) & usual.keys():
            found[day].append(_repeats(con, keys, _of_days([day]), delivered, again))
        if not found[day]:
            usual[day] = rows.num_rows
    return {day: items for day, items in found.items() if items}


def _keeps(con: Backend, source: Source) -> bool:
    """Return whether SPAN keeps its source's schema, by one query; Pandera takes one for each of its checks.

    False also where one query cannot say it. What is broken, and where, is for `_validate` to tell.
    """
    if source.sound is None or columns(con, SPAN) != source.types:
        return False
    return bool(con.con.execute(source.sound).fetchall()[0][0])


def _validate(contract: pandera_ibis.DataFrameSchema, table: ir.Table) -> list[SchemaError]:
    try:
        contract.validate(table, lazy=True)
    except SchemaErrors as error:
        return list(error.schema_errors)
    return []


def _violation(error: SchemaError, rows: pa.Table) -> Violation:
    """Return which column broke which check; of a missing or unknown column the name stands in the failure case."""
    column = error.schema.name or (error.failure_cases if isinstance(error.failure_cases, str) else "row")
    if error.reason_code is SchemaErrorReason.DUPLICATES:
        keys = [key for key in error.schema.unique if key in rows.column_names]  # one may be missing
        return Violation(", ".join(keys), "not unique", fetch(error.failure_cases.order_by(["known_at", *keys])))
    return Violation(column, str(error.check), _failed(error, rows))


def _suspects(errors: list[SchemaError], rows: pa.Table, days: list[date]) -> list[date]:
    """Return on which of the days something broke: all of them when it was no matter of rows."""
    parts = [violation.rows for violation in (_violation(error, rows) for error in errors)]
    lost = [part["known_at"].cast("date32") for part in parts if part is not None]
    if len(lost) < len(parts):
        return days
    seen = {day for part in lost for day in pc.unique(part).to_pylist()}
    return [day for day in days if day in seen]


def _failed(error: SchemaError, rows: pa.Table) -> pa.Table | None:
    """Return the rows that failed a check of elements, None when the check is of the column as a whole.

    The engine gives one truth value a row, in the order of the table.
    """
    output = error.check_output
    if error.reason_code is SchemaErrorReason.SERIES_CONTAINS_NULLS:  # here alone true says that the row failed
        return rows.filter(fetch(output.as_table())[0])
    return rows.filter(pc.invert(fetch(output)[0])) if isinstance(output, ir.Table) else None


def _freshness(source: Source, day: date, rows: pa.Table) -> list[Violation]:
    if source.freshness is None or not source.daily:
        return []
    if not rows.num_rows:
        return [Violation("known_at", "freshness: the day has no row", expectation=True)]
    age = midnight(day + timedelta(days=1)) - pc.max(rows["known_at"]).as_py()
    if age <= source.freshness:
        return []
    text = f"freshness: the newest row is {age} older than the end of the day, bound {source.freshness}"
    return [Violation("known_at", text, expectation=True)]


def _volume(source: Source, day: date, rows: pa.Table, usual: Mapping[date, int]) -> list[Violation]:
    """Compare the number of rows with the median of the landed days in HISTORY, once there are ENOUGH_DAYS."""
    counts = [count for other, count in usual.items() if day - HISTORY <= other < day]
    if source.volume is None or len(counts) < ENOUGH_DAYS:
        return []
    middle, (low, high) = median(counts), source.volume
    if low * middle <= rows.num_rows <= high * middle:
        return []
    text = (
        f"volume: {rows.num_rows} rows against a median of {middle:g} in {len(counts)} earlier days, "
        f"bound {low:g} to {high:g} times"
    )
    return [Violation("row", text, expectation=True)]


def _orphans(
    con: Backend, reference: Reference, partitions: Mapping[date, pa.Table], lake: AnyPath, quarantine: AnyPath
) -> dict[date, Violation]:
    """Return the days on which more rows than allowed refer to nothing.

    A day is checked only when the lake has every day that its rows may refer to: what another table lacks, because
    it is in quarantine or because the history begins later, is no fault of this one.
    """
    first, last = min(partitions), max(partitions)
    since = None if reference.within is None else first - reference.within
    span = (reference.source, since, last + timedelta(days=1))
    landed = set(partition_days(lake, *span))
    known = landed | set(partition_days(quarantine, *span))
    needed = {day: reference.days(day, known) for day in partitions}
    checked = [day for day, others in needed.items() if others and others <= landed]
    if not checked:
        return {}
    others = sorted({other for day in checked for other in needed[day]})
    there = _with_day(scan(con, [partition_path(lake, reference.source, other) for other in others]))
    same = [f"here.{quoted(column)} = there.{quoted(other)}" for column, other in reference.columns.items()]
    same.append(f"there.{DAY} <= here.{DAY}")
    if reference.within is not None:
        same.append(f"there.{DAY} >= here.{DAY} - {reference.within.days}")
    refers = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in reference.columns)
    here = f"SELECT * FROM ({_of_days(checked)}) WHERE {refers}"
    orphans = f"SELECT here.* FROM ({here}) AS here ANTI JOIN ({there}) AS there ON {' AND '.join(same)}"
    counts = fetch_sql(con, f"SELECT {DAY} AS day, count(*) AS count FROM ({orphans}) GROUP BY {DAY}").to_pylist()
    found = {}
    for day, count in ((item["day"], item["count"]) for item in counts):
        share = count / partitions[day].num_rows
        if share > reference.misses:
            text = f"reference: {share:.1%} of the rows are not in {reference.source}, bound {reference.misses:.1%}"
            lost = _ordered(con, f"{orphans} WHERE here.{DAY} = {_date(day)}", list(reference.columns))
            found[day] = Violation(", ".join(reference.columns), text, lost, expectation=True)
    return found


def _delivered(con: Backend, table: str, keys: list[str], span: str, earlier: list[date], lake: AnyPath) -> str:
    """Return the query of the keys and days of the span, and of the days of the lake that it is compared with."""
    columns = ", ".join([*map(quoted, keys), DAY])
    parts = [span]
    if earlier:
        parts.append(_with_day(scan(con, [partition_path(lake, table, day) for day in earlier])))
    return " UNION ALL ".join(f"SELECT {columns} FROM ({part})" for part in parts)


def _repeated_days(con: Backend, keys: list[str], span: str, delivered: str) -> dict[date, set[date]]:
    """Return for each day of the span the other days that have a key of it: one partition under two days."""
    if not keys:
        return {}
    pairs = (
        f"SELECT DISTINCT mine.{DAY} AS mine, other.{DAY} AS other FROM ({span}) AS mine "
        f"JOIN ({delivered}) AS other ON {_same(keys)} AND mine.{DAY} <> other.{DAY}"
    )
    days: dict[date, set[date]] = defaultdict(set)
    for pair in fetch_sql(con, pairs).to_pylist():
        days[pair["mine"]].add(pair["other"])
    return days


def _repeats(con: Backend, keys: list[str], rows: str, delivered: str, again: set[date]) -> Violation:
    before = f"SELECT * FROM ({delivered}) WHERE {DAY} IN ({', '.join(map(_date, sorted(again)))})"
    lost = _ordered(con, f"SELECT mine.* FROM ({rows}) AS mine SEMI JOIN ({before}) AS other ON {_same(keys)}", keys)
    text = f"not unique: {lost.num_rows} rows came before, the first on {min(again)}"
    return Violation(", ".join(keys), text, lost)


def _same(keys: list[str]) -> str:
    return " AND ".join(f"mine.{name} = other.{name}" for name in map(quoted, keys))


def _ordered(con: Backend, rows: str, keys: list[str]) -> pa.Table:
    order = ", ".join(map(quoted, ["known_at", *keys]))
    return fetch_sql(con, f"SELECT * EXCLUDE ({DAY}) FROM ({rows}) ORDER BY {order}")


def _of_days(days: list[date]) -> str:
    """Return the query of those rows of SPAN that became known on some days, with their DAY."""
    return f"SELECT * FROM ({_with_day(f'SELECT * FROM {SPAN}')}) WHERE {DAY} IN ({', '.join(map(_date, days))})"


def _with_day(rows: str) -> str:
    return f"SELECT *, CAST(known_at AS DATE) AS {DAY} FROM ({rows})"


def _date(day: date) -> str:
    return f"DATE '{day}'"
