"""The platform of infra/compose.yaml as processes: the closed loop on it, and each part of it away under load.

PostgreSQL, Redis, Prometheus, Alertmanager, the Pushgateway and nginx are Debian's; MLflow is what infra/mlflow locks,
and SeaweedFS the binary of the image's version. Each gets the command, the environment and the files that compose.yaml
gives its container; names and ports are exchanged for free ports of loopback, and the folders of a container for some
below a temporary one. Grafana is left out, as no package index has it; test_observability.py asks what it would ask.
"""

import graphlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from local import answers, fetch, free_port, until

SLUG, PREFIX, JOB, MODEL = "flight-delays", "FLIGHT_DELAYS_", "flight_delays", "flight-delay"
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "2"))  # at least; the bar is 60, and CI has less time
PACE = 0.05  # seconds from one prediction to the next while parts are away
FIRST, LAST, NEXT, LATER = "2013-04-01", "2013-04-10", "2013-04-11", "2013-04-14"  # rolled back on 9 April
LEFT_OUT = {"grafana"}
DEBIAN_USER = "postgres"  # PostgreSQL refuses to run as root; Debian's package makes this account


class Platform:
    """The services of a copy of infra/, as processes of this machine."""

    def __init__(self, infra: Path, find: Callable[[str], str]) -> None:
        self.infra = infra
        self._find = find
        self._secrets = dict(line.split("=", 1) for line in _assignments(infra / ".env"))
        composed = yaml.safe_load((infra / "compose.yaml").read_text(encoding="utf-8"))
        self.services: dict[str, dict[str, Any]] = composed["services"]
        # The port that a service's health check asks is its own.
        inner = {name: _port(service["healthcheck"]["test"]) for name, service in self.services.items()}
        self.ports = {f"{name}:{port}": free_port() for name, port in inner.items()} | {f"{SLUG}:8001": free_port()}
        self._own = {name: (port, self.ports[f"{name}:{port}"]) for name, port in inner.items()}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._weed = [f"-{name}={free_port()}" for name in WEED_PORTS]
        for path in (path for name in ("prometheus", "proxy") for path in (infra / name).iterdir()):
            text = self._local(path.read_text(encoding="utf-8"), path.parent.name)
            path.write_text(text.replace("_interval: 15s", "_interval: 1s"), encoding="utf-8")
        # What this machine's programs ask is what compose.yaml publishes on loopback.
        script = (infra / "machine.py").read_text(encoding="utf-8")
        for name, service in self.services.items():
            for published in service.get("ports", []):
                _, outside, inside = published.split(":")
                ours = self.ports[f"{name}:{inside}"]
                script = script.replace(f'"{name}": {outside}', f'"{name}": {ours}')
        (infra / "machine.py").write_text(script, encoding="utf-8")

    def machine(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run infra/machine.py, as `make` does."""
        command = [sys.executable, str(self.infra / "machine.py"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._own[name][1]}"

    def start_all(self) -> None:
        """Start each service when those that it depends on are healthy."""
        after = {name: service.get("depends_on", {}) for name, service in self.services.items()}
        for name in graphlib.TopologicalSorter(after).static_order():
            assert all(condition == {"condition": "service_healthy"} for condition in after[name].values())
            if name not in LEFT_OUT:
                self.start(name)

    def start(self, name: str) -> None:
        """Start a service on the data that it has, and wait until its own health check holds."""
        command, user = self._command(name), DEBIAN_USER if name == "postgres" and os.getuid() == 0 else None
        fresh = not self._data(name).exists()
        _made(self._data(name))
        if fresh and name == "postgres":
            self._init_postgres(user)
        with (self.infra / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, cwd=self.infra, env=self._environment(name), user=user, group=user,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until(lambda: self.healthy(name), f"{name} is healthy", pause=0.2)  # some checks are processes
        if fresh and name == "postgres":
            self._run_psql()

    def stop(self, name: str) -> None:
        """Stop a service as `docker stop` does, and wait until it has ended."""
        process = self._running.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT if name == "postgres" else signal.SIGTERM)
        try:
            process.wait(timeout=float(self.services[name].get("stop_grace_period", "10s").rstrip("s")))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def end(self) -> None:
        for name in reversed(list(self._running)):
            self.stop(name)

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Leave a service stopped for OUTAGE_SECONDS at least, and start it again."""
        self.stop(name)
        until_then = time.monotonic() + OUTAGE_SECONDS
        yield
        time.sleep(max(0.0, until_then - time.monotonic()))
        self.start(name)

    def healthy(self, name: str) -> bool:
        """Ask the service's own health check."""
        process = self._running.get(name)
        assert process is None or process.poll() is None, (self.infra / f"{name}.log").read_text()[-4000:]
        kind, program, *options = [self._local(word, name) for word in self.services[name]["healthcheck"]["test"]]
        assert kind == "CMD"
        if program == "wget":
            return answers(options[-1])
        asked = subprocess.run(
            [self._program(name, program), *options], env=self._environment(name), capture_output=True, check=False
        )
        return asked.returncode == 0

    def _command(self, name: str) -> list[str]:
        """Return the command of a service, and what differs where it is no container."""
        program, *options = [self._local(word, name) for word in self.services[name].get("command", [])]
        _, port = self._own[name]
        if name == "postgres":
            options += ["-D", str(self._data(name)), "-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "fsync=off"]
        elif name == "redis":
            options += ["--bind", "127.0.0.1", "--port", str(port)]
        elif name == "objects":
            program, options = "weed", [program, *options, "-ip=127.0.0.1", *self._weed]
        elif name in ("prometheus", "alertmanager", "pushgateway"):  # the images have them as entry points
            program, options = name, [program, *options]
        return [self._program(name, program), *options]

    def _program(self, name: str, program: str) -> str:
        if name == "postgres":
            return str(Path(self._find("initdb")).parent / program)
        return self._find(f"mlflow/{program}" if name == "mlflow" else program)

    def _environment(self, name: str) -> dict[str, str]:
        given = {key: self._local(value, name) for key, value in self.services[name].get("environment", {}).items()}
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **given}

    def _data(self, name: str) -> Path:
        return self.infra / "volumes" / name

    def _local(self, text: str, name: str) -> str:
        """Return a text of compose.yaml, or of a file that a service reads, as it is on this machine."""
        inner, outer = self._own[name]
        places = {"0.0.0.0": "127.0.0.1", "/tmp": str(_made(self.infra / "tmp" / name))}
        for volume in self.services[name].get("volumes", []):
            source, target = volume.removesuffix(":ro").split(":")
            path = self.infra / source if source.startswith(".") else self._data(source)
            assert path.is_dir() or not source.startswith("."), f"{name} mounts {source}, which is no folder"
            places[target] = str(path)
        parts = [rf"(?<=[/@\"]){re.escape(other)}(?![0-9])" for other in self.ports]
        parts += [rf"(?<![\w/.]){re.escape(place)}(?![\w.-])" for place in sorted(places, key=len, reverse=True)]
        parts += [rf"(?<![a-z]:)(?<![0-9.]){inner}(?![0-9])"]  # not that of a name
        known = {other: f"127.0.0.1:{port}" for other, port in self.ports.items()} | places
        text = re.sub("|".join(parts), lambda found: known.get(found[0], str(outer)), text)
        return re.sub(r"\$\{(\w+):\?\}", lambda found: self._secrets[found[1]], text)

    def _init_postgres(self, user: str | None) -> None:
        """Make the cluster as the image does, with the password of its environment."""
        data = self._data("postgres")
        password = self.infra / "password"
        password.write_text(self._environment("postgres")["POSTGRES_PASSWORD"])
        if user:
            shutil.chown(data, user, user)
            shutil.chown(password, user, user)
        make = ["--pgdata", str(data), "--username", "postgres", "--pwfile", str(password)]
        make += ["--auth", "scram-sha-256", "--no-sync"]
        subprocess.run(
            [self._find("initdb"), *make], user=user, group=user, cwd="/", stdout=subprocess.DEVNULL, check=True
        )

    def _run_psql(self) -> None:
        """Run what the image runs on an empty volume."""
        environment = self._environment("postgres")
        environment["PGPASSWORD"] = environment["POSTGRES_PASSWORD"]
        place = ["-h", "127.0.0.1", "-p", str(self._own["postgres"][1]), "-U", "postgres"]
        for script in sorted((self.infra / "postgres").glob("*.sql")):
            psql = [self._program("postgres", "psql"), *place, "--no-psqlrc", "-f", str(script)]
            subprocess.run(psql, env=environment, stdout=subprocess.DEVNULL, check=True)


# What a container of `weed mini` keeps to itself; on one machine with others each needs a port of its own.
WEED_PORTS = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "admin") for kind in ("", ".grpc")]
WEED_PORTS += ["s3.port.grpc"]


