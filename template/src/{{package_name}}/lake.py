"""Daily Parquet partitions (Hive layout) that are replaced whole, never edited.

`<root>/<table>/date=YYYY-MM-DD/part-0.parquet` holds the rows of one UTC day. DuckDB, Spark, Athena and pandas read
the layout as it is, and none of them looks at names that begin with `_` or `.`. Every write goes to a temporary name
first and is renamed, so that a reader sees the old partition or the new one and a full disk or a kill leaves the old
one in place. Nothing is forced to the disk itself: after a loss of power, look at the newest partitions again.

A root is a folder, or a folder of objects on S3, where a write is one object. `stores` says which.
"""

import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from glob import escape
from pathlib import Path
from typing import overload

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import DataError
from .objects import READERS, ObjectPath, open_url
from .settings import Settings

FILE = "part-0.parquet"
DAY = "date="

AnyPath = Path | ObjectPath
"""A file or a folder, of this machine or on S3."""


@dataclass(frozen=True)
class Stores:
    """Where the daily partitions are, by what they are of."""

    lake: AnyPath
    """Source tables."""
    quarantine: AnyPath
    """Partitions that broke their contract, with the reason."""
    features: AnyPath
    """The offline store."""
    monitoring: AnyPath
    """What was answered, what monitoring measured of it and decided."""


def stores(settings: Settings) -> Stores:
    """Return the roots of the daily partitions: below `data_url` where that is set, else folders of the state."""
    if not settings.data_url:
        return Stores(settings.lake, settings.quarantine, settings.features, settings.monitoring)
    root = open_url(settings.data_url)
    return Stores(root / "lake", root / "quarantine", root / "features", root / "monitoring")


@overload
def partition_path(root: Path, table: str, day: date) -> Path: ...
@overload
def partition_path(root: AnyPath, table: str, day: date) -> AnyPath: ...
def partition_path(root: AnyPath, table: str, day: date) -> AnyPath:
    """Return the file that holds `day` (UTC) of `table`; it may not exist yet."""
    return root / f"{table}/{DAY}{day.isoformat()}/{FILE}"  # at once: a training asks for thousands


def write_partition(root: AnyPath, table: str, day: date, rows: pa.Table) -> str:
    """Replace one partition atomically and return the sha256 of its file.

    Raises DataError when the store refuses the write (disk full, no permission); the old partition stays.
    """
    content = parquet(rows)
    replace_content(partition_path(root, table, day), content)
    return hashlib.sha256(content).hexdigest()


def parquet(rows: pa.Table) -> pa.Buffer:
    """Return rows as the content of a partition; the same rows give the same bytes."""
    # In memory first, since Parquet makes many small writes; and a day is too short for dictionaries: without them its
    # file is smaller, and made in three quarters of the time.
    buffer = pa.BufferOutputStream()
    pq.write_table(rows, buffer, compression="zstd", use_dictionary=False)
    return buffer.getvalue()


def replace_content(path: AnyPath, content: pa.Buffer | bytes) -> None:
    """Replace one file or object atomically. Raises DataError when the store refuses; the old content stays then."""
    if isinstance(path, ObjectPath):
        path.write_bytes(content)
    else:
        replace_file(path, lambda target: target.write_bytes(content))


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Replace one file atomically by what `write` puts under the name that it is given.

    What a killed write of the same file left beside it is removed first. Raises DataError when the file system refuses;
    the old file stays then, and whatever else is raised.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{escape(path.name)}.*.tmp"):
            left.unlink(missing_ok=True)
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"cannot write {path}: {reason}; free some space or mend the rights, then run it again"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_day(root: AnyPath, table: str, day: date) -> None:
    """Remove the partition of a day, where there is one, and then what lies beside it."""
    path = partition_path(root, table, day)
    if isinstance(path, ObjectPath):
        for name in sorted(path.parent.below(), key=lambda name: name != FILE):
            (path.parent / name).unlink()
    elif path.parent.exists():
        path.unlink(missing_ok=True)
        shutil.rmtree(path.parent)


