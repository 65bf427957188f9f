"""Reading every view of 100 flights costs at most 3 times what one flight costs, and less than 1 ms for one.

The stores hold the real features of 2013-04-01, as `features publish` writes them at AS_OF, and are asked as they are
in production: by a predictor that turns the columns of a request into scores on disk. In each round it answers one
flight and a hundred flights, on SQLite and on Redis, in an order that is drawn, and each round asks for others of the
flights that are due next.

`read` is the time of the online read within such a request, and `request` all of it. `again` is one read repeated at
once with nothing between, when the processor's caches hold all that it needs: the least it can cost, which one flight
gains more from than a hundred. The closing ratio is that of `read` on SQLite. Before anything is measured, the answers
of both stores, and those of a hundred flights together and one by one, are compared to the last bit.
"""

import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from flight_delays.features.online import Found, OnlineStore, open_store
from flight_delays.serving.prediction_log import PredictionLog
from flight_delays.serving.predictor import Predictor
from flight_delays.serving.schemas import columns, decode
from flight_delays.settings import Settings
from harness import AS_OF, due, run, served_state, verdict

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
        self._arguments: tuple[Any, ...] = ()

    def read(self, *arguments: Any) -> Found:
        self._arguments = arguments
        started = time.perf_counter()
        found = self._store.read(*arguments)
        self.seconds = time.perf_counter() - started
        return found

    def again(self) -> float:
        """Read what was read last, and return the seconds it took."""
        self.read(*self._arguments)
        return self.seconds


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


def requests(flights: list[dict[str, Any]], together: int) -> list[Mapping[str, Any]]:
    """Return the columns of TOGETHER requests of so many flights each, no two of which are the same."""
    return [columns(decode(json.dumps({"flights": flights[n : n + together]}).encode()).rows) for n in range(TOGETHER)]


def check(together: Mapping[str, Found], alone: Mapping[str, Sequence[Found]]) -> None:
    """End here unless every store found the same, together and one by one, to the last bit."""
    expected = together["SQLite"]
    for store, found in together.items():
        if (found.missing, found.stale) != (expected.missing, expected.stale):
            sys.exit(f"error: {store} misses other values than SQLite")
        for name, values in found.features.items():
            single = np.array([one.features[name] for one in alone[store]])
            if not values.tobytes() == single.tobytes() == expected.features[name].tobytes():
                sys.exit(f"error: {store} reads another {name}, for one flight or for {TOGETHER}")


def main() -> None:
    state, flights = served_state(), due(2 * TOGETHER)
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
            run(state, f"features publish --as-of {AS_OF.isoformat()}", online_url=url)
            store = stack.enter_context(closing(open_store(Settings(state=state, online_url=url))))
            log = stack.enter_context(closing(PredictionLog(Path(folder) / name)))
            timed = Timed(store)
            predictor = Predictor(state / "bundles", timed, log, lambda alias, outcome: None)  # type: ignore[arg-type]
            predictor.refresh()
            predictors[name] = (predictor, timed)
        found = {
            name: predictor.predict(asked[TOGETHER][0], [("check", TOGETHER)]).found
            for name, (predictor, _) in predictors.items()
        }
        check(
            found,
            {name: [p.predict(one, [("check", 1)]).found for one in asked[1]] for name, (p, _) in predictors.items()},
        )
        seconds: dict[tuple[str, str, int], list[float]] = defaultdict(list)
        turns = [(name, count) for name in predictors for count in asked]
        draw = random.Random(7)
        for number in range(ROUNDS):
            for name, count in draw.sample(turns, len(turns)):
                predictor, timed = predictors[name]
                started = time.perf_counter()
                predictor.predict(asked[count][number % TOGETHER], [("bench", count)])
                seconds["request", name, count].append(time.perf_counter() - started)
                seconds["read", name, count].append(timed.seconds)
        for name, count in turns:
            predictor, timed = predictors[name]
            predictor.predict(asked[count][0], [("bench", count)])
            seconds["again", name, count] = [timed.again() for _ in range(ROUNDS)]
    read = found["SQLite"]
    missing = sum(read.missing.values()) / (len(read.missing) * TOGETHER)
    print(f"{len(read.missing)} views, {len(read.features)} features, {missing:.0%} of the values missing")
    print(f"{'p50 and p99, ms':<20}{'one flight':>16}{'100 flights':>20}{'p50 over p50':>16}")
    ratios = {}
    for what in ("request", "again", "read"):
        for name in predictors:
            one, many = (np.percentile(seconds[what, name, count], (50, 99)) * 1000 for count in asked)
            ratios[what, name] = float(many[0] / one[0])
            row = f"{one[0]:>9.3f}{one[1]:>9.3f}{many[0]:>11.3f}{many[1]:>9.3f}{ratios[what, name]:>14.2f}"
            print(f"{f'{what}, {name}':<18}{row}")
    one = float(np.median(seconds["read", "SQLite", 1])) * 1000
    print(f"one flight on SQLite: p50 {one:.3f} ms (bound <= {MILLISECOND:g} ms)")
    if one > MILLISECOND:
        sys.exit(1)
    verdict("online-read", ratios["read", "SQLite"], BOUND)


if __name__ == "__main__":
    main()
