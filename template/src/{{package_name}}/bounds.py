"""What a gate or the policy accepts: the names of the bounds. Their values are the problem's, in `problem.py`."""

import math
from dataclasses import dataclass

UNKNOWN = math.nan  # of an input: a value that is missing, a category that nobody has seen


@dataclass(frozen=True)
class GateBounds:
    """What a candidate must keep. A model outside a bound is refused, never waved through."""

    baseline_auc_margin: float
    """At least this far above the historic rate by the baseline's keys; where the champion is not, as far as it is, and
    at least half of this."""
    champion_auc_loss: float
    """The lower 95 % bound of (new - champion) may not be below minus this."""
    calibration_error: float
    """Expected calibration error, ten equal-count bins."""
    slice_auc_loss: float
    """By slice, against the champion."""
    onnx_difference: float
    """Between the exported and the native model: absolute, in probability."""
    row_milliseconds: float
    """The median time in which the exported model scores one row, on the machine that trains."""


@dataclass(frozen=True)
class Rises:
    """Where `inputs` are all `high` instead of `low`, the mean score of the test rows is higher, by at least `by`."""

    inputs: tuple[str, ...]
    low: float
    high: float
    by: float


@dataclass(frozen=True)
class Steady:
    """Where `inputs` all have `value`, the scores of the test rows move by at most `within` on average, up or down."""

    inputs: tuple[str, ...]
    value: float | str
    within: float


Behaviour = Rises | Steady


@dataclass(frozen=True)
class PolicyBounds:
    """When the evidence of matured days demands an action."""

    recent_days: int
    """Matured days that the champion's performance is judged on."""
    calibration_error: float
    """Of these days together; a model is worse when it is above this, and its interval over the days is above zero."""
    auc_loss: float
    """Below what the champion's own test week promised: worse when the whole interval over the days is below that."""
    retrain_pause_days: int
    """Days between two trainings of the loop, whatever became of the first."""
    retrain_age_days: int
    """A champion that was trained so many days ago is due, however it does."""
    shadow_days: int
    """Matured days before a challenger is settled, so that each weekday had its say. After `rollback_days` already one
    is promoted that is surely better by `rollback_auc_loss`, or that is the champion's own recipe on newer data."""
    shadow_days_most: int
    """Matured days after which a challenger is refused that is not proven better."""
    promotion_auc_gain: float
    """The gain that is worth a promotion: a challenger is refused as soon as it is surely below."""
    rollback_days: int
    """Matured days before a promotion is undone: one day is an accident."""
    rollback_days_most: int
    """Matured days after which a promotion is no longer undone: what is wrong by then asks for a retraining."""
    rollback_auc_loss: float
    """A champion is rolled back when it is surely this much worse than its predecessor; one that its gates had refused
    when it looks so. A refresh is promoted unless it looks so."""
    slow_milliseconds: float
    """A prediction that the server worked on for longer is slow."""
    slow_share: float
    """The share of a day's answers that may be slow."""
