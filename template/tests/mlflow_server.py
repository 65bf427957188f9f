"""An MLflow server as a team runs it: a process of its own, on PostgreSQL, which also hands out the artifacts."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

PATIENCE = 90.0
USER = "postgres"  # PostgreSQL refuses to run as root; Debian's package makes this account


class MlflowServer:
    """A server on free ports of loopback; nothing of it is kept. `initdb` is the path of PostgreSQL's program."""

    def __init__(self, initdb: str) -> None:
        self._programs = Path(initdb).parent
        self._folder = Path(tempfile.mkdtemp(prefix="mlflow-server-"))
        self._started: list[subprocess.Popen[bytes]] = []
        self.url = ""

    def start(self) -> None:
        """Start the database and the server, and return when it answers."""
        self._folder.chmod(0o755)
        data = self._folder / "data"
        data.mkdir()
        user = USER if os.getuid() == 0 else None
        if user:
            shutil.chown(data, user, user)
        make = [
            str(self._programs / "initdb"),
            "--pgdata",
            str(data),
            "--username",
            USER,
            "--auth",
            "trust",
            "--no-sync",
        ]
        subprocess.run(make, user=user, group=user, cwd=data.parent, stdout=subprocess.DEVNULL, check=True)
        port = _free_port()
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "fsync=off"]
        self._run("postgres", [str(self._programs / "postgres"), "-D", str(data), *options], user)
        self._wait("postgres", lambda: _listens(port))

        own = _free_port()
        store = f"postgresql+psycopg2://{USER}@127.0.0.1:{port}/postgres"
        options = ["--host", "127.0.0.1", "--port", str(own), "--workers", "1", "--serve-artifacts"]
        options += ["--backend-store-uri", store, "--artifacts-destination", str(self._folder / "artifacts")]
        self._run("mlflow", [sys.executable, "-m", "mlflow", "server", *options], None)
        self.url = f"http://127.0.0.1:{own}"
        self._wait("mlflow", lambda: _listens(own) and httpx.get(f"{self.url}/health").is_success)

    def end(self) -> None:
        for process in reversed(self._started):
            # The server has started more, in its group; PostgreSQL ends its own when it is asked to end at once.
            os.killpg(process.pid, signal.SIGINT if process is self._started[0] else signal.SIGKILL)
            process.wait(timeout=30)
        shutil.rmtree(self._folder)

    def _run(self, name: str, command: list[str], user: str | None) -> None:
        # It starts processes for jobs, of which there are none, unless it is told not to.
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self._folder / f"{name}.log").open("wb") as log:
            self._started.append(
                subprocess.Popen(
                    command,
                    cwd=self._folder,
                    env=environment,
                    user=user,
                    group=user,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def _wait(self, name: str, look: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not look():
            assert self._started[-1].poll() is None, (self._folder / f"{name}.log").read_text()
            assert time.monotonic() < deadline, (self._folder / f"{name}.log").read_text()
            time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
