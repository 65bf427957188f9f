"""Ask a server for predictions without a pause, from inside of its network: load.py PORT KEY.

It prints `ready SECONDS` (since 1970) and waits for a line; then `version NUMBER` for each version that answers; and in
the end, once readiness has failed, what was counted, as JSON.
"""

import http.client
import itertools
import json
import sys
import threading
import time
from contextlib import closing

PATIENCE, CLIENTS = 300.0, 3

port, key = int(sys.argv[1]), sys.argv[2]
deadline = time.monotonic() + PATIENCE
stop, lock = threading.Event(), threading.Lock()
numbers = itertools.count(1)
answered: dict[str, int] = {}
failures: list[str] = []


def ask(method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()


def ready() -> bool:
    try:
        return ask("GET", "/healthz/ready")[0] == 200
    except OSError:
        return False


def predict() -> None:
    while not stop.is_set():
        flight = {
            "carrier": "UA", "flight": 1 + next(numbers) % 9999, "origin": "EWR", "dest": "IAH", "tailnum": "N14228",
            "scheduled_departure": "2013-02-05T17:30:00Z", "scheduled_arrival": "2013-02-05T21:30:00Z",
        }  # fmt: skip
        try:
            status, content = ask("POST", "/v1/predictions", json.dumps({"flights": [flight]}))
        except (OSError, http.client.HTTPException) as error:
            failures.append(repr(error))
            continue
        if status != 200:
            failures.append(f"{status} {content!r}")
            continue
        version = json.loads(content)["model"]["version"]
        with lock:
            if version not in answered:
                print(f"version {version}", flush=True)
            answered[version] = answered.get(version, 0) + 1


while not ready():
    if time.monotonic() > deadline:
        sys.exit("the server did not become ready")
    time.sleep(0.01)
print(f"ready {time.time()}", flush=True)
sys.stdin.readline()
threads = [threading.Thread(target=predict) for _ in range(CLIENTS)]
for thread in threads:
    thread.start()
while ready() and time.monotonic() < deadline:
    time.sleep(0.05)
stop.set()
for thread in threads:
    thread.join()
print(json.dumps({"answered": answered, "failures": failures}), flush=True)
