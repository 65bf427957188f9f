"""The policy: from the evidence of a day to one action, by the TABLE below. Each cause has actions of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import lru_cache

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
    PAGE = "page"


class Cause(StrEnum):
    """What is wrong, if something is. A moved input is not a worse model, and a worse model no broken service."""

    NONE = "none"
    DATA = "data"
    SKEW = "skew"
    FRESHNESS = "freshness"
    MODEL = "model"
    SERVICE = "service"
    INPUT = "input"


@dataclass(frozen=True)
class Evidence:
    """What is known at the end of a day, by cause; at first nothing, and nothing is wrong."""

    serving: Mapping[str, str] = field(default_factory=dict)
    """The version of each alias."""
    # Data, skew, freshness, input: one text for each thing that is wrong, the worst first.
    quarantined: Sequence[str] = ()
    skewed: Sequence[str] | None = None
    """None when the features of the day before could not be compared."""
    late: Sequence[str] = ()
    drifted: Sequence[str] = ()
    # Service: of the day's answers.
    answers: int = 0
    usual_answers: float = 0.0
    """The median of the days before, 0 when there are none."""
    slow: float = 0.0
    """The share that took longer than PolicyBounds.slow_milliseconds."""
    # Model, on the cohorts until a day. A comparison is performance.daily_gains of the days since it began.
    matured_until: date = date.min
    recent: Mapping[str, float] = field(default_factory=lambda: {"coverage": 0.0, "count": 0.0})
    """Realised performance of the champion over the last matured days that it answered; see performance.realised."""
    recent_days: int = 0
    promised_auc: float = float("nan")
    """The champion's AUC on its own test week."""
    challenger: Sequence[float] = ()
    previous: Sequence[float] = ()
    days_since_training: int = 0
    """Of the newest version that passed its gates or that the policy asked for."""
    champion_age: int = 0
    """Days since the champion was trained."""
    forced: bool = False
    """Whether the champion serves against the verdict of its gates."""
    shadowing: bool = False
    refresh: bool = False
    """Whether the challenger is of the champion's own recipe: nothing but its data is new."""


@dataclass(frozen=True)
class Decision:
    """An action, its cause, and the one sentence that justifies it with figures."""

    action: Action
    reason: str
    cause: Cause = Cause.NONE
    also: Sequence[str] = field(default=())
    """What else the evidence demands, once the first is settled: `ACTION: REASON` each."""


def decide(evidence: Evidence, bounds: PolicyBounds = POLICY) -> Decision:
    """Return the action of the first row of TABLE whose condition holds, and what the rows after it would demand."""
    held = [(row, reason) for row in TABLE if (reason := row.holds(evidence, bounds))]
    if not held:
        return Decision(Action.NOTHING, "performance and inputs are as expected")
    (first, reason), *others = held
    return Decision(first.action, reason, first.cause, tuple(f"{row.action}: {text}" for row, text in others))


def _broken(evidence: Evidence, bounds: PolicyBounds) -> str:
    if not evidence.quarantined:
        return ""
    return f"{evidence.quarantined[0]} broke its contract: no retraining until it is released or landed again"


def _worse_than_previous(evidence: Evidence, bounds: PolicyBounds) -> str:
    """Roll back what is proven worse; what its gates refused has nothing in its favour, and need only look worse."""
    days = len(evidence.previous)
    if not bounds.rollback_days <= days <= bounds.rollback_days_most:
        return ""
    mean, low, _ = _gain(evidence.previous, DRASTIC)
    if not (mean if evidence.forced else low) > bounds.rollback_auc_loss:
        return ""
    how = "its gates had refused it" if evidence.forced else f"at least {low:.3f} at 95 %"
    return f"over {days} matured days the champion's AUC is {mean:.3f} below its predecessor's on the same rows ({how})"


def _skewed(evidence: Evidence, bounds: PolicyBounds) -> str:
    if not evidence.skewed:
        return ""
    return f"{len(evidence.skewed)} features are served otherwise than they are trained on, most {evidence.skewed[0]}"


def _late(evidence: Evidence, bounds: PolicyBounds) -> str:
    if not evidence.late:
        return ""
    others = f", and {len(evidence.late) - 1} more" if len(evidence.late) > 1 else ""
    return f"late is {evidence.late[0]}{others}"


def _proven_better(evidence: Evidence, bounds: PolicyBounds) -> str:
    """Promote what is proven better; before each weekday had its say, what makes the champion one to be rolled back."""
    days = len(evidence.challenger)
    effect, loss = (GRADUAL, 0.0) if days >= bounds.shadow_days else (DRASTIC, bounds.rollback_auc_loss)
    if days < bounds.rollback_days:
        return ""
    _, low, _ = _gain(evidence.challenger, effect)
    return _figures(evidence.challenger, effect) if low > loss else ""


def _refreshed(evidence: Evidence, bounds: PolicyBounds) -> str:
    """Promote the champion's own recipe on newer data, unless it looks as much worse as would undo that.

    Its gain is a few thousandths of AUC, of which no proof can be had before the next one is due; it is a gain on
    average. A recipe that nobody knows yet has to prove one.
    """
    days = len(evidence.challenger)
    if not evidence.refresh or days < bounds.rollback_days:
        return ""
    mean, _, _ = _gain(evidence.challenger, GRADUAL)
    if not mean > -bounds.rollback_auc_loss:
        return ""
    return f"over {days} shadowed days its AUC differs by {mean:+.3f}, and it is the champion's recipe on newer data"


