"""What the tests that hold for every problem must know of this one: the days to use, and what a request looks like."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

UNTIL = date(2013, 2, 6)  # every test starts from what had landed by then
AS_OF = datetime(2013, 2, 5, 15, 30, tzinfo=UTC)  # on the grid of rounds, so that a prediction can be made at it
DAY = date(2013, 1, 20)  # one in the middle, with whole windows before it
STREAMED = (datetime(2013, 1, 31, 15, tzinfo=UTC), datetime(2013, 1, 31, 19, tzinfo=UTC))  # the streams move much
REPLAY = (UNTIL, date(2013, 2, 8))
ROWS_A_DAY = 700  # at least
OTHER = {"flight": 9000}  # what makes another row of it, later in the order of the log


def row(**changes: Any) -> dict[str, Any]:
    """Return a flight, as the HTTP API takes it, whose prediction is made at AS_OF; `changes` replace or add fields."""
    departure = AS_OF + timedelta(hours=2)
    return {
        "carrier": "UA",
        "flight": 1545,
        "origin": "EWR",
        "dest": "IAH",
        "tailnum": "N14228",
        "scheduled_departure": departure.isoformat(),
        "scheduled_arrival": (departure + timedelta(hours=4)).isoformat(),
    } | changes
