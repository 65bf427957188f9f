"""The versions that score in the champion's shadow: after the answer was sent, in a thread that nobody waits for."""

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..bundle import Bundle
from ..segments import Line, Scores, shares
from .prediction_log import PredictionLog

ROOM = 10_000  # rows that may wait: some megabytes, and a second or two of work

logger = logging.getLogger(__name__)


class Job(NamedTuple):
    """Requests that were answered together, and the versions that have yet to score them, by alias."""

    requests: Sequence[tuple[str, int]]
    """The id of each, and how many of the rows are its."""
    rows: int
    """Of all of them."""
    columns: Mapping[str, Any]
    shadows: Mapping[str, tuple[str, Bundle]]


class Shadows:
    """Scores requests one after the other and logs the scores. What finds no room is dropped, and counted."""

    def __init__(self, log: PredictionLog, dropped: Callable[[str, int], None]) -> None:
        self._log = log
        self._dropped = dropped
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def offer(self, job: Job) -> None:
        """Take a request over, or drop it, at once."""
        with self._lock:
            full = self._waiting + job.rows > ROOM
            self._waiting += 0 if full else job.rows
        if full:
            self._drop(job)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="shadows", daemon=True)
            self._thread.start()
        self._queue.put(job)

    def close(self) -> None:
        """Return when all that was taken over is scored and logged."""
        if self._thread:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while job := self._queue.get():
            try:
                self._log.append_shadows(*_lines(job))
            except Exception:  # whatever it is, it is no reason to stop, and nobody is told but the metrics and the log
                ids = ", ".join(request_id for request_id, _ in job.requests)
                logger.exception("the shadows of these requests are dropped: %s", ids)
                self._drop(job)
            with self._lock:
                self._waiting -= job.rows

    def _drop(self, job: Job) -> None:
        for alias in job.shadows:
            self._dropped(alias, job.rows)


def _lines(job: Job) -> Iterator[Line]:
    at = job.columns["prediction_time"]
    times = [at] if job.rows == 1 else at.tolist()
    scores = {alias: (version, model.scores(job.columns, job.rows)) for alias, (version, model) in job.shadows.items()}
    for request_id, rows, mine in shares(job.requests):
        said = {alias: Scores(version, found[mine]) for alias, (version, found) in scores.items()}
        yield Line(request_id, list(range(rows)), times[mine], said)
