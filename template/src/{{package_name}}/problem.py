"""What is predicted: the entity, the moment of prediction, the label and its delay, the inputs, the gates' bounds.

The example: two hours before a flight's scheduled departure from New York, how likely is it that it arrives 15
or more minutes late, given that it runs? A cancelled or diverted flight gets a prediction and never a label.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

NAME = "flight-delay"

# A flight is one carrier's number at one scheduled departure. The label is joined to the prediction by these.
ENTITY = ("carrier", "flight", "scheduled_departure")
# What a caller knows and sends. Instants are seconds since 1970-01-01 UTC everywhere behind the HTTP boundary.
REQUEST = (*ENTITY, "origin", "dest", "tailnum", "scheduled_arrival")

LEAD = timedelta(hours=2)
# Predictions are made in rounds, and the stream features have the same grid: a value has one age, not a jitter.
ROUND = timedelta(minutes=15)

LATE_MINUTES = 15  # the field's definition of a late arrival
# A cohort is the predictions of one UTC day. It is matured, and measured once, when the next day has landed whole.
LABEL_DELAY = timedelta(days=1)
# What late arrivals can still be unknown of a cohort before its figures mean something.
MINIMUM_COVERAGE = 0.80

FEATURE_VIEWS = (
    "carrier_history",
    "route_history",
    "origin_hour_history",
    "aircraft_history",
    "origin_stream",
    "carrier_stream",
    "destination_stream",
    "aircraft_last_departure",
    "aircraft_last_arrival",
    "origin_weather",
)
CATEGORICAL = ("carrier", "origin")
NUMERIC = (
    "departure_minute",
    "weekday",
    "scheduled_minutes",
    "carrier_late_rate_28d",
    "carrier_mean_delay_28d",
    "route_late_rate_28d",
    "route_mean_delay_28d",
    "origin_hour_late_rate_28d",
    "origin_hour_mean_delay_28d",
    "aircraft_late_rate_28d",
    "aircraft_mean_delay_28d",
    "origin_departures_1h",
    "origin_mean_delay_1h",
    "origin_late_rate_1h",
    "origin_departures_3h",
    "origin_mean_delay_3h",
    "origin_late_rate_3h",
    "carrier_mean_delay_1h",
    "carrier_late_rate_1h",
    "carrier_mean_delay_3h",
    "carrier_late_rate_3h",
    "destination_mean_delay_1h",
    "destination_late_rate_1h",
    "destination_mean_delay_3h",
    "destination_late_rate_3h",
    "last_departure_delay",
    "hours_since_last_departure",
    "last_arrival_delay",
    "hours_since_last_arrival",
    "temperature",
    "dew_point",
    "humidity",
    "wind_speed",
    "wind_gust",
    "precipitation",
    "pressure",
    "visibility",
)


@dataclass(frozen=True)
class Bounds:
    """What a gate or the policy accepts. A model outside a bound is refused, never waved through."""

    baseline_auc_margin: float = 0.03  # at least this far above the historic rate by carrier and hour
    champion_auc_loss: float = 0.01  # the lower 95 % bound of (new - champion) may not be below minus this
    calibration_error: float = 0.08  # expected calibration error, ten equal-count bins
    slice_auc_loss: float = 0.05  # by origin, against the champion
    onnx_difference: float = 1e-5  # absolute, in probability


@dataclass(frozen=True)
class PolicyBounds:
    """When the evidence of matured days demands an action."""

    recent_days: int = 7  # matured days that the champion's performance is judged on
    calibration_error: float = 0.08
    auc_loss: float = 0.03  # below what the champion's own test week promised
    retrain_pause_days: int = 14
    shadow_days: int = 7
    promotion_auc_loss: float = 0.01
    rollback_days: int = 2
    rollback_auc_loss: float = 0.02


BOUNDS = Bounds()
POLICY = PolicyBounds()


def prediction_time(scheduled_departure: Any) -> Any:
    """Return when a flight's prediction is made: LEAD before the schedule, rounded down to the round.

    Works on an int, a NumPy array or an Ibis column of UTC seconds, and returns the same kind.
    """
    seconds = scheduled_departure - int(LEAD.total_seconds())
    step = int(ROUND.total_seconds())
    return seconds - seconds % step


def is_late(arrival_delay: Any) -> Any:
    """Return whether an arrival delay in minutes (a number, an array, an Ibis column) counts as late."""
    return arrival_delay >= LATE_MINUTES
