"""Fit the model on time-ordered rows and export it to ONNX."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxmltools
import pandas as pd
import xgboost
from numpy.typing import NDArray
from onnxmltools.convert.common.data_types import FloatTensorType

from .. import problem

PARAMETERS: Mapping[str, Any] = {
    "learning_rate": 0.05,
    "max_depth": 5,
    "min_child_weight": 20,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "reg_lambda": 5,
    "tree_method": "hist",
    "eval_metric": "logloss",
}
MAXIMUM_TREES = 600
MINIMUM_TREES = 60  # a stormy validation week may stop the fit absurdly early
PATIENCE = 30


@dataclass(frozen=True)
class Fitted:
    """A fitted classifier and the categories that it learned, from training rows only."""

    classifier: xgboost.XGBClassifier
    categories: Mapping[str, Sequence[str]]
    trees: int

    def score(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the native model's probability for each row of a float32 matrix of shape (n, k)."""
        probabilities: NDArray[np.float32] = self.classifier.predict_proba(matrix)
        return probabilities[:, 1].astype(np.float64)

    def gains(self, names: Sequence[str]) -> dict[str, float]:
        """Return each input's total gain over all splits, by its name; `names` are the matrix's columns in order."""
        found: Mapping[str, Any] = self.classifier.get_booster().get_score(importance_type="total_gain")
        return {name: float(found.get(f"f{column}", 0.0)) for column, name in enumerate(names)}

    def onnx(self) -> bytes:
        """Return the model as ONNX: input (n, k) float32, outputs label and probabilities (n, 2)."""
        width = len(self.categories) + len(problem.NUMERIC)
        inputs = [("inputs", FloatTensorType([None, width]))]
        # Without a name the converter takes a random one, and no two trainings would give the same bytes.
        model = onnxmltools.convert_xgboost(self.classifier, problem.NAME, inputs, target_opset=15)
        return bytes(model.SerializeToString())


def learn_categories(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Return the sorted values of each categorical input in the training rows."""
    return {name: sorted(rows[name].unique().tolist()) for name in problem.CATEGORICAL}


Matrices = tuple[NDArray[np.float32], NDArray[np.float32]]
Labels = tuple[NDArray[np.bool_], NDArray[np.bool_]]


def probe(
    matrices: Matrices, labels: Labels, categories: int, seed: int, parameters: Mapping[str, Any]
) -> xgboost.XGBClassifier:
    """Return a model of the training rows, stopped where it was best on the validation rows; see `fit`."""
    common = _common(matrices, categories, seed, parameters)
    classifier = xgboost.XGBClassifier(n_estimators=MAXIMUM_TREES, early_stopping_rounds=PATIENCE, **common)
    classifier.fit(matrices[0], labels[0], eval_set=[(matrices[1], labels[1])], verbose=False)
    return classifier


def fit(
    matrices: Matrices,
    labels: Labels,
    categories: Mapping[str, Sequence[str]],
    seed: int,
    parameters: Mapping[str, Any] = PARAMETERS,
) -> Fitted:
    """Choose the number of trees on the validation rows, then fit that many on training and validation rows.

    `matrices` and `labels` hold the (training, validation) rows, the validation rows later in time than the others;
    `parameters` are XGBoost's.
    """
    probed = probe(matrices, labels, len(categories), seed, parameters)
    trees = max(MINIMUM_TREES, int(probed.best_iteration) + 1)
    classifier = xgboost.XGBClassifier(n_estimators=trees, **_common(matrices, len(categories), seed, parameters))
    classifier.fit(np.concatenate(matrices), np.concatenate(labels))
    return Fitted(classifier, categories, trees)


def _common(matrices: Matrices, categories: int, seed: int, parameters: Mapping[str, Any]) -> dict[str, Any]:
    kinds = ["c"] * categories + ["q"] * (matrices[0].shape[1] - categories)
    return {**parameters, "feature_types": kinds, "enable_categorical": True, "random_state": seed, "n_jobs": 2}
