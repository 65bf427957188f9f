"""Servers that are raced over HTTP: started on one core, loaded by `wrk` from the other, ended with all they started.

Every server has the champion's own model, in one process that answers and one thread of onnxruntime. What a rival needs
is installed apart, in build/rivals, at the versions below.
"""

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from flight_delays.settings import PREFIX
from harness import COMMAND

HERE = Path(__file__).resolve().parent
RIVALS = HERE.parents[1] / "build" / "rivals"
NEEDS = {
    "BentoML": ["bentoml==1.4.40"],
    "LitServe": ["litserve==0.2.19"],
    "schemathesis": ["schemathesis==4.32.5"],
    "MLServer": ["mlserver==1.7.1", "uvloop==0.21.0"],  # its worker crashes on a later uvloop
}
SERVER_CORE, CLIENT_CORE = "0", "1"
CONNECTIONS = 32
PATH = "/v1/predictions"
PATIENCE = 120.0
RESTING = 0.1  # seconds of the processor in one second, at most
Answers = Mapping[int, list[tuple[float, float]]]
"""By status: when each was asked, in seconds of the epoch, and the seconds that it took."""

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Contestant:
    """How a server is started and asked: `{port}` stands for its port, and the bodies are POSTed in turn."""

    command: Sequence[str]
    path: str
    bodies: Sequence[bytes]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Running:
    """A server that has answered."""

    contestant: Contestant
    port: int
    process: int
    seconds: float
    """From its start to its first good answer."""

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}{self.contestant.path}"

    def cpu_seconds(self) -> float:
        """Return what all of its processes have taken of the processor until now."""
        return sum(int(fields[11]) + int(fields[12]) for fields in self._processes()) / TICKS

    def megabytes(self) -> float:
        """Return the resident memory of the process that answers: of all, it has worked most."""
        worked = max(self._processes(), key=lambda fields: int(fields[11]) + int(fields[12]))
        return int(worked[21]) * PAGE / 1e6

    def _processes(self) -> Iterator[list[str]]:
        """Yield the fields of /proc/PID/stat, from the third on, of the server's process and of all that it started."""
        held: dict[int, list[str]] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                held[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
        mine = {self.process}
        while more := {pid for pid, fields in held.items() if int(fields[1]) in mine} - mine:
            mine |= more
        yield from (held[pid] for pid in mine if pid in held)


@dataclass(frozen=True)
class Load:
    """What a load of some seconds found."""

    requests: int
    seconds: float
    failed: int
    cpu_microseconds: float
    """Of all processes of the server, per request."""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


def rival_python(name: str) -> str:
    """Return the Python of a rival's own environment, which is made where it is not there yet."""
    folder = RIVALS / name.lower()
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        print(f"installing {name}", flush=True)
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or "uv"
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        wanted = [*NEEDS[name], "onnxruntime==1.32.0", "numpy"]
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *wanted], check=True)
        (folder / ".ready").touch()
    return str(python)


def empty(flights: Sequence[bytes]) -> Contestant:
    """Return the application that does nothing."""
    return Contestant([sys.executable, str(HERE / "empty.py"), "{port}"], PATH, flights, {})


def plain(state: Path, flights: Sequence[bytes]) -> Contestant:
    """Return the handler that most would write first."""
    return Contestant([sys.executable, str(HERE / "plain.py"), "{port}", _model(state)], PATH, flights, {})


def path(state: Path, flights: Sequence[bytes]) -> Contestant:
    """Return ours without the store and the log."""
    return Contestant([sys.executable, str(HERE / "path.py"), "{port}", str(state)], PATH, flights, {})


def ours(state: Path, flights: Sequence[bytes]) -> Contestant:
    """Return `serve`. The process beside it, which asks the registry for new versions, rests meanwhile."""
    settings = {f"{PREFIX}STATE": str(state), f"{PREFIX}SYNC_SECONDS": "3600"}
    return Contestant([COMMAND, "serve", "--port", "{port}", "--metrics-port", "0"], PATH, flights, settings)


