"""What the server says: one JSON object a line on standard error, for people with `jq` and for collectors alike.

The standard library's logging takes what libraries say; a line for a request is written without it, in a fifth of the
time.
"""

import logging
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any

import msgspec

PACKAGE = (__package__ or "").split(".")[0]
MOST = 100  # lines about requests in a second, unless all of them are asked for; what is more is counted

_encode = msgspec.json.Encoder(enc_hook=str).encode
_log = logging.getLogger(PACKAGE)


class Json(logging.Formatter):
    """A record as one JSON object: time (UTC), level, event, and the `fields` that it was given."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, Any] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            "pid": record.process,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return _encode(line).decode()


def configure() -> None:
    """Send every record of this process to standard error, from INFO on; libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    _log.setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it warns of each client that does not speak HTTP
    logging.captureWarnings(True)


def event(name: str, wrong: bool = False, /, **fields: Any) -> None:
    """Say that something happened, at level ERROR when it is `wrong`."""
    _log.log(logging.ERROR if wrong else logging.INFO, name, extra={"fields": fields})


class Requests:
    """A line for each request, or only for those that failed (5xx) or took long, and of those so many a second."""

    def __init__(self, everything: bool, slow_seconds: float, descriptor: int = 2) -> None:
        self._everything = everything
        self._slow = slow_seconds
        self._descriptor = descriptor
        self._second = 0
        self._said = self._unsaid = 0

    def done(self, request_id: str, method: str, path: str, status: int, seconds: float, version: str) -> None:
        """Say how a request ended, when it is one of which something is said."""
        if not self._everything and status < 500 and seconds < self._slow:
            return
        now = time.time()
        if not self._everything and not self._may(int(now)):
            return
        line = {
            "time": _time(now),
            "level": "info" if status < 500 else "error",
            "event": "request",
            "request_id": request_id,
            "method": method,
            "path": path,
            "status": status,
            "milliseconds": round(seconds * 1000, 3),
            "version": version,
            "pid": os.getpid(),
        }
        if self._unsaid:
            line["unsaid"] = self._unsaid  # lines about requests that were left out before this one
            self._unsaid = 0
        os.write(self._descriptor, _encode(line) + b"\n")

    def _may(self, second: int) -> bool:
        if second != self._second:
            self._second, self._said = second, 0
        self._said += 1
        if self._said > MOST:
            self._unsaid += 1
            return False
        return True


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
