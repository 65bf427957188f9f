"""The registry, by real processes of the real verbs: killed at any step, two at once, and back within seconds."""

import itertools
import json
import os
import queue
import random
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest
from local import until

SLUG, PREFIX = "flight-delays", "FLIGHT_DELAYS_"
UNTIL = "2013-02-06"
SEED = 7
KILLS = {"train": 9, "promote": 7, "sync": 4}
PATIENCE = 300

# Python imports this before anything else. It counts what lasts: files that are made, renamed or removed, and each SQL
# statement that writes. It notes what each is, or kills the process instead of the one whose number it was given.
HOOK = """
import os, signal, sys

if "KILL_NOTES" in os.environ:
    state, at, count = os.environ["KILL_STATE"], int(os.environ["KILL_AT"]), 0
    notes = os.open(os.environ["KILL_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def step(what):
        global count
        count += 1
        if count == at:
            os.write(notes, f"killed at {what}\\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(notes, f"{what}\\n".encode())

    def statement(sql):
        if sql.split()[0].upper() in ("INSERT", "UPDATE", "DELETE", "COMMIT"):
            step(" ".join(sql.split()[:3]))

    from sqlite3 import dbapi2

    def connect(*arguments, open_it=dbapi2.connect, **named):
        connection = open_it(*arguments, **named)
        connection.set_trace_callback(statement)
        return connection

    dbapi2.connect = connect  # the audit event of a connection comes before it can be traced

    def hook(event, arguments):
        if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "open"):
            path = str(arguments[1 if event == "os.symlink" else 0])
            writes = event != "open" or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
            if writes and state in path and "/cache/" not in path and "mlflow.db" not in path:
                step(f"{event} {os.path.basename(path)}")

    sys.addaudithook(hook)
"""

# What a reader of the registry finds, each time it is asked: of each version whether it can be promoted, and whether
# its bundle is whole. One process is asked again and again, as most of the time of one is its imports.
LOOK = """
import json, sys, tempfile
from pathlib import Path
from flight_delays.cli.compose import make_registry, make_settings

registry = make_registry(make_settings())
for _ in sys.stdin:
    whole = {}
    for version in registry.versions():
        with tempfile.TemporaryDirectory() as folder:
            registry.fetch(version, Path(folder) / "bundle")
        whole[version.number] = version.gates_passed
    aliases = {name: held.number for name, held in registry.aliases().items()}
    print(json.dumps({"versions": whole, "aliases": aliases}), flush=True)
"""