def tables(root: AnyPath) -> list[str]:
    """Return the names of the tables in a root, in order; one may have no partition."""
    if isinstance(root, ObjectPath):
        return root.folders()
    return sorted(path.name for path in root.glob("*") if path.is_dir())


def readable(path: AnyPath) -> Path | io.BytesIO:
    """Return what readers of a Parquet file take: its path, or the content of an object. Raises FileNotFoundError."""
    return io.BytesIO(path.read_bytes()) if isinstance(path, ObjectPath) else path


def fingerprints(root: AnyPath, table: str, days: Iterable[date]) -> dict[date, str]:
    """Return the sha256 of the partition's file of each of the UTC days that `table` has, in order."""
    wanted = set(days)
    if not wanted:
        return {}
    held = [day for day in partition_days(root, table, min(wanted), max(wanted) + timedelta(days=1)) if day in wanted]
    paths = [partition_path(root, table, day) for day in held]
    if isinstance(root, Path):
        return dict(zip(held, map(file_sha256, paths), strict=True))
    with ThreadPoolExecutor(READERS) as pool:
        return dict(zip(held, pool.map(file_sha256, paths), strict=True))


def file_sha256(path: AnyPath) -> str:
    """Return the hexadecimal sha256 of a file. Raises FileNotFoundError."""
    if isinstance(path, ObjectPath):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def partition_rows(root: AnyPath, table: str, day: date) -> int:
    """Return how many rows a partition has, as its file says. Raises DataError when that is no Parquet file."""
    path = partition_path(root, table, day)
    try:
        if isinstance(path, ObjectPath):  # the end of the object only
            return int(pq.read_metadata(str(path.key), filesystem=path.store).num_rows)
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} cannot be read ({error}); remove it and land its day again") from error


def partition_days(root: AnyPath, table: str, since: date | None = None, until: date | None = None) -> list[date]:
    """Return the UTC days in [since, until) that `table` holds, in order; either bound is open when None."""
    if since and until and isinstance(root, Path):  # a few days are asked for one by one: a year has hundreds
        asked = f"{root / table}/{DAY}"
        return [day for day in days(since, until) if os.access(f"{asked}{day}/{FILE}", os.F_OK)]
    held = _held_days(root, table)
    return [day for day in held if (since is None or day >= since) and (until is None or day < until)]


def _held_days(root: AnyPath, table: str) -> list[date]:
    if isinstance(root, ObjectPath):
        folders = (name.removesuffix(f"/{FILE}") for name in (root / table).below() if name.endswith(f"/{FILE}"))
        return sorted(date.fromisoformat(name.removeprefix(DAY)) for name in folders if name.startswith(DAY))
    try:
        # No Path a day: every stage of the loop asks, and a year has many days.
        with os.scandir(root / table) as entries:
            names = {entry.name: entry.path for entry in entries if entry.name.startswith(DAY)}
    except (FileNotFoundError, NotADirectoryError):
        return []
    held = (name.removeprefix(DAY) for name, path in names.items() if os.access(f"{path}/{FILE}", os.F_OK))
    return sorted(map(date.fromisoformat, held))


def partition_files(root: AnyPath, table: str, since: date | None, until: date | None) -> Sequence[AnyPath]:
    """Return the files of the UTC days in [since, until), either bound open when None.

    Raises DataError when there is none: an empty answer would look like a day on which nothing happened.
    """
    days = partition_days(root, table, since, until)
    if not days:
        span = f"from {since or 'the start'} until {until or 'the end'}"
        raise DataError(f"{root / table} has no partition {span}; land the data and build the features first")
    return [partition_path(root, table, day) for day in days]


def day_of(instant: datetime) -> date:
    """Return the UTC day of an aware instant."""
    return instant.astimezone(UTC).date()


def midnight(day: date) -> datetime:
    """Return the first instant of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def days(since: date, until: date) -> Iterator[date]:
    """Yield the days in [since, until)."""
    for offset in range((until - since).days):
        yield since + timedelta(days=offset)