def _not_worth_it(evidence: Evidence, bounds: PolicyBounds) -> str:
    """Refuse what is proven not worth a promotion, and what has had its time.

    That a challenger is not much worse is no reason to promote it: of those that are no better, most would be.
    """
    days = len(evidence.challenger)
    if days < bounds.shadow_days:
        return ""
    _, low, high = _gain(evidence.challenger, GRADUAL)
    if high < bounds.promotion_auc_gain:
        figures = _figures(evidence.challenger, GRADUAL)
        return f"{figures}, less than the {bounds.promotion_auc_gain:+.3f} that is worth it"
    if days >= bounds.shadow_days_most and not low > 0:
        figures = _figures(evidence.challenger, GRADUAL)
        return f"{figures}, not proven better in the {bounds.shadow_days_most} days it has"
    return ""


def _may_retrain(evidence: Evidence, bounds: PolicyBounds) -> bool:
    """Return whether the last training is settled and long ago, and a week's labels say how the champion does."""
    if evidence.shadowing or evidence.days_since_training < bounds.retrain_pause_days:
        return False
    return evidence.recent_days >= bounds.recent_days and evidence.recent["coverage"] >= MINIMUM_COVERAGE


def _worse_than_promised(evidence: Evidence, bounds: PolicyBounds) -> str:
    """Hold the champion against its bounds, and against chance: a bad week is a bad week of any model."""
    recent, days = evidence.recent, evidence.recent_days
    if not _may_retrain(evidence, bounds):
        return ""
    if recent["calibration_error"] > bounds.calibration_error and recent["calibration_error_low"] > 0:
        return (
            f"over {days} matured days {recent['label_rate']:.0%} were {LABEL} where {recent['mean_score']:.0%} were "
            f"predicted (calibration error {recent['calibration_error']:.3f}, bound {bounds.calibration_error}, "
            f"{recent['calibration_error_low']:.3f} to {recent['calibration_error_high']:.3f} at 95 %)"
        )
    if recent["auc_high"] < evidence.promised_auc - bounds.auc_loss:
        return (
            f"over {days} matured days AUC is {recent['auc']:.3f} (at most {recent['auc_high']:.3f} at 95 %) where "
            f"{evidence.promised_auc:.3f} was promised"
        )
    return ""


def _aged(evidence: Evidence, bounds: PolicyBounds) -> str:
    if not _may_retrain(evidence, bounds) or evidence.champion_age < bounds.retrain_age_days:
        return ""
    return f"the champion was trained {evidence.champion_age} days ago (bound {bounds.retrain_age_days})"


def _unhealthy(evidence: Evidence, bounds: PolicyBounds) -> str:
    if evidence.usual_answers and not evidence.answers:
        return f"nothing was answered where {evidence.usual_answers:,.0f} answers a day are usual"
    if evidence.slow > bounds.slow_share:
        return (
            f"{evidence.slow:.1%} of {evidence.answers:,} answers took more than {bounds.slow_milliseconds:g} ms "
            f"(bound {bounds.slow_share:.1%})"
        )
    return ""


def _moved(evidence: Evidence, bounds: PolicyBounds) -> str:
    return f"{len(evidence.drifted)} inputs moved, most {evidence.drifted[0]}" if evidence.drifted else ""


@dataclass(frozen=True)
class Row:
    """A row of the table: when `holds` returns a reason, which is not empty, `cause` demands `action`."""

    cause: Cause
    action: Action
    holds: Callable[[Evidence, PolicyBounds], str]


# The first row that holds decides. Broken data comes before all that is measured on it; a rollback compares on the same
# rows, so that nothing but broken data can mislead it; skewed or late features make a model worse that no training
# mends; a slow service does not. Only what calls for nobody comes after the retraining that is due anyway.
TABLE = (
    Row(Cause.DATA, Action.QUARANTINE, _broken),
    Row(Cause.MODEL, Action.ROLL_BACK, _worse_than_previous),
    Row(Cause.SKEW, Action.PAGE, _skewed),
    Row(Cause.FRESHNESS, Action.PAGE, _late),
    Row(Cause.MODEL, Action.PROMOTE, _proven_better),
    Row(Cause.MODEL, Action.PROMOTE, _refreshed),
    Row(Cause.MODEL, Action.REFUSE, _not_worth_it),
    Row(Cause.MODEL, Action.RETRAIN, _worse_than_promised),
    Row(Cause.SERVICE, Action.PAGE, _unhealthy),
    Row(Cause.NONE, Action.RETRAIN, _aged),
    Row(Cause.INPUT, Action.EXPLAIN, _moved),
)


def _gain(days: Sequence[float], effect: float) -> tuple[float, float, float]:
    """Return the mean and its 95 % bounds, low and high, which hold on every day on which they are asked for."""
    return _bounds(tuple(days), effect)


@lru_cache(maxsize=8)  # several rows of the table ask the same
def _bounds(days: tuple[float, ...], effect: float) -> tuple[float, float, float]:
    values = np.array(days)
    low, high = running_bounds(values, effect)
    return float(values.mean()), float(low[-1]), float(high[-1])


def _figures(challenger: Sequence[float], effect: float) -> str:
    mean, low, high = _gain(challenger, effect)
    return (
        f"over {len(challenger)} shadowed days its AUC differs by {mean:+.3f} "
        f"(at least {low:+.3f}, at most {high:+.3f}, each at 95 %)"
    )
