"""What the tests that hold for every problem must know of this one: the days to use, and what a request looks like."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

UNTIL = date(2024, 2, 6)  # every test starts from what had landed by then
AS_OF = datetime(2024, 2, 5, 15, tzinfo=UTC)  # on the grid of rounds, so that a prediction can be made at it
DAY = date(2024, 2, 2)  # one in the middle, with whole windows before it
STREAMED = (datetime(2024, 1, 31, 10, tzinfo=UTC), datetime(2024, 1, 31, 20, tzinfo=UTC))  # the streams move much
REPLAY = (UNTIL, date(2024, 2, 8))
ROWS_A_DAY = 400  # at least
OTHER = {"parcel": 1_000_001}  # what makes another row of it, later in the order of the log


def row(**changes: Any) -> dict[str, Any]:
    """Return a parcel, as the HTTP API takes it, whose prediction is made at AS_OF; `changes` replace or add fields."""
    return {
        "parcel": 1_000_000,
        "handed_over_at": (AS_OF - timedelta(minutes=20)).isoformat(),
        "depot": "north",
        "courier": "swift",
        "weight": 4.2,
        "distance": 120.0,
    } | changes
