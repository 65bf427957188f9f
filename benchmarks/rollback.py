"""From `registry rollback` to the first answer by the old version, against 5 seconds: the command, the sync, the swap.

The server and the process that follows the registry run with their defaults, on the other core.
"""

import json
import shutil
import statistics
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from flight_delays.settings import PREFIX
from harness import due, run, served_state, show, verdict
from servers import Running, ask, ours, started

ROUNDS, LIMIT, PATIENCE = 3, 5.0, 60.0


def until(server: Running, version: str) -> None:
    """Ask until a version answers."""
    deadline = time.perf_counter() + PATIENCE
    while json.loads(ask(server.url, server.contestant.bodies[0]))["model"]["version"] != version:
        if time.perf_counter() > deadline:
            raise SystemExit(f"error: version {version} does not answer")
        time.sleep(0.01)


def main() -> None:
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        state = Path(shutil.copytree(served_state(), Path(folder) / "state", symlinks=True))
        with suppress(subprocess.CalledProcessError):  # its gates may refuse it, which is what forcing is for
            run(state, "train --until 2013-03-31")
        flights = [json.dumps({"flights": [flight]}).encode() for flight in due(1)]
        server = ours(state, flights)
        with started(replace(server, environment={f"{PREFIX}STATE": str(state)})) as running:
            for _ in range(ROUNDS):
                run(state, "registry promote 2 --force rehearsal")
                until(running, "2")
                began = time.perf_counter()
                run(state, "registry rollback")
                until(running, "1")
                seconds.append(time.perf_counter() - began)
    show({"rollback": seconds})
    verdict("rollback", statistics.median(seconds) / LIMIT, 1.0)


if __name__ == "__main__":
    main()
