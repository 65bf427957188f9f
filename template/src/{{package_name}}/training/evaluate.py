"""Measures of a probabilistic classifier, and the uncertainty of their differences."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]


def auc(labels: Labels, scores: Scores) -> float:
    """Return the area under the ROC curve; NaN when only one class is there, or a score is NaN."""
    known = 0 < labels.sum() < len(labels) and not np.isnan(scores).any()
    return float(roc_auc_score(labels, scores)) if known else float("nan")


def auc_interval(labels: Labels, scores: Scores, z: float = 1.96) -> tuple[float, float]:
    """Return the interval auc +- z standard errors by Hanley and McNeil (Radiology 143, 1982, equation 2)."""
    area, positives = auc(labels, scores), int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return float("nan"), float("nan")
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    error = float(np.sqrt(variance / (positives * negatives)))
    return area - z * error, area + z * error


def calibration_bins(labels: Labels, scores: Scores, bins: int = 10) -> pd.DataFrame:
    """Return `predicted`, `observed` (means) and `count` of equal-count bins by score, lowest first."""
    parts = np.array_split(np.argsort(scores, kind="stable"), bins)
    rows = [(scores[part].mean(), labels[part].mean(), len(part)) for part in parts if len(part)]
    return pd.DataFrame(rows, columns=["predicted", "observed", "count"])


def calibration_error(labels: Labels, scores: Scores) -> float:
    """Return the expected calibration error over ten equal-count bins (Naeini et al., AAAI 2015), NaN of NaN scores."""
    bins = calibration_bins(labels, scores)
    gaps = (bins["predicted"] - bins["observed"]).abs()
    return float((gaps * bins["count"]).sum(skipna=False) / bins["count"].sum())


def measure(labels: Labels, scores: Scores) -> dict[str, float]:
    """Return AUC, log loss, Brier score, calibration error, base rate and count."""
    return {
        "auc": auc(labels, scores),
        "log_loss": float(log_loss(labels, scores, labels=[False, True])),
        "brier": float(brier_score_loss(labels, scores)),
        "calibration_error": calibration_error(labels, scores),
        "base_rate": float(labels.mean()),
        "count": float(len(labels)),
    }


def slices(labels: Labels, scores: Scores, groups: NDArray[np.generic]) -> dict[str, float]:
    """Return the AUC of each group."""
    return {str(group): auc(labels[groups == group], scores[groups == group]) for group in np.unique(groups)}


def auc_difference(
    labels: Labels, ours: Scores, theirs: Scores, days: NDArray[np.generic], seed: int, draws: int = 2000
) -> Mapping[str, float]:
    """Return `difference` (ours - theirs), and its one-sided 95 % bounds `low` and `high`.

    A paired bootstrap over whole days (Efron and Tibshirani 1993, chapter 8): rows of one day have their causes
    in common, so drawing single rows would make the interval far too narrow. NaN bounds when no draw held both classes.
    """
    values, where = np.unique(days, return_inverse=True)
    drawn = np.random.default_rng(seed).multinomial(len(values), np.full(len(values), 1 / len(values)), size=draws)
    positives = np.bincount(where[labels], minlength=len(values))
    negatives = np.bincount(where[~labels], minlength=len(values))
    pairs = (drawn @ positives) * (drawn @ negatives)
    gained = _concordant(labels, ours, where) - _concordant(labels, theirs, where)
    differences = np.einsum("di,ij,dj->d", drawn, gained, drawn)[pairs > 0] / pairs[pairs > 0]
    low, high = np.quantile(differences, [0.05, 0.95]) if len(differences) else (np.nan, np.nan)
    return {"difference": auc(labels, ours) - auc(labels, theirs), "low": float(low), "high": float(high)}


def _concordant(labels: Labels, scores: Scores, where: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return, for days (i, j), how many pairs (positive on i, negative on j) are ranked right, ties counting one half.

    The AUC of any multiset of days is a weighted sum of these, so that a draw costs a product and not a sort.
    """
    days = range(int(where.max()) + 1)
    positives = [scores[(where == day) & labels] for day in days]
    negatives = [np.sort(scores[(where == day) & ~labels]) for day in days]
    counts = np.zeros((len(days), len(days)))
    for i, positive in enumerate(positives):
        for j, negative in enumerate(negatives):
            below, upto = (np.searchsorted(negative, positive, side=side).sum() for side in ("left", "right"))
            counts[i, j] = (below + upto) / 2
    return counts
