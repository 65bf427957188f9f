"""The online store: the last row of each key of each view, for serving. SQLite embedded, Redis in production.

Writes never go back in time and may be repeated. A value older than its view's ttl at the prediction time reads as
missing, exactly as in the point-in-time join. A value is found only under the definition that computed it.

A row is stored as big-endian float64: when it became available (UTC seconds), then the view's features, NaN for null.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import ViewSpec
from ..errors import DataError
from ..problem import NAME
from ..settings import Settings

Key = tuple[Any, ...]
Keys = list[str | None]

FLOAT = np.dtype(">f8")  # of positive numbers, the bytes have the order of the values


@dataclass(frozen=True, eq=False)
class Found:
    """Features read for n rows: one float64 array of n values per feature, NaN where missing or stale."""

    views: tuple[str, ...]
    features: Mapping[str, NDArray[np.float64]]
    is_missing: NDArray[np.bool_]
    """Whether a view held no value, (views, n)."""
    is_stale: NDArray[np.bool_]
    """Whether a value was past its ttl, (views, n)."""

    @property
    def missing(self) -> dict[str, int]:
        """Rows for which a view held no value, by view."""
        return dict(zip(self.views, self.is_missing.sum(axis=1).tolist(), strict=True))

    @property
    def stale(self) -> dict[str, int]:
        """Rows whose value was past its ttl, by view."""
        return dict(zip(self.views, self.is_stale.sum(axis=1).tolist(), strict=True))


@dataclass(frozen=True)
class Entity:
    """The views that are kept by the same keys. One record of an entity is a row of each of them, one after the other.

    Where the store holds no row of a view, `nothing(view)` stands in the record.
    """

    keys: tuple[str, ...]
    views: tuple[ViewSpec, ...]
    width: int


@dataclass(frozen=True, eq=False)
class Plan:
    """Where in the records of its entities each feature of some views is found. It depends on nothing but the views."""

    keys: tuple[str, ...]
    """The columns that any of the keys are made of."""
    entities: tuple[Entity, ...]
    views: tuple[str, ...]
    features: tuple[str, ...]
    ttl: NDArray[np.float64]
    """Seconds, a column: one row per view."""
    entity: NDArray[np.intp]
    """The number of the entity of each value: of every view's `available_at`, then of every feature."""
    place: NDArray[np.intp]
    """Where in the record each of these values stands, a column."""
    alone: NDArray[np.intp]
    """Where each of these values stands in the records of one row, one after the other; a column."""
    view: NDArray[np.intp]
    """The number of the view of each feature."""


class OnlineStore(ABC):
    """What both stores share: how keys are asked for, and what is made of the records that are held."""

    def read(
        self, views: Sequence[ViewSpec] | Plan, columns: Mapping[str, NDArray[np.generic]], at: NDArray[np.int64]
    ) -> Found:
        """Return every feature of `views` for n rows with the entity keys in `columns`, as of `at` (UTC seconds).

        One query, or one round trip, whatever n is. Who asks often makes the plan of the views once. Raises DataError
        when the store cannot be read.
        """
        asked = views if isinstance(views, Plan) else plan(tuple(views))
        parts = {name: columns[name].tolist() for name in asked.keys}
        keys, where, end = _alone(asked, parts) if len(at) == 1 else _numbered(asked, parts, len(at))
        held = np.frombuffer(b"".join(self._records(asked, keys) if end else ()), FLOAT)
        if len(held) != end:
            raise DataError("the online store holds rows of another form than this code writes; clear it and publish")
        values = held.take(where).astype(np.float64)
        available, features = values[: len(asked.views)], values[len(asked.views) :]
        stale = at - available > asked.ttl
        if stale.any():
            features[stale[asked.view]] = np.nan
        return Found(asked.views, dict(zip(asked.features, features, strict=True)), np.isnan(available), stale)

    def write(self, view: ViewSpec, rows: Iterable[tuple[Key, int, Sequence[float | None]]]) -> None:
        """Store (key, available_at in UTC seconds, features in the view's order), all or nothing.

        Raises DataError when the view is not defined here as `view` says, or the store cannot be written.
        """
        rows = list(rows)
        if not rows:
            return
        keys = _texts([key for key, _, _ in rows])
        content = np.empty((len(rows), 1 + len(view.features)), FLOAT)
        content[:, 0] = [at for _, at, _ in rows]
        content[:, 1:] = np.array([features for _, _, features in rows], np.float64)
        if None in keys or content[:, 0].min() <= 0:
            raise DataError(f"a row of {view.name} has no key, or became available before 1970; mend its expression")
        whole, width = content.tobytes(), content.itemsize * content.shape[1]
        self._write(view, [(key, whole[n * width : (n + 1) * width]) for n, key in enumerate(keys) if key is not None])

    @abstractmethod
    def define(self, views: Iterable[ViewSpec]) -> None:
        """Say which definition the values of each view come from from now on; values of another one are dropped."""

    @abstractmethod
    def definitions(self) -> dict[str, str]:
        """Return the definition hash of each view that was defined."""

    @abstractmethod
    def clear(self) -> None:
        """Forget every value: a virtual clock that starts again must not read what is still to come."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file or of the connections; nothing more can be read or written."""

    @abstractmethod
    def _records(self, asked: Plan, keys: Sequence[Keys]) -> Iterable[bytes]:
        """Return, for each entity of the plan, the records of its keys in their order; no row is held for a None."""

    @abstractmethod
    def _write(self, view: ViewSpec, rows: list[tuple[str, bytes]]) -> None:
        """Store encoded rows, all or nothing; one that is older than what is held under its key changes nothing."""


