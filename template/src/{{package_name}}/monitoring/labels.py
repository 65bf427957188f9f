"""The prediction log as a table, and its cohorts once their labels have matured."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from ibis.backends.duckdb import Backend

from .. import problem
from ..lake import partition_days, partition_path, write_partition
from ..training.dataset import labels

PREDICTIONS = "predictions"
COHORTS = "cohorts"
ALIASES = ("champion", "challenger", "previous")


def read_log(log: Path, day: date) -> pd.DataFrame:
    """Return the logged predictions of one UTC day, one row per entity, the last where it was asked for twice.

    Columns: problem.REQUEST, `prediction_time` (UTC seconds), `answered_at`, `milliseconds`, problem.NUMERIC, and
    `<alias>_version`, `<alias>_score` for each alias (null where none was loaded). A half-written last line is left
    out: no client saw its answer.
    """
    rows = [
        record["request"]
        | record["features"]
        | {name: record[name] for name in ("request_id", "prediction_time", "answered_at", "milliseconds")}
        | _scores(record["scores"])
        for path in sorted((log / f"date={day.isoformat()}").glob("*.jsonl"))
        for record in _records(path)
    ]
    scores = [f"{alias}_{part}" for alias in ALIASES for part in ("version", "score")]
    order = ["request_id", "prediction_time", "answered_at", "milliseconds", *scores]
    # What is asked for may itself be an input of the model.
    table = pd.DataFrame(rows, columns=list(dict.fromkeys([*problem.REQUEST, *problem.NUMERIC, *order])))
    numbers = [*problem.NUMERIC, *(name for name in scores if name.endswith("score"))]
    table = table.astype(dict.fromkeys(numbers, "float64"))
    table = table.sort_values([*problem.ENTITY, "answered_at"], ignore_index=True)
    return table.drop_duplicates(list(problem.ENTITY), keep="last", ignore_index=True)


def logged_versions(log: Path) -> set[str]:
    """Return the versions that answered or shadowed any logged prediction."""
    return {
        score["version"]
        for path in log.glob("date=*/*.jsonl")
        for record in _records(path)
        for score in record["scores"].values()
    }


def store_predictions(log: Path, monitoring: Path, day: date) -> pd.DataFrame:
    """Write one day of the prediction log to the lake's form and return it; an empty day writes nothing."""
    table = read_log(log, day)
    if len(table):
        write_partition(monitoring, PREDICTIONS, day, pa.Table.from_pandas(table, preserve_index=False))
    return table


def read_days(monitoring: Path, table: str, days: list[date]) -> pd.DataFrame:
    """Return the rows of some daily partitions with their `day`; days that do not exist are left out."""
    held = set(partition_days(monitoring, table))
    parts = [pd.read_parquet(partition_path(monitoring, table, day)).assign(day=day) for day in days if day in held]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def mature(con: Backend, lake: Path, monitoring: Path) -> list[date]:
    """Join every cohort whose label delay has passed with its labels, and return the days that were new.

    A cohort is matured when the lake holds the label's source of all days through its label delay. A row without
    a label by then keeps `label` null, because it never gets one or gets it after the deadline, and counts against
    coverage.
    """
    landed = set(partition_days(lake, problem.LABEL_SOURCE))
    done = set(partition_days(monitoring, COHORTS))
    fresh = []
    for day in partition_days(monitoring, PREDICTIONS):
        deadline = day + problem.LABEL_DELAY
        if day in done or deadline not in landed:
            continue
        predictions = pd.read_parquet(partition_path(monitoring, PREDICTIONS, day))
        known = labels(con, lake, day, deadline + timedelta(days=1))
        cohort = predictions.drop(columns=[*problem.NUMERIC]).merge(known, on=list(problem.ENTITY), how="left")
        cohort = cohort.assign(label=cohort["label"].astype("boolean"))
        write_partition(monitoring, COHORTS, day, pa.Table.from_pandas(cohort, preserve_index=False))
        fresh.append(day)
    return fresh


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)


def _scores(scores: dict[str, dict[str, Any]]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for alias in ALIASES:
        found = scores.get(alias, {})
        flat |= {f"{alias}_version": found.get("version"), f"{alias}_score": found.get("score")}
    return flat
