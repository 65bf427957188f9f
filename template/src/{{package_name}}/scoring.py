"""Batch scoring: Parquet in, scores out, through the features and the bundle that serving uses.

A file is read, scored and written in batches of BATCH rows, so that memory does not grow with it. It holds requests,
whose features are joined point in time from the offline store; or it has every input of the model as a column already,
and nothing is joined. A folder of daily partitions (`date=YYYY-MM-DD/part-0.parquet`) is scored partition by partition.

The output holds the entity's keys, by which a reader joins it to whatever else the input has, the score, and which
model gave it. Beside it a lineage record, `_<name>.lineage.json`, says what it was made from; where the record still
holds, nothing is done again. Both are written under a temporary name and renamed.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend
from numpy.typing import NDArray

from . import problem
from .bundle import Bundle, Manifest, sha256
from .errors import BundleError, DataError, fault
from .features.feature_view import FeatureView
from .lake import AnyPath, days, file_sha256, fingerprints, partition_days, partition_path, replace_file
from .training.dataset import with_features

BATCH = 65_536  # rows: in memory at once, and in a row group of the output
VERSION, DIGEST = "model_version", "bundle_sha256"
# Of nanoseconds pyarrow makes instants of pandas' own kind.
MICROSECONDS = pc.CastOptions(pa.timestamp("us", "UTC"), allow_time_truncate=True)
Batch = tuple[pa.RecordBatch, dict[str, NDArray[np.generic]]]
"""The keys of some rows, and the model's inputs."""


@dataclass(frozen=True)
class Part:
    """One file to be scored, and where its scores go."""

    source: Path
    target: Path
    rows: int


@dataclass(frozen=True)
class Scorer:
    """Everything that scores: a verified bundle under its version number, and the store its features come from."""

    bundle: Bundle
    version: str
    con: Backend
    views: Sequence[FeatureView]
    store: AnyPath
    code_commit: str


def plan(source: Path, target: Path) -> list[Part]:
    """Return what there is to score: one file, or the partitions of a folder in the order of their days.

    Raises DataError, before anything is written, when there is nothing, or the output would lie in the input.
    """
    here, there = source.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise DataError(f"{target} and {source} are one and the same place; choose another output")
    if not source.is_dir():
        part = _part(source, target)
        if not part.rows:
            raise DataError(f"{source} has no rows; write the rows to be scored into it")
        if target.is_dir():
            raise DataError(f"{target} is a folder, and {source} one file; name a file as the output")
        return [part]
    held = partition_days(source.parent, source.name)
    if not held:
        raise DataError(f"{source} has no daily partition; it must hold {partition_path(Path(), '', date.min)} or such")
    if target.is_file():
        raise DataError(f"{target} is a file, and {source} a folder; name a folder as the output")
    folders = (source, target)
    return [_part(*(partition_path(folder.parent, folder.name, day) for folder in folders)) for day in held]


def score(scorer: Scorer, part: Part, advance: Callable[[int], None]) -> bool:
    """Write one part's scores and its lineage record; `advance` is told of each batch's rows.

    Returns False when the record says that these scores are there already. Raises DataError when a row is not what a
    request must be, when its features are missing and when the disk is full, and BundleError when the model was trained
    for other code. The output is then what it was before.
    """
    source, target, manifest = part.source, part.target, scorer.bundle.manifest
    before = source.stat()
    with _open(source) as file:
        given = set(manifest.inputs) <= set(file.schema_arrow.names)
        _require_columns(source, file.schema_arrow, manifest if given else None)
        record = {
            "input_sha256": file_sha256(source),
            "rows": part.rows,
            "model": problem.NAME,
            VERSION: scorer.version,
            DIGEST: scorer.bundle.digest,
            "definitions": {view.name: view.definition for view in manifest.views},
        }
        if _holds(scorer, target, record):
            advance(part.rows)
            return False
        times: set[int] = set()
        batches = _given(file, part, manifest) if given else _joined(file, part, scorer, times)

        def write(path: Path) -> None:
            _write(path, file.schema_arrow, scorer, batches, advance)
            if _identity(source.stat()) != _identity(before):
                raise DataError(f"{source} was replaced while it was read; run it again")

        replace_file(target, write)
    features = _features(scorer, min(times), max(times)) if times else None
    record |= {"features": features, "input": str(source), "output_sha256": file_sha256(target)}
    record |= {"code_commit": scorer.code_commit, "finished_at": datetime.now(UTC).isoformat(timespec="seconds")}
    text = json.dumps(record, indent=1) + "\n"
    replace_file(lineage_path(target), lambda path: path.write_text(text, encoding="utf-8"))
    return True


