"""How every benchmark measures: rivals and ours interleaved in one run, medians, and one ratio against one bound.

A ratio of two medians of the same run holds on a machine that other work shares; an absolute time does not.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import NoReturn

PROJECT = Path(__file__).resolve().parents[1] / "build" / "bench"
COMMAND = str(PROJECT / ".venv" / "bin" / "flight-delays")
SINCE, UNTIL = date(2013, 1, 1), date(2013, 12, 31)  # UTC days; the last day's weather breaks its contract


def landed_year() -> Path:
    """Land the real year with the project's own command, where it is not there yet, and return the state's folder."""
    state = PROJECT / ".state"
    last = state / "lake" / "weather" / f"date={UNTIL - timedelta(days=1)}"  # of the last source
    if not last.exists():
        print("landing the year", flush=True)
        subprocess.run([COMMAND, "data", "land", "--until", str(UNTIL)], cwd=PROJECT, check=True)
    return state


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


def verdict(name: str, value: float, bound: float, *, at_most: bool = True) -> NoReturn:
    """Print the closing line and exit: 0 when the ratio is on the right side of its bound, 1 when it is not."""
    print(f"bench {name}: ratio {value:.3g} (bound {'<=' if at_most else '>='} {bound:g})")
    sys.exit(0 if (value <= bound if at_most else value >= bound) else 1)
