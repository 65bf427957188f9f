"""How far the inputs have moved from the rows the champion was trained on. Drift explains; it never pages."""

from collections.abc import Sequence

import pandas as pd
from scipy.stats import ks_2samp

MOVED = 0.2  # Kolmogorov-Smirnov distance, or change of the null rate, that is worth a look
MINIMUM_ROWS = 100


def drift(live: pd.DataFrame, reference: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Return one row per feature, the largest distance first.

    Columns: `feature`, `distance` (two-sample Kolmogorov-Smirnov, 0 to 1, NaN where either side has too few values),
    `nulls` (change of the null rate), the medians `before` and `now`, and `moved`.
    """
    rows = []
    for name in features:
        then, now = reference[name].dropna(), live[name].dropna()
        enough = min(len(then), len(now)) >= MINIMUM_ROWS
        distance = float(ks_2samp(then, now, method="asymp").statistic) if enough else float("nan")
        nulls = float(live[name].isna().mean() - reference[name].isna().mean())
        moved = distance > MOVED or abs(nulls) > MOVED
        rows.append((name, distance, nulls, then.median(), now.median(), moved))
    table = pd.DataFrame(rows, columns=["feature", "distance", "nulls", "before", "now", "moved"])
    return table.sort_values("distance", ascending=False, ignore_index=True)
