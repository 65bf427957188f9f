"""p99 over p50 of single predictions over HTTP, at half of the rate that the server can answer at most.

The load is open: a request is sent when its time has come, whether or not the last one was answered.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from harness import due, served_state, verdict
from servers import at_rate, load, ours, started

ROUNDS, SECONDS = 3, 8
BOUND = 10.0


def main() -> None:
    flights = [json.dumps({"flights": [flight]}).encode() for flight in due(100)]
    ratios = []
    with tempfile.TemporaryDirectory() as name, started(ours(served_state(), flights)) as server:
        folder = Path(name)
        load(server, folder, 1)
        for _ in range(ROUNDS):
            most = load(server, folder, 3).rate
            answers = at_rate(server, folder, most / 2, SECONDS)
            if wrong := {status: len(of) for status, of in answers.items() if of and status != 200}:
                sys.exit(f"error: there were other answers: {wrong}")
            p50, p99 = np.percentile([took for _, took in answers[200]], (50, 99)) * 1000
            print(f"{most:.0f} requests/s at most; at half of it p50 {p50:.2f} ms, p99 {p99:.2f} ms", flush=True)
            ratios.append(p99 / p50)
    verdict("serve-latency", float(np.median(ratios)), BOUND)


if __name__ == "__main__":
    main()
