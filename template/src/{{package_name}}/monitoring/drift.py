"""How far the inputs have moved from the rows the champion was trained on. Drift explains; it never pages."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, ks_2samp

MOVED = 0.2  # Kolmogorov-Smirnov distance, or change of the null rate, that is worth a look
FALSE_DISCOVERIES = 0.01  # the share of the features with a distance that chance alone may give
MINIMUM_ROWS = 100


def drift(live: pd.DataFrame, reference: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Return one row per feature, the largest distance first.

    Columns: `feature`, `distance` (two-sample Kolmogorov-Smirnov, 0 to 1, NaN where either side has too few values),
    `p_value` (of the distance, corrected for the number of features by Benjamini and Hochberg, JRSS B 57, 1995),
    `nulls` (change of the null rate), the medians `before` and `now`, and `moved`: far enough to matter, and too far
    for chance. Many rows make any distance significant, and of many features one is far by chance: so it takes both.
    """
    rows = []
    for name in features:
        then, now = reference[name].dropna(), live[name].dropna()
        enough = min(len(then), len(now)) >= MINIMUM_ROWS
        distance, p_value = ks_2samp(then, now, method="asymp") if enough else (np.nan, np.nan)
        nulls = float(live[name].isna().mean() - reference[name].isna().mean())
        rows.append((name, float(distance), float(p_value), nulls, then.median(), now.median()))
    table = pd.DataFrame(rows, columns=["feature", "distance", "p_value", "nulls", "before", "now"])
    known = table["p_value"].notna()
    if known.any():
        table.loc[known, "p_value"] = false_discovery_control(table.loc[known, "p_value"])
    emptied = (table["nulls"].abs() > MOVED) & (min(len(live), len(reference)) >= MINIMUM_ROWS)
    table["moved"] = emptied | ((table["distance"] > MOVED) & (table["p_value"] < FALSE_DISCOVERIES))
    return table.sort_values("distance", ascending=False, ignore_index=True)


def told(table: pd.DataFrame) -> list[str]:
    """Return the features that moved, the farthest first, each with its median before and now."""
    moved = table[table["moved"]]
    rows = zip(moved["feature"], moved["before"], moved["now"], strict=True)
    return [f"{name} (median {before:.3g} before, {now:.3g} now)" for name, before, now in rows]
