"""Reading every view of 100 flights costs at most 3 times what one flight costs, and less than 1 ms for one.

The stores hold the real features of 2013-04-01, as `features publish` writes them at AS_OF, and are asked as they are
in production: by a predictor that turns the columns of a request into logged scores. In each round it answers one
flight and a hundred flights, on SQLite and on Redis, in turn, and every round asks for others of the flights that are
due next. `read` is the time of the online read within that request, `request` all of it, from columns to scores on
disk. The closing ratio is that of the reads on SQLite. Before anything is measured, the answers of both stores, and of
a hundred flights together and one by one, are compared to the last bit.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from flight_delays.features.online import Found, OnlineStore, open_store
from flight_delays.serving.predictor import Predictor
from flight_delays.serving.prediction_log import PredictionLog
from flight_delays.serving.schemas import PredictionRequest
from flight_delays.settings import PREFIX, Settings
from flight_delays.simulation.world import World
from flight_delays.sources import SOURCES
from harness import verdict

STATE = Path("build/bench/.state/online-read")
AS_OF = datetime(2013, 4, 1, 16, tzinfo=UTC)
TOGETHER = 100
ROUNDS = 300
BOUND = 3.0
MILLISECOND = 1.0


class Timed:
    """An online store as the predictor sees it, that keeps how long each read took."""

    def __init__(self, store: OnlineStore) -> None:
        self.definitions = store.definitions
        self.seconds = 0.0
        self._store = store

    def read(self, *arguments: Any) -> Found:
        started = time.perf_counter()
        found = self._store.read(*arguments)
        self.seconds = time.perf_counter() - started
        return found


def prepare() -> None:
    """Land, build and train once; what is there already stays."""
    if not (STATE / "bundles" / "champion").is_symlink():
        print("preparing three months of data and a model, once", flush=True)
        shutil.rmtree(STATE, ignore_errors=True)
        for command in ("data land --until 2013-04-02", "features build --until 2013-04-02"):
            run(command)
        for command in ("train --until 2013-04-01", "registry promote 1", "registry sync"):
            run(command)


def run(command: str, **settings: str) -> None:
    """Run a command of the project."""
    environment = {f"{PREFIX}{name.upper()}": value for name, value in {"state": str(STATE), **settings}.items()}
    program = [sys.executable, "-m", "flight_delays", *command.split()]
    subprocess.run(program, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, check=True)


@contextmanager
def redis_server(program: str, folder: str) -> Iterator[str]:
    """Run a Redis on a free port of loopback that keeps nothing, and hand out its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", folder]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def due() -> list[dict[str, Any]]:
    """Return the flights that are due from AS_OF on, as the bodies of requests."""
    rounds = sorted(World(SOURCES).due(AS_OF.date()).items())
    return list(islice((flight for at, flights in rounds if at >= AS_OF for flight in flights), 2 * TOGETHER))


def requests(flights: list[dict[str, Any]], together: int) -> list[Mapping[str, Any]]:
    """Return the columns of TOGETHER requests of so many flights each, no two of which are the same."""
    return [PredictionRequest(flights=flights[n : n + together]).columns() for n in range(TOGETHER)]


def same(ours: Found, theirs: Found) -> bool:
    """Whether two reads found the same, to the last bit."""
    return (ours.missing, ours.stale) == (theirs.missing, theirs.stale) and all(
        ours.features[name].tobytes() == theirs.features[name].tobytes() for name in ours.features
    )


def main() -> None:
    prepare()
    flights = due()
    asked = {1: requests(flights, 1), TOGETHER: requests(flights, TOGETHER)}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        urls = {"SQLite": ""}
        if program := shutil.which("redis-server"):
            urls["Redis"] = stack.enter_context(redis_server(program, folder))
        else:
            print("Redis is left out: there is no redis-server on the PATH")
        predictors: dict[str, tuple[Predictor, Timed]] = {}
        for name, url in urls.items():
            run(f"features publish --as-of {AS_OF.isoformat()}", online_url=url)
            store = stack.enter_context(closing(open_store(Settings(state=STATE, online_url=url))))
            log = stack.enter_context(closing(PredictionLog(Path(folder) / name)))
            timed = Timed(store)
            predictor = Predictor(STATE / "bundles", timed, log, lambda alias, outcome: None)  # type: ignore[arg-type]
            predictor.refresh()
            predictors[name] = (predictor, timed)
        founds = {name: predictor.predict(asked[TOGETHER][0], "check").found for name, (predictor, _) in predictors.items()}
        for name, (predictor, _) in predictors.items():
            if not same(founds[name], founds["SQLite"]):
                sys.exit(f"error: {name} finds other values than SQLite")
            for number, request in enumerate(asked[1]):
                alone = predictor.predict(request, "check").found.features
                if any(alone[key].tobytes() != founds[name].features[key][number : number + 1].tobytes() for key in alone):
                    sys.exit(f"error: {name} finds other values for one flight than for a hundred")
        reads: dict[tuple[str, int], list[float]] = {}
        wholes: dict[tuple[str, int], list[float]] = {}
        for number in range(ROUNDS):
            for name, (predictor, timed) in predictors.items():
                for count, of in asked.items():
                    started = time.perf_counter()
                    predictor.predict(of[number % TOGETHER], "bench")
                    wholes.setdefault((name, count), []).append(time.perf_counter() - started)
                    reads.setdefault((name, count), []).append(timed.seconds)
    missing = sum(founds["SQLite"].missing.values()) / (len(founds["SQLite"].missing) * TOGETHER)
    print(f"{len(founds['SQLite'].missing)} views, {len(founds['SQLite'].features)} features, {missing:.0%} of the rows missing")
    print(f"{'':<32}{'p50':>10}{'p99':>10}  ms")
    ratios = {}
    for what, seconds in (("read", reads), ("request", wholes)):
        for (name, count), values in seconds.items():
            low, high = (float(np.percentile(values, part)) * 1000 for part in (50, 99))
            print(f"{f'{what}, {name}, {count} flight' + 's' * (count > 1):<32}{low:>10.3f}{high:>10.3f}")
            ratios[what, name, count] = low
    for what in ("request", "read"):
        for name in predictors:
            print(f"{what}, {name}: 100 flights over one: {ratios[what, name, TOGETHER] / ratios[what, name, 1]:.2f}")
    one = ratios["read", "SQLite", 1]
    print(f"one flight on SQLite: p50 {one:.3f} ms (bound <= {MILLISECOND:g} ms)")
    if one > MILLISECOND:
        sys.exit(1)
    verdict("online-read", ratios["read", "SQLite", TOGETHER] / one, BOUND)


if __name__ == "__main__":
    main()
