"""Realised performance on matured cohorts, always with its label coverage."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..training.evaluate import auc, auc_difference, auc_interval, calibration_error


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


def compare(cohorts: pd.DataFrame, other: str, seed: int) -> Mapping[str, float] | None:
    """Return evaluate.auc_difference of the champion minus `other` on the rows both scored, or None without rows."""
    both = cohorts[cohorts["label"].notna() & cohorts["champion_score"].notna() & cohorts[f"{other}_score"].notna()]
    if both.empty:
        return None
    return auc_difference(
        both["label"].to_numpy(dtype=bool),
        both["champion_score"].to_numpy(dtype=np.float64),
        both[f"{other}_score"].to_numpy(dtype=np.float64),
        both["day"].to_numpy().astype("datetime64[D]"),
        seed,
    )