def _assignments(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _port(words: list[str]) -> int:
    """Return the port in a health check."""
    (found,) = set(re.findall(r"\b[1-9][0-9]{3}\b", " ".join(words)))
    return int(found)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def platform(
    root: Path,
    golden_project: Path,
    environment_of: Callable[[str, Path], Path],
    platform_tool: Callable[[str], str],
    require_tool: Callable[[str], str],
) -> Iterator[Platform]:
    """Return the platform, running, with the rules and routes of the golden project."""
    mlflow = environment_of("mlflow", root / "infra" / "mlflow" / "requirements.txt")

    def find(program: str) -> str:
        if program.startswith("mlflow/"):
            return str(mlflow / program.removeprefix("mlflow/"))
        if program in ("prometheus", "alertmanager", "pushgateway"):
            program = program if program == "prometheus" else f"prometheus-{program}"
        elif program == "weed":
            return platform_tool(program)
        elif program == "initdb":  # Debian keeps PostgreSQL's programs off the PATH
            held = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
            return str(held[-1]) if held else require_tool(program)
        elif program == "nginx" and Path("/usr/sbin/nginx").exists():  # and nginx where only root looks
            return "/usr/sbin/nginx"
        return require_tool(program)

    for program in ("initdb", "nginx", "redis-server", "prometheus", "alertmanager", "pushgateway"):
        find(program)
    folder = Path(tempfile.mkdtemp(prefix="platform-"))
    folder.chmod(0o755)  # PostgreSQL's user passes through
    ignored = shutil.ignore_patterns(".env", "project", "receivers")
    infra = Path(shutil.copytree(root / "infra", folder / "infra", ignore=ignored))
    subprocess.run([sys.executable, infra / "machine.py", "prepare", golden_project], check=True)
    made = Platform(infra, find)
    try:
        made.start_all()
        yield made
    finally:
        made.end()
        shutil.rmtree(folder)


@dataclass
class Project:
    """The golden project on a state, either embedded or on the platform."""

    path: Path
    state: Path
    settings: dict[str, str] = field(default_factory=dict)

    def start(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.path / ".venv" / "bin" / words[0]), *words[1:]]
        return subprocess.run(
            command, cwd=self.path, env=self.environment(), capture_output=True, text=True, check=False
        )

    def run(self, *words: str) -> str:
        """Run one verb that must succeed, and return what it printed."""
        done = self.start(SLUG, *words)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def python(self, code: str, *words: str) -> Any:
        """Run a program in the project's environment, and return the JSON of its last line."""
        done = self.start("python", "-c", code, *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def environment(self) -> dict[str, str]:
        home = self.state.parent / "home"
        home.mkdir(exist_ok=True)
        known = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return {**known, **self.settings, f"{PREFIX}STATE": str(self.state), "HOME": str(home)}


@pytest.fixture(scope="module")
def built(golden_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state with January to March landed and built, and no model."""
    made = Project(golden_project, tmp_path_factory.mktemp("built") / "state")
    made.run("data", "land", "--until", FIRST)
    made.run("features", "build", "--until", FIRST)
    return made.state


@pytest.fixture(scope="module")
def embedded(golden_project: Path, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return the project with version 1 in production, embedded."""
    return trained(Project(golden_project, tmp_path_factory.mktemp("embedded") / "state"), built)


@pytest.fixture(scope="module")
def shared(golden_project: Path, built: Path, platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return the same on the platform: by the settings that `make platform-env` prints, and nothing else."""
    empty = platform.machine("empty", MODEL)
    assert empty.returncode == 0, empty.stderr
    settings = dict(line.split("=", 1) for line in platform.machine("env", JOB).stdout.splitlines())
    return trained(Project(golden_project, tmp_path_factory.mktemp("shared") / "state", settings), built)


def trained(project: Project, built: Path) -> Project:
    shutil.copytree(built, project.state)
    project.run("train", "--until", FIRST)
    project.run("registry", "promote", "1")
    return project


def replay(project: Project) -> str:
    """Live through ten days with a bad candidate and a forced one, and return what was printed."""
    return project.run(
        "simulate", "--from", FIRST, "--to", LAST,
        "--inject", "bad-candidate@2013-04-02", "--inject", "forced-promotion@2013-04-03",
        "--expect", "refusal", "--expect", "rollback",
    )  # fmt: skip


def test_a_loop_that_does_not_close_fails(embedded: Project, tmp_path: Path):
    """It comes first: the days that are replayed below can be replayed once."""
    state = tmp_path / "state"
    shutil.copytree(embedded.state, state, symlinks=True)
    done = Project(embedded.path, state).start(
        SLUG, "simulate", "--from", FIRST, "--to", FIRST,
        "--expect", "retrain", "--expect", "promotion", "--expect", "refusal", "--expect", "rollback",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.count("\nFAILED  ") == 4
    assert done.stderr.count("\n") == 1


# What was decided, event by event, with the evidence; and every answer, without what a shadow may have missed.
DECIDED = """
import json, sys
from pathlib import Path
from flight_delays.lake import partition_days
from flight_delays.monitoring import events
from flight_delays.monitoring.daily import DECISIONS
from flight_delays.monitoring.labels import PREDICTIONS, read_days

monitoring = Path(sys.argv[1]) / "monitoring"
tables = {name: read_days(monitoring, name, partition_days(monitoring, name)) for name in (DECISIONS, PREDICTIONS)}
answers = tables[PREDICTIONS].drop(columns=["request_id", "answered_at", "milliseconds"])
answers = answers.drop(columns=[name for name in answers if name.startswith(("challenger_", "previous_"))])
print(json.dumps({
    "events": [[event.at.isoformat(), event.kind, event.version, event.text] for event in events.read(monitoring)],
    "decisions": json.loads(tables[DECISIONS].to_json(orient="records", date_format="iso")),
    "answers": json.loads(answers.to_json(orient="records", double_precision=15)),
}))
"""


@pytest.fixture(scope="module")
def lived(shared: Project, embedded: Project) -> dict[str, str]:
    """Return what the two replays printed: on the platform, and embedded."""

    def files() -> set[Path]:
        return {path for path in shared.path.rglob("*") if "__pycache__" not in path.parts}

    before = files()
    said = {"shared": replay(shared), "embedded": replay(embedded)}
    assert files() == before, "a run wrote outside its state"
    return said


def test_the_loop_closes(lived: dict[str, str], shared: Project):
    said = lived["shared"]
    assert "FAILED" not in said
    assert said.count("\nheld  ") == 5  # two of any replay, two expected, and that the bad candidate was named
    assert " 0 failed requests" in said

    rows = {line.split()[0]: line for line in shared.run("registry", "status").splitlines()[1:]}
    assert "champion" in rows["1"]
    assert "refused" in rows["2"]
    assert "rolled_back" in rows["3"]
    assert "forced" in rows["3"]

    report = (shared.state / "report.html").read_text(encoding="utf-8")
    assert "roll back" in report
    assert "<script" not in report
    assert list((shared.state.parent / "home").iterdir()) == [], "a run wrote into the home"
    held = {path.name for path in shared.state.iterdir()}
    assert held & {"mlflow.db", "mlartifacts", "online.db", "studies.db"} == set(), "something was kept embedded"


def test_a_demo_begins_on_an_empty_registry(lived: dict[str, str], platform: Platform):
    refused = platform.machine("empty", MODEL)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: the platform's registry holds versions of {MODEL} already")
    assert refused.stderr.count("\n") == 1


def test_the_studies_have_a_database_of_their_own(shared: Project):
    url = shared.settings[f"{PREFIX}STUDY_URL"]
    connect = "import sys, psycopg; print(int(psycopg.connect(sys.argv[1]).execute('SELECT 1').fetchone()[0]))"
    assert shared.python(connect, url) == 1
    refused = shared.start("python", "-c", connect, url.removesuffix("/studies") + "/mlflow")
    assert 'permission denied for database "mlflow"' in refused.stderr


def demanded(row: dict[str, Any]) -> tuple[str, list[str], dict[str, Any]]:
    """Return what a day's evidence demanded, and the evidence; but how long answers took is the machine's affair."""
    every = [f"{row['action']}: {row['reason']}", *json.loads(row["also"])]
    kept = [text for text in every if not text.startswith("nothing: ") and " took more than " not in text]
    return row["day"], kept, {name: held for name, held in json.loads(row["evidence"]).items() if name != "slow"}


def test_the_platform_changes_no_answer_and_no_decision(lived: dict[str, str], shared: Project, embedded: Project):
    here, there = (project.python(DECIDED, str(project.state)) for project in (embedded, shared))
    assert len(here["decisions"]) == 10
    assert {"refuse", "force", "roll back"} <= {kind for _, kind, _, _ in here["events"]}
    assert there["events"] == here["events"]
    assert [demanded(row) for row in there["decisions"]] == [demanded(row) for row in here["decisions"]]
    assert len(here["answers"]) > 9_000
    assert there["answers"] == here["answers"]


SKEW = """
import json, sys
from pathlib import Path
import numpy as np
from flight_delays import problem
from flight_delays.engine import connect
from flight_delays.features.views import VIEWS
from flight_delays.lake import partition_days
from flight_delays.monitoring.labels import PREDICTIONS, read_days
from flight_delays.training.dataset import with_features

state = Path(sys.argv[1])
days = partition_days(state / "monitoring", PREDICTIONS)[:-1]  # the last day's features are built the day after
served = read_days(state / "monitoring", PREDICTIONS, days)
offline = with_features(connect(), list(VIEWS.values()), state / "features", served[list(problem.REQUEST)])

def differences(served):
    # by feature: the flights for which the two disagree
    found = {}
    for name in problem.NUMERIC:
        ours, theirs = (table[name].to_numpy(dtype=float) for table in (served, offline))
        wrong = ~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
        if wrong.any():
            found[name] = (served["carrier"] + served["flight"].astype(str))[wrong].tolist()
    return found

planted = served.copy()  # what a server would have answered that had missed one micro-batch of one airport
late = planted.index[(planted["origin"] == "JFK") & planted["origin_mean_delay_1h"].notna()][100]
planted.loc[late, "origin_mean_delay_1h"] += 1e-9
flight = planted.loc[late, "carrier"] + str(planted.loc[late, "flight"])
print(json.dumps({
    "days": len(days), "rows": len(served), "differences": differences(served),
    "planted": differences(planted), "expected": {"origin_mean_delay_1h": [flight]},
}))
"""


def test_features_over_http_equal_the_offline_join(lived: dict[str, str], shared: Project):
    """Every feature of every prediction of the days above, to the last bit; and a difference is told by its name."""
    found = shared.python(SKEW, str(shared.state))
    assert found["days"] == 9
    assert found["rows"] > 900 * found["days"]
    assert found["differences"] == {}
    assert found["planted"] == found["expected"]


# The requests of a day, as they were known then.
ASKED = """
import json, sys
from datetime import date
from flight_delays.cli.compose import problem_views
from flight_delays.simulation.world import World
from flight_delays.sources import SOURCES

due = World(SOURCES, problem_views().values()).due(date.fromisoformat(sys.argv[1]))
print(json.dumps([row for rows in due.values() for row in rows]))
"""

# What the prediction log and the cohort of a day hold.
KEPT = """
import json, sys
from datetime import date
from pathlib import Path
from flight_delays import problem
from flight_delays.cli.compose import make_settings
from flight_delays.engine import connect
from flight_delays.monitoring.labels import COHORTS, read_days
from flight_delays.monitoring.predictions import latest, read_predictions
from flight_delays.training.dataset import labels

settings, day = make_settings(), date.fromisoformat(sys.argv[1])
logged = read_predictions(settings.predictions, settings.monitoring, day)
cohort = read_days(settings.monitoring, COHORTS, [day])
known = labels(connect(), settings.lake, day, date.fromisoformat(sys.argv[2]))
known = known.dropna(subset=["label"]).drop_duplicates(list(problem.ENTITY), keep="last")
due = latest(logged)[list(problem.ENTITY)].merge(known, on=list(problem.ENTITY))
print(json.dumps({
    "scores": dict(zip(logged["request_id"], logged["champion_score"], strict=True)),
    "labels_due": len(due), "labels": int(cohort["label"].notna().sum()) if len(cohort) else 0,
}))
"""


@dataclass
class Serving:
    """A server of the project, and a client that asks it for one prediction after another until it is told to end."""

    url: str
    rows: list[dict[str, Any]]
    asked: int = 0
    answers: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._client = threading.Thread(target=self._keep_asking)
        self._client.start()

    def ask(self) -> dict[str, Any]:
        """Ask for the next row, and return the answer. A failure is noted, and raised."""
        row = self.rows[self.asked % len(self.rows)]
        self.asked += 1
        try:
            status, content = fetch(
                f"{self.url}/v1/predictions", {"flights": [row]}, **{"x-request-id": f"r{self.asked}"}
            )
        except OSError as error:
            status, content = 0, str(error).encode()
        if status != 200:
            self.failures.append(f"{status} {content.decode()}")
            raise AssertionError(self.failures[-1])
        answer: dict[str, Any] = json.loads(content)
        self.answers.append(answer)
        return answer

    def _keep_asking(self) -> None:
        while not self._ended.wait(PACE):
            with suppress(AssertionError):
                self.ask()

    def end(self) -> None:
        self._ended.set()
        self._client.join()

    def champion(self) -> str:
        return str(json.loads(fetch(f"{self.url}/v1/model")[1])["champion"]["version"])


@pytest.fixture(scope="module")
def serving(lived: dict[str, str], platform: Platform, shared: Project) -> Iterator[Serving]:
    """Return a server on the state of the loop, and on its platform, that is asked all the time."""
    rows = shared.python(ASKED, NEXT)
    metrics = str(platform.ports[f"{SLUG}:8001"])
    command = [str(shared.path / ".venv" / "bin" / SLUG), "serve", "--port", "0", "--metrics-port", metrics]
    log = shared.state.parent / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=shared.path, env=shared.environment(), stdout=output, stderr=output)
    try:
        (line,) = until(
            lambda: [line for line in log.read_text().splitlines() if line.startswith("serving at ")], "it serves"
        )
        until(lambda: fetch(f"{line.split()[-1]}/healthz/ready")[0] == 200, "it is ready")
        made = Serving(line.split()[-1], rows)
        try:
            yield made
        finally:
            made.end()
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_prometheus_hears_of_the_server_and_of_the_daily_run(platform: Platform, shared: Project, serving: Serving):
    """The server as one of the targets, the daily run by the Pushgateway, and both under the job of the rules."""

    def value(expression: str) -> str:
        asked = urllib.parse.urlencode({"query": expression})
        found = json.loads(fetch(f"{platform.url('prometheus')}/api/v1/query?{asked}")[1])["data"]["result"]
        return str(found[0]["value"][1]) if found else ""

    shared.run("monitor", "run", "--day", LAST)
    until(lambda: value(f'ready{{job="{JOB}"}}') == "1", "Prometheus asks the server")
    until(lambda: value(f'label_coverage{{job="{JOB}"}}') != "", "Prometheus asks the Pushgateway")
    until(lambda: value(f'rate(predictions_total{{job="{JOB}"}}[30s]) > 0'), "it is counted")
    rules = json.loads(fetch(f"{platform.url('prometheus')}/api/v1/rules")[1])["data"]["groups"]
    assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}
    assert len(rules) > 3
    # What the daily run saw reaches Alertmanager by the routes of the project.
    status = json.loads(fetch(f"{platform.url('alertmanager')}/api/v2/status")[1])
    assert "data-owner-pager" in status["config"]["original"]
    targets = json.loads(fetch(f"{platform.url('prometheus')}/api/v1/alertmanagers")[1])["data"]["activeAlertmanagers"]
    assert [target["url"] for target in targets] == [f"{platform.url('alertmanager')}/api/v2/alerts"]


def test_the_door_for_people_leads_to_each_page_and_to_nothing_else(platform: Platform):
    door, search = platform.url("proxy"), "/ajax-api/2.0/mlflow/experiments/search"
    host = {name: {"Host": f"{name}.localhost:8080"} for name in ("mlflow", "prometheus", "alertmanager", "elsewhere")}
    assert fetch(f"{door}/", **host["mlflow"])[1].lstrip().lower().startswith(b"<!doctype html>")
    assert fetch(f"{door}/-/ready", **host["prometheus"])[0] == 200
    assert fetch(f"{door}/-/ready", **host["alertmanager"])[0] == 200
    assert fetch(f"{door}/", **host["elsewhere"])[0] == 404
    # A page of the registry asks the server that it came from; a page of someone else's may not.
    origin = {"Origin": "http://mlflow.localhost:8080"}
    assert fetch(f"{door}{search}", {"max_results": 1}, **host["mlflow"], **origin)[0] == 200
    assert fetch(f"{door}{search}", {"max_results": 1}, **host["mlflow"], Origin="http://evil.example")[0] == 403
    assert fetch(f"{platform.url('mlflow')}{search}", {"max_results": 1}, Host="mlflow:5000")[0] == 200
    assert fetch(f"{platform.url('mlflow')}{search}", {"max_results": 1}, Host="evil.example")[0] == 403


@pytest.mark.parametrize("name", ["postgres", "redis", "objects", "mlflow"])
def test_a_part_may_be_away_under_load(platform: Platform, shared: Project, serving: Serving, name: str):
    """No prediction fails, and those without the online store say so; what needs the part says so in one sentence.

    When it is back everything goes on by itself: the server, which was never restarted, answers with the features that
    it had, and by the version that is promoted then.
    """
    failed, answered = len(serving.failures), len(serving.answers)
    other = "3" if serving.champion() == "1" else "1"
    promote = ["registry", "promote", other, *(["--force", f"while {name} was away"] if other == "3" else [])]
    with platform.without(name):
        if name == "redis":
            until(lambda: serving.answers[-1]["degraded"] == ["online store"], "an answer says what it lacks")
        else:
            refused = shared.start(SLUG, *promote)
            assert refused.returncode == 1, refused.stdout
            assert refused.stderr.startswith("error: "), refused.stderr
            assert refused.stderr.count("\n") == 1, refused.stderr
    until(lambda: serving.answers[-1]["degraded"] == [], "features are read again")
    if name != "redis":
        shared.run(*promote)
        until(lambda: serving.champion() == other, "the server follows the registry")
    assert len(serving.answers) > answered + OUTAGE_SECONDS / PACE / 4, "there was no load"
    assert serving.failures[failed:] == []
    lacked = {what for answer in serving.answers[answered:] for what in answer["degraded"]}
    assert lacked == ({"online store"} if name == "redis" else set())
    print(f"{name} away: {len(serving.answers) - answered} predictions, 0 failed")


def test_no_answer_and_no_label_was_lost(shared: Project, serving: Serving):
    """What clients hold is in the log, answer by answer; and each label of the day has found its prediction."""
    serving.end()
    while serving.asked < len(serving.rows):  # each flight once at least
        serving.ask()
    shared.run("data", "land", "--until", LATER)
    shared.run("features", "build", "--until", LATER)
    shared.run("monitor", "run", "--day", NEXT)
    kept = shared.python(KEPT, NEXT, LATER)
    assert serving.failures == []
    lost = [
        a for a in serving.answers if kept["scores"].get(a["request_id"]) != a["predictions"][0]["late_probability"]
    ]
    assert lost == []
    assert kept["labels"] == kept["labels_due"] > 500
    print(f"{len(serving.answers)} answers in the log, {kept['labels']} labels")