def open_store(settings: Settings) -> OnlineStore:
    """Return the online store of these settings. Raises DataError when it cannot be used."""
    if url := settings.online_url.get_secret_value():
        from .online_redis import RedisStore  # a project on SQLite never loads the client

        return RedisStore(url, NAME)
    from .online_sqlite import SqliteStore

    return SqliteStore(settings.online)


@lru_cache(maxsize=256)
def nothing(view: ViewSpec) -> bytes:
    """Return the row of a view that no store holds: NaN throughout."""
    return np.full(1 + len(view.features), np.nan, FLOAT).tobytes()


@lru_cache(maxsize=16)
def plan(views: tuple[ViewSpec, ...]) -> Plan:
    """Return the plan that reads some views."""
    grouped: dict[tuple[str, ...], list[ViewSpec]] = {}
    place: dict[str, int] = {}
    width: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for view in views:
        grouped.setdefault(view.keys, []).append(view)
        place[view.name] = width[view.keys]
        width[view.keys] += 1 + len(view.features)
    number = {keys: index for index, keys in enumerate(grouped)}
    counts = [len(view.features) for view in views]
    entity = np.array([number[view.keys] for view in views], np.intp)
    first = np.array([place[view.name] for view in views], np.intp)
    view_of = np.repeat(np.arange(len(views)), counts)
    offsets = np.array([offset for count in counts for offset in range(1, 1 + count)], np.intp)
    starts = np.cumsum([0, *width.values()])
    entity, place = np.concatenate([entity, entity[view_of]]), np.concatenate([first, first[view_of] + offsets])[:, None]
    return Plan(
        keys=tuple(dict.fromkeys(name for keys in grouped for name in keys)),
        entities=tuple(Entity(keys, tuple(mine), width[keys]) for keys, mine in grouped.items()),
        views=tuple(view.name for view in views),
        features=tuple(name for view in views for name in view.features),
        ttl=np.array([[view.ttl] for view in views], np.float64),
        entity=entity,
        place=place,
        alone=starts[entity][:, None] + place,
        view=view_of,
    )


def _alone(asked: Plan, parts: Mapping[str, list[Any]]) -> tuple[list[Keys], NDArray[np.intp], int]:
    """Return the keys of one row, and what `_numbered` does."""
    keys = [_texts([tuple([parts[name][0] for name in entity.keys])]) for entity in asked.entities]
    return keys, asked.alone, sum(entity.width for entity in asked.entities)


def _numbered(asked: Plan, parts: Mapping[str, list[Any]], rows: int) -> tuple[list[Keys], NDArray[np.intp], int]:
    """Return the different keys of some rows for each entity, where each value of each row stands in their records,
    and how many values these hold."""
    keys: list[Keys] = []
    first = np.empty((len(asked.entities), rows), np.intp)
    end = 0
    for row, entity in enumerate(asked.entities):
        number: defaultdict[Any, int] = defaultdict(count().__next__)  # of each key, by its first use
        mine = [parts[name] for name in entity.keys]
        single = len(mine) == 1
        numbers = map(number.__getitem__, mine[0] if single else zip(*mine, strict=True))
        first[row] = np.fromiter(numbers, np.intp, rows) * entity.width + end
        end += len(number) * entity.width
        keys.append([key if key.__class__ is str else _text(key) for key in number] if single else _texts(number))
    return keys, first[asked.entity] + asked.place, end


def _text(part: Any) -> str | None:
    """Return one part of a key as text, None when it is unknown: nothing is ever stored under an unknown key."""
    return None if part is None or part != part else str(part)


def _texts(keys: Collection[Key]) -> Keys:
    """Return each key as text that no other key has, None when a part of it is unknown."""
    with suppress(TypeError):  # most keys are text without a mark, and joining those is all there is to do
        joined = list(map("|".join, keys))
        together = "".join(joined)
        if "%" not in together and together.count("|") == sum(map(len, keys)) - len(keys):
            return [*joined]
    return [_marked(key) for key in keys]


def _marked(key: Key) -> str | None:
    texts = [text for part in key if (text := _text(part)) is not None]
    if len(texts) < len(key):
        return None
    return texts[0] if len(texts) == 1 else "|".join(text.replace("%", "%25").replace("|", "%7C") for text in texts)
