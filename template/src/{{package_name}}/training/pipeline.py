"""From labelled rows to a candidate: a bundle on disk, its measures, and the verdict of the gates."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import bundle, problem
from ..errors import DataError
from ..features.feature_view import FeatureView
from . import card, plots
from .dataset import Split
from .evaluate import Labels, measure
from .fit import PARAMETERS, Fitted, fit, learn_categories
from .gates import Evidence, Gate, judge, passed
from .probes import observe, time_rows
from .simple import BASELINE, COMPARED, LOGISTIC, NAMES, baseline, logistic

REFERENCE_ROWS = 5000
GOLDEN_ROWS = 50
MINIMUM_ROWS = 500
# As many, evenly in time, are enough for the coefficients of a logistic regression and for a picture; on the example,
# all of three months' rows gave it an AUC that was 0.002 lower.
SPREAD_ROWS = 25_000
# A behaviour is a mean over the test rows, of a dozen scorings of all of them: these tell it to 0.001.
OBSERVED_ROWS = 2000
THE_MODEL = "the model"


@dataclass(frozen=True)
class Candidate:
    """A trained model that has been judged, not yet registered."""

    folder: Path
    digest: str
    manifest: bundle.Manifest
    gates: Sequence[Gate]
    parameters: Mapping[str, Any]
    slices: Mapping[str, Mapping[str, float]]
    """By `name=value` of problem.SLICES: measures of the test rows, of those that hold both outcomes."""
    artifacts: Mapping[str, bytes]
    """File name -> content of what people look at: plots and the model card."""
    recipe: str
    """See `recipe`."""

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return passed(self.gates)


@dataclass(frozen=True)
class Prepared:
    """The rows of a split, and what the models get of them; keys are train, validation and test."""

    parts: Mapping[str, pd.DataFrame]
    seen: pd.DataFrame
    """The rows that a model is fitted on: all but the test rows."""
    categories: Mapping[str, Sequence[str]]
    inputs: Mapping[str, NDArray[np.float32]]
    labels: Mapping[str, Labels]

    @property
    def fitting(self) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], tuple[Labels, Labels]]:
        """The matrices and the labels of the (training, validation) rows."""
        return (self.inputs["train"], self.inputs["validation"]), (self.labels["train"], self.labels["validation"])


def prepare(rows: pd.DataFrame, split: Split) -> Prepared:
    """Return the three parts of dataset.training_set's rows; categories are those of the rows before the test days.

    Raises DataError when a part has too few labelled rows.
    """
    if not rows["day"].is_monotonic_increasing:
        rows = rows.sort_values("day", kind="stable")
    first, second = (int(rows["day"].searchsorted(day)) for day in (split.validation, split.test))
    # Slices, which copy nothing.
    parts = {"train": rows.iloc[:first], "validation": rows.iloc[first:second], "test": rows.iloc[second:]}
    if min(len(part) for part in parts.values()) < MINIMUM_ROWS:
        counts = ", ".join(f"{name} {len(part)}" for name, part in parts.items())
        raise DataError(f"too few labelled rows before {split.until}: {counts}, each needs {MINIMUM_ROWS}; land more")
    categories = learn_categories(rows.iloc[:second])
    inputs = {name: bundle.matrix(categories, problem.NUMERIC, columns(part)) for name, part in parts.items()}
    labels = {name: part["label"].to_numpy(dtype=bool) for name, part in parts.items()}
    return Prepared(parts, rows.iloc[:second], categories, inputs, labels)


def train(
    rows: pd.DataFrame,
    split: Split,
    views: Sequence[FeatureView],
    folder: Path,
    champion: bundle.Bundle | None,
    seed: int,
    parameters: Mapping[str, Any] = PARAMETERS,
) -> Candidate:
    """Fit on the split's older days, judge on its last week, and write the bundle to `folder`.

    `rows` is dataset.training_set's, `parameters` are XGBoost's. Raises DataError when a part of the split has too
    few labelled rows.
    """
    prepared = prepare(rows, split)
    categories, test, seen = prepared.categories, prepared.parts["test"], prepared.seen
    inputs, labels = prepared.inputs["test"], prepared.labels["test"]
    matrices, outcomes = prepared.fitting
    spread = evenly(len(seen), SPREAD_ROWS)
    old, known = np.concatenate(matrices)[spread], np.concatenate(outcomes)[spread]
    fitted = fit(matrices, outcomes, categories, seed, parameters)
    model = fitted.onnx()
    native = fitted.score(inputs)
    scorer = bundle.Scorer(model)
    exported = scorer.score(inputs)
    simple = {
        LOGISTIC: logistic(old, known, len(categories), inputs),
        BASELINE: baseline(seen, test),
    }
    evidence = Evidence(
        labels=labels,
        days=test["day"].to_numpy().astype("datetime64[D]"),
        groups={name: test[name].to_numpy() for name in problem.SLICES},
        candidate=native,
        onnx=exported,
        baseline=simple[BASELINE],
        champion=champion.score(columns(test)) if champion else None,
        milliseconds=time_rows(scorer, inputs),
        behaviours=observe(
            problem.BEHAVIOURS,
            lambda changed: scorer.score(bundle.matrix(categories, problem.NUMERIC, changed)),
            columns(test.iloc[evenly(len(test), OBSERVED_ROWS)]),
        ),
    )
    scores = {THE_MODEL: native, **{NAMES[key]: values for key, values in simple.items()}}
    measured = {name: measure(labels, values) for name, values in scores.items()}
    beside = {f"{key}_{name}": measured[NAMES[key]][name] for key in simple for name in COMPARED}
    manifest = bundle.Manifest(
        name=problem.NAME,
        categories=categories,
        numeric=problem.NUMERIC,
        views=tuple(view.spec for view in views),
        trained_since=split.since.isoformat(),
        trained_until=split.test.isoformat(),
        tested_until=split.until.isoformat(),
        data_fingerprint=fingerprint(rows),
        metrics=measured[THE_MODEL] | beside,
        files={},
    )
    reference = seen.sample(min(REFERENCE_ROWS, len(seen)), random_state=seed)
    reference = reference[[*categories, *problem.NUMERIC]].assign(
        score=fitted.score(bundle.matrix(categories, problem.NUMERIC, columns(reference)))
    )
    files = {
        bundle.MODEL: model,
        bundle.GOLDEN: _golden(inputs, exported),
        bundle.REFERENCE: _parquet(reference),
    }
    digest = bundle.write(folder, manifest, files)
    gates = judge(evidence, seed)
    by_slice = _by_slice(evidence)
    counts = {f"{name}_rows": len(part) for name, part in prepared.parts.items()}
    used = {**_parameters(fitted), "seed": seed, "rows": len(rows), **counts}
    months = plots.by_month(_months(seen)[spread], known, fitted.score(old))
    artifacts = {
        "roc.png": plots.roc(labels, scores),
        "calibration.png": plots.calibration(labels, scores),
        "importance.png": plots.importance(fitted.gains(manifest.inputs)),
        "error_by_month.png": plots.months(months, plots.by_month(_months(test), labels, native)),
        "model_card.md": card.render(manifest, split.validation, used, measured, by_slice, gates),
    }
    written, _ = bundle.verify(folder, digest)
    return Candidate(folder, digest, written, gates, used, by_slice, artifacts, recipe(views, parameters))


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """Return the numbers of at most `most` of `count` rows, spread evenly over them."""
    return np.linspace(0, count - 1, min(most, count)).astype(np.intp)


def columns(rows: pd.DataFrame) -> dict[str, NDArray[np.generic]]:
    """Return the model's inputs as one array per name."""
    return {name: rows[name].to_numpy() for name in (*problem.CATEGORICAL, *problem.NUMERIC)}


