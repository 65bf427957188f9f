"""The online store: the last row of each key of each view, for serving. SQLite embedded, Redis in production.

Writes never go back in time and may be repeated. A value older than its view's ttl at the prediction time reads as
missing, exactly as in the point-in-time join. A value is found only under the definition that computed it.

A row is stored as big-endian float64: when it became available (UTC seconds), then the view's features, NaN for null.
"""

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..bundle import ViewSpec
from ..errors import DataError
from ..problem import NAME
from ..settings import Settings

Key = tuple[Any, ...]
Keys = list[str | None]
Row = tuple[str, bytes]
"""What a store keeps of one: its key as text, and its values."""

OTHER_FORM = "the online store holds rows of another form than this code writes; clear it and publish"
FLOAT = np.dtype(">f8")  # of positive numbers, the bytes have the order of the values


class Found(NamedTuple):
    """The features of one row, or one float64 array per feature for n rows; NaN where missing or stale."""

    features: Mapping[str, Any]
    missing: Mapping[str, int]
    """Rows for which a view held no value, by view."""
    stale: Mapping[str, int]
    """Rows whose value was past its ttl, by view."""
    away: bool = False
    """Whether the store was not asked, or did not answer: then every value is missing."""


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

    entities: tuple[Entity, ...]
    views: tuple[str, ...]
    features: tuple[str, ...]
    ttl: NDArray[np.float64]
    """Seconds, a column: one row per view."""
    entity: NDArray[np.intp]
    """The number of the entity of each value: of every view's `available_at`, then of every feature."""
    place: NDArray[np.intp]
    """Where in the record each of these values stands, a column."""
    view: NDArray[np.intp]
    """The number of the view of each feature."""
    records: Struct
    """The records of one row, one after the other."""
    available: tuple[tuple[str, int, float, tuple[str, ...]], ...]
    """Of each view its name, where in these records `available_at` stands, the ttl, and its features."""
    values: tuple[int, ...]
    """Where in these records each feature stands."""


class OnlineStore(ABC):
    """What both stores share: how keys are asked for, and what is made of the records that are held."""

    def read(self, views: Sequence[ViewSpec] | Plan, columns: Mapping[str, Any], at: Any) -> Found:
        """Return every feature of `views` for rows with the entity keys in `columns`, as of `at` (UTC seconds).

        `at` is an int, and then each column is a value; or an int64 array of n values, and then each column is one
        too. It is one query, or one round trip, whatever n is. Who asks often makes the plan of the views once.
        Raises DataError when the store cannot be read.
        """
        asked = views if isinstance(views, Plan) else plan(tuple(views))
        return self._read_one(asked, columns, at) if isinstance(at, int) else self._read_many(asked, columns, at)

    def _read_one(self, asked: Plan, columns: Mapping[str, Any], at: int) -> Found:
        """NumPy takes longer to see that an array has one value than Python to do something with it."""
        keys = [_key(columns, entity.keys) for entity in asked.entities]
        held = self._record(asked, keys) if keys else b""
        if len(held) != asked.records.size:
            raise DataError(OTHER_FORM)
        values = asked.records.unpack(held)
        features = dict(zip(asked.features, map(values.__getitem__, asked.values), strict=True))
        missing, stale = {}, {}
        for view, place, ttl, names in asked.available:
            if values[place] + ttl >= at:
                continue
            if values[place] != values[place]:  # NaN
                missing[view] = 1
            else:
                stale[view] = 1
                features.update(dict.fromkeys(names, math.nan))
        return Found(features, missing, stale)

    def _read_many(self, asked: Plan, columns: Mapping[str, NDArray[np.generic]], at: NDArray[np.int64]) -> Found:
        keys: list[Keys] = []
        first = np.empty((len(asked.entities), len(at)), np.intp)
        end = 0
        for row, entity in enumerate(asked.entities):
            number: defaultdict[Any, int] = defaultdict(count().__next__)  # of each key, by its first use
            parts = [columns[name].tolist() for name in entity.keys]
            single = len(parts) == 1
            numbers = map(number.__getitem__, parts[0] if single else zip(*parts, strict=True))
            first[row] = np.fromiter(numbers, np.intp, len(at)) * entity.width + end
            end += len(number) * entity.width
            keys.append([key if key.__class__ is str else _text(key) for key in number] if single else _texts(number))
        held = np.frombuffer(b"".join(self._records(asked, keys) if end else ()), FLOAT)
        if len(held) != end:
            raise DataError(OTHER_FORM)
        values = held[first[asked.entity] + asked.place].astype(np.float64)
        available, features = values[: len(asked.views)], values[len(asked.views) :]
        stale = at - available > asked.ttl
        features[stale[asked.view]] = np.nan
        return Found(
            dict(zip(asked.features, features, strict=True)),
            dict(zip(asked.views, np.isnan(available).sum(axis=1).tolist(), strict=True)),
            dict(zip(asked.views, stale.sum(axis=1).tolist(), strict=True)),
        )

    def write(self, view: ViewSpec, rows: Iterable[tuple[Key, int, Sequence[float | None]]]) -> None:
        """Store (key, available_at in UTC seconds, features in the view's order), all or nothing.

        Raises DataError when the view is not defined here as `view` says, or the store cannot be written.
        """
        if encoded := encode(view, rows):
            self.put([(view, encoded)])

    @abstractmethod
    def put(self, made: Iterable[tuple[ViewSpec, Sequence[Row]]]) -> None:
        """Store encoded rows of views, in order; one that is older than what is held under its key changes nothing.

        Each view's are stored all or none of them. Raises DataError as `write`; who asks again repeats them all.
        """

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

    def _record(self, asked: Plan, keys: Keys) -> bytes:
        """Return the records of one key of each entity, one after the other."""
        return b"".join(self._records(asked, [[key] for key in keys]))

    @abstractmethod
    def _records(self, asked: Plan, keys: Sequence[Keys]) -> Iterable[bytes]:
        """Return, for each entity of the plan, the records of its keys in their order; no row is held for a None."""


