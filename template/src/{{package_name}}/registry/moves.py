"""Moves of the aliases: each is one record that is made in one step, so that of two at once one is refused.

MLflow cannot compare and swap, and has no lock. What it does in one step, in any database, is to make a registered
model of a name that nobody has taken. So every move has a number, and is a registered model `<name>.move-<number>`,
made with tags that hold every alias as it is after the move. Who makes number n + 1 has moved the aliases from the
state that n left; whoever else had read that state is refused. The aliases of MLflow are then set to what the record
says, and the record is marked as done.

A process that is killed before it made the record has moved nothing; one that is killed after it has moved everything:
until a record is done, it is read in place of the aliases. Nobody repairs it, nobody removes it: the next move has the
next number. It waits for a record that is not done, because its maker may live; a maker writes nothing more after
BUDGET seconds, and is taken for dead after PATIENCE. Decision record 8 has what was rejected.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.tracking.client import MlflowClient

from ..errors import RegistryError
from .explained import ABSENT, TAKEN

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"
ALIASES = (CHAMPION, CHALLENGER, PREVIOUS)

PATIENCE = 30.0
"""Seconds after which the maker of a record that is not done is taken for dead. SQLite waits up to 20 for a lock."""
BUDGET = 5.0
"""Seconds after which a maker starts no further write: it may be taken for dead while the write is under way."""
LOOK = 0.1

UNDER_WAY = "another promotion or rollback happened meanwhile; look at `registry status` and try again"

Notes = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class State:
    """The aliases, and the number of the move that they come from (0 before the first)."""

    number: int = 0
    done: bool = True
    made: float = 0.0
    """Seconds since 1970, by the clock of the registry."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    notes: Notes = field(default_factory=dict)
    """Tags for versions that a move which is not done may not have written."""


@dataclass(frozen=True)
class Move:
    """Every alias as it shall be, tags for versions, and what else is done while no other move can happen."""

    aliases: Mapping[str, str]
    notes: Notes = field(default_factory=dict)
    also: Callable[[Callable[[], None]], None] | None = None
    """It is handed a check to call before each write, which raises RegistryError when there is no time left."""


def read(client: MlflowClient, name: str) -> State:
    """Return the aliases as the last move left them, or shall leave them when it is not done."""
    last = _last(client, name)
    if last is not None and "done" not in last.tags:
        return State(
            _number(last), False, _made(last), json.loads(last.tags["aliases"]), json.loads(last.tags["notes"])
        )
    try:
        found = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
        return State()
    aliases = {alias: str(version) for alias, version in found.items()}
    return State(_number(last), True, _made(last), aliases) if last else State(aliases=aliases)


def move(
    client: MlflowClient,
    name: str,
    decide: Callable[[Mapping[str, str]], Move],
    began: float | None = None,
    patience: float = PATIENCE,
) -> Mapping[str, str]:
    """Move the aliases to what `decide` says of those that are set, and return them.

    `began` is when its caller began to think about it, in seconds since 1970. Raises RegistryError when another move
    happened since, or happens meanwhile; then this one has changed nothing. A move that changes nothing makes no
    record, unless the one before it is not done.
    """
    state = _settled(client, name, patience)
    if began is not None and state.made > began:
        raise RegistryError(UNDER_WAY)
    wanted = decide(state.aliases)
    if state.done and wanted == Move(state.aliases):
        return wanted.aliases
    number = state.number + 1
    notes = {
        version: {**state.notes.get(version, {}), **wanted.notes.get(version, {})}
        for version in {**state.notes, **wanted.notes}
    }
    limit = time.monotonic() + BUDGET
    _claim(client, name, number, {"aliases": json.dumps(wanted.aliases), "notes": json.dumps(notes)})

    def check() -> None:
        if time.monotonic() > limit:
            raise RegistryError("the registry is too slow; look at `registry status`, then do it again")

    # In this order a reader of the bare aliases always finds a champion, and every alias at a version it may be at.
    for alias in (PREVIOUS, CHAMPION, CHALLENGER):
        check()
        if alias in wanted.aliases:
            client.set_registered_model_alias(name, alias, wanted.aliases[alias])
        else:
            client.delete_registered_model_alias(name, alias)
    for version, tags in notes.items():
        for key, value in tags.items():
            check()
            client.set_model_version_tag(name, version, key, value)
    if wanted.also:
        wanted.also(check)
    check()
    client.set_registered_model_tag(_record(name, number), "done", "true")
    for older in _records(client, name)[1:]:
        _delete(client, older.name)
    return wanted.aliases


def _settled(client: MlflowClient, name: str, patience: float) -> State:
    """Return the state once its move is done, or was left; raise when its maker finishes it meanwhile."""
    first = state = read(client, name)
    limit = time.monotonic() + patience
    while not state.done and time.monotonic() < limit:
        time.sleep(LOOK)
        state = read(client, name)
        if state.done or state.number != first.number:
            raise RegistryError(UNDER_WAY)
    return state


def _claim(client: MlflowClient, name: str, number: int, tags: Mapping[str, str]) -> None:
    """Make the record of a move, or raise RegistryError because another has its number."""
    record, token = _record(name, number), uuid.uuid4().hex
    text = f"A move of the aliases of {name}. The last one is read; leave it where it is."
    try:
        client.create_registered_model(record, {**tags, "token": token}, text)
    except MlflowException as error:
        if error.error_code != TAKEN:
            raise
        # A request whose answer was lost is sent again, and then finds the record that it has made itself.
        held = client.search_registered_models(f"name = '{record}'")
        if not any(found.tags["token"] == token for found in held):
            raise RegistryError(UNDER_WAY) from error
    last = _last(client, name)
    if last is None or last.name != record:  # later moves are done, and the number was free again
        _delete(client, record)
        raise RegistryError(UNDER_WAY)


def _last(client: MlflowClient, name: str) -> RegisteredModel | None:
    return next(iter(_records(client, name, 1)), None)


def _records(client: MlflowClient, name: str, count: int = 100) -> list[RegisteredModel]:
    """Return the records of moves, the newest first."""
    found = client.search_registered_models(f"name LIKE '{name}.move-%'", count, ["name DESC"])
    return list(found)


def _record(name: str, number: int) -> str:
    return f"{name}.move-{number:09d}"  # as text they sort like the numbers


def _number(record: RegisteredModel) -> int:
    return int(record.name.rpartition("-")[2])


def _made(record: RegisteredModel) -> float:
    return float(record.creation_timestamp) / 1000


def _delete(client: MlflowClient, record: str) -> None:
    try:
        client.delete_registered_model(record)
    except MlflowException as error:
        if error.error_code != ABSENT:  # another has deleted it
            raise
