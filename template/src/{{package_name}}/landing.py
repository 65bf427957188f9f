"""Land the sources: each day's rows are checked against the contract, then published to the lake or quarantined.

A day lies in quarantine as long as its partition does, beside what explains it. The partition is written last and
removed last, after the lake has it, so that a kill leaves the day in one of the two places, or in both.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from graphlib import TopologicalSorter
from typing import Any

import pandas as pd
import pyarrow as pa
from ibis.backends.duckdb import Backend

from .contracts import Violation, check
from .engine import fetch, read
from .errors import DataError
from .lake import (
    AnyPath,
    days,
    midnight,
    parquet,
    partition_days,
    partition_path,
    remove_day,
    replace_content,
    tables,
    write_partition,
)
from .source import Source

# Readers of a lake pass over names that begin with an underscore.
BROKEN_ROWS = "_broken_rows.parquet"
REASON = "reason.json"
RELEASES = "_releases.jsonl"


@dataclass
class Landing:
    """What one run landed: days by source, and the quarantined partitions with the reason."""

    landed: dict[str, list[date]] = field(default_factory=dict)
    quarantined: list[tuple[str, date, str]] = field(default_factory=list)


def land(con: Backend, sources: Mapping[str, Source], lake: AnyPath, quarantine: AnyPath, until: date) -> Landing:
    """Land every day before `until` (UTC) that the lake does not hold yet; a landed day is left as it is.

    A partition that breaks its contract goes to `quarantine` with its reason and nothing of it reaches the lake.
    """
    result = Landing()
    for source in _referenced_first(sources):
        held = set(partition_days(lake, source.name))
        for day in held.intersection(partition_days(quarantine, source.name)):
            remove_day(quarantine, source.name, day)  # a run was killed after it had published the day
        end = until if source.daily else source.begins + timedelta(days=1)
        wanted = [day for day in days(source.begins, end) if day not in held]
        if not wanted:
            continue
        rows = source.read(midnight(wanted[0]), midnight(wanted[-1] + timedelta(days=1)))
        partitions = _partitions(rows, wanted)
        broken = check(con, source, partitions, lake, quarantine)
        for day, partition in partitions.items():
            if day in broken:
                reason = _quarantine(quarantine, source.name, day, partition, broken[day])
                result.quarantined.append((source.name, day, reason))
            else:
                write_partition(lake, source.name, day, partition)
                remove_day(quarantine, source.name, day)
                result.landed.setdefault(source.name, []).append(day)
    return result


def release(
    con: Backend,
    sources: Mapping[str, Source],
    lake: AnyPath,
    quarantine: AnyPath,
    name: str,
    day: date,
    reason: str,
    now: datetime,
) -> bool:
    """Publish a quarantined partition as it was delivered, because a person has judged that its day was like that.

    It is checked once more: only freshness, volume and references can be judged. What breaks the schema or came
    before would poison features, and DataError is raised, as for a day that is not in quarantine. Every release is
    recorded in RELEASES. Returns False when the day was released before.
    """
    if name not in sources:
        raise DataError(f"there is no source {name!r}; the sources are {', '.join(sources)}")
    if not reason.strip():
        raise DataError("a release needs a reason; say what makes you sure that the day was like that")
    path = partition_path(quarantine, name, day)
    if not path.exists():
        if day in partition_days(lake, name) and (name, day.isoformat()) in {
            (record["source"], record["day"]) for record in released(quarantine)
        }:
            return False
        raise DataError(f"{name} of {day} is not in quarantine; `data quarantine` lists what is")
    rows, content = fetch(read(con, [path])), path.read_bytes()
    found = check(con, sources[name], {day: rows}, lake, quarantine).get(day, [])
    if poison := [violation for violation in found if not violation.expectation]:
        raise DataError(f"{name} of {day} cannot be released ({_text(poison)}); mend the source and land it again")
    _record(
        quarantine,
        {
            "time": now.astimezone(UTC).isoformat(),
            "source": name,
            "day": day.isoformat(),
            "reason": reason,
            "checks": [str(violation) for violation in found],
            "rows": rows.num_rows,
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    )
    replace_content(partition_path(lake, name, day), content)
    remove_day(quarantine, name, day)
    return True


def quarantined(quarantine: AnyPath, since: date, until: date) -> list[tuple[str, date]]:
    """Return the (source, day) that lie in quarantine in [since, until)."""
    return [
        (table, day)
        for table in tables(quarantine)
        for day in partition_days(quarantine, table)
        if since <= day < until
    ]


def explanation(quarantine: AnyPath, name: str, day: date) -> dict[str, Any]:
    """Return why a day lies in quarantine: `reason`, `rows`, `broken_rows` and the `checks` one by one."""
    path = partition_path(quarantine, name, day).with_name(REASON)
    note: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return note


def released(quarantine: AnyPath) -> list[dict[str, Any]]:
    """Return what was released, oldest first."""
    path = quarantine / RELEASES
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _referenced_first(sources: Mapping[str, Source]) -> Iterable[Source]:
    graph = {name: [reference.source for reference in source.references] for name, source in sources.items()}
    return [sources[name] for name in TopologicalSorter(graph).static_order() if name in sources]


def _partitions(rows: pd.DataFrame, wanted: list[date]) -> dict[date, pa.Table]:
    """Return the rows of each wanted day. Its `known_at` says to which day a row belongs, whenever it was delivered."""
    lows = rows["known_at"].searchsorted([pd.Timestamp(midnight(day)) for day in wanted])
    highs = rows["known_at"].searchsorted([pd.Timestamp(midnight(day + timedelta(days=1))) for day in wanted])
    table = pa.Table.from_pandas(rows, preserve_index=False)
    return {day: table.slice(low, high - low) for day, low, high in zip(wanted, lows, highs, strict=True)}


def _quarantine(root: AnyPath, name: str, day: date, rows: pa.Table, violations: list[Violation]) -> str:
    """Keep a partition apart with what explains it, and return the reason in one line."""
    folder = partition_path(root, name, day).parent
    if parts := [_broken_rows(item, item.rows.cast(rows.schema)) for item in violations if item.rows is not None]:
        replace_content(folder / BROKEN_ROWS, parquet(pa.concat_tables(parts)))
    elif (folder / BROKEN_ROWS).exists():
        (folder / BROKEN_ROWS).unlink()
    note = {
        "source": name,
        "day": day.isoformat(),
        "reason": _text(violations),
        "rows": rows.num_rows,
        "checks": [
            {
                "column": violation.column,
                "check": violation.check,
                "broken_rows": None if violation.rows is None else violation.rows.num_rows,
            }
            for violation in violations
        ],
    }
    replace_content(folder / REASON, f"{json.dumps(note, indent=2)}\n".encode())
    write_partition(root, name, day, rows)
    return _text(violations)


def _broken_rows(violation: Violation, table: pa.Table) -> pa.Table:
    """Return the rows that broke a check with two columns more, which say what they broke."""
    for name, text in (("_column", violation.column), ("_check", violation.check)):
        table = table.append_column(name, pa.repeat(text, table.num_rows))
    return table


def _text(violations: list[Violation]) -> str:
    return "; ".join(str(violation) for violation in violations)


def _record(quarantine: AnyPath, record: dict[str, Any]) -> None:
    """Append a release to the record, before it happens; one that is repeated after a kill is recorded once."""
    old = released(quarantine)
    if any(all(record[key] == other[key] for key in ("source", "day", "sha256")) for other in old):
        return
    text = "".join(json.dumps(line) + "\n" for line in (*old, record))
    replace_content(quarantine / RELEASES, text.encode())