def recipe(views: Sequence[FeatureView], parameters: Mapping[str, Any]) -> str:
    """Return a hash of what a model is made by, whatever the data: its inputs, the views' definitions, the parameters.

    A model of the champion's recipe is the same model on newer data; see monitoring/policy.py.
    """
    inputs = [*problem.CATEGORICAL, *problem.NUMERIC]
    made_by = {"inputs": inputs, "views": {view.name: view.definition for view in views}, "parameters": parameters}
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:16]


def fingerprint(rows: pd.DataFrame) -> str:
    """Return a hash of the training rows, which tells whether two trainings saw the same data."""
    hashed = pd.util.hash_pandas_object(
        rows[list(dict.fromkeys((*problem.ENTITY, *problem.CATEGORICAL, *problem.NUMERIC, "label")))], index=False
    )
    return hashlib.sha256(hashed.to_numpy().tobytes()).hexdigest()[:16]


def _parameters(fitted: Fitted) -> dict[str, Any]:
    return {key: value for key, value in fitted.classifier.get_xgb_params().items() if value is not None} | {
        "trees": fitted.trees
    }


def _by_slice(evidence: Evidence) -> dict[str, dict[str, float]]:
    """Return the measures of each value of problem.SLICES in the test rows, of those that hold both outcomes."""
    found = {
        f"{name}={group}": measure(evidence.labels[groups == group], evidence.candidate[groups == group])
        for name, groups in evidence.groups.items()
        for group in np.unique(groups)
    }
    return {name: figures for name, figures in found.items() if not np.isnan(figures["auc"])}


def _months(rows: pd.DataFrame) -> NDArray[np.datetime64]:
    """Return the month of each row's prediction (UTC)."""
    return rows["prediction_time"].to_numpy().astype("datetime64[s]").astype("datetime64[M]")


def _golden(inputs: NDArray[np.float32], scores: NDArray[np.float64]) -> bytes:
    rows = evenly(len(inputs), GOLDEN_ROWS)
    values = [[None if np.isnan(value) else float(value) for value in inputs[row]] for row in rows]
    return json.dumps({"inputs": values, "scores": scores[rows].tolist()}).encode()


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()
