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
from .dataset import Split
from .evaluate import measure
from .fit import Fitted, fit, learn_categories
from .gates import Evidence, Gate, judge, passed
from .probes import observe, time_rows

REFERENCE_ROWS = 5000
GOLDEN_ROWS = 50
MINIMUM_ROWS = 500


@dataclass(frozen=True)
class Candidate:
    """A trained model that has been judged, not yet registered."""

    folder: Path
    digest: str
    manifest: bundle.Manifest
    gates: Sequence[Gate]
    parameters: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return passed(self.gates)


def train(
    rows: pd.DataFrame,
    split: Split,
    views: Sequence[FeatureView],
    folder: Path,
    champion: bundle.Bundle | None,
    seed: int,
) -> Candidate:
    """Fit on the split's older days, judge on its last week, and write the bundle to `folder`.

    `rows` is dataset.training_set's. Raises DataError when a part of the split has too few labelled rows.
    """
    day = rows["day"]
    parts = {
        "train": rows[day < split.validation],
        "validation": rows[(day >= split.validation) & (day < split.test)],
        "test": rows[day >= split.test],
    }
    if min(len(part) for part in parts.values()) < MINIMUM_ROWS:
        counts = ", ".join(f"{name} {len(part)}" for name, part in parts.items())
        raise DataError(f"too few labelled rows before {split.until}: {counts}, each needs {MINIMUM_ROWS}; land more")
    seen = pd.concat([parts["train"], parts["validation"]])
    categories = learn_categories(seen)
    inputs = {name: bundle.matrix(categories, problem.NUMERIC, columns(part)) for name, part in parts.items()}
    labels = {name: part["label"].to_numpy(dtype=bool) for name, part in parts.items()}
    fitted = fit((inputs["train"], inputs["validation"]), (labels["train"], labels["validation"]), categories, seed)
    model = fitted.onnx()
    native = fitted.score(inputs["test"])
    scorer = bundle.Scorer(model)
    exported = scorer.score(inputs["test"])
    evidence = Evidence(
        labels=labels["test"],
        days=parts["test"]["day"].to_numpy().astype("datetime64[D]"),
        groups={name: parts["test"][name].to_numpy() for name in problem.SLICES},
        candidate=native,
        onnx=exported,
        baseline=baseline(seen, parts["test"]),
        champion=champion.score(columns(parts["test"])) if champion else None,
        milliseconds=time_rows(scorer, inputs["test"]),
        behaviours=observe(
            problem.BEHAVIOURS,
            lambda changed: scorer.score(bundle.matrix(categories, problem.NUMERIC, changed)),
            columns(parts["test"]),
        ),
    )
    manifest = bundle.Manifest(
        name=problem.NAME,
        categories=categories,
        numeric=problem.NUMERIC,
        views=tuple(view.spec for view in views),
        trained_since=split.since.isoformat(),
        trained_until=split.test.isoformat(),
        tested_until=split.until.isoformat(),
        data_fingerprint=fingerprint(rows),
        metrics=measure(evidence.labels, native) | {"baseline_auc": measure(evidence.labels, evidence.baseline)["auc"]},
        files={},
    )
    reference = seen.sample(min(REFERENCE_ROWS, len(seen)), random_state=seed)
    reference = reference[[*categories, *problem.NUMERIC]].assign(
        score=fitted.score(bundle.matrix(categories, problem.NUMERIC, columns(reference)))
    )
    files = {
        bundle.MODEL: model,
        bundle.GOLDEN: _golden(inputs["test"], exported),
        bundle.REFERENCE: _parquet(reference),
    }
    digest = bundle.write(folder, manifest, files)
    parameters = {**_parameters(fitted), "seed": seed, "rows": len(rows)}
    return Candidate(folder, digest, bundle.verify(folder, digest)[0], judge(evidence, seed), parameters)


def columns(rows: pd.DataFrame) -> dict[str, NDArray[np.generic]]:
    """Return the model's inputs as one array per name."""
    return {name: rows[name].to_numpy() for name in (*problem.CATEGORICAL, *problem.NUMERIC)}


def baseline(seen: pd.DataFrame, asked: pd.DataFrame) -> NDArray[np.float64]:
    """Return the historic label rate by problem.BASELINE, the overall rate where they are new."""
    keys = list(problem.BASELINE)
    rates = seen.groupby(keys)["label"].mean().rename("rate")
    return asked[keys].join(rates, on=keys)["rate"].fillna(seen["label"].mean()).to_numpy(dtype=np.float64)


def fingerprint(rows: pd.DataFrame) -> str:
    """Return a hash of the training rows, which tells whether two trainings saw the same data."""
    hashed = pd.util.hash_pandas_object(rows[[*problem.ENTITY, *problem.NUMERIC, "label"]], index=False)
    return hashlib.sha256(hashed.to_numpy().tobytes()).hexdigest()[:16]


def _parameters(fitted: Fitted) -> dict[str, Any]:
    return {key: value for key, value in fitted.classifier.get_xgb_params().items() if value is not None} | {
        "trees": fitted.trees
    }


def _golden(inputs: NDArray[np.float32], scores: NDArray[np.float64]) -> bytes:
    rows = np.linspace(0, len(inputs) - 1, min(GOLDEN_ROWS, len(inputs))).astype(int)
    values = [[None if np.isnan(value) else float(value) for value in inputs[row]] for row in rows]
    return json.dumps({"inputs": values, "scores": scores[rows].tolist()}).encode()


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()
