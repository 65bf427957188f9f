"""A process beside the replay, as each job of production is one of its own: told what to do line by line.

The service goes on meanwhile, and so does the replay: on another core, if there is one. Nothing but what is said passes
from one to the other, and files, so that the result is the same whichever is the faster.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import msgspec

from ..errors import UserError
from ..features.online import Row
from .server import PACKAGE


@dataclass(frozen=True)
class Done:
    """What a piece of work took and made; or why it could not be done, in a sentence."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    """Of the processor, by stage."""
    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    """What it made for the online store, by view."""
    error: str = ""


def answer(told: Iterable[str], work: Callable[[str], Iterator[Done]], say: Callable[[str], None]) -> None:
    """Do the work that each line asks for, and say a line for each piece of it that is done."""
    for line in told:
        try:
            for done in work(line.strip()):
                say(msgspec.json.encode(done).decode())
        except UserError as error:
            say(msgspec.json.encode(Done(error=str(error))).decode())


class Beside:
    """A process that works when it is told to. It ends with the replay, however that ends: with its input."""

    def __init__(self, environment: Mapping[str, str], words: Sequence[str], log: Path) -> None:
        self._environment = {**os.environ, **environment}
        self._command = [sys.executable, "-m", PACKAGE, *words]
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self._listener: Thread | None = None
        self._said = SimpleQueue[str]()
        """Taken from the pipe at once: what it has room for would end before the replay has a minute for it."""

    def start(self) -> None:
        """Start the process, which takes seconds until it can work."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=pipe, stdout=pipe, stderr=log, text=True
            )
        assert self._process.stdout
        self._listener = Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._listener.start()

    def tell(self, line: str) -> None:
        """Let it do what a line asks for, after all that it was told before; `wait` says when it has."""
        assert self._process
        assert self._process.stdin
        with suppress(BrokenPipeError):  # it has ended, as `wait` will say
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()

    def wait(self) -> Done:
        """Return the next piece of what it was told, once that is done. Raises UserError when it failed."""
        line = self._said.get()
        if not line:
            self._said.put(line)  # for who asks again
            raise UserError(f"`{self._command[3]}` has ended; the end of {self._log} says why")
        done = msgspec.json.decode(line, type=Done)
        if done.error:
            raise UserError(done.error)
        return done

    def stop(self) -> None:
        """End the process once it is done with what it was told."""
        if self._process and self._listener:
            assert self._process.stdin
            assert self._process.stdout
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            self._listener.join()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    def _listen(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._said.put(line)
        self._said.put("")
