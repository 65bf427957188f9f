"""Planted faults are named on real days with the right cause and in time, and a replay that is killed goes on."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

SINCE, UNTIL = "2013-02-06", "2013-02-11"
FAULTS = (
    "other-units@2013-02-06",
    "slow-service@2013-02-06",
    "store-away@2013-02-07",
    "registry-outage@2013-02-07",
    "killed-server@2013-02-08",
    "late-partition@2013-02-09",
)
NAMED = {
    "other-units": "data",
    "slow-service": "service",
    "store-away": "service",
    "registry-outage": "service",
    "killed-server": "service",
}
SECONDS = 400  # a day takes three, and a machine under load is many times slower


@pytest.fixture(scope="module")
def replayed(
    golden_project: Path, small_state: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, list[str]]:
    """Return a state whose replay was killed once it had finished a day, what the second call printed, and the days."""
    state = tmp_path_factory.mktemp("replayed") / "state"
    shutil.copytree(small_state, state, symlinks=True)
    command = [str(golden_project / ".venv" / "bin" / "flight-delays"), "simulate", "--from", SINCE, "--to", UNTIL]
    command += [word for fault in FAULTS for word in ("--inject", fault)]
    environment = {**os.environ, "FLIGHT_DELAYS_STATE": str(state)}
    first = subprocess.Popen(command, cwd=golden_project, env=environment, stdout=subprocess.DEVNULL)
    progress, deadline = state / "replay.json", time.monotonic() + SECONDS
    while not (progress.exists() and json.loads(progress.read_bytes())["outcome"]["day"]):
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    first.kill()
    first.wait()
    _end_server(state)
    done = subprocess.run(
        command, cwd=golden_project, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return state, done.stdout, command


def _end_server(state: Path) -> None:
    """End the server of a replay that was killed: nobody else does."""
    for number in re.findall(r'"event":"a worker serves".*?"pid":(\d+)', (state / "server.log").read_text()):
        parent = Path(f"/proc/{number}/stat")
        if parent.exists():
            os.kill(int(parent.read_text().rpartition(")")[2].split()[1]), signal.SIGTERM)


def test_each_fault_is_named_with_its_cause(replayed: tuple[Path, str, list[str]]) -> None:
    state, said, _ = replayed
    found = json.loads((state / "monitoring" / "replayed.json").read_bytes())
    named = {item["fault"]: item["cause"] for item in found["planted"] if item["named_at"]}
    assert {fault: named.get(fault) for fault in NAMED} == NAMED, said
    assert found["unfounded"] == []
    assert "FAILED" not in said
    assert "0 of" in said


def test_a_replay_that_is_over_is_not_replayed_again(
    golden_project: Path, replayed: tuple[Path, str, list[str]]
) -> None:
    state, _, command = replayed
    events = (state / "monitoring" / "events.jsonl").read_bytes()
    environment = {**os.environ, "FLIGHT_DELAYS_STATE": str(state)}
    again = subprocess.run(
        command, cwd=golden_project, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert again.returncode == 0, again.stderr
    assert (state / "monitoring" / "events.jsonl").read_bytes() == events
