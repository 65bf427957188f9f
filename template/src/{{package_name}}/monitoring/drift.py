"""How far the inputs have moved from the rows the champion was trained on. Drift explains; it never pages."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, kstwo

MOVED = 0.2  # Kolmogorov-Smirnov distance, or change of the null rate, that is worth a look
FALSE_DISCOVERIES = 0.01  # the share of the features with a distance that chance alone may give
MINIMUM_ROWS = 100

Values = NDArray[np.float64]


def drift(live: pd.DataFrame, reference: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Return one row per feature, the largest distance first.

    Columns: `feature`, `distance` (two-sample Kolmogorov-Smirnov, 0 to 1, NaN where either side has too few values),
    `p_value` (of the distance, corrected for the number of features by Benjamini and Hochberg, JRSS B 57, 1995),
    `nulls` (change of the null rate), the medians `before` and `now`, and `moved`: far enough to matter, and too far
    for chance. Many rows make any distance significant, and of many features one is far by chance: so it takes both.
    """
    rows = []
    for name in features:
        then, now = _known(reference, name), _known(live, name)
        distance, size = np.nan, np.nan
        if min(len(then), len(now)) >= MINIMUM_ROWS:
            distance, size = _distance(then, now), np.round(len(then) * len(now) / (len(then) + len(now)))
        nulls = (len(live) - len(now)) / len(live) - (len(reference) - len(then)) / len(reference)
        rows.append((name, distance, size, nulls, _median(then), _median(now)))
    table = pd.DataFrame(rows, columns=["feature", "distance", "size", "nulls", "before", "now"])
    sizes, known = table.pop("size"), table["distance"].notna()
    table.insert(2, "p_value", np.nan)
    if known.any():
        # As scipy.stats.ks_2samp (method "asymp") has it, for all features at once.
        p_values = kstwo.sf(table.loc[known, "distance"], sizes[known])
        table.loc[known, "p_value"] = false_discovery_control(p_values)
    emptied = (table["nulls"].abs() > MOVED) & (min(len(live), len(reference)) >= MINIMUM_ROWS)
    table["moved"] = emptied | ((table["distance"] > MOVED) & (table["p_value"] < FALSE_DISCOVERIES))
    return table.sort_values("distance", ascending=False, ignore_index=True)


def told(table: pd.DataFrame) -> list[str]:
    """Return the features that moved, the farthest first, each with its median before and now."""
    moved = table[table["moved"]]
    rows = zip(moved["feature"], moved["before"], moved["now"], strict=True)
    return [f"{name} (median {before:.3g} before, {now:.3g} now)" for name, before, now in rows]


def _known(rows: pd.DataFrame, name: str) -> Values:
    """Return the values of a feature that are not missing, in order."""
    values = np.sort(rows[name].to_numpy(dtype=np.float64))  # NaN comes last
    return values[: len(values) - int(np.isnan(values).sum())]


def _distance(one: Values, other: Values) -> float:
    """Return the largest difference of two distribution functions: at, or right before, a value of the smaller one."""
    few, many = sorted((one, other), key=len)
    before, at = (
        np.searchsorted(few, few, side) / len(few) - np.searchsorted(many, few, side) / len(many)
        for side in ("left", "right")
    )
    return float(max(np.abs(before).max(), np.abs(at).max()))


def _median(values: Values) -> float:
    return float(np.median(values)) if len(values) else float("nan")
