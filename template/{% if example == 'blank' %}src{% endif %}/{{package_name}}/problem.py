"""What is predicted: the request, the moment of prediction, the label and its delay, the inputs, the bounds.

A placeholder of the right shape, on made-up data: when a parcel is handed over, how likely is it that it is delivered
later than promised? Replace every part by your own; `docs/how-to/your-own-problem.md` says in which order. A lost
parcel gets a prediction and never a label.

Serving imports this file, so it needs no library of the pipeline. Instants are seconds since 1970-01-01 UTC
everywhere behind the HTTP boundary.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, get_type_hints

from msgspec import Meta, Struct

from .bounds import UNKNOWN, Behaviour, GateBounds, PolicyBounds, Rises, Steady

NAME = "parcel-delay"

# 1. What a caller knows and sends.

ROWS = "parcels"  # what the rows of a request are called over HTTP

Name = Annotated[str, Meta(pattern=r"^[a-z]{1,20}(?!\n)$")]  # `(?!\n)` since Python's `$` matches before a line's end
Instant = Annotated[datetime, Meta(tz=True)]


class Request(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One parcel that was handed over. A depot or courier that the model never saw is new, not wrong."""

    parcel: Annotated[int, Meta(ge=1, examples=[1])]
    handed_over_at: Annotated[Instant, Meta(examples=["2024-02-12T10:15:00Z"])]
    depot: Annotated[Name, Meta(examples=["north"])]
    courier: Annotated[Name, Meta(examples=["swift"])]
    weight: Annotated[float, Meta(gt=0, le=50, examples=[4.2], description="in kilograms")]
    distance: Annotated[float, Meta(gt=0, le=2000, examples=[120.0], description="in kilometres")]


REQUEST = Request.__struct_fields__
INSTANTS = tuple(name for name, kind in get_type_hints(Request).items() if kind is datetime)
ENTITY = ("handed_over_at", "parcel")  # the label is joined to the prediction by these
REQUEST_SOURCE = "parcels"  # the source table that holds the requests of the past
REQUEST_AHEAD = timedelta(hours=1)  # a request becomes known at most this long before its prediction is made

# 2. When it is predicted.

# Predictions are made in rounds, and the stream features have the same grid: a value has one age, not a jitter.
ROUND = timedelta(hours=1)


def prediction_time(rows: Any) -> Any:
    """Return when a parcel's prediction is made: at the end of the round in which it is handed over.

    `rows["handed_over_at"]` is an int, a NumPy array, a pandas or an Ibis column of UTC seconds, and so is what is
    returned.
    """
    step = int(ROUND.total_seconds())
    seconds = rows["handed_over_at"]
    return seconds - seconds % step + step


# 3. The label, and how long it takes.

LABEL_SOURCE = "deliveries"  # the source table whose rows tell the label
LABEL = "late"  # what a row with the label is, in reports
SCORE = "late_probability"  # what the answer is called over HTTP
SCORE_MEANING = "that it is delivered later than promised"
# The deadline. A cohort is the predictions of one UTC day. It is matured, and measured, when the next day has landed
# whole.
LABEL_DELAY = timedelta(days=1)
# A label that comes after the deadline, or is corrected, by this much later at most, changes its cohort all the same.
LABEL_CORRECTIONS = timedelta(days=7)
# What late labels can still be unknown of a cohort before its figures mean something.
MINIMUM_COVERAGE = 0.80


def label(deliveries: Any) -> Any:
    """Return the label of each row of LABEL_SOURCE, an Ibis table: whether the parcel came later than promised."""
    return deliveries["delay_minutes"] > 0


# 4. The inputs of the model, and the names it is judged by.

FEATURE_VIEWS = ("courier_history", "depot_stream")
CATEGORICAL = ("courier", "depot")
NUMERIC = (
    "weight",
    "distance",
    "hour",
    "courier_late_rate_28d",
    "courier_mean_delay_28d",
    "depot_late_rate_6h",
    "depot_mean_delay_6h",
)
BASELINE = ("courier",)  # the baseline is the historic rate by these
SLICES = ("depot",)  # the gates look at each value of these on its own

Columns = Mapping[str, Any]
"""By name, a value of one row, or an array of n values. Serving hands over one row as it is: write plain arithmetic."""

HOUR = 3600


def entity_columns(request: Columns) -> dict[str, Any]:
    """Return what the request alone tells: the prediction time, and the derived entity keys and features.

    `request` has each name of REQUEST; instants are UTC seconds, an int or int64. Returned is, by name:
    `prediction_time` (UTC seconds), `hour` (float, 0 to 23, UTC).
    """
    return {"prediction_time": prediction_time(request), "hour": request["handed_over_at"] // HOUR % 24 * 1.0}


def derived_features(columns: Columns) -> dict[str, Any]:
    """Return the features that need both the request and a view's value, as floats. Here there is none."""
    return {}


# 5. The bounds, and what the model must do; `bounds.py` says what each means.

BOUNDS = GateBounds(
    baseline_auc_margin=0.03,
    champion_auc_loss=0.02,
    calibration_error=0.08,
    slice_auc_loss=0.05,
    onnx_difference=1e-5,
    row_milliseconds=1.0,
)

# What the model must do whatever its figures say: it learned it, or it learned something else.
BEHAVIOURS: tuple[Behaviour, ...] = (
    Rises(("distance",), low=20.0, high=380.0, by=0.05),
    Rises(("depot_mean_delay_6h",), low=-180.0, high=120.0, by=0.05),
    Steady(("hour",), 12.0, within=0.05),  # a parcel does not care when it is handed over
    Steady(("depot",), UNKNOWN, within=0.1),  # everything else that is known of the parcel still counts
)
POLICY = PolicyBounds(
    recent_days=7,
    calibration_error=0.08,
    auc_loss=0.03,
    retrain_pause_days=14,
    retrain_age_days=28,
    shadow_days=7,
    shadow_days_most=70,
    promotion_auc_gain=0.01,
    rollback_days=2,
    rollback_days_most=28,
    rollback_auc_loss=0.02,
    slow_milliseconds=100.0,
    slow_share=0.01,
)

# 6. What the model card says that no figure does.

INTENDED_USE = (
    "A placeholder: it tells how likely a made-up parcel is to be delivered later than promised. It is made for no "
    "decision at all."
)
ETHICS = "No input describes a person, and no parcel is real. Replace this sentence by what holds for your rows."
LIMITS = (
    "A lost parcel gets a prediction and never a label: the probability is given that the parcel arrives.",
    "A courier or a depot that training never saw is new: it is scored by all the rest.",
)
