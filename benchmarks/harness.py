"""How every benchmark measures: rivals and ours interleaved in one run, medians, and one ratio against one bound.

A ratio of two medians of the same run holds on a machine that other work shares; an absolute time does not.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import duckdb
from flight_delays.features.views import VIEWS
from flight_delays.settings import PREFIX
from flight_delays.simulation.world import World
from flight_delays.sources import SOURCES

PROJECT = Path(__file__).resolve().parents[1] / "build" / "bench"
COMMAND = str(PROJECT / ".venv" / "bin" / "flight-delays")
SINCE, UNTIL = date(2013, 1, 1), date(2013, 12, 31)  # UTC days; the last day's weather breaks its contract
SERVED = PROJECT / ".state" / "served"  # three months of data, their features and a champion
AS_OF = datetime(2013, 4, 1, 16, tzinfo=UTC)  # when the features of that state are published


def landed_year() -> Path:
    """Land the real year with the project's own command, where it is not there yet, and return the state's folder."""
    state = PROJECT / ".state"
    last = state / "lake" / "weather" / f"date={UNTIL - timedelta(days=1)}"  # of the last source
    if not last.exists():
        print("landing the year", flush=True)
        subprocess.run([COMMAND, "data", "land", "--until", str(UNTIL)], cwd=PROJECT, check=True)
    return state


def served_state() -> Path:
    """Make the state of a service at AS_OF, once, with the project's own commands, and return its folder."""
    if not (SERVED / "bundles" / "champion").is_symlink():
        print("preparing three months of data and a model, once", flush=True)
        shutil.rmtree(SERVED, ignore_errors=True)
        for words in ("data land --until 2013-04-02", "features build --until 2013-04-02", "train --until 2013-04-01"):
            run(SERVED, words)
        for words in (f"features publish --as-of {AS_OF.isoformat()}", "registry promote 1", "registry sync"):
            run(SERVED, words)
    return SERVED


def run(state: Path, words: str, **settings: str) -> None:
    """Run a command of the project on a state."""
    environment = {f"{PREFIX}{name.upper()}": value for name, value in {"state": str(state), **settings}.items()}
    subprocess.run([COMMAND, *words.split()], env={**os.environ, **environment}, stdout=subprocess.DEVNULL, check=True)


def due(count: int) -> list[dict[str, Any]]:
    """Return the first flights that are due from AS_OF on, as the bodies of requests."""
    world = World(SOURCES, VIEWS.values())
    days = (AS_OF.date() + timedelta(days=number) for number in range(28))
    rounds = (one for day in days for one in sorted(world.due(day).items()))
    return list(islice((flight for at, flights in rounds if at >= AS_OF for flight in flights), count))


def new(folder: Path) -> Path:
    """Return an empty folder in it. Nothing is removed between runs: ext4 makes files slowly where some just went."""
    return Path(tempfile.mkdtemp(dir=folder))


def different(view: str, ours: Path, theirs: Path) -> int:
    """Return how many rows of a view one store has and the other has not, at the same place of the same partition."""
    columns = ", ".join((*VIEWS[view].columns, "date", "file_row_number"))
    a, b = (
        f"SELECT {columns} FROM read_parquet('{store / view}/*/*.parquet', hive_partitioning = true,"
        " file_row_number = true)"
        for store in (ours, theirs)
    )
    query = f"SELECT count(*) FROM (({a} EXCEPT ALL {b}) UNION ALL ({b} EXCEPT ALL {a}))"
    return int(duckdb.connect(config={"threads": 2}).execute(query).fetchall()[0][0])


def interleave(
    contestants: Mapping[str, Callable[[], object]], rounds: int, warmups: int = 1
) -> dict[str, list[float]]:
    """Return the wall seconds of each contestant: `rounds` rounds, in each of which everyone runs once, in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(warmups + rounds):
        for name, run in contestants.items():
            started = time.perf_counter()
            run()
            if number >= warmups:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def peak_megabytes(command: Sequence[str]) -> tuple[float, float]:
    """Run a command in a process of its own and return its wall seconds and the peak of its resident memory in MB.

    Raises CalledProcessError, with what it printed, when it fails.
    """
    probe = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=sys.stderr)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "sys.exit(done.returncode)\n"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", probe, *command], stdout=subprocess.PIPE, text=True, check=True)
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes here
    return time.perf_counter() - started, int(done.stdout.split()[-1]) / unit


def show(seconds: Mapping[str, Sequence[float]], unit: str = "s", scale: float = 1.0) -> None:
    """Print a row a contestant: the least, the median and the most of its times, in `unit`."""
    print(f"{'':<28}{'min':>10}{'median':>10}{'max':>10}  {unit}")
    for name, values in seconds.items():
        low, middle, high = min(values) * scale, statistics.median(values) * scale, max(values) * scale
        print(f"{name:<28}{low:>10.3f}{middle:>10.3f}{high:>10.3f}")


def ratio(seconds: Mapping[str, Sequence[float]], ours: str, rival: str) -> float:
    """Return our median time over the rival's."""
    return statistics.median(seconds[ours]) / statistics.median(seconds[rival])


def judge(name: str, value: float, bound: float, *, at_most: bool = True) -> bool:
    """Print a closing line and return whether the ratio is on the right side of its bound."""
    print(f"bench {name}: ratio {value:.3g} (bound {'<=' if at_most else '>='} {bound:g})")
    return value <= bound if at_most else value >= bound


def verdict(name: str, value: float, bound: float, *, at_most: bool = True) -> NoReturn:
    """Print the closing line and exit: 0 when the ratio is on the right side of its bound, 1 when it is not."""
    sys.exit(0 if judge(name, value, bound, at_most=at_most) else 1)