def mlflow(state: Path, folder: Path) -> Contestant:
    """Return `mlflow models serve` with the onnx flavor, which is its fastest."""
    target, bin = folder / "mlflow", Path(sys.executable).parent
    code = "import sys, mlflow, onnx; mlflow.onnx.save_model(onnx.load(sys.argv[1]), sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, _model(state), target], stderr=subprocess.DEVNULL, check=True)
    options = ["-p", "{port}", "-h", "127.0.0.1", "-w", "1", "--env-manager", "local"]
    return Contestant(
        [str(bin / "mlflow"), "models", "serve", "-m", str(target), *options],
        "/invocations",
        [json.dumps({"inputs": [row]}).encode() for row in _rows(state)],
        {"PATH": f"{bin}{os.pathsep}{os.environ['PATH']}"},
    )


def bentoml(state: Path) -> Contestant:
    """Return BentoML."""
    command = [rival_python("BentoML"), "-m", "bentoml", "serve", "bento:Model", "--working-dir", str(HERE)]
    given = {"MODEL": _model(state), "BENTOML_DO_NOT_TRACK": "true"}
    return Contestant([*command, "--host", "127.0.0.1", "--port", "{port}"], "/predict", _matrices(state), given)


def mlserver(state: Path, folder: Path) -> Contestant:
    """Return MLServer, without workers of its own: they are slower."""
    command = [str(Path(rival_python("MLServer")).parent / "mlserver"), "start", str(folder / "mlserver")]
    (folder / "mlserver" / "model").mkdir(parents=True)
    settings = {"debug": False, "parallel_workers": 0, "host": "127.0.0.1", "grpc_port": 0, "metrics_port": 0}
    (folder / "mlserver" / "settings.json").write_text(json.dumps(settings))
    described = {"name": "model", "implementation": "mlserver_model.Model"}
    (folder / "mlserver" / "model" / "model-settings.json").write_text(json.dumps(described))
    bodies = [
        json.dumps({"inputs": [{"name": "inputs", "shape": [1, len(row)], "datatype": "FP32", "data": row}]}).encode()
        for row in _rows(state)
    ]
    given = {"MODEL": _model(state), "PYTHONPATH": str(HERE), "MLSERVER_HTTP_PORT": "{port}"}
    return Contestant(command, "/v2/models/model/infer", bodies, given)


def litserve(state: Path) -> Contestant:
    """Return LitServe."""
    command = [rival_python("LitServe"), str(HERE / "lit.py"), "{port}", _model(state)]
    return Contestant(command, "/predict", _matrices(state), {})


def _model(state: Path) -> str:
    return str((state / "bundles" / "champion" / "model.onnx").resolve())


def _rows(state: Path) -> list[list[float]]:
    """Return rows of inputs as the model takes them, with nothing missing."""
    golden = json.loads((state / "bundles" / "champion" / "golden.json").read_text())
    return [[round(value or 0.0, 3) for value in row] for row in golden["inputs"]]


def _matrices(state: Path) -> list[bytes]:
    return [json.dumps({"inputs": [row]}).encode() for row in _rows(state)]


