"""Daily Parquet partitions (Hive layout) that are replaced whole, never edited.

`<root>/<table>/date=YYYY-MM-DD/part-0.parquet` holds the rows of one UTC day. DuckDB, Spark, Athena and pandas read
the layout as it is, and none of them looks at names that begin with `_` or `.`. Every write goes to a temporary name
first and is renamed, so that a reader sees the old partition or the new one and a full disk or a kill leaves the old
one in place. Nothing is forced to the disk itself: after a loss of power, look at the newest partitions again.
"""

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from glob import escape
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import DataError

FILE = "part-0.parquet"
DAY = "date="


def partition_path(root: Path, table: str, day: date) -> Path:
    """Return the file that holds `day` (UTC) of `table`; it may not exist yet."""
    return root / table / f"{DAY}{day.isoformat()}" / FILE


def write_partition(root: Path, table: str, day: date, rows: pa.Table) -> str:
    """Replace one partition atomically and return the sha256 of its file.

    Raises DataError when the file system refuses the write (disk full, no permission); the old partition stays.
    """
    # In memory first, since Parquet makes many small writes; and a day is too short for dictionaries: without them its
    # file is smaller, and made in three quarters of the time.
    buffer = pa.BufferOutputStream()
    pq.write_table(rows, buffer, compression="zstd", use_dictionary=False)
    content = buffer.getvalue()
    replace_file(partition_path(root, table, day), lambda target: target.write_bytes(content))
    return hashlib.sha256(content).hexdigest()


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


def fingerprint(root: Path, table: str, day: date) -> str | None:
    """Return the sha256 of one partition's file, None when there is no such partition."""
    try:
        return file_sha256(partition_path(root, table, day))
    except FileNotFoundError:
        return None


def file_sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def partition_rows(root: Path, table: str, day: date) -> int:
    """Return how many rows a partition has, as its file says. Raises DataError when that is no Parquet file."""
    path = partition_path(root, table, day)
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} cannot be read ({error}); remove it and land its day again") from error


def partition_days(root: Path, table: str) -> list[date]:
    """Return the UTC days that `table` holds, in order."""
    try:
        # No Path a day: every stage of the loop asks, and a year has many days.
        with os.scandir(root / table) as entries:
            names = {entry.name: entry.path for entry in entries if entry.name.startswith(DAY)}
    except (FileNotFoundError, NotADirectoryError):
        return []
    held = (name.removeprefix(DAY) for name, path in names.items() if os.access(f"{path}/{FILE}", os.F_OK))
    return sorted(map(date.fromisoformat, held))


def partition_files(root: Path, table: str, since: date | None, until: date | None) -> list[str]:
    """Return the files of the UTC days in [since, until), either bound open when None.

    Raises DataError when there is none: an empty answer would look like a day on which nothing happened.
    """
    days = [
        day for day in partition_days(root, table) if (since is None or day >= since) and (until is None or day < until)
    ]
    if not days:
        span = f"from {since or 'the start'} until {until or 'the end'}"
        raise DataError(f"{root / table} has no partition {span}; land the data and build the features first")
    return [str(partition_path(root, table, day)) for day in days]


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
