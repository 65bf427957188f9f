"""The cohorts of the predictions: written when their labels mature, and again when a label comes late or changes."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from .. import problem
from ..lake import AnyPath, partition_days, partition_path, readable, write_partition
from ..training.dataset import labels
from . import predictions
from .events import Event, record
from .predictions import PREDICTIONS, latest

COHORTS = "cohorts"
# What is asked for may itself be an input of the model; the other inputs stay where they are.
COLUMNS = [name for name in predictions.COLUMNS if name in problem.REQUEST or name not in problem.NUMERIC]


def read_days(monitoring: AnyPath, table: str, days: list[date], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the rows of some daily partitions with their `day`; days that do not exist are left out.

    `columns` chooses some; one that a partition does not have is null there.
    """
    found = _read_tables(monitoring, table, days, columns)
    parts = [part.append_column("day", pa.repeat(pa.scalar(day), len(part))) for day, part in found.items()]
    if not parts:
        return pd.DataFrame()
    # As one table, since pandas takes as long for a day's as for all of them.
    rows: pd.DataFrame = pa.concat_tables(parts, promote_options="permissive").to_pandas()
    return rows


def _read_tables(
    monitoring: AnyPath, table: str, days: list[date], columns: Sequence[str] | None = None
) -> dict[date, pa.Table]:
    """Return the rows of those of some daily partitions that exist."""
    held = set(partition_days(monitoring, table, min(days), max(days) + timedelta(days=1))) if days else set()
    parts = {}
    for day in (day for day in days if day in held):
        with pq.ParquetFile(readable(partition_path(monitoring, table, day))) as file:
            names = set(file.schema_arrow.names)
            chosen = None if columns is None else [name for name in columns if name in names]
            # In this thread: to share a day's few pages out costs more than to read them.
            parts[day] = file.read(chosen, use_threads=False)
    return parts


def mature(
    con: Backend,
    lake: AnyPath,
    monitoring: AnyPath,
    journal: Path,
    at: datetime,
    measure: Callable[[date, pd.DataFrame], None] = lambda day, cohort: None,
    until: date | None = None,
) -> list[date]:
    """Join every cohort whose label delay has passed with its labels, and return the days that are new or changed.

    A cohort is matured when the lake holds the label's source of the last day of the delay. A row without a label by
    then keeps `label` null, because it never gets one or gets it late, and counts against coverage. A label that comes,
    or is another one, in the LABEL_CORRECTIONS after it changes the cohort; so do answers that were folded late. An
    event of the instant `at` in `journal` says what changed, and when nothing did no file is touched. `measure` is
    called with each such cohort before it is written: a run that is killed meanwhile is made up for by the next.
    Of the lake only the days before `until` (UTC) count, all of them when it is None.
    """
    landed = partition_days(lake, problem.LABEL_SOURCE, None, until)
    done = set(partition_days(monitoring, COHORTS))
    deadlines = {day: day + problem.LABEL_DELAY for day in partition_days(monitoring, PREDICTIONS)}
    open_days = [
        day
        for day, deadline in deadlines.items()
        if deadline in landed and (day not in done or landed[-1] <= deadline + problem.LABEL_CORRECTIONS)
    ]
    if not open_days:
        return []
    known = labels(con, lake, open_days[0], landed[-1] + timedelta(days=1))
    known = known.drop_duplicates(list(problem.ENTITY), keep="last")  # what was said last holds
    same = _unchanged(monitoring, open_days, known)
    return [day for day in open_days if day not in same and _write(monitoring, journal, day, known, at, measure)]


def _unchanged(monitoring: AnyPath, days: list[date], known: pd.DataFrame) -> set[date]:
    """Return days whose cohort has the answers and labels that it would have now: most days, most evenings.

    They are compared as they lie on the disk, and joined with the labels at once. A day with an answer that replaced
    another is not found here.
    """
    written = _read_tables(monitoring, COHORTS, days)
    answers = _read_tables(monitoring, PREDICTIONS, list(written), COLUMNS)
    if not answers:
        return set()
    keys = [part.select(list(problem.ENTITY)) for part in answers.values()]
    asked = pa.concat_tables(keys, promote_options="permissive").to_pandas()
    joined = asked.merge(known, on=list(problem.ENTITY), how="left")["label"].astype("boolean")
    labels, start, same = pa.array(joined, pa.bool_()), 0, set()
    for day, part in answers.items():
        mine = labels.slice(start, len(part))
        start += len(part)
        with suppress(pa.ArrowException):  # other columns than it has now, or other types
            if written[day].equals(part.append_column("label", mine).cast(written[day].schema)):
                same.add(day)
    return same


def _write(
    monitoring: AnyPath,
    journal: Path,
    day: date,
    known: pd.DataFrame,
    at: datetime,
    measure: Callable[[date, pd.DataFrame], None],
) -> bool:
    """Write a day's cohort if that changes it, after an event that says so, and return whether it did."""
    answers = latest(read_days(monitoring, PREDICTIONS, [day], COLUMNS).drop(columns="day"))
    cohort = answers.merge(known, on=list(problem.ENTITY), how="left")
    cohort = cohort.assign(label=cohort["label"].astype("boolean"))
    table, path = pa.Table.from_pandas(cohort, preserve_index=False), partition_path(monitoring, COHORTS, day)
    if path.exists():
        if pq.ParquetFile(readable(path)).read().equals(table):
            return False
        added, changed = _corrected(pd.read_parquet(readable(path)), cohort)
        if added or changed:
            text = f"cohort of {day} corrected: {added} label(s) added, {changed} changed"
            record(journal, Event(at, "correct", "", text))
    measure(day, cohort)
    write_partition(monitoring, COHORTS, day, table)
    return True


def _corrected(before: pd.DataFrame, now: pd.DataFrame) -> tuple[int, int]:
    """Return how many rows have a label that had none, and how many have another one or none any more."""
    new = now.set_index(list(problem.ENTITY))["label"]
    old = before.set_index(list(problem.ENTITY))["label"].reindex(new.index)
    same = (old == new).fillna(False)
    return int((old.isna() & new.notna()).sum()), int((old.notna() & ~same).sum())
