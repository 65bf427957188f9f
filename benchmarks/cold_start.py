"""From the start of `serve` to its first answer, against the plain handler and `mlflow models serve`; and its memory.

Each is started ROUNDS times, in turn. Then one worker answers 200,000 requests: it must stay under 180 MB, and grow by
less than 1 % after the first tenth of them.
"""

import json
import sys
import tempfile
from pathlib import Path

from harness import due, judge, ratio, served_state, show
from servers import load, mlflow, ours, plain, started

ROUNDS, REQUESTS = 3, 200_000
MEGABYTES, GROWTH = 180.0, 1.01


def main() -> None:
    state = served_state()
    flights = [json.dumps({"flights": [flight]}).encode() for flight in due(100)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contestants = {"ours": ours(state, flights), "plain": plain(state, flights), "mlflow": mlflow(state, folder)}
        seconds: dict[str, list[float]] = {who: [] for who in contestants}
        for _ in range(ROUNDS):
            for who, contestant in contestants.items():
                with started(contestant) as server:
                    seconds[who].append(server.seconds)
        show(seconds)
        with started(contestants["ours"]) as server:
            asked, first = 0, 0.0
            while asked < REQUESTS:
                asked += load(server, folder, 5).requests
                if not first and asked >= REQUESTS / 10:
                    first = server.megabytes()
            last = server.megabytes()
    print(f"{first:.1f} MB after a tenth of {asked:,} requests, {last:.1f} MB at their end")
    held = [
        judge("cold-start, of the plain handler", ratio(seconds, "ours", "plain"), 1.5),
        judge("cold-start, of mlflow models serve", ratio(seconds, "ours", "mlflow"), 1 / 6),
        judge("cold-start, memory of its limit", last / MEGABYTES, 1.0),
        judge("cold-start, growth of memory", last / first, GROWTH),
    ]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
