"""The gates a candidate must pass before it may shadow or serve: what was measured, its bound, and what to do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..bounds import GateBounds
from ..problem import BASELINE, BOUNDS
from .evaluate import Labels, Scores, auc, auc_difference, calibration_error, slices


@dataclass(frozen=True)
class Gate:
    """The outcome of one gate."""

    name: str
    passed: bool
    measured: float
    bound: float
    hint: str
    """What to do when it refused."""

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "REFUSED"
        line = f"{self.name}: {verdict}, measured {self.measured:.4g}, bound {self.bound:.4g}"
        return line if self.passed else f"{line}; {self.hint}"


@dataclass(frozen=True)
class Evidence:
    """Test rows, later than everything the candidate was fitted on, and everyone's scores of them.

    All arrays have one value per test row; `champion` is None before the first deploy.
    """

    labels: Labels
    days: NDArray[np.generic]
    groups: Mapping[str, NDArray[np.generic]]
    candidate: Scores
    onnx: Scores
    baseline: Scores
    champion: Scores | None


def judge(evidence: Evidence, seed: int, bounds: GateBounds = BOUNDS) -> list[Gate]:
    """Return the outcome of every gate that applies, in a fixed order."""
    gates = [_beats_baseline(evidence, bounds), _calibrated(evidence, bounds), _onnx_equal(evidence, bounds)]
    if evidence.champion is not None:
        gates.append(_not_worse(evidence, evidence.champion, seed, bounds))
        gates.append(_no_slice_falls(evidence, evidence.champion, bounds))
    return gates


def passed(gates: Sequence[Gate]) -> bool:
    """Return whether every gate passed; no gates at all is a refusal."""
    return bool(gates) and all(gate.passed for gate in gates)


def _beats_baseline(evidence: Evidence, bounds: GateBounds) -> Gate:
    gain = auc(evidence.labels, evidence.candidate) - auc(evidence.labels, evidence.baseline)
    known = " and ".join(BASELINE)
    hint = f"it knows hardly more than {known}: look for broken labels or features in the training window"
    return Gate("beats the baseline (AUC)", gain >= bounds.baseline_auc_margin, gain, bounds.baseline_auc_margin, hint)


def _calibrated(evidence: Evidence, bounds: GateBounds) -> Gate:
    """In a storm no model is calibrated, so a candidate may be as far off as the champion on the same rows."""
    error = calibration_error(evidence.labels, evidence.candidate)
    bound = bounds.calibration_error
    if evidence.champion is not None:
        bound = max(bound, calibration_error(evidence.labels, evidence.champion))
    hint = "its probabilities are off: compare the base rates of the training and the test window"
    return Gate("calibration error", error <= bound, error, bound, hint)


def _onnx_equal(evidence: Evidence, bounds: GateBounds) -> Gate:
    worst = float(np.abs(evidence.candidate - evidence.onnx).max())
    hint = "the exported model is not the trained one: check the versions of xgboost and onnxmltools in the locks"
    return Gate("ONNX equals native", worst <= bounds.onnx_difference, worst, bounds.onnx_difference, hint)


def _not_worse(evidence: Evidence, champion: Scores, seed: int, bounds: GateBounds) -> Gate:
    low = auc_difference(evidence.labels, evidence.candidate, champion, evidence.days, seed)["low"]
    hint = "the champion is better on the same later days: keep it, and look at what changed in the training data"
    bound = -bounds.champion_auc_loss
    return Gate("not worse than the champion (AUC, lower 95 %)", low >= bound, low, bound, hint)


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
        if not math.isnan(ours)
    }
    worst = max(falls, key=lambda name: falls[name], default="no slice")
    fall = falls.get(worst, 0.0)
    hint = f"{worst} loses most: look at its rows before the average hides them"
    return Gate("no slice falls (AUC)", fall <= bounds.slice_auc_loss, fall, bounds.slice_auc_loss, hint)
