"""A full-year build of all views against the same stored rows by the best DuckDB SQL that we could write by hand.

The same rows are in the same order: a partition that is built twice has the same bytes, which is how a training knows
what it read. The rival is free to use whatever DuckDB has. Before the race its formulations of the trailing windows
run against each other, on the largest batch view and the largest streaming view, and so do its ways to write the
partitions; it races with the fastest of each, whichever that is today. It reads each source once, for all views. Lost
without a place in the trials: joining each step with the counts in its window (50 s where the others take 2 to 7) and
two signed edges per count and window with running sums (twice the time of hand-out for short windows).
"""

import statistics
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
from flight_delays.engine import connect
from flight_delays.features.build import build
from flight_delays.features.views import VIEWS
from flight_delays.lake import days as lake_days
from harness import SINCE, UNTIL, different, interleave, landed_year, new, ratio, show, verdict

ROUNDS = 3
MEMORY = "1GB"  # what the project gives DuckDB by default, for both
DAY, QUARTER = 86_400, 900


@dataclass(frozen=True)
class Trailing:
    """What a view of trailing windows asks: `windows` in steps by their suffix, the longest one last."""

    source: str
    keys: tuple[str, ...]
    delay: str
    step: int
    after: int
    windows: Mapping[str, int]
    features: Mapping[str, str]
    """A feature's name without its suffix, and its formula of n (count), l (late) and d (sum of delays)."""

    @property
    def by(self) -> str:
        return ", ".join(self.keys)

    @property
    def longest(self) -> int:
        return max(self.windows.values())

    @property
    def counted(self) -> str:
        return (
            f"SELECT {self.by}, (epoch_us(known_at) // 1000000) // {self.step} + 1 AS step, count(*)::DOUBLE AS n,"
            f" (count(*) FILTER ({self.delay} >= 15))::DOUBLE AS l, sum({self.delay})::DOUBLE AS d"
            f" FROM {self.source} WHERE {self.keys[0]} IS NOT NULL GROUP BY ALL"
        )

    def each(self, template: str) -> str:
        """Return the template once for each total and window."""
        return ", ".join(
            template.format(c=c, name=name, w=w) for name, w in self.windows.items() for c in ("n", "l", "d")
        )

    def finish(self, sums: str) -> str:
        """Return the view's rows from a query that yields keys, step and n_<window>, l_<window>, d_<window>."""
        formulas = ", ".join(
            f"{formula.format(n=f'n_{name}', l=f'l_{name}', d=f'd_{name}')} AS {feature}_{name}"
            for name in self.windows
            for feature, formula in self.features.items()
        )
        at = f"to_timestamp(step * {self.step} + {self.after}) AS available_at"
        return f"SELECT {self.by}, {at}, {formulas} FROM ({sums})"


RATES = {"late_rate": "{l} / {n}", "mean_delay": "{d} / {n}"}


def history(name: str, *keys: str) -> Trailing:
    rates = {f"{name}_{rate}": formula for rate, formula in RATES.items()}
    return Trailing("arrivals", keys, "arrival_delay", DAY, 6 * 3600, {"28d": 28}, rates)


def stream(name: str, key: str, source: str, delay: str, extra: Mapping[str, str]) -> Trailing:
    features = {f"{name}_{feature}": formula for feature, formula in (extra | RATES).items()}
    return Trailing(source, (key,), delay, QUARTER, 0, {"1h": 4, "3h": 12}, features)


TRAILING = {
    "carrier_history": history("carrier", "carrier"),
    "route_history": history("route", "dest", "origin"),
    "origin_hour_history": history("origin_hour", "departure_hour", "origin"),
    "aircraft_history": history("aircraft", "tailnum"),
    "origin_stream": stream("origin", "origin", "departures", "departure_delay", {"departures": "coalesce({n}, 0)"}),
    "carrier_stream": stream("carrier", "carrier", "departures", "departure_delay", {}),
    "destination_stream": stream("destination", "dest", "arrivals", "arrival_delay", {}),
}
OTHERS = {
    "aircraft_last_departure": "SELECT tailnum, known_at AS available_at, max(departure_delay)::DOUBLE AS"
    " last_departure_delay, max(epoch_us(departed_at) // 1000000)::DOUBLE AS last_departed_at"
    " FROM departures WHERE tailnum IS NOT NULL GROUP BY ALL",
    "aircraft_last_arrival": "SELECT tailnum, known_at AS available_at, max(arrival_delay)::DOUBLE AS"
    " last_arrival_delay, max(epoch_us(known_at) // 1000000)::DOUBLE AS last_arrived_at"
    " FROM arrivals WHERE tailnum IS NOT NULL GROUP BY ALL",
    "origin_weather": "SELECT * EXCLUDE (observed_at, known_at), known_at AS available_at FROM weather"
    " QUALIFY observed_at = max(observed_at) OVER (PARTITION BY origin, known_at)",
}
ROWS = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"