def lineage_path(target: Path) -> Path:
    """Return where the lineage record of an output lies; readers of Parquet folders ignore the name."""
    return target.with_name(f"_{target.name}.lineage.json")


def _part(source: Path, target: Path) -> Part:
    with _open(source) as file:
        return Part(source, target, file.metadata.num_rows)


def _open(path: Path) -> pq.ParquetFile:
    try:
        # Streams of 1 MiB a column; as it is by default, all that was read stays in memory until the file is closed.
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    except FileNotFoundError as error:
        raise DataError(f"there is no {path}; name a Parquet file, or a folder of daily partitions") from error
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _read(file: pq.ParquetFile, path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    try:
        for batch in file.iter_batches(BATCH, columns=list(columns)):
            decoded = [_decoded(batch.column(name)) for name in columns]
            yield pa.RecordBatch.from_arrays(decoded, names=list(columns))
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _decoded(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _unreadable(path: Path, error: Exception) -> DataError:
    line = next(iter(str(error).splitlines()), type(error).__name__)
    return DataError(f"{path} cannot be read as Parquet ({line:.160}); write it again")


def _require_columns(path: Path, schema: pa.Schema, manifest: Manifest | None) -> None:
    """Refuse a file that lacks a column, or has one of a wrong type; `manifest` None when it holds requests."""
    names = problem.REQUEST if manifest is None else [*problem.ENTITY, *manifest.inputs]
    for name in names:
        if schema.get_field_index(name) < 0:
            raise DataError(
                f"{path} needs one column {name}; it must hold {', '.join(problem.REQUEST)}, or beside "
                f"{', '.join(problem.ENTITY)} every input of the model"
            )
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if name in problem.INSTANTS:
            if not kind == pa.int64() and not (pa.types.is_timestamp(kind) and kind.tz):
                raise DataError(f"{path}: {name} is {kind}; it must be a timestamp with a zone, or int64 UTC seconds")
        elif manifest is None or pa.types.is_null(kind):
            continue  # each value is looked at, or there is none
        elif name in manifest.categories and not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise DataError(f"{path}: {name} is {kind}; it must be text")
        elif name in manifest.numeric and not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise DataError(f"{path}: {name} is {kind}; it must be a number")


def _given(file: pq.ParquetFile, part: Part, manifest: Manifest) -> Iterator[Batch]:
    """Yield the keys and the inputs of a file that has all of them."""
    done = 0
    for batch in _read(file, part.source, list(dict.fromkeys([*problem.ENTITY, *manifest.inputs]))):
        for name in problem.ENTITY:
            if batch.column(name).null_count:
                row = done + pc.index(batch.column(name).is_null(), True).as_py() + 1
                raise DataError(f"row {row} of {part.source}: {name} is null; each row needs its key")
        done += batch.num_rows
        columns = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in manifest.inputs}
        yield batch.select(list(problem.ENTITY)), columns


def _joined(file: pq.ParquetFile, part: Part, scorer: Scorer, times: set[int]) -> Iterator[Batch]:
    """Yield the keys and the inputs of a file of requests; put the first and last prediction times into `times`."""
    manifest = scorer.bundle.manifest
    known = {view.name: view for view in scorer.views}
    for view in manifest.views:
        if view.name not in known or known[view.name].definition != view.definition:
            raise BundleError(
                f"version {scorer.version} was trained on another definition of {view.name} than this code has; "
                "train again"
            )
    if set(manifest.inputs) != {*problem.CATEGORICAL, *problem.NUMERIC}:
        raise BundleError(f"version {scorer.version} was trained for other inputs than this code has; train again")
    views = [known[view.name] for view in manifest.views]
    done = 0
    for batch in _read(file, part.source, problem.REQUEST):
        rows = with_features(scorer.con, views, scorer.store, _requests(batch, part.source, done))
        done += batch.num_rows
        times |= {int(rows["prediction_time"].min()), int(rows["prediction_time"].max())}
        yield batch.select(list(problem.ENTITY)), {name: rows[name].to_numpy() for name in manifest.inputs}


def _requests(batch: pa.RecordBatch, path: Path, done: int) -> pd.DataFrame:
    """Return requests as dataset.request_rows does. Raises DataError at the first that serving would refuse."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns |= {name: column.cast("string") for name, column in columns.items() if pa.types.is_null(column.type)}
    instants = {
        name: columns[name].cast(pa.timestamp("s", "UTC")) if columns[name].type == pa.int64() else columns[name]
        for name in problem.INSTANTS
    }
    try:
        given = {name: pc.cast(column, options=MICROSECONDS) for name, column in instants.items()}
        msgspec.convert(pa.table(columns | given).to_pylist(), list[problem.Request])
    except msgspec.ValidationError as error:
        where, what = fault(error)
        row, _, field = where.partition(".")
        raise DataError(
            f"row {done + int(row) + 1} of {path}: {field or 'the row'}: {what}; mend the row or leave it out"
        ) from error
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path} holds an instant that is no date; write UTC seconds, not milliseconds") from error
    seconds = {
        name: column.cast(pa.timestamp("s", "UTC"), safe=False).cast("int64") for name, column in instants.items()
    }
    rows: pd.DataFrame = pa.table(columns | seconds).to_pandas()
    return rows


def _write(
    path: Path, schema: pa.Schema, scorer: Scorer, batches: Iterator[Batch], advance: Callable[[int], None]
) -> None:
    keys = []
    for name in problem.ENTITY:
        kind = schema.field(name).type
        keys.append((name, kind.value_type if pa.types.is_dictionary(kind) else kind))
    fields = [*keys, (problem.SCORE, pa.float64()), (VERSION, pa.string()), (DIGEST, pa.string())]
    with pq.ParquetWriter(path, pa.schema(fields), compression="zstd", use_dictionary=[VERSION, DIGEST]) as writer:
        for entity, columns in batches:
            count = entity.num_rows
            made_by = [pa.repeat(text, count) for text in (scorer.version, scorer.bundle.digest)]
            arrays = [*entity.columns, pa.array(scorer.bundle.score(columns)), *made_by]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields)))
            advance(count)


def _holds(scorer: Scorer, target: Path, record: Mapping[str, Any]) -> bool:
    """Return whether the scores are there, made of the same input and features by the same model, and unchanged."""
    try:
        kept = json.loads(lineage_path(target).read_text(encoding="utf-8"))
        same = all(kept[name] == value for name, value in record.items())
        if not same or kept["output_sha256"] != file_sha256(target):
            return False
        used = kept["features"]
        return used is None or used == _features(scorer, used["first"], used["last"])
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or none that this code wrote
        return False


def _features(scorer: Scorer, first: int, last: int) -> dict[str, Any]:
    """Return a digest of the feature partitions that predictions between two instants (UTC seconds) can have used."""
    since, until = (datetime.fromtimestamp(seconds, UTC) for seconds in (first, last))
    held = {
        view.name: {
            day.isoformat(): sha256
            for day, sha256 in fingerprints(
                scorer.store, view.name, days((since - view.ttl).date(), until.date() + timedelta(days=1))
            ).items()
        }
        for view in scorer.views
    }
    return {"first": first, "last": last, "sha256": sha256(json.dumps(held).encode())}


def _identity(about: os.stat_result) -> tuple[int, int, int]:
    return about.st_ino, about.st_size, about.st_mtime_ns
