"""Predictions a second over HTTP by one worker, against an empty application, a plain handler and the model servers.

Ours is the whole of `serve`: a flight is decoded and checked, its features are read from the SQLite online store, it is
scored, and it is in the prediction log before it is answered. `path` is ours without the store and the log. The plain
handler takes the same flights and looks nothing up, and the model servers get a row of inputs that is ready: neither
reads a feature nor keeps a log. Each server has a core, and the load, 32 connections without a pause, has the other.

Of `mlflow models serve` it is the onnx flavor, the fastest. The processor's time of a request is the steadier figure:
all processes of the server count.
"""

import json
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from harness import due, judge, served_state
from servers import Load, bentoml, empty, litserve, load, mlflow, mlserver, ours, plain, started

ROUNDS, SECONDS = 3, 4


def main() -> None:
    state = served_state()
    flights = [json.dumps({"flights": [flight]}).encode() for flight in due(100)]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        contestants = {
            "empty": empty(flights),
            "plain": plain(state, flights),
            "ours": ours(state, flights),
            "mlflow": mlflow(state, folder),
            "BentoML": bentoml(state),
            "MLServer": mlserver(state, folder),
            "LitServe": litserve(state),
        }
        servers = {who: stack.enter_context(started(contestant)) for who, contestant in contestants.items()}
        for server in servers.values():
            load(server, folder, 1)
        loads: dict[str, list[Load]] = {who: [] for who in servers}
        for _ in range(ROUNDS):
            for who, server in servers.items():
                loads[who].append(load(server, folder, SECONDS))
        print(f"{'':<10}{'requests/s':>12}{'min':>9}{'max':>9}{'CPU us':>9}{'failed':>8}{'MB':>7}{'start s':>9}")
        rate = {who: statistics.median(one.rate for one in of) for who, of in loads.items()}
        for who, of in loads.items():
            rates = [one.rate for one in of]
            spent = statistics.median(one.cpu_microseconds for one in of)
            row = (
                f"{rate[who]:>12.0f}{min(rates):>9.0f}{max(rates):>9.0f}{spent:>9.0f}{sum(one.failed for one in of):>8}"
            )
            print(f"{who:<10}{row}{servers[who].megabytes():>7.0f}{servers[who].seconds:>9.1f}")
    rivals = max(rate[who] for who in ("BentoML", "MLServer", "LitServe"))
    held = [
        judge("serving, of the empty application", rate["ours"] / rate["empty"], 0.25, at_most=False),
        judge("serving, over the plain handler", rate["ours"] / rate["plain"], 1.2, at_most=False),
        judge("serving, over mlflow models serve", rate["ours"] / rate["mlflow"], 3.5, at_most=False),
        judge("serving, over the best model server", rate["ours"] / rivals, 2.5, at_most=False),
    ]
    failed = sum(one.failed for of in loads.values() for one in of)
    sys.exit(0 if all(held) and not failed else 1)


if __name__ == "__main__":
    main()
