"""From request columns to logged scores: entity keys, one read of the online store, one matrix, every loaded model."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import bundle, problem, standing
from ..errors import BundleError
from ..features.online import Found, OnlineStore
from .prediction_log import PredictionLog

CHAMPION = "champion"
ALIASES = (CHAMPION, "challenger", "previous")


@dataclass(frozen=True)
class Served:
    """A bundle in memory and the version number that the registry gave it."""

    version: str
    bundle: bundle.Bundle
    forced: str = ""
    """Why it serves against its gates; empty when it passed them."""


@dataclass(frozen=True)
class Answer:
    """The champion's probabilities for n rows, and what the online store lacked."""

    version: str
    probabilities: NDArray[np.float64]
    found: Found


@dataclass
class Predictor:
    """Holds the loaded bundles and answers with the champion; the others score in its shadow."""

    bundles: Path
    online: OnlineStore
    log: PredictionLog
    on_load: Callable[[str, str], None]
    """Called with the alias and "loaded" or the reason of a refusal."""
    served: Mapping[str, Served] = field(default_factory=dict)
    _seen: dict[str, str] = field(default_factory=dict)

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
            self._seen[alias] = target
        self.served = current

    def predict(self, request: Mapping[str, NDArray[np.generic]], request_id: str) -> Answer:
        """Score n rows (problem.REQUEST columns) and log them; the rows are on disk when this returns.

        Raises BundleError when no champion is loaded and OSError when the log cannot be written.
        """
        started = time.perf_counter()
        served = self.served  # one consistent set for the whole request, whatever refresh does meanwhile
        if CHAMPION not in served:
            raise BundleError("no model is loaded yet; promote a version and wait until /healthz/ready answers 200")
        champion = served[CHAMPION]
        columns = {**request, **problem.entity_columns(request)}
        at = columns["prediction_time"].astype(np.int64)
        views = {view.name: view for model in served.values() for view in model.bundle.manifest.views}
        found = self.online.read(list(views.values()), columns, at)
        columns.update(found.features)
        columns.update(problem.derived_features(columns))
        scores = {alias: model.bundle.score(columns) for alias, model in served.items()}
        elapsed = time.perf_counter() - started
        self.log.append(_answers(request_id, request, columns, champion.version, scores[CHAMPION], elapsed))
        if shadows := {alias: (served[alias].version, scores[alias]) for alias in scores if alias != CHAMPION}:
            self.log.append_shadows(_shadows(request_id, at, shadows))
        return Answer(champion.version, scores[CHAMPION], found)

    def _load(self, target: str) -> Served:
        version, _, prefix = target.partition("-")
        loaded = bundle.load(self.bundles / target, prefix)
        published = self.online.definitions()
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


def _answers(
    request_id: str,
    request: Mapping[str, NDArray[np.generic]],
    columns: Mapping[str, NDArray[np.generic]],
    version: str,
    scores: NDArray[np.float64],
    elapsed: float,
) -> list[dict[str, Any]]:
    now = datetime.now(UTC).isoformat()
    milliseconds = round(elapsed * 1000, 3)
    asked = zip(*(request[name].tolist() for name in problem.REQUEST), strict=True)
    inputs = zip(*(columns[name].tolist() for name in problem.NUMERIC), strict=True)
    at = columns["prediction_time"].tolist()
    return [
        {
            "request_id": request_id,
            "row": row,
            "answered_at": now,
            "prediction_time": when,
            "milliseconds": milliseconds,
            "request": dict(zip(problem.REQUEST, values, strict=True)),
            "features": dict(zip(problem.NUMERIC, features, strict=True)),
            "scores": {CHAMPION: {"version": version, "score": score}},
        }
        for row, (when, values, features, score) in enumerate(zip(at, asked, inputs, scores.tolist(), strict=True))
    ]


def _shadows(
    request_id: str, at: NDArray[np.int64], shadows: Mapping[str, tuple[str, NDArray[np.float64]]]
) -> list[dict[str, Any]]:
    scores = {alias: (version, values.tolist()) for alias, (version, values) in shadows.items()}
    return [
        {
            "request_id": request_id,
            "row": row,
            "prediction_time": when,
            "scores": {
                alias: {"version": version, "score": values[row]} for alias, (version, values) in scores.items()
            },
        }
        for row, when in enumerate(at.tolist())
    ]
