"""p99 of what is answered at 4 times the rate that the server can answer, over p99 at half of that rate.

Too much is refused at once with 503, so that what is answered is answered soon. Health is asked for on new connections
meanwhile, and at full load takes at most 100 ms. The load at half is sent over as many connections as predictions may
wait, and that of the overload over 256. Two seconds after the overload nothing is refused any more.
"""

import http.client
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from harness import due, judge, served_state
from servers import Answers, at_rate, load, ours, started

SECONDS, OVERLOAD_SECONDS, RECOVERY = 6, 30, 2.0
USUAL, MANY = 64, 256  # connections
BOUND = 5.0
HEALTH = 100.0  # milliseconds


def p99(answers: Answers) -> float:
    """Return the 99th percentile of the milliseconds of what was answered."""
    return float(np.percentile([took for _, took in answers[200]], 99)) * 1000


@contextmanager
def probed(port: int) -> Iterator[list[float]]:
    """Ask for health meanwhile; what is yielded holds the milliseconds afterwards."""
    stop, taken = threading.Event(), list[float]()
    prober = threading.Thread(target=probe, args=(port, stop, taken))
    prober.start()
    try:
        yield taken
    finally:
        stop.set()
        prober.join()


def probe(port: int, stop: threading.Event, taken: list[float]) -> None:
    """Ask for health on a new connection, twenty times a second, and keep the milliseconds."""
    while not stop.wait(0.05):
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/healthz/ready")
        status = connection.getresponse().status
        connection.close()
        if status != 200:
            sys.exit(f"error: health says {status} under load")
        taken.append((time.perf_counter() - began) * 1000)


def main() -> None:
    flights = [json.dumps({"flights": [flight]}).encode() for flight in due(100)]
    with tempfile.TemporaryDirectory() as name, started(ours(served_state(), flights)) as server:
        folder = Path(name)
        load(server, folder, 2)
        with probed(server.port) as full:
            most = load(server, folder, SECONDS, USUAL).rate
        before = at_rate(server, folder, most / 2, SECONDS, USUAL)
        with probed(server.port) as beyond:
            during = at_rate(server, folder, 4 * most, OVERLOAD_SECONDS, MANY)
            ended = time.time()
        after = at_rate(server, folder, most / 2, SECONDS, USUAL)
    print(f"{most:.0f} requests/s at most")
    print(f"{'':<12}{'answered/s':>12}{'refused/s':>12}{'p99 ms':>9}")
    for what, answers, seconds in (
        ("half", before, SECONDS),
        ("4 times", during, OVERLOAD_SECONDS),
        ("half again", after, SECONDS),
    ):
        counts = f"{len(answers[200]) / seconds:>12.0f}{len(answers[503]) / seconds:>12.0f}"
        print(f"{what:<12}{counts}{p99(answers):>9.1f}")
    for what, health in (("full load", full), ("4 times", beyond)):
        print(f"health at {what}, on new connections: p50 {np.median(health):.0f} ms, most {max(health):.0f} ms")
    wrong = {status: len(of) for answers in (before, during, after) for status, of in answers.items() if of}
    if set(wrong) - {200, 503}:
        sys.exit(f"error: there were other answers: {wrong}")
    if late := sum(asked > ended + RECOVERY for asked, _ in after[503]):
        sys.exit(f"error: {late} requests were refused more than {RECOVERY:g} s after the overload")
    held = [
        judge("serve-overload, health at full load of its limit", max(full) / HEALTH, 1.0),
        judge("serve-overload", p99(during) / p99(before), BOUND),
    ]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
