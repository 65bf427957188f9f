"""What each partition of the offline store was made from, in a small file beside it: so only what is stale is built.

The note is removed before its partition is replaced and written after it: a kill in between costs a rebuild, never a
wrong answer. It holds no time, host or engine, so that building twice gives the same bytes.
"""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

from ..lake import NOTE, partition_path, replace_file
from .feature_view import FeatureView

Fingerprint = Callable[[str, date], str | None]
"""Returns the sha256 of a source's partition of a day, None when the lake has none."""


def note(view: FeatureView, day: date, fingerprint: Fingerprint) -> str:
    """Return what the partition of `day` is made from when it is built now: the definition, and each source day."""
    inputs = {source_day.isoformat(): fingerprint(view.source, source_day) for source_day in view.source_days(day)}
    return json.dumps({"definition": view.definition, "inputs": inputs}) + "\n"


def write(store: Path, view: FeatureView, day: date, text: str) -> None:
    """Put a note beside the partition of `day`. Raises DataError when the disk is full."""
    replace_file(_path(store, view, day), lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read(store: Path, view: FeatureView, day: date) -> str | None:
    """Return the note of a partition, None when there is none or it lost its partition."""
    if not partition_path(store, view.name, day).exists():
        return None
    try:
        return _path(store, view, day).read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def definition(text: str | None) -> str | None:
    """Return the definition that a note holds, None when there is no whole note."""
    try:
        return str(json.loads(text or "{}")["definition"])
    except (ValueError, KeyError, TypeError):
        return None


def _path(store: Path, view: FeatureView, day: date) -> Path:
    return partition_path(store, view.name, day).with_name(NOTE)
