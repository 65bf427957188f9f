"""The logged predictions as a table: folded from the prediction log into the lake's form, day by day.

A row is an answer, known by its request and its place in it (KEY). It is in the log, in the lake, or for as long as a
compaction lasts in both; whoever reads through this module sees it once.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .. import problem, segments
from ..errors import DataError
from ..lake import AnyPath, partition_path, readable, write_partition
from ..segments import ANSWERS, KINDS, SHADOWS, Answer, Line

PREDICTIONS = "predictions"
ALIASES = ("champion", "challenger", "previous")
KEY = ("request_id", "row")
Key = tuple[str, int]
PARTS = {"version": pa.string(), "score": pa.float64()}
SCORES = {f"{alias}_{part}": kind for alias in ALIASES for part, kind in PARTS.items()}
ABOUT = {
    "request_id": pa.string(),
    "row": pa.int64(),
    "prediction_time": pa.int64(),
    "answered_at": pa.string(),
    "milliseconds": pa.float64(),
}
# With their types; what is asked for has that of its values.
COLUMNS = ABOUT | dict.fromkeys(problem.REQUEST) | dict.fromkeys(problem.NUMERIC, pa.float64()) | SCORES
CHUNK = 10_000
ROW_A_LINE = re.compile(rb'"row": ?\d')
ORDER = (*problem.ENTITY, "answered_at", *KEY)


@dataclass(frozen=True)
class Compacted:
    """What a compaction did."""

    rows: int
    """Answers that the lake did not hold before."""
    removed: int
    """Segments that were folded and removed."""
    open: int
    """Segments that were folded and stay for now, since a process writes to them."""


def compact(log: Path, monitoring: AnyPath) -> Compacted:
    """Fold the prediction log into the daily partitions of the lake's form, and remove its finished segments.

    Servers may write meanwhile, and a second compaction waits. It may be killed at any point and run again: a segment
    is removed when the partition that holds its rows is on the disk. Raises DataError when a line is not what a server
    writes, or when the file system refuses; what was not folded stays.
    """
    done = []
    try:
        with segments.turn(log, alone=True):
            for day in segments.days(log):
                segments.finish_abandoned(log, day)
                done.append(_fold(log, monitoring, day))
    except OSError as error:
        raise DataError(
            f"the prediction log in {log} cannot be folded ({error.strerror or error}); "
            "free some space or mend the rights, then run it again"
        ) from error
    return Compacted(*(sum(getattr(one, name) for one in done) for name in ("rows", "removed", "open")))


def read_predictions(log: Path, monitoring: AnyPath, day: date) -> pd.DataFrame:
    """Return the answers of one UTC day, each once, in the order of the entities and of `answered_at`.

    Columns: `request_id`, `row`, `prediction_time` (UTC seconds), `answered_at`, `milliseconds`, problem.REQUEST,
    problem.NUMERIC, and `<alias>_version`, `<alias>_score` for each alias: null where none was loaded, or where a
    shadow has not scored the row (yet). Raises DataError when a line is not what a server writes.
    """
    with segments.turn(log, alone=False):
        table: pd.DataFrame = _read(log, monitoring, day).table.to_pandas()
        return table


def latest(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return one row per entity, the answer that was given last."""
    if not predictions.duplicated(list(problem.ENTITY)).any():  # as a rule
        return predictions.reset_index(drop=True)
    ordered = predictions.sort_values("answered_at", kind="stable")
    return ordered.drop_duplicates(list(problem.ENTITY), keep="last").sort_index().reset_index(drop=True)


def logged_versions(log: Path) -> set[str]:
    """Return the versions that answered or shadowed a prediction that is still in the log. Raises DataError."""
    with segments.turn(log, alone=False):
        paths = [path for day in segments.days(log) for kind in KINDS for path in segments.segments(log, kind, day)]
        return {of.version for line in _lines(paths, Line) for of in line.scores.values()}


class _Keyed(msgspec.Struct):
    """The keys of a line: what else it holds is passed over, which takes a twentieth of the time."""

    request_id: str
    row: Sequence[int]


@dataclass(frozen=True)
class _Day:
    """What is known of a day."""

    before: pa.Table
    """Its partition; without a row where there is none."""
    table: pa.Table
    """The partition and what the segments add to it, in ORDER."""
    folded: Sequence[Path]
    """The segments that the table makes superfluous."""
    open: int
    """How many segments may still grow."""


