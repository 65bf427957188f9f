"""Ten times the flights in at most twelve times the time, with DuckDB's memory limited to 4 GB.

The large lake holds each flight, and each weather observation, ten times: under other carriers, flight numbers,
airports and aircraft, so that there are ten times as many keys, on the same days. Both builds are the project's own
command in a process of its own; the peak of its memory is printed. Every copy must have the features of the original.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import duckdb
from flight_delays.features.views import VIEWS
from harness import COMMAND, SINCE, UNTIL, landed_year, peak_megabytes, ratio, show, verdict

TIMES = 10
MEMORY = "4GB"
# What names a copy, by source: the flight's keys get another ending, its number another thousand.
COPIED: Mapping[str, Mapping[str, str]] = {
    "arrivals": {name: f"{name} || k" for name in ("carrier", "origin", "dest", "tailnum")},
    "departures": {name: f"{name} || k" for name in ("carrier", "origin", "tailnum")},
    "weather": {"origin": "origin || k"},
}


def multiply(lake: Path, large: Path) -> None:
    """Write the large lake, a file a day as the project has it."""
    con = duckdb.connect(config={"threads": 1, "memory_limit": MEMORY})
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET partitioned_write_max_open_files = 1000")
    for source, renamed in COPIED.items():
        changes = dict(renamed)
        if source != "weather":
            changes["flight"] = "flight + 10000 * k"
        replaced = ", ".join(f"{change} AS {name}" for name, change in changes.items())
        (large / source).mkdir(parents=True)
        con.execute(
            f"COPY (SELECT * REPLACE ({replaced}), known_at::DATE AS date"
            f" FROM read_parquet('{lake / source}/*/*.parquet', hive_partitioning = false)"
            f" CROSS JOIN (SELECT unnest(range({TIMES})) AS k) WHERE known_at < '{UNTIL}')"
            f" TO '{large / source}' (FORMAT parquet, PARTITION_BY (date), FILENAME_PATTERN 'part-{{i}}')"
        ).fetchall()
        for day in (lake / source).glob("date=*"):  # one without rows is there too
            if not (large / source / day.name).exists() and day.name < f"date={UNTIL}":
                shutil.copytree(day, large / source / day.name)
    con.close()


def build(state: Path) -> tuple[float, float]:
    """Build all views of a state from nothing with the project's command; return its seconds and peak megabytes."""
    shutil.rmtree(state / "features", ignore_errors=True)
    os.environ.update(FLIGHT_DELAYS_STATE=str(state), FLIGHT_DELAYS_MEMORY_LIMIT=MEMORY)
    return peak_megabytes([COMMAND, "features", "build", "--since", str(SINCE), "--until", str(UNTIL)])


def content(store: Path, view: str) -> tuple[int, int]:
    """Return a view's number of rows, and a sum of hashes of when each was available and of its features."""
    columns = ", ".join(("available_at", *VIEWS[view].features))
    query = f"SELECT count(*), sum(hash({columns})) FROM '{store / view}/*/*.parquet'"
    rows, hashes = duckdb.sql(query).fetchall()[0]
    return rows, int(hashes)


def main() -> None:
    lake = landed_year() / "lake"
    with tempfile.TemporaryDirectory(dir=lake.parent) as scratch:
        small, large = Path(scratch) / "small", Path(scratch) / "large"
        small.mkdir()
        (small / "lake").symlink_to(lake)
        multiply(lake, large / "lake")
        seconds: dict[str, list[float]] = {"the year": [], f"{TIMES} times the year": []}
        peaks = {}
        for state in (small, large, small):
            name = next(iter(seconds)) if state is small else f"{TIMES} times the year"
            took, peaks[name] = build(state)
            seconds[name].append(took)
        show(seconds)
        for name, peak in peaks.items():
            print(f"peak memory, {name}: {peak:.0f} MB")
        rows = 0
        for view in VIEWS:
            (few, once), (many, summed) = (content(state / "features", view) for state in (small, large))
            if (many, summed) != (TIMES * few, TIMES * once):
                raise SystemExit(f"the results are not equal: {view} has {many} rows, not {TIMES} times {few}")
            rows += many
        print(f"equal: {rows} rows, each row {TIMES} times")
    verdict("features-scale", ratio(seconds, f"{TIMES} times the year", "the year"), 12)


if __name__ == "__main__":
    main()
