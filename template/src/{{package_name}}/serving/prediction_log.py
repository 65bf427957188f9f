"""The prediction log: one JSON line per answered row, appended before the answer is sent.

`<root>/date=YYYY-MM-DD/<process>.jsonl`, by the UTC day of the prediction time. An append reaches the operating system
in one call, so killing the process loses nothing that a client has seen; at most the last line is half written, and
that one no client saw.
"""

import errno
import json
import os
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec


class PredictionLog:
    """Appends records to one file per day of this process."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._file = f"{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        self._day = ""
        self._descriptor = -1
        self.fault = ""

    def probe(self) -> None:
        """Find out whether a line would fit."""
        self.fault = ""

    def append_shadows(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write the scores of shadows."""
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / "shadows.jsonl").open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write records, each with `prediction_time` (UTC seconds), before returning. Raises OSError (disk full)."""
        lines: dict[str, list[str]] = defaultdict(list)
        for record in records:
            day = datetime.fromtimestamp(record["prediction_time"], UTC).date().isoformat()
            lines[day].append(msgspec.json.encode(record).decode())
        for day, texts in lines.items():
            self._write(day, ("\n".join(texts) + "\n").encode())

    def close(self) -> None:
        """Close the file of the day; the next append opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, day: str, content: bytes) -> None:
        if day != self._day:
            self.close()
            path = self._root / f"date={day}" / self._file
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            self._day = day
        before = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, content)
            if written != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self.fault = f"the prediction log cannot be written ({error.strerror})"
            os.ftruncate(self._descriptor, before)  # half a line would spoil the next one
            raise