def _read(log: Path, monitoring: AnyPath, day: date) -> _Day:
    """Read a day, in one's turn. Shadows come first: what they shadow is on the disk before them."""
    paths = {SHADOWS: segments.segments(log, SHADOWS, day)}
    shadows: dict[Key, dict[str, Any]] = {}
    for line in _lines(paths[SHADOWS], Line):
        for alias, of in line.scores.items():
            for key, score in zip(_keys_of(line), of.scores, strict=True):
                shadows.setdefault(key, {}).update({f"{alias}_version": of.version, f"{alias}_score": score})
    paths[ANSWERS] = segments.segments(log, ANSWERS, day)
    before = _stored(partition_path(monitoring, PREDICTIONS, day))
    keys = _keys(before)
    added = list(_added(paths[ANSWERS], keys))
    table = pa.concat_tables([before, *added], promote_options="permissive") if added else before
    if shadows:
        found = [shadows.get(key, {}) for key in keys]
        told = set().union(*found)  # the champion has none
        for name, kind in ((name, kind) for name, kind in SCORES.items() if name in told):
            scores = pa.array([one.get(name) for one in found], kind)
            table = table.set_column(table.column_names.index(name), name, pc.coalesce(scores, table[name]))
    finished = {kind: [path for path in found if not segments.is_open(path)] for kind, found in paths.items()}
    folded = finished[ANSWERS] + (finished[SHADOWS] if shadows.keys() <= keys.keys() else [])
    still_open = sum(segments.is_open(path) for found in paths.values() for path in found)
    if added:
        table = table.sort_by([(name, "ascending") for name in ORDER])
    return _Day(before, table, folded, still_open)


def _added(paths: Sequence[Path], keys: dict[Key, None]) -> Iterator[pa.Table]:
    """Yield the answers in segments whose keys are not among those given, and add these."""
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for line in _lines(paths, Answer, keys):
        new = segments.pick(line, [key not in keys for key in _keys_of(line)])
        keys.update(dict.fromkeys(_keys_of(new)))
        values = _columns(new)
        for name, held in columns.items():
            held += values.get(name) or [None] * len(new.row)
        if len(columns["row"]) >= CHUNK:  # as objects a row takes ten times as much memory
            yield _arrow(columns)
            columns = {name: [] for name in COLUMNS}
    if columns["row"]:
        yield _arrow(columns)


def _keys_of(line: Line | _Keyed) -> list[Key]:
    return [(line.request_id, row) for row in line.row]


def _columns(answer: Answer) -> Mapping[str, Sequence[Any]]:
    """Return the columns of a line; what is asked for may itself be an input of the model."""
    rows = len(answer.row)
    about: dict[str, Sequence[Any]] = {
        "request_id": [answer.request_id] * rows,
        "row": answer.row,
        "prediction_time": answer.prediction_time,
        "answered_at": [answer.answered_at.isoformat()] * rows,
        "milliseconds": [answer.milliseconds] * rows,
    }
    scores = {f"{alias}_score": of.scores for alias, of in answer.scores.items()}
    versions = {f"{alias}_version": [of.version] * rows for alias, of in answer.scores.items()}
    return {**answer.request, **answer.features, **about, **scores, **versions}


def _fold(log: Path, monitoring: AnyPath, day: date) -> Compacted:
    found = _read(log, monitoring, day)
    rows = found.table.num_rows
    if not found.table.equals(found.before):
        write_partition(monitoring, PREDICTIONS, day, found.table)
    path = partition_path(monitoring, PREDICTIONS, day)
    if found.folded and rows and isinstance(path, Path):  # what S3 has taken is on its disks
        _to_disk(path)
    for segment in found.folded:
        segment.unlink()
    with suppress(OSError):  # not empty
        segments.folder(log, day).rmdir()
    return Compacted(rows - found.before.num_rows, len(found.folded), found.open)


def _lines(paths: Sequence[Path], kind: type[Line], known: Collection[Key] = ()) -> Iterator[Any]:
    """Yield the lines of segments, without those whose rows are all known."""
    decode, glance = msgspec.json.Decoder(kind).decode, msgspec.json.Decoder(_Keyed).decode
    for path in paths:
        for number, text in enumerate(segments.lines(path), 1):
            try:
                if known and all(key in known for key in _keys_of(glance(text))):
                    continue
                line = decode(text)
                if not _even(line):
                    raise ValueError("its lists differ in length")
            except ValueError as error:
                raise DataError(f"line {number} of {path} {_mend(text, error)}, then run it again") from error
            yield line


def _even(line: Line) -> bool:
    lists: list[Sequence[Any]] = [line.prediction_time, *(of.scores for of in line.scores.values())]
    if isinstance(line, Answer):
        lists += [*line.request.values(), *line.features.values()]
    return all(len(values) == len(line.row) for values in lists)


def _mend(text: bytes, error: ValueError) -> str:
    if ROW_A_LINE.search(text):
        return (
            "is of an earlier version, which wrote a line for each row; run `predictions compact` of that version, or "
            "move the file away"
        )
    return f"is not what a server writes ({error}); mend the line or move the file away"


def _stored(path: AnyPath) -> pa.Table:
    try:
        with pq.ParquetFile(readable(path)) as file:
            return file.read()
    except FileNotFoundError:
        return _arrow({})
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} cannot be read ({error}); move it away, then run it again") from error


def _arrow(columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    return pa.table({name: pa.array(columns.get(name, ()), kind) for name, kind in COLUMNS.items()})


def _keys(table: pa.Table) -> dict[Key, None]:
    """Return the rows' keys in their order, as a set that keeps it."""
    return dict.fromkeys(zip(*(table[name].to_pylist() for name in KEY), strict=True))


def _to_disk(path: Path) -> None:
    """Wait until a file and its names are on the disk itself: what it is a copy of may go then."""
    for part in (path, *list(path.parents)[:2]):
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
