"""What tests ask of this machine: a port that nobody has, patience, and the answer of a server."""

import json
import random
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any

PATIENCE = 120.0


def free_port() -> int:
    """Return a port that is free, and stays so: it lies below those that the kernel gives to clients."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def until(
    look: Callable[[], Any], why: str | Callable[[], str] = "it", pause: float = 0.05, patience: float = PATIENCE
) -> Any:
    """Return what is looked for once it is there. `why` is what is waited for, or tells what there is instead."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, why() if callable(why) else f"{why} did not happen in time"
        time.sleep(pause)
    return found


def fetch(url: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
    """Return the status and the content of an answer, whatever the status. Raises OSError when there is none."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def answers(url: str) -> bool:
    """Return whether a server answers, and with 200."""
    try:
        return fetch(url)[0] == 200
    except OSError:
        return False
