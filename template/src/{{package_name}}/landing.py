"""Land the sources: each day's rows are checked against the contract, then published to the lake or quarantined."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pandera.ibis as pandera_ibis
import pyarrow as pa
from ibis.backends.duckdb import Backend
from pandera.errors import SchemaError, SchemaErrors

from .lake import day_of, days, midnight, partition_days, partition_path, write_partition
from .sources import Source


@dataclass
class Landing:
    """What one run landed: days by source, and the quarantined partitions with the reason."""

    landed: dict[str, list[date]] = field(default_factory=dict)
    quarantined: list[tuple[str, date, str]] = field(default_factory=list)


def land(con: Backend, sources: Mapping[str, Source], lake: Path, quarantine: Path, until: date) -> Landing:
    """Land every day before `until` (UTC) that the lake does not hold yet; a landed day is left as it is.

    A partition that breaks its contract goes to `quarantine` with its reason and nothing of it reaches the lake.
    """
    result = Landing()
    for source in sources.values():
        rows = source.read()
        held = set(partition_days(lake, source.name))
        first = day_of(rows["known_at"].iloc[0])
        wanted = [day for day in days(first, until if source.daily else first + timedelta(days=1)) if day not in held]
        if not wanted:
            continue
        broken = _broken_days(con, source, rows, wanted)
        for day in wanted:
            if day in broken:
                _quarantine(quarantine, source.name, day, _day(rows, day), broken[day])
                result.quarantined.append((source.name, day, broken[day]))
            else:
                write_partition(lake, source.name, day, _day(rows, day))
                partition_path(quarantine, source.name, day).unlink(missing_ok=True)
                result.landed.setdefault(source.name, []).append(day)
    return result


def quarantined(quarantine: Path, since: date, until: date) -> list[tuple[str, date]]:
    """Return the (source, day) that lie in quarantine in [since, until)."""
    tables = sorted(path.name for path in quarantine.glob("*") if path.is_dir())
    return [(table, day) for table in tables for day in partition_days(quarantine, table) if since <= day < until]


def violations(con: Backend, contract: pandera_ibis.DataFrameSchema, rows: pa.Table) -> str | None:
    """Return what `rows` break of the contract in one line, or None when they keep it. Checked inside the engine."""
    name = "_landing"
    con.create_table(name, rows, overwrite=True)
    try:
        contract.validate(con.table(name), lazy=True)
    except SchemaErrors as error:
        return "; ".join(sorted({_violation(item) for item in error.schema_errors}))
    finally:
        con.drop_table(name)
    return None


def _violation(error: SchemaError) -> str:
    """Return which column broke which check; of a missing or unknown column the name stands in the failure case."""
    column = error.schema.name or (error.failure_cases if isinstance(error.failure_cases, str) else "row")
    return f"{column}: {error.check}"


def _day(rows: pd.DataFrame, day: date) -> pa.Table:
    return _between(rows, day, day + timedelta(days=1))


def _between(rows: pd.DataFrame, since: date, until: date) -> pa.Table:
    low, high = rows["known_at"].searchsorted([pd.Timestamp(midnight(since)), pd.Timestamp(midnight(until))])
    return pa.Table.from_pandas(rows.iloc[low:high], preserve_index=False)


def _broken_days(con: Backend, source: Source, rows: pd.DataFrame, wanted: list[date]) -> dict[date, str]:
    """Check the whole span at once, the usual case; only when it fails, day by day to name the culprits."""
    whole = _between(rows, wanted[0], wanted[-1] + timedelta(days=1))
    if violations(con, source.contract, whole) is None:
        return {}
    found = {day: violations(con, source.contract, _day(rows, day)) for day in wanted}
    return {day: reason for day, reason in found.items() if reason}


def _quarantine(root: Path, table: str, day: date, rows: pa.Table, reason: str) -> None:
    path = write_partition(root, table, day, rows)
    note = {"source": table, "day": day.isoformat(), "reason": reason, "rows": rows.num_rows}
    path.with_name("reason.json").write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
