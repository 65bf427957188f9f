"""What a project's own code and Evidently say of the same rows, as JSON: by name, a pair each. Ours comes first.

It runs in the environment of locks/evidently.txt, with the project's `src` on the path.
"""

import json
import sys
from typing import Any

import numpy as np
import pandas as pd
from evidently import BinaryClassification, DataDefinition, Dataset, Report
from evidently.metrics import LogLoss, MissingValueCount, QuantileValue, RocAuc, ValueDrift
from flight_delays.monitoring.drift import drift
from flight_delays.monitoring.performance import realised
from flight_delays.training.evaluate import measure

INPUT = "delay"
DEFINITION = DataDefinition(
    numerical_columns=[INPUT],
    classification=[BinaryClassification(target="label", prediction_probas="score", pos_label=1)],
)


def rows(random: np.random.Generator, count: int, shift: float) -> pd.DataFrame:
    """Return so many rows: an input in whole minutes with ties, a tenth of it unknown, a coarse score and its label."""
    delay = random.normal(shift, 20, count).round()
    delay[random.random(count) < 0.1] = np.nan
    score = random.beta(2, 6, count).round(2).clip(0.01, 0.99)
    return pd.DataFrame({INPUT: delay, "score": score, "label": (random.random(count) < score).astype(int)})


def theirs(reference: pd.DataFrame, live: pd.DataFrame) -> list[Any]:
    """Return Evidently's AUC, log loss, p-value of the drift, share of nulls, median before and median now."""
    metrics = [
        RocAuc(), LogLoss(), ValueDrift(column=INPUT, method="ks"), MissingValueCount(column=INPUT),
        QuantileValue(column=INPUT, quantile=0.5),
    ]  # fmt: skip
    before, now = (Dataset.from_pandas(part, data_definition=DEFINITION) for part in (reference, live))
    report = Report(metrics)
    auc, loss, p_value, nulls, median = (metric["value"] for metric in report.run(now, before).dict()["metrics"])
    earlier = report.run(before, now).dict()["metrics"]
    return [auc, loss, p_value, nulls["share"] - earlier[3]["value"]["share"], earlier[4]["value"], median]


def ours(reference: pd.DataFrame, live: pd.DataFrame) -> list[Any]:
    """Return the same of the project, the AUC as monitoring has it and as training has it."""
    labels, scores = live["label"].to_numpy(dtype=bool), live["score"].to_numpy()
    cohort = live.assign(label=live["label"].astype("boolean"), champion_score=live["score"])
    measured, (moved,) = measure(labels, scores), drift(live, reference, [INPUT]).to_dict("records")
    assert realised(cohort)["auc"] == measured["auc"]
    return [measured["auc"], measured["log_loss"], *(moved[name] for name in ("p_value", "nulls", "before", "now"))]


def main() -> None:
    """Print {"large": {name: [ours, theirs]}, "small": ...}."""
    random = np.random.default_rng(11)
    found = {}
    for name, count, shift in (("large", 12_000, 0.5), ("small", 5_000, 1.0)):
        reference, live = rows(random, count, 0.0), rows(random, count + 500, shift)
        pairs = zip(ours(reference, live), theirs(reference, live), strict=True)
        names = ("auc", "log_loss", "p_value", "nulls", "before", "now")
        found[name] = {each: [float(value) for value in pair] for each, pair in zip(names, pairs, strict=True)}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
