"""The models that are trained beside: what they reach is free, and what the complex one buys is measured from them."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from .. import problem

LOGISTIC = "logistic"
BASELINE = "baseline"
NAMES = {LOGISTIC: "logistic regression", BASELINE: "the baseline"}
COMPARED = ("auc", "log_loss", "calibration_error")  # the measures of these that a bundle keeps, with the key before


def baseline(seen: pd.DataFrame, asked: pd.DataFrame) -> NDArray[np.float64]:
    """Return the historic label rate by problem.BASELINE, the overall rate where they are new."""
    keys = list(problem.BASELINE)
    rates = seen.groupby(keys)["label"].mean().rename("rate")
    return asked[keys].join(rates, on=keys)["rate"].fillna(seen["label"].mean()).to_numpy(dtype=np.float64)


def logistic(
    matrix: NDArray[np.float32], labels: NDArray[np.bool_], categories: int, asked: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the probability of each row of `asked` by a logistic regression of `labels` on the rows of `matrix`.

    Both are the model's own matrix, its first `categories` columns categorical: they become one column a value, and
    what is new or missing is one value. What is missing of the others is their mean. The fit has nothing random in it.
    """
    codes, numbers = slice(0, categories), slice(categories, None)
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    model: Pipeline = make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="constant", fill_value=-1), one_hot), codes),
            (make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler()), numbers),
        ),
        # Newton's method: the rows are many and the columns few, and it is done after some ten steps.
        LogisticRegression(solver="newton-cholesky", max_iter=100),
    )
    probabilities: NDArray[np.float64] = model.fit(matrix, labels).predict_proba(asked)
    return probabilities[:, 1].astype(np.float64)
