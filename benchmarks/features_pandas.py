"""A full-year build of all views against the same stored rows by pandas, with no loop over rows, keys or steps.

The rival counts by key and step, lays the counts out as a table of steps by keys, rolls over all keys at once and
stacks what holds something. It reads each source once, and writes the same daily partitions in the same order.
"""

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from flight_delays.engine import connect
from flight_delays.features.build import build
from flight_delays.features.views import VIEWS
from harness import SINCE, UNTIL, different, interleave, landed_year, new, ratio, show, verdict

ROUNDS = 3
Measures = Mapping[str, Callable[[pd.Series, pd.Series, pd.Series], pd.Series]]
RATES: Measures = {"late_rate": lambda n, late, total: late / n, "mean_delay": lambda n, late, total: total / n}
DEPARTURES: Measures = {"departures": lambda n, late, total: n.fillna(0.0)}


def trailing(
    events: pd.DataFrame,
    keys: Sequence[str],
    delay: str,
    step: int,
    after: int,
    windows: Mapping[str, int],
    measures: Measures,
) -> pd.DataFrame:
    """Return a view's rows; `step` and `after` are seconds, `windows` are in steps, the longest one last."""
    events = events[events[keys[0]].notna()]
    known = events["known_at"].astype("int64") // 1_000_000
    counted = (
        pd.DataFrame({key: events[key] for key in keys})
        .assign(
            step=known // step + 1, n=1.0, late=(events[delay] >= 15).astype(float), total=events[delay].astype(float)
        )
        .groupby([*keys, "step"], observed=True)
        .sum()
    )
    wide = counted.unstack(list(keys))
    longest = max(windows.values())
    steps = pd.RangeIndex(wide.index.min(), wide.index.max() + longest, name="step")
    wide = wide.reindex(steps)
    rolled = {
        f"{column}_{name}": wide[column].rolling(width, min_periods=1).sum()
        for name, width in windows.items()
        for column in ("n", "late", "total")
    }
    # A table is stacked as one array: rows by step, then by key, those whose longest window holds something.
    names = wide["n"].columns
    held = rolled[f"n_{list(windows)[-1]}"].notna().to_numpy()
    row, column = np.nonzero(held)
    rows = pd.DataFrame({key: names.get_level_values(key)[column] for key in keys})
    rows["available_at"] = pd.to_datetime(steps.to_numpy()[row] * step + after, unit="s", utc=True).as_unit("us")
    for name in windows:
        n, late, total = (pd.Series(rolled[f"{total}_{name}"].to_numpy()[held]) for total in ("n", "late", "total"))
        for measure, formula in measures.items():
            rows[f"{measure}_{name}"] = formula(n, late, total)
    return rows


def last(events: pd.DataFrame, delay: str, instant: str, names: tuple[str, str]) -> pd.DataFrame:
    known = events[events["tailnum"].notna()]
    at = (known[instant].astype("int64") // 1_000_000).astype(float)
    columns = {"tailnum": known["tailnum"], "available_at": known["known_at"]}
    values = {names[0]: known[delay].astype(float), names[1]: at}
    return pd.DataFrame(columns | values).groupby(["tailnum", "available_at"], as_index=False, observed=True).max()


def newest(weather: pd.DataFrame) -> pd.DataFrame:
    observed = weather.groupby(["origin", "known_at"], observed=True)["observed_at"].transform("max")
    return weather[weather["observed_at"] == observed].rename(columns={"known_at": "available_at"})


def frames(lake: Path) -> dict[str, pd.DataFrame]:
    """Return the rows of the ten views, by name."""
    columns = {
        "arrivals": ["carrier", "dest", "origin", "tailnum", "departure_hour", "arrival_delay", "known_at"],
        "departures": ["carrier", "origin", "tailnum", "departure_delay", "departed_at", "known_at"],
        "weather": None,
    }
    arrivals, departures, weather = (
        pd.read_parquet(
            [str(path) for path in sorted((lake / name).glob("*/*.parquet"))], columns=chosen, partitioning=None
        )
        for name, chosen in columns.items()
    )

    def history(name: str, *keys: str) -> pd.DataFrame:
        rates = {f"{name}_{measure}": formula for measure, formula in RATES.items()}
        return trailing(arrivals, keys, "arrival_delay", 86_400, 6 * 3600, {"28d": 28}, rates)

    def stream(name: str, key: str, events: pd.DataFrame, delay: str, measures: Measures) -> pd.DataFrame:
        named = {f"{name}_{measure}": formula for measure, formula in measures.items()}
        return trailing(events, [key], delay, 900, 0, {"1h": 4, "3h": 12}, named)

    return {
        "carrier_history": history("carrier", "carrier"),
        "route_history": history("route", "dest", "origin"),
        "origin_hour_history": history("origin_hour", "departure_hour", "origin"),
        "aircraft_history": history("aircraft", "tailnum"),
        "origin_stream": stream("origin", "origin", departures, "departure_delay", DEPARTURES | RATES),
        "carrier_stream": stream("carrier", "carrier", departures, "departure_delay", RATES),
        "destination_stream": stream("destination", "dest", arrivals, "arrival_delay", RATES),
        "aircraft_last_departure": last(
            departures, "departure_delay", "departed_at", ("last_departure_delay", "last_departed_at")
        ),
        "aircraft_last_arrival": last(arrivals, "arrival_delay", "known_at", ("last_arrival_delay", "last_arrived_at")),
        "origin_weather": newest(weather),
    }


def write(name: str, rows: pd.DataFrame, store: Path) -> None:
    """Write the days of the year, in the project's order, a file a day."""
    view = VIEWS[name]
    ahead = timedelta(0 if view.streaming else 1)
    low, high = (pd.Timestamp(day + ahead, tz="UTC") for day in (SINCE, UNTIL))
    rows = rows[(rows["available_at"] >= low) & (rows["available_at"] < high)]
    rows = rows.sort_values(["available_at", *view.keys], ignore_index=True)[list(view.columns)]
    midnights = pd.date_range(low, high, freq="D")
    cuts = rows["available_at"].searchsorted(midnights)
    for day, start, end in zip(midnights, cuts, cuts[1:], strict=False):
        folder = store / name / f"date={day.date()}"
        folder.mkdir(parents=True)
        rows.iloc[start:end].to_parquet(folder / "part-0.parquet", compression="zstd", index=False)


def main() -> None:
    lake = landed_year() / "lake"
    with tempfile.TemporaryDirectory(dir=lake.parent) as scratch:
        stores: dict[str, Path] = {}

        def project() -> None:
            stores["ours"] = new(Path(scratch))
            con = connect()
            build(con, VIEWS.values(), lake, stores["ours"], SINCE, UNTIL)
            con.disconnect()

        def in_pandas() -> None:
            stores["theirs"] = new(Path(scratch))
            for name, rows in frames(lake).items():
                write(name, rows, stores["theirs"])

        seconds = interleave({"pandas": in_pandas, "flight-delays": project}, ROUNDS)
        seconds["pandas, nothing written"] = interleave({"": lambda: frames(lake)}, ROUNDS)[""]
        show(seconds)
        wrong = {view: rows for view in VIEWS if (rows := different(view, stores["ours"], stores["theirs"]))}
        if wrong:
            raise SystemExit(f"the results are not equal: {wrong}")
        print(f"equal: {len(list(stores['ours'].glob('*/date=*')))} partitions")
    verdict("features-pandas", 1 / ratio(seconds, "flight-delays", "pandas"), 5, at_most=False)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    main()
