"""Thirteen days of the closed loop on Redis: a bad candidate, a forced one, each feature compared. Nothing is replaced.

The demo and the tutorial are six weeks of the same loop on the embedded online store.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SLUG, PREFIX = "flight-delays", "FLIGHT_DELAYS_"


def start(project: Path, state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one verb of the golden project on a state and in a home of its own, and return the finished process."""
    home = state.parent / "home"
    home.mkdir(exist_ok=True)
    environment = {f"{PREFIX}ONLINE_URL": "", **os.environ, f"{PREFIX}STATE": str(state), "HOME": str(home)}
    command = [str(project / ".venv" / "bin" / SLUG), *words]
    return subprocess.run(command, env=environment, cwd=project, capture_output=True, text=True, check=False)


def run(project: Path, state: Path, *words: str) -> str:
    """Run one verb that must succeed, and return what it printed."""
    done = start(project, state, *words)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def redis(require_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a Redis server of the tests' own, which keeps nothing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    folder = tmp_path_factory.mktemp("redis")
    server = subprocess.Popen([require_tool("redis-server"), *options], cwd=folder, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not listens(port):
            assert time.monotonic() < deadline, "redis-server does not listen"
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def trained(golden_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state that holds January to March, and version 1 in production."""
    state = tmp_path_factory.mktemp("loop") / "state"
    run(golden_project, state, "data", "land", "--until", "2013-04-01")
    run(golden_project, state, "features", "build", "--until", "2013-04-01")
    run(golden_project, state, "train", "--until", "2013-04-01")
    run(golden_project, state, "registry", "promote", "1")
    return state


def test_a_loop_that_does_not_close_fails(golden_project: Path, trained: Path, tmp_path: Path):
    state = tmp_path / "state"
    shutil.copytree(trained, state, symlinks=True)
    done = start(
        golden_project, state, "simulate", "--from", "2013-04-01", "--to", "2013-04-01",
        "--expect", "retrain", "--expect", "promotion", "--expect", "refusal", "--expect", "rollback",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.count("\nFAILED  ") == 4
    assert done.stderr.count("\n") == 1


def test_the_loop_closes(golden_project: Path, trained: Path, redis: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(f"{PREFIX}ONLINE_URL", redis)
    before = {path for path in golden_project.rglob("*") if "__pycache__" not in path.parts}
    said = run(
        golden_project, trained, "simulate", "--from", "2013-04-01", "--to", "2013-04-13",
        "--inject", "bad-candidate@2013-04-02", "--inject", "forced-promotion@2013-04-03",
        "--expect", "refusal", "--expect", "rollback",
    )  # fmt: skip
    assert "FAILED" not in said
    assert said.count("\nheld  ") == 6  # two of any replay, two that were expected, and that each fault was named
    assert " 0 failed requests" in said

    status = run(golden_project, trained, "registry", "status").splitlines()
    rows = {line.split()[0]: line for line in status[1:]}
    assert "champion" in rows["1"]
    assert "refused" in rows["2"]
    assert "rolled_back" in rows["3"]
    assert "forced" in rows["3"]

    report = (trained / "report.html").read_text(encoding="utf-8")
    assert "roll back" in report
    assert "<script" not in report
    after = {path for path in golden_project.rglob("*") if "__pycache__" not in path.parts}
    assert after == before, "a run wrote outside its state"
    assert list((trained.parent / "home").iterdir()) == [], "a run wrote into the home"
    assert not (trained / "online.db").exists(), "the replay read another store than it was told"


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


def test_features_over_http_equal_the_offline_join(golden_project: Path, trained: Path):
    """Every feature of every prediction of the days above, to the last bit; and a difference is told by its name."""
    command = [str(golden_project / ".venv" / "bin" / "python"), "-c", SKEW, str(trained)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["days"] == 12
    assert found["rows"] > 900 * found["days"]
    assert found["differences"] == {}
    assert found["planted"] == found["expected"]
