"""The gates a candidate must pass before it may shadow or serve: what was measured, its bound, and what to do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bounds import GateBounds
from ..problem import BASELINE, BOUNDS
from .evaluate import Labels, Scores, auc, auc_difference, calibration_error, slices
from .probes import Observed


@dataclass(frozen=True)
class Gate:
    """The outcome of one gate."""

    name: str
    passed: bool
    measured: float
    bound: float
    reason: str
    """What was measured and what was asked, in words and figures."""
    hint: str
    """What to do when it refuses."""

    def __str__(self) -> str:
        line = f"{self.name}: {'passed' if self.passed else 'REFUSED'}, {self.reason}"
        return line if self.passed else f"{line}; {self.hint}"

    def record(self) -> dict[str, Any]:
        """Return the gate as JSON can hold it: what could not be measured is null."""
        return asdict(self) | {"measured": self.measured if math.isfinite(self.measured) else None}


@dataclass(frozen=True)
class Evidence:
    """Test rows, later than everything the candidate was fitted on, and what everyone makes of them.

    The arrays of labels, days, groups and scores have one value per test row; `champion` is None before the first
    deploy.
    """

    labels: Labels
    days: NDArray[np.generic]
    groups: Mapping[str, NDArray[np.generic]]
    candidate: Scores
    onnx: Scores
    baseline: Scores
    champion: Scores | None
    milliseconds: NDArray[np.float64]
    """How long the exported model took for single rows, each on its own."""
    behaviours: Sequence[Observed]


def judge(evidence: Evidence, seed: int, bounds: GateBounds = BOUNDS) -> list[Gate]:
    """Return the outcome of every gate that applies, in a fixed order."""
    gates = [_beats_baseline(evidence, bounds), _calibrated(evidence, bounds)]
    if evidence.champion is not None:
        gates.append(_not_worse(evidence, evidence.champion, seed, bounds))
        gates.append(_no_slice_falls(evidence, evidence.champion, bounds))
    return [*gates, _onnx_equal(evidence, bounds), _fast(evidence, bounds), _behaves(evidence)]


def passed(gates: Sequence[Gate]) -> bool:
    """Return whether every gate passed; no gates at all is a refusal."""
    return bool(gates) and all(gate.passed for gate in gates)


def _beats_baseline(evidence: Evidence, bounds: GateBounds) -> Gate:
    """In a storm no model knows much more than it: by half is enough there, where the champion does no better."""
    ours, theirs = auc(evidence.labels, evidence.candidate), auc(evidence.labels, evidence.baseline)
    gain, bound = ours - theirs, bounds.baseline_auc_margin
    if evidence.champion is not None and (margin := auc(evidence.labels, evidence.champion) - theirs) < bound:
        bound = max(margin, bound / 2)
    known = " and ".join(BASELINE)
    reason = (
        f"AUC {ours:.3f} is {gain:+.4f} from the {theirs:.3f} of the historic rate by {known}, {bound:+.4g} is asked"
    )
    hint = f"it knows hardly more than {known}: look for broken labels or features in the training window"
    return Gate("beats the baseline (AUC)", gain >= bound, gain, bound, reason, hint)


def _calibrated(evidence: Evidence, bounds: GateBounds) -> Gate:
    """In a storm no model is calibrated, so a candidate may be as far off as the champion on the same rows."""
    error = calibration_error(evidence.labels, evidence.candidate)
    bound = bounds.calibration_error
    if evidence.champion is not None:
        bound = max(bound, calibration_error(evidence.labels, evidence.champion))
    rates = f"base rate {evidence.labels.mean():.3f}, mean score {evidence.candidate.mean():.3f}"
    reason = f"off by {error:.4f} on average, at most {bound:.4g} is allowed ({rates})"
    hint = "its probabilities are off: compare the base rates of the training and the test window"
    return Gate("calibration error", error <= bound, error, bound, reason, hint)


def _not_worse(evidence: Evidence, champion: Scores, seed: int, bounds: GateBounds) -> Gate:
    found = auc_difference(evidence.labels, evidence.candidate, champion, evidence.days, seed)
    low = found["low"] if math.isfinite(found["difference"]) else math.nan  # NaN scores have an order, and no AUC
    bound = -bounds.champion_auc_loss
    reason = f"its AUC differs by {found['difference']:+.4f}, at least {low:+.4f} at 95 %, {bound:+g} is asked"
    hint = "the champion is better on the same later days: keep it, and look at what changed in the training data"
    return Gate("not worse than the champion (AUC, lower 95 %)", low >= bound, low, bound, reason, hint)


def _no_slice_falls(evidence: Evidence, champion: Scores, bounds: GateBounds) -> Gate:
    """A slice in which only one outcome occurred has no AUC, and nothing to say."""
    falls = {
        f"{name}={group}": theirs - ours
        for name, values in evidence.groups.items()
        for (group, ours), theirs in zip(
            slices(evidence.labels, evidence.candidate, values).items(),
            slices(evidence.labels, champion, values).values(),
            strict=True,
        )
        if not math.isnan(theirs)
    }
    worst = max(falls, key=lambda name: (math.isnan(falls[name]), falls[name]), default="no slice")
    fall, bound = falls.get(worst, 0.0), bounds.slice_auc_loss
    reason = f"of {len(falls)} slices {worst} loses most, {fall:.4f}, at most {bound:g} is allowed"
    hint = f"look at the rows of {worst} before the average hides them"
    return Gate("no slice falls (AUC)", fall <= bound, fall, bound, reason, hint)


def _onnx_equal(evidence: Evidence, bounds: GateBounds) -> Gate:
    worst, bound = float(np.abs(evidence.candidate - evidence.onnx).max()), bounds.onnx_difference
    reason = f"{len(evidence.onnx)} rows differ by at most {worst:.2g}, {bound:g} is allowed"
    hint = "the exported model is not the trained one: check the versions of xgboost and onnxmltools in the locks"
    return Gate("ONNX equals native", worst <= bound, worst, bound, reason, hint)


def _fast(evidence: Evidence, bounds: GateBounds) -> Gate:
    """The median: what else the machine does slows some rows down a thousandfold, and leaves half of them alone.

    All rows walk through the same trees, so the half that is left alone says how slow the model is.
    """
    median, tail = (float(value) for value in np.quantile(evidence.milliseconds, [0.5, 0.99]))
    bound = bounds.row_milliseconds
    reason = f"{len(evidence.milliseconds)} single rows took {median:.3f} ms (p99 {tail:.3f}), {bound:g} ms is allowed"
    hint = "fit fewer or shallower trees; when no model is fast here, the machine is at fault"
    return Gate("one-row latency (ms, median)", median <= bound, median, bound, reason, hint)


def _behaves(evidence: Evidence) -> Gate:
    """The bound is 0: how far the behaviour that is kept worst is on the right side of its own bound."""
    worst = min(evidence.behaviours, key=lambda item: (not math.isnan(item.margin), item.margin), default=None)
    margin = worst.margin if worst else math.nan
    broken = [str(item) for item in evidence.behaviours if item.margin < 0 or math.isnan(item.margin)]
    reason = f"{len(broken)} of {len(evidence.behaviours)} stated ones are broken: {'; '.join(broken)}"
    if worst and not broken:
        reason = f"{len(evidence.behaviours)} stated ones are kept, this one with the least to spare: {worst}"
    hint = "it learned something else than BEHAVIOURS of problem.py say: look at these inputs in the training window"
    return Gate("behaviour (margin)", margin >= 0.0, margin, 0.0, reason, hint)