@contextmanager
def started(contestant: Contestant) -> Iterator[Running]:
    """Start a server on a free port, wait for its first good answer, and end it and all that it started afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["taskset", "-c", SERVER_CORE, *(part.replace("{port}", str(port)) for part in contestant.command)]
    given = {name: value.replace("{port}", str(port)) for name, value in contestant.environment.items()}
    environment = {**os.environ, **given}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while True:
            with suppress(OSError):
                ask(f"http://127.0.0.1:{port}{contestant.path}", contestant.bodies[0])
                break
            if process.poll() is not None or time.perf_counter() - began > PATIENCE:
                sys.exit(f"error: no answer from: {' '.join(command)}")
            time.sleep(0.01)
        server = Running(contestant, port, process.pid, time.perf_counter() - began)
        _settle(server)
        yield server
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)


def _settle(server: Running) -> None:
    """Wait until it rests: what a server starts beside the process that answers takes the same core meanwhile."""
    spent, deadline = server.cpu_seconds(), time.perf_counter() + PATIENCE
    while time.perf_counter() < deadline:
        time.sleep(1)
        before, spent = spent, server.cpu_seconds()
        if spent - before < RESTING:
            return


def race(contestants: Mapping[str, Contestant], rounds: int = 3, seconds: int = 4) -> dict[str, float]:
    """Load servers in turn, print what each answered, and return the median of each one's answers per second.

    A request that fails ends the program.
    """
    loads: dict[str, list[Load]] = {who: [] for who in contestants}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        servers = {who: stack.enter_context(started(contestant)) for who, contestant in contestants.items()}
        for server in servers.values():
            load(server, Path(name), 1)
        for _ in range(rounds):
            for who, server in servers.items():
                loads[who].append(load(server, Path(name), seconds))
        print(f"{'':<10}{'requests/s':>12}{'min':>9}{'max':>9}{'CPU us':>9}{'MB':>7}{'start s':>9}")
        for who, of in loads.items():
            rates, spent = [one.rate for one in of], statistics.median(one.cpu_microseconds for one in of)
            row = f"{statistics.median(rates):>12.0f}{min(rates):>9.0f}{max(rates):>9.0f}{spent:>9.0f}"
            print(f"{who:<10}{row}{servers[who].megabytes():>7.0f}{servers[who].seconds:>9.1f}")
    if failed := {who: count for who, of in loads.items() if (count := sum(one.failed for one in of))}:
        sys.exit(f"error: requests failed: {failed}")
    return {who: statistics.median(one.rate for one in of) for who, of in loads.items()}


def load(server: Running, folder: Path, seconds: int, connections: int = CONNECTIONS) -> Load:
    """Ask a server without a pause over some connections."""
    script = folder / f"{server.port}.lua"
    bodies = ", ".join(f"[==[{body.decode()}]==]" for body in server.contestant.bodies)
    script.write_text(
        f"local bodies, made, turn = {{{bodies}}}, {{}}, 0\n"
        "function init()\n"
        '  wrk.headers["Content-Type"] = "application/json"\n'
        f'  for n, body in ipairs(bodies) do made[n] = wrk.format("POST", "{server.contestant.path}", nil, body) end\n'
        "end\n"
        "function request() turn = turn % #made + 1; return made[turn] end\n"
    )
    wrk = ["taskset", "-c", CLIENT_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s"]
    before = server.cpu_seconds()
    done = subprocess.run(
        [*wrk, "-s", script, f"http://127.0.0.1:{server.port}"], stdout=subprocess.PIPE, text=True, check=True
    )
    spent = server.cpu_seconds() - before
    counted = re.search(r"(\d+) requests in ([\d.]+)s", done.stdout)
    if not counted:
        sys.exit(f"error: wrk says {done.stdout!r}")
    requests, took = int(counted[1]), float(counted[2])
    failed = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", done.stdout)))
    failed += sum(sum(map(int, re.findall(r"\d+", line))) for line in re.findall(r"Socket errors: .*", done.stdout))
    return Load(requests, took, failed, spent / max(requests, 1) * 1e6)


def at_rate(server: Running, folder: Path, rate: float, seconds: int, connections: int = CONNECTIONS) -> Answers:
    """Ask a server at a rate, whatever it answers."""
    body, log = folder / "body.json", folder / "h2load.log"
    body.write_bytes(server.contestant.bodies[0])
    log.unlink(missing_ok=True)
    each = ["--h1", f"-c{connections}", f"--rps={rate / connections:.3f}", f"-D{seconds}", "-d", str(body)]
    command = ["taskset", "-c", CLIENT_CORE, "h2load", *each, "-H", "content-type: application/json"]
    subprocess.run([*command, f"--log-file={log}", server.url], stdout=subprocess.DEVNULL, check=True)
    answers: dict[int, list[tuple[float, float]]] = {200: [], 503: []}
    for line in log.read_text().splitlines():
        asked, status, took = map(int, line.split())
        answers.setdefault(status, []).append((asked / 1e6, took / 1e6))
    return answers


def ask(url: str, body: bytes) -> bytes:
    """Return the answer to one request. Raises OSError when there is none, or a bad one."""
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method="POST"), timeout=30) as answer:
        content: bytes = answer.read()
    return content
