"""The daily run: what the evidence of one day is, what the policy makes of it, and both on record."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from ibis.backends.duckdb import Backend

from .. import bundle, problem
from ..errors import DataError
from ..features.feature_view import FeatureView
from ..lake import AnyPath, Stores, midnight, partition_days, partition_path, stores, write_partition
from ..landing import quarantined
from ..settings import Settings
from ..source import Source
from . import drift, skew
from .labels import COHORTS, mature, read_days
from .performance import by_slice, daily_gains, expected, realised
from .policy import Action, Cause, Decision, Evidence, decide
from .predictions import PREDICTIONS, SCORES, compact, latest

PERFORMANCE = "performance"
SLICES = "slices"
EXPECTED = "expected"
DRIFT = "drift"
DECISIONS = "decisions"
WINDOW = problem.POLICY.recent_days
MOST = {"challenger": problem.POLICY.shadow_days_most, "previous": problem.POLICY.rollback_days_most}
MISSING = 28
# Days that are read to compare two versions: as many as the policy looks at, and four weeks that may be missing.
COMPARED = max(MOST.values()) + MISSING
HELD = 28  # days back in which a partition in quarantine still stops retraining
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Served:
    """A version that has an alias, and what monitoring must know of it."""

    number: str
    manifest: bundle.Manifest
    folder: Path
    """Its bundle."""
    recipe: str
    """See training/pipeline.py; empty when nobody noted it."""
    trained_on: date
    gates_passed: bool


Serving = Mapping[str, Served]


def run(
    con: Backend,
    settings: Settings,
    sources: Mapping[str, Source],
    views: Mapping[str, FeatureView],
    serving: Serving,
    last_training: date,
    day: date,
    landed_until: date | None = None,
) -> Decision:
    """Record one UTC day and return the policy's decision, which is added to the record when it is not there yet.

    `serving` maps each alias to its version; `last_training` is the day of the last training that counts. Only labels
    that had landed are used. A day may be run again: it changes what is new to it, such as a label that came late, and
    nothing else. What was decided before a version changed its alias stays decided. What the lake and the quarantine
    hold of `landed_until` (UTC day) and later counts as not there: a replay lands it while the day before is monitored.
    """
    data = stores(settings)
    monitoring = data.monitoring
    compact(settings.predictions, monitoring)
    evening = midnight(day) + DAY
    mature(con, data.lake, monitoring, settings.journal, evening, partial(_measure, monitoring), landed_until)
    _expect(monitoring, day)
    versions = {alias: version.number for alias, version in serving.items()}
    since = (day - last_training).days
    until = max((cohort for cohort in partition_days(monitoring, COHORTS) if cohort <= day), default=date.min)
    decisions = read_days(monitoring, DECISIONS, [day])
    if "cause" in decisions:
        last = decisions.iloc[-1]
        seen = json.loads(last["evidence"])
        if (seen["serving"], seen["days_since_training"]) != (versions, since):
            return _decided(last)
        until = date.fromisoformat(seen["matured_until"])  # what has matured since is of a later day
    evidence = Evidence(
        serving=versions,
        quarantined=_quarantined(data.quarantine, day, landed_until or day + DAY),
        skewed=_skewed(con, data, views, day - DAY),
        late=_late(data, sources, day - DAY),
        drifted=_drifted(monitoring, serving, day),
        **_service(monitoring, day),
        matured_until=until,
        **_model(monitoring, serving, until),
        **_versions(serving, day),
        days_since_training=since,
    )
    decision = decide(evidence)
    record = {"action": decision.action, "cause": decision.cause, "reason": decision.reason}
    row = pd.DataFrame([record | {"also": json.dumps(decision.also), "evidence": _json(evidence)}])
    if "cause" not in decisions:
        _write(monitoring, DECISIONS, day, row)
    elif row.iloc[0].to_dict() != last[row.columns].to_dict():
        _write(monitoring, DECISIONS, day, pd.concat([decisions[row.columns], row]))
    return decision


def standing(monitoring: AnyPath, day: date, serving: Mapping[str, str], last_training: date) -> Decision | None:
    """Return what was decided of a UTC day, or None when it was carried out or the versions have changed since.

    `serving` maps each alias to its version number. Raises DataError when the day was not recorded.
    """
    decisions = read_days(monitoring, DECISIONS, [day])
    if decisions.empty:
        raise DataError(f"{day} was not monitored yet; run `monitor run --day {day}` first")
    seen = json.loads(decisions.iloc[-1]["evidence"])
    since = (day - last_training).days
    return _decided(decisions.iloc[-1]) if (seen["serving"], seen["days_since_training"]) == (serving, since) else None


def _decided(row: pd.Series) -> Decision:
    return Decision(Action(row["action"]), row["reason"], Cause(row["cause"]), tuple(json.loads(row["also"])))


def _measure(monitoring: AnyPath, day: date, cohort: pd.DataFrame) -> None:
    """Write what was realised on a day."""
    version = cohort["champion_version"].mode().iloc[0]
    median, slow = cohort["milliseconds"].quantile([0.5, 0.99])
    about = {"version": version, "milliseconds": median, "milliseconds_p99": slow}
    _write(monitoring, PERFORMANCE, day, pd.DataFrame([realised(cohort) | about]))
    _write(monitoring, SLICES, day, by_slice(cohort).assign(version=version))


def _expect(monitoring: AnyPath, day: date) -> None:
    """Write what to expect of a day, and of each day that has answers and no expectation."""
    known = set(partition_days(monitoring, EXPECTED)) - {day}
    columns = [*problem.ENTITY, "answered_at", "champion_version", "champion_score"]
    for answered in set(partition_days(monitoring, PREDICTIONS)) - known:
        answers = latest(read_days(monitoring, PREDICTIONS, [answered], columns))
        about = {"version": answers["champion_version"].mode().iloc[0]}
        _write(monitoring, EXPECTED, answered, pd.DataFrame([expected(answers) | about]))


def _quarantined(quarantine: AnyPath, day: date, until: date) -> list[str]:
    return [f"{table} of {when}" for table, when in quarantined(quarantine, day - HELD * DAY, until)]


def _skewed(con: Backend, data: Stores, views: Mapping[str, FeatureView], day: date) -> list[str] | None:
    answers = latest(read_days(data.monitoring, PREDICTIONS, [day]))
    shares = skew.skew(con, list(views.values()), data.lake, data.features, day, answers)
    return None if shares is None else skew.told(shares)


def _late(data: Stores, sources: Mapping[str, Source], due: date) -> list[str]:
    """Return the daily sources of which neither the lake nor the quarantine holds the day that was due."""
    roots = (data.lake, data.quarantine)
    daily = [name for name, source in sources.items() if source.daily]
    held = {name for name in daily for root in roots if partition_path(root, name, due).exists()}
    return [f"{name} of {due}" for name in daily if name not in held]


def _drifted(monitoring: AnyPath, serving: Serving, day: date) -> list[str]:
    week = [day - offset * DAY for offset in range(WINDOW)]
    if "champion" not in serving:
        return []
    champion = serving["champion"]
    columns = dict.fromkeys([*problem.ENTITY, "answered_at", *champion.manifest.numeric])
    live = read_days(monitoring, PREDICTIONS, week, list(columns))
    if live.empty or live["day"].nunique() < WINDOW:
        return []  # half a week has other weekdays than a whole one, and no other meaning
    table = drift.drift(latest(live), pd.read_parquet(champion.folder / bundle.REFERENCE), champion.manifest.numeric)
    _write(monitoring, DRIFT, day, table)
    return drift.told(table)


def _service(monitoring: AnyPath, day: date) -> dict[str, Any]:
    """Return what the day's answers say of the service; its own metrics have what it refused, and when."""
    before = read_days(monitoring, EXPECTED, [day - offset * DAY for offset in range(1, WINDOW + 1)])
    usual = float(before["count"].median()) if len(before) else 0.0
    answers = read_days(monitoring, PREDICTIONS, [day], ["milliseconds"])
    milliseconds = answers.get("milliseconds", pd.Series(dtype=float))
    slow = float((milliseconds > problem.POLICY.slow_milliseconds).mean()) if len(milliseconds) else 0.0
    return {"answers": len(milliseconds), "usual_answers": usual, "slow": slow}


