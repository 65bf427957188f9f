"""What each partition of the offline store was made from, in one small file a view: so only what is stale is built.

A note holds the digest of the partition that it is about, and counts for no other content: a kill between the two, a
partition that somebody took away, or two builds at once cost a rebuild, never a wrong answer. It holds no time, host or
engine, so that building twice gives the same bytes.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

import msgspec

from ..lake import AnyPath, fingerprints, replace_content
from .feature_view import FeatureView

NOTES = "_made_from.json"  # readers of the lake ignore the name

Fingerprint = Callable[[str, date], str | None]
"""Returns the sha256 of a source's partition of a day, None when the lake has none."""
Note = dict[str, Any]


def note(view: FeatureView, day: date, content: Fingerprint) -> Note:
    """Return what the partition of `day` is made from when it is built now.

    That is the definition, one digest of all its source days, and those of them that the lake does not have.
    """
    inputs = {source_day.isoformat(): content(view.source, source_day) for source_day in view.source_days(day)}
    missing = [source_day for source_day, sha256 in inputs.items() if sha256 is None]
    digest = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
    return {"definition": view.definition, "sources": digest, **({"missing": missing} if missing else {})}


def read(store: AnyPath, view: FeatureView, days: Iterable[date]) -> dict[date, Note]:
    """Return the notes of those of `days` whose partition is the one that the note is about."""
    kept = _kept(store, view)
    found = {day: kept[day.isoformat()] for day in days if day.isoformat() in kept}
    held = fingerprints(store, view.name, found)
    return {
        day: {name: value for name, value in one.items() if name != "partition"}
        for day, one in found.items()
        if one.get("partition", "") == held.get(day)
    }


def write(store: AnyPath, view: FeatureView, notes: Mapping[date, tuple[Note, str]]) -> None:
    """Keep the notes of partitions that are in place, each with the partition's sha256.

    Raises DataError when the disk is full.
    """
    kept = _kept(store, view)
    for day, (one, sha256) in notes.items():
        kept[day.isoformat()] = {**one, "partition": sha256}
    replace_content(store / view.name / NOTES, msgspec.json.encode(kept, order="deterministic"))


def _kept(store: AnyPath, view: FeatureView) -> dict[str, Note]:
    try:
        return msgspec.json.decode((store / view.name / NOTES).read_bytes(), type=dict[str, Note])
    except (FileNotFoundError, ValueError):  # none yet, or not whole: the partitions are built again
        return {}
