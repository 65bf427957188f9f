"""Features computed from the request itself: one pure function over arrays, used by training and by serving."""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from ..problem import prediction_time

Columns = Mapping[str, NDArray[np.generic]]

ZONE = ZoneInfo("America/New_York")  # all three origins
HOUR = 3600
DAY = 24 * HOUR


def entity_columns(request: Columns) -> dict[str, NDArray[np.generic]]:
    """Return what the request alone tells: the prediction time and the derived entity keys and features.

    `request` maps each name of problem.REQUEST to an array of n values; instants are int64 UTC seconds. Returned, n
    values each: `prediction_time` (int64 UTC seconds), `departure_hour` (int64, 0 to 23, New York clock),
    `departure_minute` (float64, 0 to 1439, New York clock), `weekday` (float64, Monday 0, New York calendar),
    `scheduled_minutes` (float64).
    """
    departure = request["scheduled_departure"].astype(np.int64)
    local = departure + _utc_offset(departure)
    second_of_day = local % DAY
    return {
        "prediction_time": prediction_time(departure),
        "departure_hour": second_of_day // HOUR,
        "departure_minute": (second_of_day // 60).astype(np.float64),
        "weekday": ((local // DAY + 3) % 7).astype(np.float64),  # 1970-01-01 was a Thursday
        "scheduled_minutes": (request["scheduled_arrival"].astype(np.int64) - departure) / 60,
    }


def derived_features(columns: Columns) -> dict[str, NDArray[np.generic]]:
    """Return the features that need both the request and a view's value, as float64; NaN where the value is."""
    departure = columns["scheduled_departure"].astype(np.int64)
    return {
        "hours_since_last_departure": (departure - columns["last_departed_at"].astype(np.float64)) / HOUR,
        "hours_since_last_arrival": (departure - columns["last_arrived_at"].astype(np.float64)) / HOUR,
    }


def _utc_offset(instants: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return New York's offset from UTC in seconds at each instant; daylight saving changes on whole hours."""
    hours, where = np.unique(instants // HOUR, return_inverse=True)
    offsets = [datetime.fromtimestamp(int(hour) * HOUR, ZONE).utcoffset() for hour in hours]
    return np.array([int(offset.total_seconds()) for offset in offsets if offset is not None], dtype=np.int64)[where]
