"""A stream tick of all streaming views on a busy afternoon, into the SQLite online store, against 50 ms.

For orientation it also prints what the same freshness costs in batch: the day's streaming views rebuilt and published.
What the ticks left in the online store is compared with what the batch publishes. A tick runs in one thread: where its
wall time is far above its processor time, other work has the cores.
"""

import sqlite3
import statistics
import tempfile
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flight_delays.engine import connect
from flight_delays.features.build import build
from flight_delays.features.online import OnlineStore
from flight_delays.features.publish import publish
from flight_delays.features.stream import MicroBatches, lookback
from flight_delays.features.views import VIEWS
from flight_delays.problem import ROUND
from flight_delays.simulation.world import World
from flight_delays.sources import SOURCES
from harness import landed_year, show, verdict

LIMIT = 0.050  # seconds
# 12:00 to 18:00 in New York, on the day of the year on which most flights left in these hours.
START, END = datetime(2013, 9, 9, 16, tzinfo=UTC), datetime(2013, 9, 9, 22, tzinfo=UTC)
ROUNDS = 3


def afternoon(world: World, path: Path) -> tuple[list[float], list[float], int]:
    """Run the afternoon's ticks; return the wall and CPU seconds of each but the first, and their number of events."""
    online = OnlineStore(path)
    batches = MicroBatches(VIEWS.values(), online)
    last, now = START - ROUND - lookback(VIEWS.values()), START
    seconds, worked, count = [], [], 0
    while now <= END:
        events = world.events(last, now)
        started, idle = time.perf_counter(), time.process_time()
        batches.tick(now - ROUND, now, events)
        if now > START:  # the first one also reads three hours of events and prepares the queries
            seconds.append(time.perf_counter() - started)
            worked.append(time.process_time() - idle)
            count += sum(table.num_rows for table in events.values())
        last, now = now, now + ROUND
    online.close()
    return seconds, worked, count


def rebuild(lake: Path, folder: Path, path: Path) -> float:
    """Build the day's streaming views and publish what is known at the end; return the seconds."""
    views = [view for view in VIEWS.values() if view.streaming]
    con = connect()
    online = OnlineStore(path)
    started = time.perf_counter()
    build(con, views, lake, folder, END.date(), END.date() + timedelta(days=1))
    publish(con, views, folder, online, END)
    seconds = time.perf_counter() - started
    online.close()
    con.disconnect()
    return seconds


def held(path: Path) -> dict[tuple[str, str], tuple[int, str]]:
    """Return what an online store holds that became available in the afternoon."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT view, key, available_at, features FROM latest").fetchall()
    ages = {view.name: int(view.ttl.total_seconds()) for view in VIEWS.values()}
    now, since = int(END.timestamp()), int((START - ROUND).timestamp())
    return {(view, key): (at, text) for view, key, at, text in rows if at > max(since, now - ages[view] - 1)}


def main() -> None:
    lake = landed_year() / "lake"
    world = World(SOURCES)
    ticks: list[float] = []
    cpu: list[float] = []
    batch: list[float] = []
    with tempfile.TemporaryDirectory(dir=lake.parent) as scratch:
        for number in range(ROUNDS):
            folder = Path(scratch) / str(number)
            seconds, worked, events = afternoon(world, folder / "ticks.db")
            ticks += seconds
            cpu += worked
            batch.append(rebuild(lake, folder / "features", folder / "batch.db"))
        ours, theirs = held(folder / "ticks.db"), held(folder / "batch.db")
    if ours != theirs:
        differ = sum(ours.get(key) != theirs.get(key) for key in ours.keys() | theirs.keys())
        raise SystemExit(f"the results are not equal: {differ} keys differ")
    print(f"{len(ticks)} ticks, {events / len(seconds):.0f} events each; equal: {len(ours)} keys of the online store")
    show({"a tick": ticks, "its processor time": cpu, "rebuild and publish the day": batch}, "ms", 1e3)
    verdict("stream-tick", statistics.median(ticks) / LIMIT, 1)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    main()
