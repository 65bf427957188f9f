"""Two servers behind nginx: restarted in turn, with bundles that change and a store that dies, and no request fails.

The registry is away for the whole test.
"""

import http.client
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from local import free_port, until

SLUG, PREFIX = "flight-delays", "FLIGHT_DELAYS_"
SWAPS, CLIENTS = 50, 3
PATIENCE = 90.0


def ready(port: int) -> int:
    """Return the status of a server's readiness, 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with closing(connection):
        try:
            connection.request("GET", "/healthz/ready")
            return connection.getresponse().status
        except OSError:
            return 0


class Nginx:
    """A load balancer that is told which servers take requests, as a cluster tells its own by their readiness."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self._command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def balance(self, *ports: int) -> None:
        servers = " ".join(f"server 127.0.0.1:{port};" for port in ports)
        temporary = " ".join(
            f"{kind}_temp_path {self._folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self._folder / "nginx.conf").write_text(
            f"daemon off; pid {self._folder}/pid; worker_processes 1; events {{ }}\n"
            f"http {{ access_log off; {temporary}\n"
            f"upstream all {{ {servers} keepalive 8; }}\n"
            f"server {{ listen 127.0.0.1:{self.port};\n"
            'location / { proxy_pass http://all; proxy_http_version 1.1; proxy_set_header Connection ""; } } }\n'
        )
        if self._process:
            self._process.send_signal(signal.SIGHUP)
        else:
            self._process = subprocess.Popen(self._command)
            until(lambda: ready(self.port) == 200)

    def end(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()


class Traffic:
    """Clients that ask without a pause, each time on a new connection and for another flight."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answered: set[str] = set()
        self.degraded = 0
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._numbers = itertools.count(1)
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            flight = {
                "carrier": "UA", "flight": 1 + next(self._numbers) % 9999, "origin": "EWR", "dest": "IAH",
                "tailnum": "N14228", "scheduled_departure": "2013-02-05T17:30:00Z",
                "scheduled_arrival": "2013-02-05T21:30:00Z",
            }  # fmt: skip
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            with closing(connection):
                try:
                    headers = {"content-type": "application/json"}
                    connection.request("POST", "/v1/predictions", json.dumps({"flights": [flight]}), headers)
                    response = connection.getresponse()
                    content = response.read()
                except (OSError, http.client.HTTPException) as error:
                    self.failures.append(repr(error))
                    continue
            if response.status != 200:
                self.failures.append(f"{response.status} {content!r}")
                continue
            answer = json.loads(content)
            self.answered.add(answer["request_id"])
            self.degraded += bool(answer["degraded"])


@pytest.fixture
def state(small_state: Path, tmp_path: Path) -> Path:
    """Return a state of the test's own, with a bundle beside the server."""
    return shutil.copytree(small_state, tmp_path / "state", symlinks=True)


@pytest.fixture
def nginx_program(require_tool: Callable[[str], str]) -> str:
    """Return nginx, which Debian keeps where only root looks."""
    debian = Path("/usr/sbin/nginx")
    return str(debian) if debian.exists() else require_tool("nginx")


@pytest.fixture
def running() -> Iterator[ExitStack]:
    """Return what ends all that the test has started."""
    with ExitStack() as stack:
        yield stack


def test_no_request_fails_while_everything_behind_the_balancer_changes(
    nginx_program: str,
    require_tool: Callable[[str], str],
    golden_project: Path,
    state: Path,
    tmp_path: Path,
    running: ExitStack,
):
    redis_program, redis_port = require_tool("redis-server"), free_port()
    environment = {
        **os.environ,
        f"{PREFIX}STATE": str(state),
        f"{PREFIX}REGISTRY_URI": "http://127.0.0.1:9",
        f"{PREFIX}ONLINE_URL": f"redis://127.0.0.1:{redis_port}/0",
        f"{PREFIX}DRAIN_SECONDS": "1",
    }

    def start_redis() -> subprocess.Popen[bytes]:
        options = ["--bind", "127.0.0.1", "--port", str(redis_port), "--save", "", "--dir", str(tmp_path)]
        process = subprocess.Popen([redis_program, *options], stdout=subprocess.DEVNULL)
        running.callback(lambda: (process.kill(), process.wait()))
        return process

    def start_server(port: int) -> subprocess.Popen[bytes]:
        command = [str(golden_project / ".venv" / "bin" / SLUG), "serve", "--port", str(port), "--metrics-port", "0"]
        with (tmp_path / f"{port}.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        running.callback(lambda: (process.kill(), process.wait()))
        until(lambda: ready(port) == 200)
        return process

    redis = start_redis()
    publish = [str(golden_project / ".venv" / "bin" / SLUG), "features", "publish", "--as-of", "2013-02-05T15:30:00Z"]
    subprocess.run(publish, cwd=golden_project, env=environment | {f"{PREFIX}REGISTRY_URI": ""}, check=True)
    servers = {port: start_server(port) for port in (free_port(), free_port())}
    nginx = Nginx(nginx_program, tmp_path)
    running.callback(nginx.end)
    nginx.balance(*servers)
    traffic = Traffic(nginx.port)
    running.callback(traffic.end)
    traffic.begin()
    until(lambda: len(traffic.answered) > 100)

    for port, process in list(servers.items()):
        process.terminate()
        until(lambda port=port: ready(port) == 503)
        nginx.balance(*(other for other in servers if other != port))
        assert process.wait(PATIENCE) == 0
        servers[port] = start_server(port)
        nginx.balance(*servers)
    assert traffic.failures == []

    champion = state / "bundles" / "champion"
    first = champion.readlink()
    (state / "bundles" / f"2-{first.name.partition('-')[2]}").symlink_to(first)
    for number in range(SWAPS):
        new = champion.with_name(".next")
        new.symlink_to(f"{2 - number % 2}-{first.name.partition('-')[2]}")
        new.replace(champion)
        before = len(traffic.answered)
        until(lambda before=before: len(traffic.answered) > before + 10)
    assert traffic.failures == []

    redis.kill()
    redis.wait()
    until(lambda: traffic.degraded > 50)
    start_redis()
    seen = traffic.degraded
    before = len(traffic.answered)
    until(lambda: len(traffic.answered) > before + 100)
    until(lambda: len(traffic.answered) - before > traffic.degraded - seen)  # some are whole again
    traffic.end()
    assert traffic.failures == []
    logged = "".join(path.read_text() for path in (state / "prediction_log").rglob("*.jsonl"))
    assert traffic.answered <= set(re.findall(r'"request_id":"([^"]+)"', logged))
