"""A stream tick of all streaming views on a busy afternoon, into the SQLite online store, against 50 ms.

For orientation it also prints what the same freshness costs in batch: the day's streaming views rebuilt and published.
What the ticks left in the online store is compared with what the batch publishes. A tick runs in one thread: where its
wall time is far above its processor time, other work has the cores.
"""

import statistics
import tempfile
import time
import warnings
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from flight_delays.engine import connect
from flight_delays.features.build import build
from flight_delays.features.online_sqlite import SqliteStore
from flight_delays.features.publish import publish
from flight_delays.features.stream import MicroBatches, lookback
from flight_delays.features.views import VIEWS
from flight_delays.problem import REQUEST, REQUEST_SOURCE, ROUND
from flight_delays.simulation.world import World
from flight_delays.sources import SOURCES
from harness import landed_year, show, verdict

LIMIT = 0.050  # seconds
# 12:00 to 18:00 in New York, on the day of the year on which most flights left in these hours.
START, END = datetime(2013, 9, 9, 16, tzinfo=UTC), datetime(2013, 9, 9, 22, tzinfo=UTC)
ROUNDS = 3
STREAMING = [view for view in VIEWS.values() if view.streaming]


def afternoon(world: World, features: Path, path: Path) -> tuple[list[float], list[float], int]:
    """Run the afternoon's ticks; return the wall and CPU seconds of each but the first, and their number of events."""
    con = connect()
    online = SqliteStore(path)
    publish(con, STREAMING, features, online, START - ROUND)
    con.disconnect()
    batches = MicroBatches(VIEWS.values())
    last, now = START - ROUND - lookback(VIEWS.values()), START
    seconds, worked, count = [], [], 0
    while now <= END:
        events = world.events(last, now)
        started, idle = time.perf_counter(), time.process_time()
        batches.tick(online, now - ROUND, now, events)
        if now > START:  # the first one also reads three hours of events and prepares the queries
            seconds.append(time.perf_counter() - started)
            worked.append(time.process_time() - idle)
            count += sum(table.num_rows for table in events.values())
        last, now = now, now + ROUND
    online.close()
    return seconds, worked, count


def rebuild(lake: Path, folder: Path, path: Path) -> float:
    """Build the day's streaming views and publish what is known at the end; return the seconds."""
    con = connect()
    online = SqliteStore(path)
    started = time.perf_counter()
    build(con, STREAMING, lake, folder, END.date(), END.date() + timedelta(days=1))
    publish(con, STREAMING, folder, online, END)
    seconds = time.perf_counter() - started
    online.close()
    con.disconnect()
    return seconds


def held(path: Path) -> tuple[dict[str, bytes], int]:
    """Return what the day's flights would read from an online store at the end, and how many values that are."""
    schedule = SOURCES[REQUEST_SOURCE].everything()
    flights = schedule[schedule["scheduled_departure"].dt.date == END.date()]
    columns = {name: flights[name].to_numpy() for name in REQUEST}
    views = [view.spec for view in STREAMING]
    with closing(SqliteStore(path)) as online:
        found = online.read(views, columns, np.full(len(flights), int(END.timestamp())))
    count = sum(int((~np.isnan(values)).sum()) for values in found.features.values())
    return {name: values.tobytes() for name, values in found.features.items()}, count


def main() -> None:
    lake = landed_year() / "lake"
    world = World(SOURCES, VIEWS.values())
    ticks: list[float] = []
    cpu: list[float] = []
    batch: list[float] = []
    with tempfile.TemporaryDirectory(dir=lake.parent) as scratch:
        for number in range(ROUNDS):
            folder = Path(scratch) / str(number)
            batch.append(rebuild(lake, folder / "features", folder / "batch.db"))
            seconds, worked, events = afternoon(world, folder / "features", folder / "ticks.db")
            ticks += seconds
            cpu += worked
        ours, theirs = held(folder / "ticks.db"), held(folder / "batch.db")
    if ours != theirs:
        differ = [name for name, values in ours[0].items() if values != theirs[0][name]]
        raise SystemExit(f"the results are not equal: {', '.join(differ)}")
    print(f"{len(ticks)} ticks, {events / len(seconds):.0f} events each; equal: {ours[1]} values of the online store")
    show({"a tick": ticks, "its processor time": cpu, "rebuild and publish the day": batch}, "ms", 1e3)
    verdict("stream-tick", statistics.median(ticks) / LIMIT, 1)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    main()
