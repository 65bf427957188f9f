"""The nightly job of a replay, land and build, in a process of its own as the job of production is.

It has from midnight until BATCH_DELAY. The service goes on meanwhile, and so does the replay: on another core, if there
is one. Nothing but the partitions passes from one to the other, so that the result is the same.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import msgspec

from ..errors import UserError
from ..operations import Project
from .deliveries import delivered
from .faults import Injection
from .server import PACKAGE

CORRECTED = timedelta(days=14)  # how late a partition may come and still become features, as of a nightly job


@dataclass(frozen=True)
class Done:
    """What a night's work took, by stage, in seconds of the processor; or why it could not be done, in a sentence."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


def delivering(project: Project, injections: Sequence[Injection], morning: date) -> Project:
    """Return the project as its sources deliver to it on the morning of a UTC day."""
    return replace(project, sources=delivered(project.sources, injections, morning))


def work(
    project: Project, injections: Sequence[Injection], mornings: Iterable[str], say: Callable[[str], None]
) -> None:
    """Land and build for each morning that comes in, with the faults of its deliveries, and say what it took."""
    began = 0.0  # the start of the process is the first night's
    for line in mornings:
        morning = date.fromisoformat(line.strip())
        try:
            delivering(project, injections, morning).land(morning)
            landed = time.process_time()
            project.build(morning - CORRECTED, morning)
            now = time.process_time()
            done = Done({"land": landed - began, "build": now - landed})
            began = now
        except UserError as error:
            done = Done(error=str(error))
        say(msgspec.json.encode(done).decode())


class Nightly:
    """The process that works at night. It ends with the replay, however that ends: with its input."""

    def __init__(self, environment: Mapping[str, str], injections: Sequence[Injection], log: Path) -> None:
        self._environment = {**os.environ, **environment}
        self._command = [sys.executable, "-m", PACKAGE, "nightly", *map(str, injections)]
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the process, which takes seconds until it can work."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=pipe, stdout=pipe, stderr=log, text=True
            )

    def begin(self, morning: date) -> None:
        """Let it work for the morning of a UTC day; `wait` says when it has."""
        assert self._process
        assert self._process.stdin
        with suppress(BrokenPipeError):  # it has ended, as `wait` will say
            self._process.stdin.write(f"{morning}\n")
            self._process.stdin.flush()

    def wait(self) -> Mapping[str, float]:
        """Return what the work that was begun took, by stage, once it is done. Raises UserError when it failed."""
        assert self._process
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise UserError(f"the nightly job has ended; the end of {self._log} says why")
        done = msgspec.json.decode(line, type=Done)
        if done.error:
            raise UserError(done.error)
        return done.seconds

    def stop(self) -> None:
        """End the process once it is done with what it was told."""
        if self._process:
            self._process.communicate()
            self._process = None
