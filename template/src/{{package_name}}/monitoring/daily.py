"""The daily run: what the evidence of one day is, what the policy makes of it, and both on record."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
from ibis.backends.duckdb import Backend

from .. import bundle, problem
from ..lake import partition_days, write_partition
from ..landing import quarantined
from .drift import drift
from .labels import COHORTS, mature, read_days
from .performance import daily_gains, realised
from .policy import Decision, Evidence, decide
from .predictions import PREDICTIONS, compact, latest

PERFORMANCE = "performance"
DRIFT = "drift"
DECISIONS = "decisions"
WINDOW = problem.POLICY.recent_days
# Days that are read to compare two versions: as many as the policy looks at, and four weeks that may be missing.
COMPARED = max(problem.POLICY.shadow_days_most, problem.POLICY.rollback_days_most) + 28
HELD = 28  # days back in which a partition in quarantine still stops retraining


def run(
    con: Backend,
    lake: Path,
    quarantine: Path,
    log: Path,
    monitoring: Path,
    serving: Mapping[str, tuple[str, bundle.Manifest, Path]],
    last_training: date,
    day: date,
) -> Decision:
    """Record one UTC day and return the policy's decision; running a day again replaces its records.

    `serving` maps each alias to its version number, manifest and bundle folder; `last_training` is the day the newest
    version was trained on. Only labels that had landed are used.
    """
    compact(log, monitoring)
    for cohort_day in mature(con, lake, monitoring):
        cohort = read_days(monitoring, COHORTS, [cohort_day])
        versions = cohort["champion_version"].mode()
        row = realised(cohort) | {"version": versions.iloc[0], "milliseconds": cohort["milliseconds"].median()}
        row |= {"milliseconds_p99": cohort["milliseconds"].quantile(0.99)}
        _write(monitoring, PERFORMANCE, cohort_day, pd.DataFrame([row]))
    moved: list[str] = []
    if "champion" in serving:
        moved = _drift(monitoring, serving["champion"], day)
    evidence = _evidence(monitoring, quarantine, serving, last_training, day, moved)
    decision = decide(evidence)
    record = {"action": str(decision.action), "reason": decision.reason, "evidence": str(asdict(evidence))}
    _write(monitoring, DECISIONS, day, pd.DataFrame([record]))
    return decision


def _drift(monitoring: Path, champion: tuple[str, bundle.Manifest, Path], day: date) -> list[str]:
    _, manifest, folder = champion
    week = [day - timedelta(days=offset) for offset in range(WINDOW)]
    live = read_days(monitoring, PREDICTIONS, week)
    if live.empty or live["day"].nunique() < WINDOW:
        return []  # half a week has other weekdays than a whole one, and no other meaning
    table = drift(latest(live), pd.read_parquet(folder / bundle.REFERENCE), manifest.numeric)
    _write(monitoring, DRIFT, day, table)
    return [str(name) for name in table[table["moved"]]["feature"]]


def _evidence(
    monitoring: Path,
    quarantine: Path,
    serving: Mapping[str, tuple[str, bundle.Manifest, Path]],
    last_training: date,
    day: date,
    moved: list[str],
) -> Evidence:
    matured = [cohort for cohort in partition_days(monitoring, COHORTS) if cohort <= day]
    cohorts = read_days(monitoring, COHORTS, matured[-COMPARED:])
    champion = serving["champion"][0] if "champion" in serving else None
    mine = cohorts[cohorts["champion_version"] == champion] if len(cohorts) else cohorts
    whole = _whole_days(cohorts, mine)
    recent = mine[mine["day"].isin(whole[-WINDOW:])] if len(mine) else mine
    gains: dict[str, Sequence[float]] = {"challenger": (), "previous": ()}
    for alias in gains.keys() & serving.keys():
        if len(mine):
            rows = mine[(mine[f"{alias}_version"] == serving[alias][0]) & mine["day"].isin(whole)]
            gains[alias] = daily_gains(rows, alias).tolist()
    held = quarantined(quarantine, day - timedelta(days=HELD), day + timedelta(days=1))
    return Evidence(
        quarantined=[f"{table} of {when}" for table, when in held],
        recent=realised(recent) if len(recent) else {"coverage": 0.0, "count": 0.0},
        recent_days=min(WINDOW, len(whole)),
        promised_auc=serving["champion"][1].metrics["auc"] if champion else float("nan"),
        challenger=gains["challenger"],
        previous=gains["previous"],
        days_since_training=(day - last_training).days,
        shadowing="challenger" in serving,
        drifted=moved,
    )


def _whole_days(cohorts: pd.DataFrame, mine: pd.DataFrame) -> list[date]:
    """Return the days on which the champion answered at least nine tenths of the rows."""
    if mine.empty:
        return []
    share = mine.groupby("day").size() / cohorts.groupby("day").size()
    return sorted(share[share >= 0.9].index)


def _write(monitoring: Path, table: str, day: date, rows: pd.DataFrame) -> None:
    write_partition(monitoring, table, day, pa.Table.from_pandas(rows, preserve_index=False))