def handed_out(v: Trailing) -> str:
    """Each count is handed to every step that it counts at; one hash aggregation. This is the form of the project."""
    sums = v.each("sum({c}) FILTER (o < {w}) AS {c}_{name}")
    return (
        f"SELECT {v.by}, step + o AS step, {sums} FROM ({v.counted})"
        f" CROSS JOIN (SELECT unnest(range({v.longest})) AS o) GROUP BY {v.by}, step + o"
    )


def spread(v: Trailing, totals: str) -> str:
    """Return the steps at which a window holds something: from each count to the next, or as far as any window."""
    return (
        f"SELECT {v.by}, unnest(range(step, least(step + {v.longest}, coalesce(next, step + {v.longest})))) AS step,"
        f" step AS counted_at, n, l, d FROM (SELECT {v.by}, step, {totals}, lead(step) OVER w AS next"
        f" FROM ({v.counted}) WINDOW w AS (PARTITION BY {v.by} ORDER BY step {ROWS}))"
    )


RUNNING = "sum(n) OVER w AS n, sum(l) OVER w AS l, sum(d) OVER w AS d"


def lagged(v: Trailing) -> str:
    """Running totals, minus those as many rows back as the window has steps."""
    sums = v.each("{c} - coalesce(lag({c}, {w}) OVER w, 0) AS {c}_{name}")
    held = v.each("CASE WHEN n_{name} > 0 THEN {c}_{name} END AS {c}_{name}")
    return (
        f"SELECT {v.by}, step, {held} FROM (SELECT {v.by}, step, {sums} FROM ({spread(v, RUNNING)})"
        f" WINDOW w AS (PARTITION BY {v.by} ORDER BY step))"
    )


def asof_joined(v: Trailing) -> str:
    """Running totals, minus those that an ASOF join finds before the window."""
    held = v.each("CASE WHEN g.n > coalesce(j{w}.n, 0) THEN g.{c} - coalesce(j{w}.{c}, 0) END AS {c}_{name}")
    joins = " ".join(
        f"ASOF LEFT JOIN totals j{w} ON {' AND '.join(f'g.{key} = j{w}.{key}' for key in v.keys)}"
        f" AND j{w}.step <= g.step - {w}"
        for w in v.windows.values()
    )
    running = (
        f"SELECT {v.by}, step, {RUNNING} FROM ({v.counted}) WINDOW w AS (PARTITION BY {v.by} ORDER BY step {ROWS})"
    )
    keys = ", ".join(f"g.{key}" for key in v.keys)
    return (
        f"WITH totals AS MATERIALIZED ({running}) SELECT {keys}, g.step, {held} FROM ({spread(v, RUNNING)}) g {joins}"
    )


def framed(v: Trailing) -> str:
    """RANGE frames over the steps."""
    held = v.each("sum(CASE WHEN step = counted_at THEN {c} END) OVER w{w} AS {c}_{name}")
    frames = ", ".join(
        f"w{w} AS (PARTITION BY {v.by} ORDER BY step RANGE BETWEEN {w - 1} PRECEDING AND CURRENT ROW)"
        for w in v.windows.values()
    )
    return f"SELECT {v.by}, step, {held} FROM ({spread(v, 'n, l, d')}) WINDOW {frames}"


FORMS: Sequence[Callable[[Trailing], str]] = (handed_out, lagged, asof_joined, framed)
WRITES = {"COPY PARTITION_BY, one thread": False, "a COPY a day": True}  # on two threads PARTITION_BY loses the order


