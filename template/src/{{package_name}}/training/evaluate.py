"""Measures of a probabilistic classifier, and the uncertainty of their differences."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from scipy.stats import t as student
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]
BINS = 10  # of a calibration error


def auc(labels: Labels, scores: Scores) -> float:
    """Return the area under the ROC curve; NaN when only one class is there, or a score is NaN.

    By the ranks (Mann and Whitney): scikit-learn draws the curve first, and monitoring asks for hundreds in an evening.
    """
    positives = int(labels.sum())
    if not 0 < positives < len(labels) or np.isnan(scores).any():
        return float("nan")
    above = rankdata(scores)[labels].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(labels) - positives)))


def auc_interval(labels: Labels, scores: Scores, clusters: NDArray[np.generic] | None = None) -> tuple[float, float]:
    """Return the 95 % interval of the area under the ROC curve; NaN when it has none, or one cluster is all there is.

    `clusters` says which rows have their causes in common, such as those of one day: n values. The variance is that of
    Obuchowski ("Nonparametric analysis of clustered ROC curve data", Biometrics 53, 1997, section 2), which without
    clusters is that of DeLong et al. (Biometrics 44, 1988). The components come from ranks (Sun and Xu, IEEE Signal
    Processing Letters 21, 2014), the quantile from Student's t with one degree of freedom less than clusters.
    """
    area, positives, negatives = auc(labels, scores), int(labels.sum()), int((~labels).sum())
    names, where = np.unique(np.arange(len(labels)) if clusters is None else clusters, return_inverse=True)
    if np.isnan(area) or len(names) < 2:
        return float("nan"), float("nan")
    ranks = rankdata(scores)
    # How large a share of the other class each row is on the right side of, ties counting one half.
    share = np.empty(len(labels))
    share[labels] = (ranks[labels] - rankdata(scores[labels])) / negatives
    share[~labels] = 1 - (ranks[~labels] - rankdata(scores[~labels])) / positives
    sums, variance = [], 0.0
    for mine, count in ((labels, positives), (~labels, negatives)):
        held = np.bincount(where[mine], minlength=len(names))
        off = (np.bincount(where[mine], share[mine], minlength=len(names)) - held * area) / count
        having = max(int((held > 0).sum()), 2)
        sums.append(off)
        variance += having / (having - 1) * float(off @ off)
    variance += 2 * len(names) / (len(names) - 1) * float(sums[0] @ sums[1])
    margin = float(student.ppf(0.975, len(names) - 1) * np.sqrt(max(variance, 0.0)))
    return area - margin, area + margin


def expected_auc(scores: Scores) -> float:
    """Return the area under the ROC curve that scores will have if each is the probability of its label; NaN of none.

    Confidence-based performance estimation (Kivimäki et al., "Performance estimation in binary classification using
    calibrated confidence", arXiv:2505.05295), for this measure as in NannyML 0.13: each row counts as a positive with
    its score for a weight, and as a negative with the rest of one.
    """
    if not len(scores) or np.isnan(scores).any() or not 0 < scores.sum() < len(scores):
        return float("nan")
    labels = np.repeat([True, False], len(scores))
    return float(roc_auc_score(labels, np.tile(scores, 2), sample_weight=np.concatenate([scores, 1 - scores])))


def calibration_bins(labels: Labels, scores: Scores, bins: int = BINS) -> pd.DataFrame:
    """Return `predicted`, `observed` (means) and `count` of equal-count bins by score, lowest first."""
    rows = [(scores[part].mean(), labels[part].mean(), len(part)) for part in _equal_counts(scores, bins)]
    return pd.DataFrame(rows, columns=["predicted", "observed", "count"])


def _equal_counts(scores: Scores, bins: int) -> list[NDArray[np.intp]]:
    """Return the places of the rows of each bin by score, lowest first; fewer than `bins` of fewer rows."""
    return [part for part in np.array_split(np.argsort(scores, kind="stable"), bins) if len(part)]


def calibration_error(labels: Labels, scores: Scores) -> float:
    """Return the expected calibration error over ten equal-count bins (Naeini et al., AAAI 2015), NaN of NaN scores."""
    parts = _equal_counts(scores, BINS)
    gaps = [abs(scores[part].mean() - labels[part].mean()) * len(part) for part in parts]
    return float(np.sum(gaps) / len(labels)) if parts else float("nan")


def calibration_interval(
    labels: Labels, scores: Scores, clusters: NDArray[np.generic] | None = None
) -> tuple[float, float]:
    """Return the 95 % interval of the calibration error; NaN for one cluster. `clusters` is that of `auc_interval`.

    The error is the mean over the rows of (label - score), each with the sign of its bin's gap. With the signs held as
    they are, it is a ratio estimate over the clusters (Cochran, Sampling Techniques, 1977, equation 2.40).
    """
    names, where = np.unique(np.arange(len(labels)) if clusters is None else clusters, return_inverse=True)
    if len(names) < 2:
        return float("nan"), float("nan")
    signed = np.empty(len(labels))
    for part in _equal_counts(scores, BINS):
        gaps = labels[part] - scores[part]
        signed[part] = gaps * np.sign(gaps.sum())
    off = np.bincount(where, signed - signed.mean())
    margin = student.ppf(0.975, len(names) - 1) * np.sqrt(len(names) / (len(names) - 1) * off @ off) / len(labels)
    return float(signed.mean() - margin), float(signed.mean() + margin)


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