class Verbs:
    """The verbs of the golden project on one state."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.project = project
        self.folder = folder
        self.state = folder / "state"
        (folder / "hook").mkdir()
        (folder / "hook" / "sitecustomize.py").write_text(HOOK)
        self._reader: subprocess.Popen[str] | None = None

    def start(self, *words: str, stdin: int = subprocess.DEVNULL, **environment: str) -> subprocess.Popen[str]:
        known = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return subprocess.Popen(
            [str(self.project / ".venv" / "bin" / words[0]), *words[1:]],
            env={**known, f"{PREFIX}STATE": str(self.state), f"{PREFIX}ONLINE_URL": "", **environment},
            cwd=self.project,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> str:
        """Run a verb that must succeed, and return what it printed."""
        process = self.start(SLUG, *words)
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, f"{' '.join(words)}\n{said}"
        return said

    def killed_at(self, number: int, *words: str) -> list[str]:
        """Run a verb that is killed at its nth lasting step (0: never), and return the steps."""
        notes = self.folder / "notes"
        notes.unlink(missing_ok=True)
        hook = {"KILL_NOTES": str(notes), "KILL_AT": str(number), "KILL_STATE": str(self.state)}
        process = self.start(SLUG, *words, PYTHONPATH=str(self.folder / "hook"), **hook)
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == (-signal.SIGKILL if number else 0), said
        return notes.read_text().splitlines()

    def look(self) -> tuple[dict[str, bool], dict[str, str]]:
        """Return the versions (number: gates passed), each of which has a whole bundle, and the aliases."""
        if self._reader is None:
            self._reader = self.start("python", "-c", LOOK, stdin=subprocess.PIPE)
        assert self._reader.stdin is not None
        assert self._reader.stdout is not None
        print(file=self._reader.stdin, flush=True)
        said = []
        for line in self._reader.stdout:
            said.append(line)
            if line.startswith("{"):
                found = json.loads(line)
                return found["versions"], found["aliases"]
        pytest.fail("".join(said))

    def close(self) -> None:
        if self._reader is not None:
            self._reader.communicate(timeout=PATIENCE)

    def links(self) -> dict[str, str]:
        """Return the version that each link of the serving folder points to."""
        held = (path for path in (self.state / "bundles").glob("[!.]*") if path.is_symlink())
        return {path.name: str(path.readlink()).partition("-")[0] for path in held if path.exists()}


@pytest.fixture(scope="module")
def verbs(golden_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verbs]:
    """Return the verbs on a state with five weeks of data and two versions, of which 1 is the champion."""
    made = Verbs(golden_project, tmp_path_factory.mktemp("registry"))
    made.run("data", "land", "--until", UNTIL)
    made.run("features", "build", "--until", UNTIL)
    for _ in range(2):
        made.run("train", "--until", UNTIL)
    made.run("registry", "promote", "1")
    made.run("registry", "sync", "--once")
    yield made
    made.close()


def points(steps: list[str], count: int) -> list[int]:
    """Return seeded numbers of steps, one from each of `count` equal stretches."""
    rng = random.Random(SEED)
    edges = [1 + len(steps) * part // count for part in range(count + 1)]
    return [rng.randrange(low, high) for low, high in itertools.pairwise(edges)]


def test_a_kill_at_any_step_leaves_nothing_half_registered_and_the_next_run_succeeds(verbs: Verbs) -> None:
    hit: list[str] = []

    steps = verbs.killed_at(0, "train", "--until", UNTIL)
    after, aliases = verbs.look()
    for number in points(steps, KILLS["train"]):
        before = after
        hit.append("train: " + verbs.killed_at(number, "train", "--until", UNTIL)[-1])
        left, then = verbs.look()  # fetches and verifies each version
        assert set(left) - set(before) <= {str(len(before) + 1)}
        assert then.items() >= {"champion": aliases["champion"]}.items()
        verbs.run("train", "--until", UNTIL)
        after, then = verbs.look()
        assert len(after) == len(left) + 1
        assert then["champion"] == aliases["champion"]

    steps = verbs.killed_at(0, "registry", "promote", "2")
    _, then = verbs.look()
    for number in points(steps, KILLS["promote"]):
        aliases = then
        wanted = "1" if aliases["champion"] == "2" else "2"
        hit.append("promote: " + verbs.killed_at(number, "registry", "promote", wanted)[-1])
        _, then = verbs.look()
        assert then["champion"] in (aliases["champion"], wanted)
        assert then["champion"] == aliases["champion"] or then["previous"] == aliases["champion"]
        verbs.run("registry", "promote", wanted)
        _, then = verbs.look()
        assert (then["champion"], then["previous"]) == (wanted, aliases["champion"])

    versions, aliases = verbs.look()
    fresh = [number for number, passed in versions.items() if passed and number not in ("1", "2", *aliases.values())]
    for _ in range(2):  # the first sync brings more links than each of those below
        verbs.run("registry", "sync")
        verbs.run("registry", "promote", fresh.pop())
    steps = verbs.killed_at(0, "registry", "sync")
    for number in points(steps, KILLS["sync"]):
        served, wanted = verbs.links(), fresh.pop()
        verbs.run("registry", "promote", wanted)
        hit.append("sync: " + verbs.killed_at(number, "registry", "sync")[-1])
        assert verbs.links()["champion"] in (served["champion"], wanted)
        verbs.run("registry", "sync")
        _, aliases = verbs.look()
        assert verbs.links() == aliases

    for step, count in sorted(Counter(re.sub(r"[0-9a-f]{8,}", "…", step) for step in hit).items()):
        print(f"{count} x {step}")
    assert len(hit) >= 20
    assert "deleted" in verbs.run("registry", "prune", "--keep", "3", "--yes")
    _, then = verbs.look()
    assert then == aliases


def test_of_two_promotions_at_once_one_is_refused_in_one_sentence(verbs: Verbs) -> None:
    versions, aliases = verbs.look()
    spare = [number for number in versions if number not in aliases.values()]
    while len(spare) < 2:
        verbs.run("train", "--until", UNTIL)
        versions, aliases = verbs.look()
        spare = [number for number in versions if number not in aliases.values()]
    both = [verbs.start(SLUG, "registry", "promote", number) for number in spare[-2:]]
    said = [process.communicate(timeout=PATIENCE)[0] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    (refused,) = (text for text in said if text.startswith("error: "))
    assert refused.count("\n") == 1
    assert "look at `registry status` and try again" in refused
    _, then = verbs.look()
    winner = next(number for number, process in zip(spare[-2:], both, strict=True) if process.returncode == 0)
    assert (then["champion"], then["previous"]) == (winner, aliases["champion"])


@pytest.fixture
def server(verbs: Verbs) -> Iterator[Callable[[], str]]:
    """Return the function that asks a running server which version answers ("" before any does)."""
    process = verbs.start(SLUG, "serve", "--port", "0", "--metrics-port", "0")
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    output = process.stdout
    reader = threading.Thread(target=lambda: [lines.put(line) for line in output], daemon=True)
    reader.start()
    line = ""
    while not line.startswith("serving at "):
        line = lines.get(timeout=PATIENCE)
    url = line.split()[-1] + "/v1/model"

    def champion() -> str:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(json.load(answer)["champion"]["version"])
        except (urllib.error.URLError, TypeError):
            return ""

    yield champion
    process.terminate()
    process.wait(timeout=PATIENCE)
    reader.join(timeout=PATIENCE)  # until the process beside it has ended too
    output.close()


def test_a_rollback_answers_by_the_old_version_soon(verbs: Verbs, server: Callable[[], str]) -> None:
    """From the start of the command to the first answer over HTTP, against a command that only asks the registry.

    Three times in turn, and the medians count: other tests run meanwhile. On an idle machine that is 2 of 5 seconds.
    """
    asking, seconds = [], []
    for _ in range(3):
        versions, aliases = verbs.look()
        old = aliases["champion"]
        new = next(number for number in reversed(versions) if number != old)
        verbs.run("registry", "promote", new)
        until(lambda new=new: server() == new, pause=0.01, patience=PATIENCE)
        began = time.monotonic()
        verbs.run("registry", "status")
        asking.append(time.monotonic() - began)
        began = time.monotonic()
        command = verbs.start(SLUG, "registry", "rollback")
        until(lambda old=old: server() == old, pause=0.01, patience=PATIENCE)
        seconds.append(time.monotonic() - began)
        command.communicate(timeout=PATIENCE)
    told = ", ".join(f"{each:.2f}" for each in seconds)
    print(f"rollback: {told} s to the first answer by the old version, and {median(asking):.2f} s to ask the registry")
    assert median(seconds) < 2.5 * median(asking)
