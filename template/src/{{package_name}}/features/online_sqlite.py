"""The online store in one SQLite file: one writer at a time and any number of readers in other processes.

Each entity has a table, and each view that is kept by its keys has a column, named after the view and its definition.
So a record is one row, found by one search, and the values of another definition are in no column that is read.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from ..bundle import ViewSpec
from ..errors import DataError
from .online import Entity, Keys, OnlineStore, Plan, Row, nothing

PATIENCE = 5.0
"""Seconds to wait for another process that writes."""

TABLE = "by "  # and the names of the keys
COLUMNS = f"""
SELECT tables.name, columns.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
WHERE tables.name LIKE '{TABLE}%' AND columns.name <> 'key'
"""
Columns = list[tuple[str, str]]


class SqliteStore(OnlineStore):
    """One SQLite file with a write-ahead log, so that reading never waits for writing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = None
        try:
            connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            _write_ahead(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error as error:
            if connection:
                connection.close()
            raise DataError(
                f"{path} cannot be used as an online store ({error}); remove it and publish again"
            ) from error
        self._connection = connection

    def define(self, views: Iterable[ViewSpec]) -> None:
        """Give each view a column of its definition, and drop the columns of its other definitions."""
        with self._transaction():
            held = self._columns()
            for view in views:
                table, column = _table(view.keys), _column(view)
                mine = [(where, name) for where, name in held if name.rsplit(" ", 1)[0] == view.name]
                for where, name in mine:
                    if (where, name) != (table, column):
                        self._connection.execute(f"ALTER TABLE {_quoted(where)} DROP COLUMN {_quoted(name)}")
                if (table, column) not in mine:
                    self._connection.execute(
                        f"CREATE TABLE IF NOT EXISTS {_quoted(table)} (key TEXT PRIMARY KEY NOT NULL) WITHOUT ROWID"
                    )
                    self._connection.execute(f"ALTER TABLE {_quoted(table)} ADD COLUMN {_quoted(column)} BLOB")

    def definitions(self) -> dict[str, str]:
        """Return the definition hash of each view that was defined."""
        with self._one_sentence():
            return dict(name.rsplit(" ", 1) for _, name in self._columns())

    def clear(self) -> None:
        """Forget every value."""
        with self._transaction():
            for table in {table for table, _ in self._columns()}:
                self._connection.execute(f"DELETE FROM {_quoted(table)}")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _record(self, asked: Plan, keys: Keys) -> bytes:
        return b"".join(self._read_rows(asked, True, keys))

    def _records(self, asked: Plan, keys: Sequence[Keys]) -> Iterable[bytes]:
        return self._read_rows(asked, False, [json.dumps(of) for of in keys])

    def _read_rows(self, asked: Plan, alone: bool, encoded: Sequence[str | None]) -> list[bytes]:
        try:
            with self._lock:
                return self._fetch(_query(asked, alone), encoded)
        except sqlite3.Error as error:
            # The one reason that is no fault: a view is not defined here, or by another definition, and so all of its
            # values are missing. What is there is looked at anew, since any process may define it at any time.
            with self._one_sentence():
                if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR:  # as a missing column is
                    raise
                return self._fetch(_select(asked.entities, self._columns(), alone), encoded)

    def put(self, made: Iterable[tuple[ViewSpec, Sequence[Row]]]) -> None:
        """Store encoded rows of views, all or nothing: to begin and to end a transaction costs as much as a view."""
        with self._transaction():
            for view, rows in made:
                self._put(view, rows)

    def _put(self, view: ViewSpec, rows: Sequence[Row]) -> None:
        table, column = _quoted(_table(view.keys)), _quoted(_column(view))
        try:
            self._connection.executemany(
                f"INSERT INTO {table} (key, {column}) VALUES (?, ?) "
                f"ON CONFLICT (key) DO UPDATE SET {column} = excluded.{column} "
                f"WHERE {column} IS NULL OR substr(excluded.{column}, 1, 8) >= substr({column}, 1, 8)",
                rows,
            )
        except sqlite3.OperationalError as error:
            if (_table(view.keys), _column(view)) in self._columns():
                raise
            raise DataError(
                f"{self._path} holds another definition of {view.name}; publish the features of this code"
            ) from error

    def _fetch(self, query: str, encoded: Sequence[str | None]) -> list[bytes]:
        return [records for (records,) in self._connection.execute(query, encoded)]

    def _columns(self) -> Columns:
        return self._connection.execute(COLUMNS).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._one_sentence(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _one_sentence(self) -> Iterator[None]:
        try:
            with self._lock:  # a server reads rows in one thread and definitions in another; a statement is for one
                yield
        except sqlite3.Error as error:
            raise DataError(f"the online store {self._path} fails ({error}); publish the features again") from error


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Keep a write-ahead log. Where two processes make the file at once, SQLite refuses one without waiting."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


@lru_cache(maxsize=16)
def _query(asked: Plan, alone: bool) -> str:
    """Return the statement that reads a plan where every view is defined."""
    views = [view for entity in asked.entities for view in entity.views]
    return _select(asked.entities, [(_table(view.keys), _column(view)) for view in views], alone)


def _select(entities: Sequence[Entity], columns: Columns, alone: bool) -> str:
    """Return the statement whose n-th row holds the records of the n-th entity, in the order of the JSON array ?n.

    Where each entity has one key `alone`, ?n is that key, and one row holds the records of all. The rows of a left join
    come in the order of its left side, and `group_concat` takes them as they come.
    """
    records, tables = [], []
    for number, entity in enumerate(entities, start=1):
        table, held = _table(entity.keys), f"held{number}"
        rows = []
        for view in entity.views:
            absent = f"x'{nothing(view).hex()}'"
            there = (table, _column(view)) in columns
            rows.append(f"coalesce({held}.{_quoted(_column(view))}, {absent})" if there else absent)
        records.append(" || ".join(rows))
        key = f"?{number}" if alone else "asked.value"
        joined = f" LEFT JOIN {_quoted(table)} AS {held} ON {held}.key = {key}" if table in dict(columns) else ""
        tables.append(joined if alone else f"json_each(?{number}) AS asked{joined}")
    if alone:
        given = ", ".join(f"?{number}" for number in range(1, 1 + len(entities)))  # also where no table has them
        return f"SELECT CAST({' || '.join(records)} AS BLOB) FROM (SELECT {given}){''.join(tables)}"
    each = zip(records, tables, strict=True)
    return " UNION ALL ".join(f"SELECT CAST(group_concat({of}, '') AS BLOB) FROM {where}" for of, where in each)


def _table(keys: Sequence[str]) -> str:
    return TABLE + ", ".join(keys)


def _column(view: ViewSpec) -> str:
    return f"{view.name} {view.definition}"


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
