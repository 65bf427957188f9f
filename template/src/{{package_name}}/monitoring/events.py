"""What happened to the models, in the order of the (real or virtual) clock: an append-only file."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

FILE = "events.jsonl"


@dataclass(frozen=True)
class Event:
    """One thing that happened: a deploy, retrain, challenger, promote, refuse, force, roll back or fault."""

    at: datetime
    """Aware, UTC."""
    kind: str
    version: str
    """The model version it is about; empty when about none."""
    text: str


def record(monitoring: Path, event: Event) -> None:
    """Append an event."""
    monitoring.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(event) | {"at": event.at.astimezone(UTC).isoformat()}) + "\n"
    descriptor = os.open(monitoring / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read(monitoring: Path) -> list[Event]:
    """Return every event in the order in which it was recorded."""
    path = monitoring / FILE
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [Event(**(item | {"at": datetime.fromisoformat(item["at"])})) for item in found]
