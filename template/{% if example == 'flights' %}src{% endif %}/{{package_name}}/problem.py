"""What is predicted: the request, the moment of prediction, the label and its delay, the inputs, the bounds.

The example: two hours before a flight's scheduled departure from New York, how likely is it that it arrives 15
or more minutes late, given that it runs? A cancelled or diverted flight gets a prediction and never a label.

Serving imports this file, so it needs no library of the pipeline. Instants are seconds since 1970-01-01 UTC
everywhere behind the HTTP boundary.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, get_type_hints
from zoneinfo import ZoneInfo

import numpy as np
from msgspec import Meta, Struct

from .bounds import UNKNOWN, Behaviour, GateBounds, PolicyBounds, Rises, Steady

NAME = "flight-delay"

# 1. What a caller knows and sends.

ROWS = "flights"  # what the rows of a request are called over HTTP
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
SHORTEST, LONGEST = timedelta(0), timedelta(days=1)

# `(?!\n)` since Python's `$` matches before a line's end too.
Airport = Annotated[str, Meta(pattern=r"^[A-Z0-9]{3}(?!\n)$")]
Carrier = Annotated[str, Meta(pattern=r"^[A-Z0-9]{2}(?!\n)$")]
TailNumber = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,8}(?!\n)$")]
Instant = Annotated[datetime, Meta(tz=True)]


class Request(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One scheduled flight. A carrier, airport or aircraft that the model never saw is new, not wrong."""

    carrier: Annotated[Carrier, Meta(examples=["UA"])]
    flight: Annotated[int, Meta(ge=1, le=9999, examples=[1545])]
    origin: Annotated[Airport, Meta(examples=["EWR"])]
    dest: Annotated[Airport, Meta(examples=["IAH"])]
    tailnum: Annotated[TailNumber | None, Meta(examples=["N14228"])] = None
    scheduled_departure: Annotated[Instant, Meta(examples=["2013-04-02T10:15:00Z"])]
    scheduled_arrival: Annotated[Instant, Meta(examples=["2013-04-02T14:19:00Z"])]

    def __post_init__(self) -> None:
        """Refuse instants that are each well formed and make no flight."""
        if not EARLIEST <= self.scheduled_departure < LATEST:
            raise ValueError(f"scheduled_departure must lie between {EARLIEST.year} and {LATEST.year}")
        if not SHORTEST < self.scheduled_arrival - self.scheduled_departure <= LONGEST:
            raise ValueError("scheduled_arrival must be after scheduled_departure, by at most 24 hours")


REQUEST = Request.__struct_fields__
INSTANTS = tuple(name for name, kind in get_type_hints(Request).items() if kind is datetime)
# A flight is one carrier's number at one scheduled departure. The label is joined to the prediction by these.
ENTITY = ("scheduled_departure", "carrier", "flight")
REQUEST_SOURCE = "schedules"  # the source table that holds the requests of the past
REQUEST_AHEAD = timedelta(days=1)  # a schedule becomes known at most this long before its prediction is made

# 2. When it is predicted.

LEAD = timedelta(hours=2)
# Predictions are made in rounds, and the stream features have the same grid: a value has one age, not a jitter.
ROUND = timedelta(minutes=15)


def prediction_time(rows: Any) -> Any:
    """Return when a flight's prediction is made: LEAD before the schedule, rounded down to the round.

    `rows["scheduled_departure"]` is an int, a NumPy array, a pandas or an Ibis column of UTC seconds, and so is what
    is returned.
    """
    seconds = rows["scheduled_departure"] - int(LEAD.total_seconds())
    step = int(ROUND.total_seconds())
    return seconds - seconds % step


# 3. The label, and how long it takes.

LABEL_SOURCE = "arrivals"  # the source table whose rows tell the label
LABEL = "late"  # what a row with the label is, in reports
SCORE = "late_probability"  # what the answer is called over HTTP
SCORE_MEANING = "that it arrives 15 or more minutes late, given it runs"
LATE_MINUTES = 15  # the field's definition of a late arrival
# The deadline. A cohort is the predictions of one UTC day. It is matured, and measured, when the next day has landed
# whole.
LABEL_DELAY = timedelta(days=1)
# A label that comes after the deadline, or is corrected, by this much later at most, changes its cohort all the same.
LABEL_CORRECTIONS = timedelta(days=7)
# What late arrivals can still be unknown of a cohort before its figures mean something.
MINIMUM_COVERAGE = 0.80


def is_late(delay: Any) -> Any:
    """Return whether a delay in minutes (a number, an array, an Ibis column) counts as late."""
    return delay >= LATE_MINUTES


