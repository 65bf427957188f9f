"""Realised performance on matured cohorts, always with its label coverage."""

import numpy as np
import pandas as pd

from ..training.evaluate import auc, auc_interval, calibration_error


def realised(cohorts: pd.DataFrame, score: str = "champion_score") -> dict[str, float]:
    """Return coverage, count, AUC with its 95 % interval, calibration error, label rate and mean score of some rows."""
    known = cohorts[cohorts["label"].notna() & cohorts[score].notna()]
    if known.empty:
        return {"coverage": 0.0, "count": 0.0}
    labels = known["label"].to_numpy(dtype=bool)
    scores = known[score].to_numpy(dtype=np.float64)
    low, high = auc_interval(labels, scores)
    return {
        "coverage": float(cohorts["label"].notna().mean()),
        "count": float(len(known)),
        "auc": auc(labels, scores),
        "auc_low": low,
        "auc_high": high,
        "calibration_error": calibration_error(labels, scores),
        "label_rate": float(labels.mean()),
        "mean_score": float(scores.mean()),
    }


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
