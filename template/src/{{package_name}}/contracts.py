"""What the partitions of a source break of its contract, told day by day. The checks run inside the engine.

A span of days costs one query a check. Only the days on which its schema fails are looked at one by one.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

import ibis
import ibis.expr.types as ir
import pandera.ibis as pandera_ibis
import pyarrow as pa
import pyarrow.compute as pc
from ibis.backends.duckdb import Backend
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from .engine import fetch, read
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
    con.create_table(PARTITION, rows, overwrite=True)
    try:
        errors = _validate(contract, con.table(PARTITION))
        return sorted((_violation(error, rows) for error in errors), key=str)
    finally:
        con.drop_table(PARTITION)


def check(
    con: Backend, source: Source, partitions: Mapping[date, pa.Table], lake: AnyPath, quarantine: AnyPath
) -> dict[date, list[Violation]]:
    """Return what each partition breaks of its source's contract, by UTC day; a day that keeps it is left out.

    `partitions` are in the order of their days. They are compared with what the lake holds and with each other as if
    they landed one by one, so that a span gives the same answer as its days. A partition that breaks the schema is
    compared with nothing: its columns may not be there.
    """
    rows = pa.concat_tables(partitions.values())
    con.create_table(SPAN, rows, overwrite=True)
    try:
        span = con.table(SPAN)
        errors = _validate(source.contract, span) if rows.num_rows and not _keeps(con, source, span) else []
        suspects = _suspects(errors, rows, list(partitions))
        found = {day: violations(con, source.contract, partitions[day]) for day in suspects}
        broken = {day: items for day, items in found.items() if items}
        sound = [day for day in partitions if day not in broken]
        if sound:
            span = _with_day(span)
            span = span.filter(span[DAY].isin(sound)) if broken else span
            broken |= _compare(con, source, span, {day: partitions[day] for day in sound}, lake, quarantine)
        return broken
    finally:
        con.drop_table(SPAN)


def _compare(
    con: Backend,
    source: Source,
    span: ir.Table,
    partitions: Mapping[date, pa.Table],
    lake: AnyPath,
    quarantine: AnyPath,
) -> dict[date, list[Violation]]:
    """Check freshness, volume, references and keys that came before, of partitions that keep their schema."""
    days = list(partitions)
    earlier = [day for day in partition_days(lake, source.name) if days[0] - HISTORY <= day <= days[-1]]
    earlier = [day for day in earlier if day not in partitions]
    usual = {day: partition_rows(lake, source.name, day) for day in earlier}  # and each good day, as it is found
    found: dict[date, list[Violation]] = defaultdict(list)
    for reference in source.references:
        for day, violation in _orphans(con, reference, span, partitions, lake, quarantine).items():
            found[day].append(violation)
    keys = list(source.contract.unique or ())
    delivered = _delivered(con, source.name, keys, span, earlier, lake)
    repeated = _repeated_days(keys, span, delivered)
    for day, rows in partitions.items():
        found[day] += _freshness(source, day, rows) + _volume(source, day, rows, usual)
        if again := repeated.get(day, set()) & usual.keys():
            found[day].append(_repeats(keys, span.filter(span[DAY] == day), delivered, again))
        if not found[day]:
            usual[day] = rows.num_rows
    return {day: items for day, items in found.items() if items}


def _keeps(con: Backend, source: Source, span: ir.Table) -> bool:
    """Return whether SPAN keeps its source's schema, by one query; Pandera takes one for each of its checks.

    False also where one query cannot say it. What is broken, and where, is for `_validate` to tell.
    """
    if source.sound is None or dict(span.schema().items()) != source.types:
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
        return Violation(", ".join(keys), "not unique", _ordered(error.failure_cases, keys))
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
    con: Backend,
    reference: Reference,
    span: ir.Table,
    partitions: Mapping[date, pa.Table],
    lake: AnyPath,
    quarantine: AnyPath,
) -> dict[date, Violation]:
    """Return the days on which more rows than allowed refer to nothing.

    A day is checked only when the lake has every day that its rows may refer to: what another table lacks, because
    it is in quarantine or because the history begins later, is no fault of this one.
    """
    landed = set(partition_days(lake, reference.source))
    known = landed | set(partition_days(quarantine, reference.source))
    needed = {day: reference.days(day, known) for day in partitions}
    checked = [day for day, others in needed.items() if others and others <= landed]
    if not checked:
        return {}
    others = sorted({other for day in checked for other in needed[day]})
    files = [partition_path(lake, reference.source, other) for other in others]
    there = _with_day(read(con, files)).select(DAY, *reference.columns.values())
    there = there.rename({f"_{name}": name for name in there.columns})
    rows = span.filter(span[DAY].isin(checked), *(span[column].notnull() for column in reference.columns))
    same = [rows[here] == there[f"_{other}"] for here, other in reference.columns.items()]
    seen = [there[f"_{DAY}"] <= rows[DAY]]
    if reference.within is not None:
        seen.append(there[f"_{DAY}"] >= rows[DAY] - ibis.interval(days=reference.within.days))
    orphans = rows.anti_join(there, [*same, *seen])
    counts = fetch(orphans.group_by(DAY).agg(count=orphans.count())).to_pylist()
    found = {}
    for day, count in ((item[DAY], item["count"]) for item in counts):
        share = count / partitions[day].num_rows
        if share > reference.misses:
            text = f"reference: {share:.1%} of the rows are not in {reference.source}, bound {reference.misses:.1%}"
            lost = _ordered(orphans.filter(orphans[DAY] == day).drop(DAY), list(reference.columns))
            found[day] = Violation(", ".join(reference.columns), text, lost, expectation=True)
    return found


def _delivered(
    con: Backend, table: str, keys: list[str], span: ir.Table, earlier: list[date], lake: AnyPath
) -> ir.Table:
    """Return the keys and days of the span, and of the days of the lake that it is compared with."""
    mine = span.select(*keys, DAY)
    if not earlier:
        return mine
    past = _with_day(read(con, [partition_path(lake, table, day) for day in earlier]))
    return mine.union(past.select(*keys, DAY))


def _repeated_days(keys: list[str], span: ir.Table, delivered: ir.Table) -> dict[date, set[date]]:
    """Return for each day of the span the other days that have a key of it: one partition under two days."""
    if not keys:
        return {}
    other = delivered.rename({f"_{name}": name for name in delivered.columns})
    same = [span[key] == other[f"_{key}"] for key in keys]
    pairs = span.join(other, [*same, span[DAY] != other[f"_{DAY}"]]).select(DAY, f"_{DAY}").distinct()
    days: dict[date, set[date]] = defaultdict(set)
    for pair in fetch(pairs).to_pylist():
        days[pair[DAY]].add(pair[f"_{DAY}"])
    return days


def _repeats(keys: list[str], rows: ir.Table, delivered: ir.Table, again: set[date]) -> Violation:
    lost = _ordered(rows.semi_join(delivered.filter(delivered[DAY].isin(sorted(again))), keys).drop(DAY), keys)
    text = f"not unique: {lost.num_rows} rows came before, the first on {min(again)}"
    return Violation(", ".join(keys), text, lost)


def _ordered(rows: ir.Table, keys: list[str]) -> pa.Table:
    return fetch(rows.order_by(["known_at", *keys]))


def _with_day(table: ir.Table) -> ir.Table:
    return table.mutate(**{DAY: table["known_at"].date()})
