"""How far a replay has come: on disk after each day, so that the same command goes on after a kill."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import msgspec

from ..errors import UserError
from ..lake import replace_file

FILE = "replay.json"


@dataclass
class Outcome:
    """What the replay saw, from outside."""

    day: date | None = None
    """The last one that is finished."""
    answered: int = 0
    failed: int = 0
    lost: int = 0
    """Answers that a client received and the prediction log does not hold."""
    served: dict[str, tuple[date, date]] = field(default_factory=dict)
    """First and last day on which each version answered."""
    switch_seconds: list[float] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Processor time by stage."""


@dataclass(frozen=True)
class Progress:
    """A replay that was begun, and what it has seen so far."""

    since: date
    injections: Sequence[str]
    seed: int
    outcome: Outcome


def read(state: Path) -> Progress | None:
    """Return the replay that was begun in a state, None when there is none. Raises UserError when nobody can tell."""
    path = state / FILE
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Progress)
    except (msgspec.DecodeError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}); `make clean` and start over") from error


def write(state: Path, progress: Progress) -> None:
    """Keep how far a replay has come. Raises DataError when the file system refuses."""
    replace_file(state / FILE, lambda path: path.write_bytes(msgspec.json.encode(progress)))
