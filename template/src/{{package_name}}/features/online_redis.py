"""The online store in Redis, which several projects may share: every key begins with the model's name.

Each view of each definition is one hash, `MODEL:VIEW:DEFINITION`, from key to row; `MODEL:definitions` says which
definition of a view is in force. Nothing has an expiry of the server's: that would count the server's seconds, and a
replay's clock stands in the past. Give the server `maxmemory-policy noeviction`, for the same reason.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..bundle import ViewSpec
from ..errors import DataError
from .online import Keys, OnlineStore, Plan, Row, nothing

READ_SECONDS = 0.5  # to connect, and for an answer; a request that waits longer is better refused
WRITE_SECONDS = 30.0
NO_KEY = b"\xff"  # never UTF-8, so no row is held under it

# The server runs a script alone and whole: what two writers send at once cannot interleave.
DEFINE = """
for i = 1, #ARGV, 2 do
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  if held ~= ARGV[i + 1] then
    if held then redis.call('UNLINK', KEYS[2] .. ARGV[i] .. ':' .. held) end
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
"""
WRITE = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
for i = 3, #ARGV, 2 do
  local held = redis.call('HGET', KEYS[2], ARGV[i])
  if not held or struct.unpack('>d', ARGV[i + 1]) >= struct.unpack('>d', held) then
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  end
end
return 1
"""

# What goes wrong, and what to do. The sentence never repeats the client's or the server's words: they may hold secrets.
TROUBLE: tuple[tuple[type[Exception], str], ...] = (
    (redis.AuthenticationError, "refuses the user or the password; correct the URL of the online store"),
    (redis.exceptions.NoPermissionError, "does not allow the user what the online store does; extend its rights"),
    (redis.ReadOnlyError, "is a replica that only reads; publish to its primary"),
    (redis.exceptions.OutOfMemoryError, "has no memory left (maxmemory); raise the limit, or clear what is not needed"),
    (redis.BusyLoadingError, "is still loading its data; try again soon"),
    (redis.TimeoutError, "does not answer in time; look at its load and at the network"),
    (redis.ConnectionError, "cannot be reached; start it, or correct the URL of the online store"),
)


class RedisStore(OnlineStore):
    """One Redis server; any number of writers and readers anywhere. It is asked when used, and may start later."""

    def __init__(self, url: str, model: str) -> None:
        parts = urlsplit(url)
        self._place = f"{parts.hostname}:{parts.port or 6379}"  # all of the URL that anyone ever sees
        self._prefix = f"{model}:"
        with self._one_sentence():
            self._reader = _client(url, READ_SECONDS)
            self._writer = _client(url, WRITE_SECONDS)
        self._define = self._writer.register_script(DEFINE)
        self._store = self._writer.register_script(WRITE)

    def define(self, views: Iterable[ViewSpec]) -> None:
        """Put each view's definition in force, and drop the rows of the one before."""
        arguments = [text for view in views for text in (view.name, view.definition)]
        with self._one_sentence():
            self._define([self._definitions, self._prefix], arguments)

    def definitions(self) -> dict[str, str]:
        """Return the definition hash of each view that was defined."""
        with self._one_sentence():
            held: Any = self._reader.hgetall(self._definitions)
            return {view.decode(): definition.decode() for view, definition in held.items()}

    def clear(self) -> None:
        """Forget every value of this model."""
        for view, definition in self.definitions().items():
            with self._one_sentence():
                self._writer.unlink(f"{self._prefix}{view}:{definition}")

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()
        self._writer.close()

    def _records(self, asked: Plan, keys: Sequence[Keys]) -> Iterable[bytes]:
        pipeline = self._reader.pipeline(transaction=False)  # one message there, one back
        for entity, of in zip(asked.entities, keys, strict=True):
            fields = [NO_KEY if key is None else key for key in of]
            for view in entity.views:
                pipeline.hmget(self._rows(view), fields)
        with self._one_sentence():
            answers = iter(pipeline.execute())
        for entity in asked.entities:
            rows = [[row or absent for row in next(answers)] for absent in map(nothing, entity.views)]
            yield b"".join(chain.from_iterable(zip(*rows, strict=True)))

    def put(self, made: Iterable[tuple[ViewSpec, Sequence[Row]]]) -> None:
        """Store encoded rows of views, one view after the other; see OnlineStore."""
        for view, rows in made:
            self._put(view, rows)

    def _put(self, view: ViewSpec, rows: Sequence[Row]) -> None:
        arguments: list[str | bytes] = [view.name, view.definition]
        for row in rows:
            arguments.extend(row)
        with self._one_sentence():
            stored = self._store([self._definitions, self._rows(view)], arguments)
        if not stored:
            raise DataError(
                f"Redis at {self._place} holds another definition of {view.name}; publish the features of this code"
            )

    @property
    def _definitions(self) -> str:
        return f"{self._prefix}definitions"

    def _rows(self, view: ViewSpec) -> str:
        return f"{self._prefix}{view.name}:{view.definition}"

    @contextmanager
    def _one_sentence(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, ValueError, TypeError) as error:
            told = next((text for kind, text in TROUBLE if isinstance(error, kind)), "")
            told = told or f"fails ({type(error).__name__}); look at its log, and at the URL of the online store"
            raise DataError(f"Redis at {self._place} {told}") from None


def _client(url: str, seconds: float) -> redis.Redis:
    """Return a client that connects when it is first used, and once more, at once, when a connection was lost."""
    return redis.Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=READ_SECONDS,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        protocol=2,
    )