def encode(view: ViewSpec, rows: Iterable[tuple[Key, int, Sequence[float | None]]]) -> list[Row]:
    """Return (key, available_at in UTC seconds, features in the view's order) as a store keeps them."""
    rows = list(rows)
    if not rows:
        return []
    keys = _texts([key for key, _, _ in rows])
    content = np.empty((len(rows), 1 + len(view.features)), FLOAT)
    content[:, 0] = [at for _, at, _ in rows]
    content[:, 1:] = np.array([features for _, _, features in rows], np.float64)
    if None in keys or content[:, 0].min() <= 0:
        raise DataError(f"a row of {view.name} has no key, or became available before 1970; mend its expression")
    whole, width = content.tobytes(), content.itemsize * content.shape[1]
    return [(key, whole[n * width : (n + 1) * width]) for n, key in enumerate(keys) if key is not None]


def nothing_found(asked: Plan, at: Any) -> Found:
    """Return what is found where the store is away; `at` is that of OnlineStore.read."""
    rows = 1 if isinstance(at, int) else len(at)
    nothing = math.nan if isinstance(at, int) else np.full(rows, np.nan)
    return Found(dict.fromkeys(asked.features, nothing), dict.fromkeys(asked.views, rows), {}, away=True)


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
    entities = np.concatenate([entity, entity[view_of]])
    places = np.concatenate([first, first[view_of] + offsets])
    starts = np.cumsum([0, *width.values()])
    alone = (starts[entities] + places).tolist()
    return Plan(
        entities=tuple(Entity(keys, tuple(mine), width[keys]) for keys, mine in grouped.items()),
        views=tuple(view.name for view in views),
        features=tuple(name for view in views for name in view.features),
        ttl=np.array([[view.ttl] for view in views], np.float64),
        entity=entities,
        place=places[:, None],
        view=view_of,
        records=Struct(f">{starts[-1]}d"),
        available=tuple((view.name, at, view.ttl, view.features) for view, at in zip(views, alone, strict=False)),
        values=tuple(alone[len(views) :]),
    )


def _key(columns: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Return what `_texts` does for the key of one row."""
    if len(names) == 1:
        part = columns[names[0]]
        return part if part.__class__ is str else _text(part)
    parts = [columns[name] for name in names]
    texts = [part if part.__class__ is str else _text(part) for part in parts]
    if None in texts:
        return None
    joined = "|".join(texts)  # type: ignore[arg-type]
    return joined if "%" not in joined and joined.count("|") == len(texts) - 1 else _marked(tuple(parts))


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