def label(arrivals: Any) -> Any:
    """Return the label of each row of LABEL_SOURCE, an Ibis table: whether the flight arrived late."""
    return is_late(arrivals["arrival_delay"])


# 4. The inputs of the model, and the names it is judged by.

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
BASELINE = ("carrier", "departure_hour")  # the baseline is the historic rate by these
SLICES = ("origin",)  # the gates look at each value of these on its own

Columns = Mapping[str, Any]
"""By name, a value of one row, or an array of n values. Serving hands over one row as it is: write plain arithmetic."""

ZONE = ZoneInfo("America/New_York")  # all three origins
HOUR = 3600
DAY = 24 * HOUR


def entity_columns(request: Columns) -> dict[str, Any]:
    """Return what the request alone tells: the prediction time, and the derived entity keys and features.

    `request` has each name of REQUEST; instants are UTC seconds, an int or int64. Returned is, by name:
    `prediction_time` (UTC seconds), `departure_hour` (int, 0 to 23, New York clock), `departure_minute` (float, 0 to
    1439, New York clock), `weekday` (float, Monday 0, New York calendar), `scheduled_minutes` (float).
    """
    departure = request["scheduled_departure"]
    local = departure + _utc_offset(departure)
    second_of_day = local % DAY
    return {
        "prediction_time": prediction_time(request),
        "departure_hour": second_of_day // HOUR,
        "departure_minute": second_of_day // 60 * 1.0,
        "weekday": (local // DAY + 3) % 7 * 1.0,  # 1970-01-01 was a Thursday
        "scheduled_minutes": (request["scheduled_arrival"] - departure) / 60,
    }


def derived_features(columns: Columns) -> dict[str, Any]:
    """Return the features that need both the request and a view's value, as floats; NaN where the value is."""
    departure = columns["scheduled_departure"]
    return {
        "hours_since_last_departure": (departure - columns["last_departed_at"]) / HOUR,
        "hours_since_last_arrival": (departure - columns["last_arrived_at"]) / HOUR,
    }


def _utc_offset(instants: Any) -> Any:
    """Return New York's offset from UTC in seconds at each instant; daylight saving changes on whole hours."""
    hours = instants // HOUR
    if isinstance(hours, np.ndarray):
        return np.fromiter(map(_hours_offset, hours.tolist()), np.int64, len(hours))
    return _hours_offset(hours)


@lru_cache(maxsize=20_000)  # two years of hours
def _hours_offset(hour: int) -> int:
    return int((datetime.fromtimestamp(hour * HOUR, ZONE).utcoffset() or timedelta()).total_seconds())


# 5. The bounds, and what the model must do; `bounds.py` says what each means.

BOUNDS = GateBounds(
    baseline_auc_margin=0.03,
    champion_auc_loss=0.02,
    calibration_error=0.10,  # a week's days differ by 0.10, each of its own accord: chance alone makes 0.04 of a week
    slice_auc_loss=0.05,
    onnx_difference=1e-5,
    row_milliseconds=1.0,
)

# What the model must do whatever its figures say: it learned it, or it learned something else.
BEHAVIOURS: tuple[Behaviour, ...] = (
    Rises(("origin_mean_delay_1h", "origin_mean_delay_3h"), low=0.0, high=30.0, by=0.005),
    Rises(("origin_mean_delay_1h", "origin_mean_delay_3h"), low=0.0, high=90.0, by=0.005),
    Rises(("last_arrival_delay",), low=-20.0, high=120.0, by=0.01),
    Rises(("carrier_late_rate_3h",), low=0.0, high=0.6, by=0.0),
    Steady(("carrier",), UNKNOWN, within=0.2),  # everything else that is known of the flight still counts
    Steady(("origin",), UNKNOWN, within=0.1),
    Steady((*CATEGORICAL, *NUMERIC), UNKNOWN, within=0.4),  # about the usual rate
)
POLICY = PolicyBounds(
    recent_days=7,
    calibration_error=0.08,
    auc_loss=0.03,
    retrain_pause_days=31,
    retrain_age_days=31,
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
    "It tells a passenger, from two hours before the scheduled departure on, how likely a flight that leaves New York "
    "is to arrive late. It is not made for deciding about crews, slots or compensation."
)
ETHICS = (
    "No input describes a person: a request names a flight, and the labels are of flights. A carrier or an airport "
    "that is late often gets worse scores, whoever was to blame."
)
LIMITS = (
    "Cancelled and diverted flights get a prediction and never a label: the probability is given that the flight runs.",
    "Only departures from New York are observed, so that the leg before, into New York, is known by no more than when "
    "the aircraft last left and landed.",
    "An aircraft, a carrier or an airport that training never saw is new: it is scored by all the rest.",
    "The probabilities are those of the training weeks; in another season they have to be judged again.",
)
