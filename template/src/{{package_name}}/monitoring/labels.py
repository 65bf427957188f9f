"""The cohorts of the predictions, once their labels have matured."""

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
from ibis.backends.duckdb import Backend

from .. import problem
from ..lake import partition_days, partition_path, write_partition
from ..training.dataset import labels
from .predictions import PREDICTIONS, latest

COHORTS = "cohorts"


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
        predictions = latest(pd.read_parquet(partition_path(monitoring, PREDICTIONS, day)))
        known = labels(con, lake, day, deadline + timedelta(days=1))
        cohort = predictions.drop(columns=[*problem.NUMERIC]).merge(known, on=list(problem.ENTITY), how="left")
        cohort = cohort.assign(label=cohort["label"].astype("boolean"))
        write_partition(monitoring, COHORTS, day, pa.Table.from_pandas(cohort, preserve_index=False))
        fresh.append(day)
    return fresh
