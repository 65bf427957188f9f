"""The closed loop on the platform of infra/compose.yaml, and each part of it away under load.

compose_processes.py runs its services as processes of this machine.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from compose_processes import Platform
from local import fetch, until

SLUG, PREFIX, JOB, MODEL = "flight-delays", "FLIGHT_DELAYS_", "flight_delays", "flight-delay"
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "2"))  # at least; the bar is 60, and CI has less time
PACE = 0.05  # seconds from one prediction to the next while parts are away
FIRST, LAST, NEXT, LATER = "2013-04-01", "2013-04-10", "2013-04-11", "2013-04-14"  # rolled back on 9 April


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
    made = Platform(infra, find, f"{SLUG}:8001")
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
    with platform.without(name, OUTAGE_SECONDS):
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
