"""The files of the prediction log: how they are named, what a line holds, who may write to one and remove one.

`<root>/date=YYYY-MM-DD/<kind>-<name>.jsonl`, by the UTC day of the prediction time, is a finished segment: nobody
writes to it again. While its process writes to it, a segment is called `<kind>-<name>.open.jsonl` and that process
holds an exclusive lock (flock) on it. The lock ends with the process, however that ends, so a segment that was left
behind by SIGKILL is one whose lock is free, and no process number is ever compared.

Where flock reaches, any number of servers and one compaction at a time may share a root: the processes and containers
of one machine, and over machines NFS version 4 (and EFS, which is one). It does not reach over machines where NFS is
mounted with `local_lock`, nor on most mounts of object stores: there, give each machine a root of its own.
"""

import fcntl
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from itertools import compress, count
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

ANSWERS = "answers"
SHADOWS = "shadows"
KINDS = (ANSWERS, SHADOWS)
CLOSED = ".jsonl"
OPEN = ".open.jsonl"
TURN = ".turn"


class Scores(msgspec.Struct):
    """What one version said of some rows."""

    version: str
    scores: Sequence[float | None]


class Line(msgspec.Struct):
    """A line of shadows: the scores, by alias, of the n rows of a request whose prediction times are on one UTC day.

    Every list has n values, in the order of `row`.
    """

    request_id: str
    row: Sequence[int]
    """Each row's place in its request, from 0."""
    prediction_time: Sequence[int]
    """UTC seconds."""
    scores: Mapping[str, Scores]


class Answer(Line):
    """A line of answers: what was asked, the model's numeric inputs by name, and the champion's scores."""

    answered_at: datetime
    milliseconds: float
    request: Mapping[str, Sequence[Any]]
    features: Mapping[str, Sequence[float | None]]


def pick(line: Any, chosen: Sequence[bool]) -> Any:
    """Return a line with those of its rows that are chosen."""
    places = list(compress(count(), chosen))
    together = slice(places[0], places[-1] + 1) if places else slice(0)
    # As a rule they stand together, and are copied in one piece.
    apart = len(chosen[together]) > len(places)

    def pick_from(held: Any) -> Any:
        match held:
            case list() | tuple():
                return list(compress(held, chosen)) if apart else held[together]
            case dict():
                return {name: pick_from(value) for name, value in held.items()}
            case msgspec.Struct():
                return replace(held, **pick_from(asdict(held)))
        return held

    return pick_from(line)


def shares(requests: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int, slice]]:
    """Yield the id of each request, how many rows are its, and where they are among those of all, in their order."""
    start = 0
    for request_id, rows in requests:
        yield request_id, rows, slice(start, start := start + rows)


def folder(root: Path, day: date) -> Path:
    """Return where the segments of a UTC day are; it may not exist."""
    return root / f"date={day.isoformat()}"


def days(root: Path) -> list[date]:
    """Return the UTC days that have segments, in order."""
    return sorted({date.fromisoformat(path.parent.name.partition("=")[2]) for path in root.glob(f"date=*/*{CLOSED}")})


def segments(root: Path, kind: str, day: date) -> list[Path]:
    """Return the segments of one kind and UTC day, finished or not."""
    return sorted(folder(root, day).glob(f"{kind}-*{CLOSED}"))


def create(root: Path, kind: str, day: date) -> tuple[Path, int]:
    """Make a segment and return it with its descriptor, which holds its lock. Raises OSError."""
    while True:
        path = folder(root, day) / f"{kind}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}{OPEN}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        except FileNotFoundError:
            continue  # a compaction removed the empty folder at this moment
        try:
            with suppress(BlockingIOError):  # a compaction looks at it at this moment, or took it for left behind
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists():
                    return path, descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)


def finish(path: Path) -> Path:
    """Rename a segment that is complete and return its new name; one without a line is removed. Raises OSError."""
    finished = _finished(path)
    if path.stat().st_size:
        path.rename(finished)
    else:
        path.unlink()
    return finished


def finish_abandoned(root: Path, day: date) -> None:
    """Finish the segments of a day whose process has ended."""
    for path in folder(root, day).glob(f"*{OPEN}"):
        try:
            descriptor = os.open(path, os.O_RDWR)  # NFS locks only what is open for writing
        except FileNotFoundError:
            continue  # its process finished it
        try:
            with suppress(BlockingIOError, FileNotFoundError):  # its process lives, or finished it
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                finish(path)
        finally:
            os.close(descriptor)


def is_open(path: Path) -> bool:
    """Return whether a segment may still grow, by its name."""
    return path.name.endswith(OPEN)


def lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a segment, without half a line at its end: no client saw the answer that it was to be."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        file = _finished(path).open("rb")  # finished since it was listed
    with file:
        for line in file:
            if line.endswith(b"\n"):
                yield line


@contextmanager
def turn(root: Path, alone: bool) -> Iterator[None]:
    """Wait for a turn among those who read segments, or alone among those who remove some; not among those who write.

    A reader in its turn finds each row in a segment or in the lake. Nothing is made where there is no log yet.
    `registry sync` takes its turns at the folder of the bundles by it.
    """
    if not root.is_dir():
        yield
        return
    descriptor = os.open(root / TURN, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _finished(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(OPEN).removesuffix(CLOSED) + CLOSED)
