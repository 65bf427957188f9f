"""The online store: the last row of each key of each view, for serving. SQLite, embedded.

Writes never go back in time and may be repeated. A value older than its view's ttl at the prediction time reads as
missing, exactly as in the point-in-time join.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import ViewSpec
from ..errors import DataError

Key = tuple[Any, ...]

TABLES = """
CREATE TABLE IF NOT EXISTS definitions (view TEXT PRIMARY KEY, definition TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latest (
    view TEXT NOT NULL, key TEXT NOT NULL, available_at INTEGER NOT NULL, features TEXT NOT NULL,
    PRIMARY KEY (view, key)
) WITHOUT ROWID;
"""
UPSERT = """
INSERT INTO latest VALUES (?, ?, ?, ?)
ON CONFLICT (view, key) DO UPDATE SET available_at = excluded.available_at, features = excluded.features
WHERE excluded.available_at >= latest.available_at
"""
MAXIMUM_VARIABLES = 900  # SQLite's historic limit is 999 in one statement


@dataclass(frozen=True)
class Found:
    """Features read for n rows: one float64 array of n values per feature, NaN where missing or stale."""

    features: Mapping[str, NDArray[np.float64]]
    missing: Mapping[str, int]
    """Rows for which a view held no value, by view."""
    stale: Mapping[str, int]
    """Rows whose value was past its ttl, by view."""


class OnlineStore:
    """One SQLite file; one writer and any number of readers in other processes (write-ahead log)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = None
        try:
            connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(TABLES)
        except sqlite3.Error as error:
            if connection:
                connection.close()
            raise DataError(
                f"{path} cannot be used as an online store ({error}); remove it and publish again"
            ) from error
        self._connection = connection

    def define(self, views: Iterable[ViewSpec]) -> None:
        """Record which definition the values of each view come from; values of another definition are dropped."""
        held = self.definitions()
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            for view in views:
                if held.get(view.name) != view.definition:
                    connection.execute("DELETE FROM latest WHERE view = ?", [view.name])
                    connection.execute("INSERT OR REPLACE INTO definitions VALUES (?, ?)", [view.name, view.definition])

    def definitions(self) -> dict[str, str]:
        """Return the definition hash of each published view."""
        return dict(self._connection.execute("SELECT view, definition FROM definitions"))

    def write(self, view: ViewSpec, rows: Iterable[tuple[Key, int, Sequence[float | None]]]) -> None:
        """Store (key, available_at in UTC seconds, features in the view's order), all or nothing."""
        encoded = [(view.name, _key(key), at, json.dumps(list(features))) for key, at, features in rows]
        if encoded:
            with self._connection as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(UPSERT, encoded)

    def clear(self) -> None:
        """Forget every value: a virtual clock that starts again must not read what is still to come."""
        self._connection.execute("DELETE FROM latest")

    def read(
        self, views: Sequence[ViewSpec], columns: Mapping[str, NDArray[np.generic]], at: NDArray[np.int64]
    ) -> Found:
        """Return every feature of `views` for n rows with the entity keys in `columns`, as of `at` (UTC seconds).

        Raises DataError when the file cannot be read.
        """
        count = len(at)
        features: dict[str, NDArray[np.float64]] = {}
        missing: dict[str, int] = {}
        stale: dict[str, int] = {}
        asked = {view.name: [_key(key) for key in _keys(view, columns)] for view in views}
        held = self._latest({(name, key) for name, keys in asked.items() for key in keys if key is not None})
        for view in views:
            values = np.full((len(view.features), count), np.nan)
            missing[view.name] = stale[view.name] = 0
            for row, key in enumerate(asked[view.name]):
                entry = held.get((view.name, key)) if key is not None else None
                if entry is None:
                    missing[view.name] += 1
                elif at[row] - entry[0] > view.ttl:
                    stale[view.name] += 1
                else:
                    values[:, row] = entry[1]
            features.update(zip(view.features, values, strict=True))
        return Found(features, missing, stale)

    def close(self) -> None:
        """Close the file; nothing more can be read or written."""
        self._connection.close()

    def _latest(self, pairs: set[tuple[str, Any]]) -> dict[tuple[str, str], tuple[int, list[float]]]:
        found: dict[tuple[str, str], tuple[int, list[float]]] = {}
        ordered = sorted(pairs)
        step = MAXIMUM_VARIABLES // 2
        for start in range(0, len(ordered), step):
            chunk = ordered[start : start + step]
            places = ", ".join(["(?, ?)"] * len(chunk))
            query = f"SELECT view, key, available_at, features FROM latest WHERE (view, key) IN (VALUES {places})"
            try:
                rows = self._connection.execute(query, [part for pair in chunk for part in pair]).fetchall()
            except sqlite3.Error as error:
                raise DataError(f"the online store cannot be read ({error}); publish the features again") from error
            for view, key, at, text in rows:
                found[view, key] = (at, [np.nan if value is None else value for value in json.loads(text)])
        return found


def _keys(view: ViewSpec, columns: Mapping[str, NDArray[np.generic]]) -> Iterable[Key]:
    return zip(*(columns[name].tolist() for name in view.keys), strict=True)


def _key(key: Key) -> str | None:
    """Return a key as text, None when a part of it is unknown: nothing is ever stored under an unknown key."""
    return None if any(part is None or part != part for part in key) else "|".join(map(str, key))