def _model(monitoring: AnyPath, serving: Serving, until: date) -> dict[str, Any]:
    matured = [cohort for cohort in partition_days(monitoring, COHORTS) if cohort <= until]
    compared = MISSING + max((MOST[alias] for alias in MOST.keys() & serving.keys()), default=WINDOW)
    cohorts = read_days(monitoring, COHORTS, matured[-compared:], ["label", *SCORES])
    champion = serving.get("champion")
    mine = cohorts[cohorts["champion_version"] == (champion and champion.number)] if len(cohorts) else cohorts
    whole = _whole_days(cohorts, mine)
    recent = mine[mine["day"].isin(whole[-WINDOW:])] if len(mine) else mine
    gains: dict[str, Sequence[float]] = {"challenger": (), "previous": ()}
    for alias in gains.keys() & serving.keys():
        if len(mine):
            rows = mine[(mine[f"{alias}_version"] == serving[alias].number) & mine["day"].isin(whole)]
            first = rows["day"].unique()[: MOST[alias] + 1]  # with one more, its time is over
            gains[alias] = daily_gains(rows[rows["day"].isin(first)], alias).tolist()
    return {
        "recent": realised(recent) if len(recent) else {"coverage": 0.0, "count": 0.0},
        "recent_days": min(WINDOW, len(whole)),
        "promised_auc": champion.manifest.metrics["auc"] if champion else float("nan"),
        **gains,
    }


def _versions(serving: Serving, day: date) -> dict[str, Any]:
    """Return what the registry knows of the versions."""
    champion, challenger = serving.get("champion"), serving.get("challenger")
    return {
        "champion_age": (day - champion.trained_on).days if champion else 0,
        "forced": bool(champion and not champion.gates_passed),
        "shadowing": challenger is not None,
        "refresh": bool(champion and challenger and challenger.recipe and challenger.recipe == champion.recipe),
    }


def _whole_days(cohorts: pd.DataFrame, mine: pd.DataFrame) -> list[date]:
    """Return the days on which the champion answered at least nine tenths of the rows."""
    if mine.empty:
        return []
    share = mine.groupby("day").size() / cohorts.groupby("day").size()
    return sorted(share[share >= 0.9].index)


def _json(evidence: Evidence) -> str:
    """Return the evidence as JSON, which has no NaN and no dates."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: plain(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value.isoformat() if isinstance(value, date) else value

    return json.dumps(plain(asdict(evidence)), sort_keys=True)


def _write(monitoring: AnyPath, table: str, day: date, rows: pd.DataFrame) -> None:
    write_partition(monitoring, table, day, pa.Table.from_pandas(rows, preserve_index=False))
