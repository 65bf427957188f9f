"""The server as a process of its own, reached only over HTTP."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from ..errors import UserError
from ..problem import ROWS
from .client import Client, NoAnswer

T = TypeVar("T")

# Waits for the end of its input, which comes with the end of the replay, however that ends, and then stops the server.
GUARD = 'read -r _; kill "$0"'

PACKAGE = (__package__ or "").split(".")[0]
STARTED = "serving at "
PATIENCE = 60.0  # seconds; a machine under load is slow, a server that is not up by then is broken


class Server:
    """A `serve` process on a free port of loopback."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = {**os.environ, **environment}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._offset = 0
        self._client: Client | None = None
        self.slower = 0.0
        """Seconds for which the processes that answer stop at each request."""

    def start(self) -> None:
        """Start the process and return when it is ready. Raises UserError when it ends or stays silent."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._offset = offset = log.tell()
            command = [sys.executable, "-m", PACKAGE, "serve", "--port", "0", "--metrics-port", "0"]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        self._unguard()
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD, str(self._process.pid)], stdin=subprocess.PIPE, start_new_session=True
        )
        url = self._wait("say where it serves", lambda: self._address(offset))
        self._let_go()
        self._client = Client(url, PATIENCE)
        self._wait("become ready", lambda: self._ready() or None)

    @property
    def address(self) -> str:
        """The URL of the running server."""
        return self._asked.url

    def predict(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the answer for some rows. Raises NoAnswer."""
        with self._slowed():
            answer: dict[str, Any] = self._asked.post("/v1/predictions", {ROWS: rows})
        return answer

    def versions(self) -> dict[str, str]:
        """Return the version of each alias that the running server holds. Raises NoAnswer."""
        with self._slowed():
            answer = self._asked.get("/v1/model")
        found = {alias: shadow["version"] for alias, shadow in answer["shadows"].items()}
        return found | ({"champion": answer["champion"]["version"]} if answer["champion"] else {})

    def wait_for(self, aliases: Mapping[str, str]) -> float:
        """Wait until the server holds exactly these versions and return the seconds it took."""
        started = time.monotonic()
        self._wait(f"hold {dict(aliases)}", lambda: self.versions() == dict(aliases) or None)
        return time.monotonic() - started

    def wait_until_whole(self) -> None:
        """Wait until nothing that the answers need is away."""
        self._wait("find its store back", lambda: self._degraded() == [] or None)

    def start_again(self) -> None:
        """Start the process where it has ended, as who runs it in production would."""
        if self._process is None or self._process.poll() is not None:
            self.start()

    def kill(self) -> None:
        """Kill the process at once (SIGKILL), as a node that dies would, and return when nobody answers for it."""
        if self._process:
            self._unguard()
            self._process.kill()
            self._process.wait()
            while self._client and self._ready():
                time.sleep(0.01)  # a worker ends with its parent, once it sees that

    def stop(self) -> None:
        """End the process in order, and kill it when it does not end."""
        self._let_go()
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.kill()
        self._unguard()

    def _unguard(self) -> None:
        """End the guard, which would signal whatever has the number of a server that has ended."""
        if self._guard:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None

    @contextmanager
    def _slowed(self) -> Iterator[None]:
        """Stop the processes that answer (SIGSTOP), and let a thread wake them; both are over at the end."""
        if not self.slower:
            yield
            return
        workers = self._workers()
        _signal(workers, signal.SIGSTOP)
        timer = threading.Timer(self.slower, _signal, (workers, signal.SIGCONT))
        timer.start()
        try:
            yield
        finally:
            timer.join()

    def _workers(self) -> list[int]:
        """Return the process numbers of the processes that answer, as the log has them."""
        lines = self._log.read_bytes()[self._offset :].splitlines()
        return [json.loads(line)["pid"] for line in lines if b'"event":"a worker serves"' in line]

    def _address(self, offset: int) -> str | None:
        lines = self._log.read_bytes()[offset:].decode(errors="replace").splitlines(keepends=True)
        found = [line for line in lines if line.startswith(STARTED) and line.endswith("\n")]
        return found[-1].removeprefix(STARTED).strip() if found else None

    @property
    def _asked(self) -> Client:
        assert self._client
        return self._client

    def _let_go(self) -> None:
        if self._client:
            self._client.close()
            self._client = None

    def _ready(self) -> bool:
        return self._degraded() is not None

    def _degraded(self) -> list[str] | None:
        """Return what the answers of a server lack; None when it is not ready."""
        with suppress(NoAnswer):
            degraded: list[str] = self._asked.get("/healthz/ready")["degraded"]
            return degraded
        return None

    def _wait(self, what: str, look: Callable[[], T | None]) -> T:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = look()
            if found is not None:
                return found
            if self._process is None or self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise UserError(f"the server did not {what} within {PATIENCE:.0f} s; the end of {self._log} says why")


def _signal(processes: Sequence[int], number: int) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
