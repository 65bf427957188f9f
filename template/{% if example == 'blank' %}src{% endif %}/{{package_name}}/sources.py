"""Raw tables in: where each comes from, what its contract is, and when each of its rows became known.

The data is made up, by a seed, so that the project runs before yours is here. Two tables: a parcel becomes known when
it is handed over, and its delivery when it has happened. On the 43rd day a new courier takes over a third of the
parcels, so that there is something for the monitoring to find.
"""

from datetime import UTC, datetime, timedelta
from functools import cache

import ibis.expr.datatypes as dt
import numpy as np
import pandas as pd
import pandera.ibis as pa

from . import problem
from .lake import day_of
from .source import UTC_TIME, Reference, Source, in_memory

BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 91
PARCELS_A_DAY = 500
COURIERS = ("reliable", "swift", "thrifty")
NEWCOMER, NEWCOMER_DAY = "zippy", 42
DEPOTS = ("north", "south", "west")
PROMISED = timedelta(hours=12)
LOST = 0.03  # the share of parcels that are never delivered


@cache
def _made_up() -> pd.DataFrame:
    """Return every parcel with its delay in minutes, NaN for one that is lost, ordered by when it was handed over."""
    random = np.random.default_rng(2024)
    count = DAYS * PARCELS_A_DAY
    hours = np.sort(random.uniform(0, DAYS * 24, count))
    courier = random.choice(COURIERS, count)
    courier[(hours >= NEWCOMER_DAY * 24) & (random.random(count) < 1 / 3)] = NEWCOMER
    depot = random.integers(0, len(DEPOTS), count)
    weight, distance = random.gamma(2, 3, count).clip(0.1, 50), random.uniform(5, 400, count)
    # A depot has good days and bad ones, which its last deliveries tell.
    steps = random.normal(0, 0.3, (DAYS * 24, len(DEPOTS)))
    congestion = np.zeros_like(steps)
    for hour in range(1, len(steps)):
        congestion[hour] = 0.97 * congestion[hour - 1] + steps[hour]
    by_courier = pd.Series({"reliable": -3.0, "swift": -2.2, "thrifty": -1.5, NEWCOMER: -1.5})[courier].to_numpy()
    # Heavy parcels slow the thrifty courier down, and light ones the newcomer, who waits until a van is full.
    by_weight = np.select([courier == "thrifty", courier == NEWCOMER], [0.5, -0.9], 0.1) * (weight - 6)
    by_depot = congestion[hours.astype(int), depot]
    delay_hours = by_courier + by_weight + distance / 200 + by_depot + random.normal(0, 1.5, count)
    delay = (delay_hours * 60).round().clip(-11 * 60, 11 * 60)
    return pd.DataFrame(
        {
            "parcel": np.arange(1, count + 1),
            "handed_over_at": pd.Timestamp(BEGINNING) + pd.to_timedelta((hours * 3600).astype("int64"), unit="s"),
            "depot": np.array(DEPOTS, dtype=object)[depot],
            "courier": courier.astype(object),
            "weight": weight.round(2),
            "distance": distance.round(1),
            "delay_minutes": np.where(random.random(count) < LOST, np.nan, delay),
        }
    )


@cache
def _parcels() -> pd.DataFrame:
    table = _made_up()
    return table[list(problem.REQUEST)].assign(known_at=table["handed_over_at"])


@cache
def _deliveries() -> pd.DataFrame:
    table = _made_up().dropna(subset=["delay_minutes"]).astype({"delay_minutes": "int64"})
    delivered_at = table["handed_over_at"] + PROMISED + pd.to_timedelta(table["delay_minutes"], unit="m")
    columns = [*problem.ENTITY, "depot", "courier", "delay_minutes"]
    return table[columns].assign(known_at=delivered_at).sort_values(["known_at", "parcel"], ignore_index=True)


def _name() -> pa.Column:
    return pa.Column(dt.string, pa.Check.str_matches("^[a-z]+$"))


def _number(low: float, high: float) -> pa.Column:
    return pa.Column(dt.float64, pa.Check.in_range(low, high))


def _parcel_columns() -> dict[str, pa.Column]:
    return {
        "parcel": pa.Column(dt.int64, pa.Check.ge(1)),
        "handed_over_at": pa.Column(UTC_TIME),
        "depot": _name(),
        "courier": _name(),
        "known_at": pa.Column(UTC_TIME),
    }


SOURCES = {
    source.name: source
    for source in (
        Source(
            "parcels",
            in_memory(_parcels),
            pa.DataFrameSchema(
                _parcel_columns() | {"weight": _number(0, 50), "distance": _number(0, 2000)},
                unique=list(problem.ENTITY),
                strict=True,
            ),
            begins=day_of(BEGINNING),
            freshness=timedelta(hours=2),
            volume=(0.5, 2.0),
        ),
        Source(
            "deliveries",
            in_memory(_deliveries),
            pa.DataFrameSchema(
                _parcel_columns() | {"delay_minutes": pa.Column(dt.int64, pa.Check.in_range(-720, 720))},
                unique=list(problem.ENTITY),
                strict=True,
            ),
            begins=day_of(BEGINNING),
            freshness=timedelta(hours=2),
            volume=(0.5, 2.0),
            references=(Reference("parcels", {name: name for name in problem.ENTITY}, within=timedelta(days=1)),),
        ),
    )
}
