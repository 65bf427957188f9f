"""The policy: from evidence to one action. Each cause has its own action; the first rule that holds decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..bounds import PolicyBounds
from ..problem import LABEL, MINIMUM_COVERAGE, POLICY


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
    """What is known at the end of a day. A comparison is evaluate.auc_difference, champion minus the other."""

    quarantined: Sequence[str]
    recent: Mapping[str, float]
    """Realised performance of the champion over the last matured days that it answered; see performance.realised."""
    recent_days: int
    promised_auc: float
    """The champion's AUC on its own test week."""
    challenger: Mapping[str, float] | None
    challenger_days: int
    previous: Mapping[str, float] | None
    previous_days: int
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


def _roll_back(evidence: Evidence, bounds: PolicyBounds) -> Decision | None:
    found = evidence.previous
    if found is None or evidence.previous_days < bounds.rollback_days or not found["high"] < -bounds.rollback_auc_loss:
        return None
    return Decision(
        Action.ROLL_BACK,
        f"over {evidence.previous_days} matured days the champion's AUC is {-found['difference']:.3f} below its "
        f"predecessor's on the same rows (at least {-found['high']:.3f} at 95 %)",
    )


def _settle_challenger(evidence: Evidence, bounds: PolicyBounds) -> Decision | None:
    found = evidence.challenger
    if found is None or evidence.challenger_days < bounds.shadow_days:
        return None
    gain, least = -found["difference"], -found["high"]
    figures = (
        f"over {evidence.challenger_days} shadowed days its AUC differs by {gain:+.3f} (at least {least:+.3f} at 95 %)"
    )
    if least >= -bounds.promotion_auc_loss:
        return Decision(Action.PROMOTE, figures)
    return Decision(Action.REFUSE, f"{figures}, worse than the {-bounds.promotion_auc_loss:+.3f} allowed")


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
