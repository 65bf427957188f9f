"""Keep child processes alive: one that dies is started again, and all of them end with this one, whatever ends it.

A child holds the read end of a pipe whose write end is here, so that it sees the end of this process also when that
was a kill. uvicorn's own supervisor has none of that, and starts a worker that cannot start again without a pause.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..errors import UserError

log = logging.getLogger(__name__)

CANNOT = 78
"""The exit code of a worker that said in one line why it cannot start (EX_CONFIG of sysexits.h)."""
TRIES = 3  # crashes before anything was served, until that is given up
STEADY = 10.0  # seconds; a process that lived longer did not die of its start
PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds before the next start, doubled for each short life
ONE_SIGNAL = 0.25  # seconds in which a second signal is the first one again: `timeout` sends it twice
PATIENCE = 5.0  # seconds beyond what a child may take to end, before it is killed


class _Explained(Exception):
    """The worker has said why it cannot start."""


class Supervisor:
    """Runs `count` workers until a signal or until that cannot start, and a companion once the first of them serves.

    The companion may be none, an empty command.

    A worker is told three descriptors as its last arguments: the listening socket, a pipe whose end is that of this
    process, and one to write a byte to when it serves.
    """

    def __init__(
        self,
        worker: Sequence[str],
        companion: Sequence[str],
        environment: Mapping[str, str],
        listener: int,
        count: int,
        seconds_to_end: float,
        on_death: Callable[[int], None],
    ) -> None:
        self._worker = worker
        self._companion = companion
        self._environment = environment
        self._listener = listener
        self._count = count
        self._seconds_to_end = seconds_to_end
        self._on_death = on_death
        """Called with the process id of a worker that is gone."""
        self._lifeline, self._held = os.pipe()
        self._children: set[asyncio.subprocess.Process] = set()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._served = asyncio.Event()

    async def run(self, close_listener: Callable[[], None]) -> int:
        """Return when everything has ended; `close_listener` is called as soon as the end begins.

        The exit code is 0 after a signal, 1 when the worker has said why it cannot start, and 128 and more when a
        second signal did not want to wait. Raises UserError when no worker could ever start.
        """
        loop = asyncio.get_running_loop()
        last, told = 0, 0.0

        def on_signal(number: int) -> None:
            nonlocal last, told
            if not self._stop.is_set():
                last, told = number, time.monotonic()
                self._stop.set()
            elif time.monotonic() > told + ONE_SIGNAL:
                last = number
                self._hurry.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal, number)
        keepers = [asyncio.create_task(self._keep_worker())]
        try:
            await self._until(self._stop, self._served, *keepers)
            if not self._stop.is_set():  # what starts takes the processor from those that start with it
                if self._companion:
                    keepers.append(asyncio.create_task(self._keep_companion()))
                keepers += [asyncio.create_task(self._keep_worker()) for _ in range(self._count - 1)]
            await self._until(self._stop, *keepers)
        except _Explained:
            return 1
        finally:
            self._stop.set()
            close_listener()
            await self._end(keepers)
            os.close(self._held)
            os.close(self._lifeline)
        return 128 + last if self._hurry.is_set() else 0

    async def _until(self, *reasons: "asyncio.Event | asyncio.Task[None]") -> None:
        """Wait for the first event to be set, or the first task to fail, and raise its error."""
        waits = [asyncio.create_task(each.wait()) for each in reasons if isinstance(each, asyncio.Event)]
        tasks = [each for each in reasons if not isinstance(each, asyncio.Event)]
        everything: list[asyncio.Future[Any]] = [*waits, *tasks]
        await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        for task in tasks:
            if task.done():
                task.result()

    async def _end(self, keepers: "list[asyncio.Task[None]]") -> None:
        for child in self._children:
            with suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)
        hurry = asyncio.create_task(self._hurry.wait())
        ended = asyncio.gather(*keepers, return_exceptions=True)
        both: list[asyncio.Future[Any]] = [hurry, ended]
        await asyncio.wait(both, timeout=self._seconds_to_end + PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        for child in self._children:
            log.warning("killed a process that did not end", extra={"fields": {"pid": child.pid}})
            with suppress(ProcessLookupError):
                child.kill()
        await ended

    async def _keep_companion(self) -> None:
        """Keep the process that follows the registry: serving goes on without it, so that it is never given up."""
        short = 0
        while not self._stop.is_set():
            began = time.monotonic()
            child = await self._start(self._companion)
            await self._wait(child)
            short = await self._pause("registry sync", child, began, short)

    async def _keep_worker(self) -> None:
        short = 0
        while not self._stop.is_set():
            began = time.monotonic()
            child = await self._live()
            if self._stop.is_set():
                return
            if not self._served.is_set():
                if child.returncode == CANNOT:
                    raise _Explained
                if short + 1 >= TRIES:
                    raise UserError(
                        f"the server's process ended {TRIES} times before it could serve, the last time with exit code "
                        f"{child.returncode}; what it said stands above"
                    )
            short = await self._pause("worker", child, began, short)

    async def _live(self) -> asyncio.subprocess.Process:
        """Run a worker to its end, and return what is left of it."""
        reader, writer = os.pipe()
        try:
            descriptors = (self._listener, self._lifeline, writer)
            child = await self._start([*self._worker, *map(str, descriptors)], descriptors)
        finally:
            os.close(writer)
        said = asyncio.StreamReader()
        with os.fdopen(reader, "rb") as pipe:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(said), pipe
            )
            if await said.read(1):
                self._served.set()
                log.info("a worker serves", extra={"fields": {"pid": child.pid}})
            await self._wait(child)
            transport.close()
        self._on_death(child.pid)
        return child

    async def _start(self, command: Sequence[str], descriptors: tuple[int, ...] = ()) -> asyncio.subprocess.Process:
        # In a group of its own a child does not get the terminal's Ctrl-C: it is told once, by this process.
        child = await asyncio.create_subprocess_exec(
            *command, env=self._environment, pass_fds=descriptors, process_group=0
        )
        self._children.add(child)
        if self._stop.is_set():
            child.terminate()
        return child

    async def _wait(self, child: asyncio.subprocess.Process) -> None:
        await child.wait()
        self._children.discard(child)

    async def _pause(self, what: str, child: asyncio.subprocess.Process, began: float, short: int) -> int:
        """Wait before the next start, and return how many short lives there were in a row."""
        if self._stop.is_set():
            return 0
        lived = time.monotonic() - began
        short = 0 if lived > STEADY else short + 1
        pause = min(PAUSE * 2**short, LONGEST_PAUSE) if short else 0.0
        fields = {"pid": child.pid, "code": child.returncode, "lived_seconds": round(lived, 1), "pause_seconds": pause}
        log.error(f"a process ended and is started again: {what}", extra={"fields": fields})
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), pause)
        return short