def engine(lake: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection like the project's, with each source in memory once, as far as a view reads it."""
    con = duckdb.connect(config={"threads": 2, "memory_limit": MEMORY})
    con.execute("SET TimeZone = 'UTC'")
    for source, columns in (
        ("arrivals", "carrier, dest, origin, tailnum, departure_hour, arrival_delay, known_at"),
        ("departures", "carrier, origin, tailnum, departure_delay, departed_at, known_at"),
        ("weather", "*"),
    ):
        files = f"read_parquet('{lake}/{source}/*/*.parquet', hive_partitioning = false)"
        con.execute(
            f"CREATE TEMP TABLE {source} AS SELECT {columns} FROM {files} WHERE known_at < '{UNTIL}'"
        ).fetchall()
    return con


def copy(con: duckdb.DuckDBPyConnection, name: str, query: str, store: Path, each_day: bool) -> None:
    view = VIEWS[name]
    ahead = 0 if view.streaming else 1  # the rows that the year's source days complete, as the project's build has them
    days = [day + timedelta(ahead) for day in lake_days(SINCE, UNTIL)]
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE ordered AS SELECT {', '.join(view.columns)} FROM ({query})"
        f" WHERE available_at >= DATE '{days[0]}' AND available_at < DATE '{days[-1]}' + 1"
        f" ORDER BY available_at, {', '.join(view.keys)}"
    ).fetchall()
    if each_day:
        for day in days:
            folder = store / name / f"date={day}"
            folder.mkdir(parents=True)
            con.execute(
                f"COPY (FROM ordered WHERE available_at >= DATE '{day}' AND available_at < DATE '{day}' + 1)"
                f" TO '{folder}/part-0.parquet' (FORMAT parquet, COMPRESSION zstd)"
            ).fetchall()
        return
    store.mkdir(parents=True, exist_ok=True)
    con.execute("SET threads = 1").fetchall()
    con.execute(
        f"COPY (SELECT *, available_at::DATE AS date FROM ordered) TO '{store / name}'"
        " (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (date), FILENAME_PATTERN 'part-{i}')"
    ).fetchall()
    con.execute("SET threads = 2").fetchall()


def fastest(what: str, runs: Mapping[str, Callable[[], object]]) -> str:
    """Run the contestants interleaved, show them, and return the name of the one with the least median."""
    print(f"\n{what}")
    seconds = interleave(runs, rounds=2)
    show(seconds)
    return min(seconds, key=lambda name: statistics.median(seconds[name]))


def choose(lake: Path, folder: Path) -> tuple[dict[bool, Callable[[Trailing], str]], bool]:
    """Return the rival's formulation for batch and for streaming views, and whether it writes each day by itself."""
    con = engine(lake)
    forms = {}
    for name in ("aircraft_history", "destination_stream"):
        view = TRAILING[name]
        runs = {
            form.__name__: lambda form=form, view=view: con.execute(
                f"CREATE OR REPLACE TEMP TABLE trial AS {view.finish(form(view))}"
            ).fetchall()
            for form in FORMS
        }
        chosen = fastest(f"the rival's formulations, {name}", runs)
        forms[VIEWS[name].streaming] = next(form for form in FORMS if form.__name__ == chosen)

    def write(each_day: bool) -> None:
        copy(con, "destination_stream", "SELECT * FROM trial", new(folder), each_day)

    trial = TRAILING["destination_stream"]
    con.execute(f"CREATE OR REPLACE TEMP TABLE trial AS {trial.finish(lagged(trial))}").fetchall()
    how = fastest(
        "the rival's ways to write, destination_stream",
        {name: lambda each_day=each_day: write(each_day) for name, each_day in WRITES.items()},
    )
    con.close()
    return forms, WRITES[how]


def main() -> None:
    lake = landed_year() / "lake"
    with tempfile.TemporaryDirectory(dir=lake.parent) as scratch:
        folder = Path(scratch)
        stores: dict[str, Path] = {}
        forms, each_day = choose(lake, folder)

        def project() -> None:
            stores["ours"] = new(folder)
            con = connect(memory_limit=MEMORY)
            build(con, VIEWS.values(), lake, stores["ours"], SINCE, UNTIL)
            con.disconnect()

        def by_hand() -> None:
            stores["theirs"] = new(folder)
            con = engine(lake)
            queries = {name: v.finish(forms[VIEWS[name].streaming](v)) for name, v in TRAILING.items()} | OTHERS
            for name, query in queries.items():
                copy(con, name, query, stores["theirs"], each_day)
            con.close()

        print(f"\nthe year, {len(VIEWS)} views", flush=True)
        seconds = interleave({"SQL by hand": by_hand, "flight-delays": project}, ROUNDS)
        show(seconds)
        wrong = {view: rows for view in VIEWS if (rows := different(view, stores["ours"], stores["theirs"]))}
        if wrong:
            raise SystemExit(f"the results are not equal: {wrong}")
        rows = duckdb.sql(f"SELECT count(*) FROM '{stores['ours']}/*/*/*.parquet'").fetchall()[0][0]
        print(f"equal: {rows} rows in {len(list(stores['ours'].glob('*/date=*')))} partitions")
    verdict("features-sql", ratio(seconds, "flight-delays", "SQL by hand"), 1.3)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    main()
