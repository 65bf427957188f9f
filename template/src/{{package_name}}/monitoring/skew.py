"""Skew: whether the service computed its features as training does. A difference is a bug, not drift."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
from ibis.backends.duckdb import Backend

from .. import problem
from ..errors import DataError
from ..features.feature_view import FeatureView
from ..lake import AnyPath, partition_path
from ..training.dataset import with_features

SKEWED = 0.01  # a store that was away for a moment leaves some nulls: few are no bug


def skew(
    con: Backend, views: Sequence[FeatureView], lake: AnyPath, store: AnyPath, day: date, answers: pd.DataFrame
) -> dict[str, float] | None:
    """Return `differing` of a UTC day's answers and the offline join of their requests.

    None when it cannot be said, because what was known on that day has not landed or is not built (yet).
    """
    needed = {(lake, view.source) for view in views} | {(store, view.name) for view in views}
    if not views or answers.empty or not all(partition_path(root, table, day).exists() for root, table in needed):
        return None
    # What was answered while the online store was away has no feature of any view, and its answer says so.
    served = answers[[name for view in views for name in view.features if name in answers]]
    answers = answers[served.notna().any(axis=1)] if len(served.columns) else answers
    if answers.empty:
        return None
    try:
        offline = with_features(con, views, store, answers[list(problem.REQUEST)].reset_index(drop=True))
    except DataError:
        return None
    return differing(answers, offline)


def differing(served: pd.DataFrame, offline: pd.DataFrame) -> dict[str, float]:
    """Return, by feature, the share of rows whose served value is not the offline one to the last bit.

    Features without a difference are left out; of the others those of the largest share come first.
    """
    shares = {}
    for name in problem.NUMERIC:
        ours, theirs = (rows[name].to_numpy(dtype=np.float64) for rows in (served, offline))
        shares[name] = float((~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))).mean())
    return {name: share for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share}


def told(shares: dict[str, float] | None) -> list[str]:
    """Return the features that are skewed, the worst first, each with its share."""
    return [f"{name} in {share:.0%} of the answers" for name, share in (shares or {}).items() if share > SKEWED]
