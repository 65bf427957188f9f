"""The audit: every decision about a model version, in one file to which lines are only ever added.

One JSON object a line. Each line holds the sha256 of the line before it (`previous`) and its own (`sha256`, of the line
without that field), so that a line that was edited, or taken out, no longer fits. Lines cut off the end fit: whoever
must exclude that notes elsewhere the last sha256, which `registry audit` prints.
"""

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .errors import AuditError

START = hashlib.sha256(b"").hexdigest()  # what the first line holds of the line before it
MEND = "mend"


@dataclass(frozen=True)
class Entry:
    """One decision: a train, challenge, promote, force, refuse, rollback or prune."""

    at: datetime
    """Aware, UTC."""
    action: str
    version: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """What the decision rests on, as JSON can hold it."""


def append(path: Path, entry: Entry) -> None:
    """Add an entry and return when it is on the disk. Raises AuditError when the file system refuses.

    Processes that append at once take turns. Half a line that a kill left behind is taken off first, and an entry of
    its own says so: what it was about may have happened.
    """
    try:
        with turn(path) as (descriptor, whole, half):
            last = _last_sha256(whole)
            added = b""
            if half:
                found = {"half_a_line": half.decode(errors="replace")}
                mended = Entry(entry.at, MEND, "", "a process was killed while it wrote this line", found)
                added, last = _encode(mended, last)
            line, _ = _encode(entry, last)
            _write(descriptor, added + line, len(whole))
            if not whole:
                _keep_name(path.parent)
    except OSError as error:
        raise AuditError(
            f"{entry.action} of version {entry.version} cannot be put on record in {path} ({error.strerror}); "
            "free some space or mend the rights, then look at `registry status` for what holds"
        ) from error


@contextmanager
def turn(path: Path) -> Iterator[tuple[int, bytes, bytes]]:
    """Wait for one's turn to append to a file of lines, and return its descriptor and its lines. Raises OSError.

    The last value is half a line that a kill left behind at the end; it is taken off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        whole = content[: content.rfind(b"\n") + 1]
        if half := content[len(whole) :]:
            os.ftruncate(descriptor, len(whole))
        yield descriptor, whole, half
    finally:
        os.close(descriptor)  # and with it the lock


def read(path: Path) -> list[Entry]:
    """Return every entry, oldest first; without half a line at the end, and none where there is no file.

    Raises AuditError when a line is not what was written, or does not follow from the line before it.
    """
    return [entry for entry, _ in _chain(path)]


def head(path: Path) -> str:
    """Return the sha256 of the last line, which stands for all of them. Raises AuditError; see read."""
    chain = _chain(path)
    return chain[-1][1] if chain else START


def _chain(path: Path) -> list[tuple[Entry, str]]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise AuditError(f"{path} cannot be read ({error.strerror}); mend its rights") from error
    chain: list[tuple[Entry, str]] = []
    last = START
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(keepends=True), 1):
        try:
            fields = json.loads(line)
            previous, _ = fields.pop("previous"), fields.pop("sha256")
            entry = Entry(**(fields | {"at": datetime.fromisoformat(fields["at"])}))
            expected, own = _encode(entry, previous)
        except (ValueError, KeyError, TypeError, AttributeError):
            entry, expected, previous, own = None, b"", last, ""
        if entry is None or line != expected:
            raise AuditError(f"line {number} of {path} was changed after it was written; {_RESTORE}")
        if previous != last:
            raise AuditError(f"line {number} of {path} does not follow from the line before it; {_RESTORE}")
        chain.append((entry, own))
        last = own
    return chain


_RESTORE = "restore the file from a copy, or put it aside for whoever looks into it"


def _encode(entry: Entry, previous: str) -> tuple[bytes, str]:
    """Return the line of an entry, and its sha256."""
    fields = asdict(entry) | {"at": entry.at.astimezone(UTC).isoformat(), "previous": previous}
    own = hashlib.sha256(json.dumps(fields, sort_keys=True, allow_nan=False).encode()).hexdigest()
    return json.dumps(fields | {"sha256": own}, sort_keys=True, allow_nan=False).encode() + b"\n", own


def _last_sha256(whole: bytes) -> str:
    """Return what the next line holds of the last one, whether that is sound or not: `read` is who judges it."""
    if not whole:
        return START
    line = whole[:-1].rpartition(b"\n")[2]
    try:
        return str(json.loads(line)["sha256"])
    except (ValueError, KeyError, TypeError):
        return hashlib.sha256(line).hexdigest()


def _write(descriptor: int, content: bytes, before: int) -> None:
    """Write in one call and wait for the disk; what was written in part is taken back."""
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def _keep_name(folder: Path) -> None:
    """Wait until the disk holds the name of a new file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
