"""What a replay of the past leaves for the report: the faults that were planted, what it cost, and how others did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import msgspec

from ..errors import DataError
from ..lake import replace_file

FILE = "replayed.json"
# The ways to retrain that are compared.
WAYS = {
    "loop": "what served",
    "calendar": "a new model on the first of each month, which serves at once",
    "frozen": "the first model throughout",
}


@dataclass(frozen=True)
class Planted:
    """A fault that was planted, and what monitoring said of it."""

    fault: str
    day: date
    cause: str
    """What had to be named."""
    named_at: datetime | None
    """When it was, aware; None when it was not in time."""
    minutes: float
    """From the beginning of the fault until then."""
    said: str


@dataclass(frozen=True)
class Rival:
    """How a way to retrain did on the same answers: the mean of the days' realised AUC."""

    name: str
    retrains: int
    auc: float


@dataclass(frozen=True)
class Replayed:
    """All of it."""

    days: int
    planted: Sequence[Planted]
    unfounded: Sequence[str]
    """The pages that no fault explains."""
    seconds: Mapping[str, float]
    """Processor time by stage."""
    predictions: int
    bytes: int
    """What the replayed state holds on the disk."""
    rivals: Sequence[Rival] = ()


def read(journal: Path) -> Replayed | None:
    """Return what the last replay left, None when there was none. Raises DataError when it cannot be read."""
    path = journal / FILE
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Replayed)
    except (msgspec.DecodeError, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}); remove it") from error


def write(journal: Path, replayed: Replayed) -> None:
    """Leave it for the report. Raises DataError when the file system refuses."""
    replace_file(journal / FILE, lambda path: path.write_bytes(msgspec.json.encode(replayed)))
