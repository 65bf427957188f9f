"""Realised performance on matured cohorts, always with its label coverage, and what to expect before they mature."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..problem import REQUEST, SLICES, entity_columns
from ..training.evaluate import auc, auc_interval, calibration_error, calibration_interval, expected_auc


def realised(cohorts: pd.DataFrame, score: str = "champion_score") -> dict[str, float]:
    """Return coverage, count, AUC, calibration error, label rate and mean score of some rows that may have a label.

    AUC and calibration error have 95 % intervals, `<name>_low` and `<name>_high`. Rows of several days (`day`) are not
    independent: their intervals take a day for the unit, and are wide where there are few.
    """
    known = cohorts[cohorts["label"].notna() & cohorts[score].notna()]
    if known.empty:
        return {"coverage": 0.0, "count": 0.0}
    labels = known["label"].to_numpy(dtype=bool)
    scores = known[score].to_numpy(dtype=np.float64)
    days = known["day"].to_numpy() if "day" in known and known["day"].nunique() > 1 else None
    found = {"auc": auc(labels, scores), "calibration_error": calibration_error(labels, scores)}
    found["auc_low"], found["auc_high"] = auc_interval(labels, scores, days)
    found["calibration_error_low"], found["calibration_error_high"] = calibration_interval(labels, scores, days)
    rates = {"label_rate": float(labels.mean()), "mean_score": float(scores.mean())}
    return {"coverage": float(cohorts["label"].notna().mean()), "count": float(len(known))} | found | rates


def by_slice(cohorts: pd.DataFrame, names: Sequence[str] = SLICES) -> pd.DataFrame:
    """Return `realised` for each value of the columns `names`, which stand before it as `slice` and `value`.

    A name that the rows lack is one of those that the request tells; see problem.entity_columns.
    """
    if not set(names) <= set(cohorts.columns):
        told = entity_columns({name: cohorts[name].to_numpy() for name in REQUEST})
        cohorts = cohorts.assign(**{name: told[name] for name in names if name not in cohorts})
    rows = [
        {"slice": name, "value": str(value)} | realised(part) for name in names for value, part in cohorts.groupby(name)
    ]
    return pd.DataFrame(rows)


def expected(predictions: pd.DataFrame) -> dict[str, float]:
    """Return `count`, and the AUC and label rate that the champion's scores promise if they are calibrated.

    It needs no label, and cannot see what only labels tell: that the same inputs have other outcomes than before.
    """
    scores = predictions["champion_score"].dropna().to_numpy(dtype=np.float64)
    rate = float(scores.mean()) if len(scores) else float("nan")
    return {"count": float(len(scores)), "expected_auc": expected_auc(scores), "expected_rate": rate}


def daily_gains(cohorts: pd.DataFrame, other: str) -> pd.Series:
    """Return, by day, the AUC of `other` minus the champion's on the day's labelled rows that both scored.

    A day counts once however many rows it has: what its rows have in common favours one of two models, and that is most
    of what a difference varies by. Days with one outcome only have no AUC and are left out.
    """
    both = cohorts[cohorts["label"].notna() & cohorts["champion_score"].notna() & cohorts[f"{other}_score"].notna()]
    gains = {}
    for day, rows in both.groupby("day"):
        labels = rows["label"].to_numpy(dtype=bool)
        theirs, ours = (rows[f"{alias}_score"].to_numpy(dtype=np.float64) for alias in (other, "champion"))
        gains[day] = auc(labels, theirs) - auc(labels, ours)
    return pd.Series(gains, dtype=np.float64).dropna()
