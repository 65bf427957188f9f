"""What happened to the models and their cohorts, in the order of the (real or virtual) clock: an append-only file."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from .. import audit

FILE = "events.jsonl"


@dataclass(frozen=True)
class Event:
    """One thing that happened: of a model (deploy, retrain, challenger, promote, refuse, force, roll back) or a day."""

    at: datetime
    """Aware, UTC."""
    kind: str
    """Of a day there are `correct` (labels), `page` (somebody is called) and `fault` (one that was planted)."""
    version: str
    """The model version it is about; empty when about none."""
    text: str


def record(journal: Path, event: Event) -> None:
    """Append an event, once: one that is recorded again, since a run was killed after it, is there already.

    Processes take turns, and half a line that a kill left behind is taken off first.
    """
    line = json.dumps(asdict(event) | {"at": event.at.astimezone(UTC).isoformat()}).encode() + b"\n"
    with audit.turn(journal / FILE) as (descriptor, whole, _):
        if line not in whole.splitlines(keepends=True):
            os.write(descriptor, line)


def read(journal: Path) -> list[Event]:
    """Return every event in the order in which it was recorded, without half a line at the end."""
    path = journal / FILE
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [Event(**(item | {"at": datetime.fromisoformat(item["at"])})) for item in found]
