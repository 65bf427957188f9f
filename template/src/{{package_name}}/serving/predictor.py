"""From request columns to logged scores: entity keys, one read of the online store, one matrix, one score."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from .. import bundle, problem, standing
from ..errors import BundleError, DataError
from ..features.online import Found, OnlineStore, Plan, plan
from ..segments import Answer as Logged
from ..segments import Scores, shares
from .lookup import Lookup
from .prediction_log import PredictionLog
from .shadows import Job

CHAMPION = "champion"
ALIASES = (CHAMPION, "challenger", "previous")
LOGGED = (("prediction_time",), problem.REQUEST, problem.NUMERIC)
ONLINE_STORE = "online store"  # what an answer is called degraded by

logger = logging.getLogger(__name__)

Columns = Mapping[str, Any]
"""By name: of one row its values, of n rows arrays of n values."""


@dataclass(frozen=True)
class Served:
    """A bundle in memory and the version number that the registry gave it."""

    version: str
    bundle: bundle.Bundle
    forced: str = ""
    """Why it serves against its gates; empty when it passed them."""


@dataclass(frozen=True, eq=False)
class Cast:
    """Everything that answers and shadows at one time. A request has one, whatever is loaded meanwhile."""

    served: Mapping[str, Served]

    @cached_property
    def plan(self) -> Plan:
        """How the features of all of them are read, once for all."""
        # The champion comes last, so that its word holds where two versions declare a view differently.
        models = [self.served[alias] for alias in reversed(ALIASES) if alias in self.served]
        return plan(tuple({view.name: view for model in models for view in model.bundle.manifest.views}.values()))

    @cached_property
    def required(self) -> str:
        """The views that the champion does not answer without, empty when there is none."""
        return ", ".join(view.name for view in self.served[CHAMPION].bundle.manifest.views if view.required)

    @cached_property
    def shadows(self) -> Mapping[str, tuple[str, bundle.Bundle]]:
        """What scores in the champion's shadow."""
        return {alias: (of.version, of.bundle) for alias, of in self.served.items() if alias != CHAMPION}


class Answer(NamedTuple):
    """The champion's probabilities for n rows, what the online store lacked, and what is left to the shadows."""

    version: str
    probabilities: list[float]
    found: Found
    degraded: tuple[str, ...]
    """What was away; its features are missing."""
    job: Job | None


@dataclass
class Predictor:
    """Holds the loaded bundles and answers with the champion; the others score in its shadow."""

    bundles: Path
    online: OnlineStore
    log: PredictionLog
    on_load: Callable[[str, str], None]
    """Called with the alias and "loaded" or the reason of a refusal."""
    cast: Cast = field(default_factory=lambda: Cast({}))
    _seen: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lookup = Lookup(self.online)

    @property
    def served(self) -> Mapping[str, Served]:
        """What is loaded, by alias."""
        return self.cast.served

    @property
    def degraded(self) -> tuple[str, ...]:
        """What is away, so that answers lack a part of their inputs."""
        return (ONLINE_STORE,) if self.lookup.away else ()

    def refresh(self) -> None:
        """Load what the links point to now; a champion that is refused, or gone, leaves the one in memory serving."""
        current = dict(self.served)
        for alias in ALIASES:
            target = _target(self.bundles / alias)
            if target == self._seen.get(alias):
                continue
            if not target:
                if alias != CHAMPION:
                    current.pop(alias, None)
            else:
                try:
                    current[alias] = self._load(target)
                    self.on_load(alias, "loaded")
                except BundleError as error:
                    self.on_load(alias, str(error))
                    if alias != CHAMPION:
                        current.pop(alias, None)
                except DataError as error:
                    logger.warning("%s waits for the online store: %s", target, error)
                    continue  # and is looked at again
            self._seen[alias] = target
        if current != self.served:
            self.cast = Cast(current)

    def probe(self) -> None:
        """See whether what was away is back: the prediction log, and the online store. Both may wait."""
        self.log.probe()
        self.lookup.probe()

    def predict(self, asked: Columns, requests: Sequence[tuple[str, int]]) -> Answer:
        """Score rows (problem.REQUEST columns) and log them; the rows are on disk when this returns.

        `requests` are those that the rows belong to, in their order: the id of each, and how many rows are its.
        Raises BundleError when no champion is loaded, DataError when the online store is away and the champion does
        not answer without it, and OSError when the log cannot be written.
        """
        started = time.perf_counter()
        cast = self.cast
        champion = cast.served.get(CHAMPION)
        if champion is None:
            raise BundleError("no model is loaded yet; promote a version and wait until /healthz/ready answers 200")
        columns = {**asked, **problem.entity_columns(asked)}
        at = columns["prediction_time"]
        rows = 1 if isinstance(at, int) else len(at)
        found = self.lookup.read(cast.plan, columns, at)
        if found.away and cast.required:
            raise DataError(f"{cast.required} cannot be read, and no answer is given without: {self.lookup.away}")
        columns.update(found.features)
        columns.update(problem.derived_features(columns))
        scores = champion.bundle.scores(columns, rows)
        self.log.append(*_logged(requests, columns, champion.version, scores, time.perf_counter() - started))
        job = Job(requests, rows, columns, cast.shadows) if cast.shadows else None
        return Answer(champion.version, scores, found, (ONLINE_STORE,) if found.away else (), job)

    def _load(self, target: str) -> Served:
        """Return a verified bundle. Raises BundleError, and DataError when the online store cannot tell what it holds.

        Without a champion in memory, one is loaded all the same: what the store holds of other definitions is never
        read, so that its answers lack features and are not wrong.
        """
        version, _, prefix = target.partition("-")
        loaded = bundle.load(self.bundles / target, prefix)
        try:
            published = self.online.definitions()
        except DataError as error:
            if CHAMPION in self.served:
                raise
            logger.warning("version %s is loaded without a look at the online store: %s", version, error)
            published = {}
        for view in loaded.manifest.views:
            if published.get(view.name, view.definition) != view.definition:
                raise BundleError(
                    f"version {version} was trained on another definition of {view.name} than the online store holds; "
                    "train again, or publish the features of its code"
                )
        if set(loaded.manifest.inputs) != {*problem.CATEGORICAL, *problem.NUMERIC}:
            raise BundleError(f"version {version} was trained for other inputs than this code has; train again")
        return Served(version, loaded, standing.forced(self.bundles, target))


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _logged(
    requests: Sequence[tuple[str, int]], columns: Columns, version: str, scores: list[float], elapsed: float
) -> Iterator[Logged]:
    """Yield what the log keeps of each request."""
    now, milliseconds = datetime.now(UTC), round(elapsed * 1000, 3)
    times, asked, inputs = (_values(columns, names, len(scores) == 1) for names in LOGGED)
    for request_id, rows, mine in shares(requests):
        yield Logged(
            request_id=request_id,
            row=list(range(rows)),
            prediction_time=times["prediction_time"][mine],
            scores={CHAMPION: Scores(version, scores[mine])},
            answered_at=now,
            milliseconds=milliseconds,
            request={name: values[mine] for name, values in asked.items()} if rows < len(scores) else asked,
            features={name: values[mine] for name, values in inputs.items()} if rows < len(scores) else inputs,
        )


def _values(columns: Columns, names: Sequence[str], alone: bool) -> dict[str, Sequence[Any]]:
    """Return some columns as lists, or of one row as tuples, which take half the time to make."""
    if alone:
        return {name: (columns[name],) for name in names}
    return {name: columns[name].tolist() for name in names}
