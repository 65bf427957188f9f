"""The policy: from evidence to one action. Each cause has its own action; the first rule that holds decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ..bounds import PolicyBounds
from ..problem import LABEL, MINIMUM_COVERAGE, POLICY
from .sequential import bounds as running_bounds

# How many standard deviations of a day a difference is that each test should prove soonest. Both hold for any.
GRADUAL = 0.5  # a model trained on newer data
DRASTIC = 3.0  # a broken model


class Action(StrEnum):
    """What the loop does next."""

    NOTHING = "nothing"
    EXPLAIN = "explain"
    QUARANTINE = "quarantine"
    RETRAIN = "retrain"
    PROMOTE = "promote"
    REFUSE = "refuse"
    ROLL_BACK = "roll back"


@dataclass(frozen=True)
class Evidence:
    """What is known at the end of a day. A comparison is performance.daily_gains of the days since it began."""

    quarantined: Sequence[str]
    recent: Mapping[str, float]
    """Realised performance of the champion over the last matured days that it answered; see performance.realised."""
    recent_days: int
    promised_auc: float
    """The champion's AUC on its own test week."""
    challenger: Sequence[float]
    previous: Sequence[float]
    days_since_training: int
    shadowing: bool
    drifted: Sequence[str]


@dataclass(frozen=True)
class Decision:
    """An action and the one sentence that justifies it with figures."""

    action: Action
    reason: str


def decide(evidence: Evidence, bounds: PolicyBounds = POLICY) -> Decision:
    """Return the first action that the evidence demands."""
    if evidence.quarantined:
        return Decision(
            Action.QUARANTINE,
            f"{evidence.quarantined[0]} broke its contract: no retraining until it is released or landed again",
        )
    for rule in (_roll_back, _settle_challenger, _retrain):
        decision = rule(evidence, bounds)
        if decision:
            return decision
    if evidence.drifted:
        return Decision(Action.EXPLAIN, f"{len(evidence.drifted)} inputs moved, most {evidence.drifted[0]}")
    return Decision(Action.NOTHING, "performance and inputs are as expected")


@dataclass(frozen=True)
class _Gain:
    """How far another version's AUC lies above the champion's, on the mean of the days, with its 95 % bounds."""

    mean: float
    low: float
    high: float


def _gain(days: Sequence[float], effect: float) -> _Gain:
    """Return what all days together say today. The bounds hold on every day on which this is asked."""
    values = np.array(days)
    low, high = running_bounds(values, effect)
    return _Gain(float(values.mean()), float(low[-1]), float(high[-1]))


def _roll_back(evidence: Evidence, bounds: PolicyBounds) -> Decision | None:
    days = len(evidence.previous)
    if not bounds.rollback_days <= days <= bounds.rollback_days_most:
        return None
    gain = _gain(evidence.previous, DRASTIC)
    if not gain.low > bounds.rollback_auc_loss:
        return None
    return Decision(
        Action.ROLL_BACK,
        f"over {days} matured days the champion's AUC is {gain.mean:.3f} below its predecessor's on the same rows "
        f"(at least {gain.low:.3f} at 95 %)",
    )


def _settle_challenger(evidence: Evidence, bounds: PolicyBounds) -> Decision | None:
    """Promote what is proven better, refuse what is proven not worth it, and what has had its time.

    That a challenger is not much worse is no reason: of those that are no better, most would be promoted.
    """
    days = len(evidence.challenger)
    if days < bounds.shadow_days:
        return None
    gain = _gain(evidence.challenger, GRADUAL)
    figures = (
        f"over {days} shadowed days its AUC differs by {gain.mean:+.3f} "
        f"(at least {gain.low:+.3f}, at most {gain.high:+.3f}, each at 95 %)"
    )
    if gain.low > 0:
        return Decision(Action.PROMOTE, figures)
    if gain.high < bounds.promotion_auc_gain:
        return Decision(Action.REFUSE, f"{figures}, less than the {bounds.promotion_auc_gain:+.3f} that is worth it")
    if days >= bounds.shadow_days_most:
        return Decision(Action.REFUSE, f"{figures}, not proven better in the {bounds.shadow_days_most} days it has")
    return None


def _retrain(evidence: Evidence, bounds: PolicyBounds) -> Decision | None:
    recent = evidence.recent
    if evidence.shadowing or evidence.days_since_training < bounds.retrain_pause_days:
        return None
    if evidence.recent_days < bounds.recent_days or recent["coverage"] < MINIMUM_COVERAGE:
        return None
    if recent["calibration_error"] > bounds.calibration_error:
        return Decision(
            Action.RETRAIN,
            f"over {evidence.recent_days} matured days {recent['label_rate']:.0%} were {LABEL} where "
            f"{recent['mean_score']:.0%} were predicted (calibration error {recent['calibration_error']:.3f}, "
            f"bound {bounds.calibration_error})",
        )
    if recent["auc_high"] < evidence.promised_auc - bounds.auc_loss:
        return Decision(
            Action.RETRAIN,
            f"over {evidence.recent_days} matured days AUC is {recent['auc']:.3f} (at most {recent['auc_high']:.3f} at "
            f"95 %) where {evidence.promised_auc:.3f} was promised",
        )
    return None
