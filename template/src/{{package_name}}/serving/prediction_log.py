"""The prediction log: one JSON line per answered request, appended before the answer is sent.

The line reaches the operating system before `append` returns, so that killing the process loses nothing that a client
has seen. Shadow scores follow after the answer, in segments of their own; readers join them by request and row.
`segments.py` says how the files are named and what a line holds, as does `docs/prediction-log.md`.
"""

import os
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from .. import segments
from ..segments import Answer, Line

DAY = 86_400
OPEN_DAYS = 2  # of each kind: requests may be for any day, and each has a segment; around midnight two are written to
IDLE_SECONDS = 60.0  # after which a segment is finished
LOOK_SECONDS = 0.1
ROOM = bytes(2**20)  # what must fit on the disk for the log to be ready: more than most requests take

encode = msgspec.json.Encoder().encode_lines


class PredictionLog:
    """Appends lines to segments of this process. Each method may be called from a thread of its own."""

    def __init__(self, root: Path, segment_bytes: int = 64_000_000) -> None:
        self._root = root
        self._answers = _Writer(root, segments.ANSWERS, segment_bytes)
        self._shadows = _Writer(root, segments.SHADOWS, segment_bytes)
        self._fault = ""

    @property
    def fault(self) -> str:
        """One sentence why answers cannot be logged, or empty: set by an append that fails, and by each `probe`."""
        return self._fault

    def append(self, *answers: Answer) -> None:
        """Write the answers to some requests before returning, the rows of each UTC day whole or not at all.

        NaN becomes null. Raises OSError (disk full): no answer may be sent.
        """
        self._write(self._answers, answers)

    def append_shadows(self, *lines: Line) -> None:
        """Write the scores of the answers' shadows, after the answers themselves. Raises OSError as append."""
        self._write(self._shadows, lines)

    def probe(self) -> None:
        """Find out whether a request would fit, by writing as much, and set `fault`; takes about a millisecond.

        Call it every second or so, so that a log that could not be written is ready again without a request. It also
        finishes the segments that have not been written to for a while, so that they can be compacted.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            # Without a name: on NFS, a file that another replica removes can no longer be written.
            with tempfile.TemporaryFile(dir=self._root) as file:
                file.write(ROOM)
        except OSError as error:
            self._fault = _sentence(error)
        else:
            self._fault = ""
        for writer in (self._answers, self._shadows):
            writer.close(idle=IDLE_SECONDS)

    def close(self) -> None:
        """Finish every segment; the next append begins new ones."""
        for writer in (self._answers, self._shadows):
            writer.close()

    def _write(self, writer: "_Writer", lines: Sequence[Line]) -> None:
        try:
            writer.write(lines)
        except OSError as error:
            self._fault = _sentence(error)
            raise


class _Writer:
    """The segments of one kind that this process writes to, one for each UTC day."""

    def __init__(self, root: Path, kind: str, segment_bytes: int) -> None:
        self._root = root
        self._kind = kind
        self._segment_bytes = segment_bytes
        self._open: dict[int, _Segment] = {}  # by days since 1970
        self._lock = threading.Lock()

    def write(self, lines: Sequence[Line]) -> None:
        of_days: defaultdict[int, list[Line]] = defaultdict(list)
        for line in lines:
            days = [at // DAY for at in line.prediction_time]
            for day in (alike := set(days)):
                of_days[day].append(line if len(alike) == 1 else segments.pick(line, [of == day for of in days]))
        for day, parts in of_days.items():
            content = encode(parts)
            with self._lock:
                segment = self._open.get(day)
                if segment is None or segment.size >= self._segment_bytes or segment.is_gone():
                    segment = self._begin(day)
                segment.append(content)

    def close(self, idle: float = 0.0) -> None:
        """Finish the segments that have not been written to for so many seconds."""
        now = time.monotonic()
        with self._lock:
            for day in [day for day, segment in self._open.items() if now - segment.used >= idle]:
                self._open.pop(day).finish()

    def _begin(self, day: int) -> "_Segment":
        """Open a segment instead of the one that the day has, or that was not written to for longest."""
        if day not in self._open and len(self._open) == OPEN_DAYS:
            self._open.pop(min(self._open, key=lambda day: self._open[day].used)).finish()
        if day in self._open:
            self._open.pop(day).finish()
        path, descriptor = segments.create(self._root, self._kind, datetime.fromtimestamp(day * DAY, UTC).date())
        self._open[day] = _Segment(path, descriptor)
        return self._open[day]


class _Segment:
    """A file that this process alone writes to."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = 0
        self.used = self._looked = time.monotonic()

    def is_gone(self) -> bool:
        """Return whether somebody has removed the file; looks once in LOOK_SECONDS, as that costs half a write."""
        self.used = time.monotonic()
        if self.used - self._looked < LOOK_SECONDS:
            return False
        self._looked = self.used
        return os.fstat(self.descriptor).st_nlink == 0

    def append(self, content: bytes) -> None:
        """Write all of the content or nothing. Raises OSError."""
        try:
            written = os.write(self.descriptor, content)
            while written < len(content):  # a full disk takes a part, and says what is wrong when asked for the rest
                written += os.write(self.descriptor, content[written:])
        except BaseException:
            kept, self.size = self.size, sys.maxsize  # half a line spoils the next one: where it stays, none follows
            with suppress(OSError):
                os.ftruncate(self.descriptor, kept)
                self.size = kept
            raise
        self.size += written

    def finish(self) -> None:
        """Give the file up. Where it cannot be renamed, the next compaction does it."""
        with suppress(OSError):
            segments.finish(self.path)
        os.close(self.descriptor)


def _sentence(error: OSError) -> str:
    return (
        f"the prediction log cannot be written ({error.strerror or error}); "
        "free some space, or mend the rights of its folder"
    )
