"""The whole of `train` on a year against the bare XGBoost fit and predict on the same matrix, already in memory.

The rival does what the model alone takes: a probe with early stopping, the fit of as many trees on all of the rows,
and the prediction of the test week. Ours reads labels and features that are built, joins them, and does the same; then
it exports, trains the simple models beside, draws, writes, judges against a champion, and registers in MLflow. A year
is what a team has whose model is retrained; another end of the window may be given, such as 2013-04-01.
"""

import os
import shutil
import sys
import tempfile
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does

import numpy as np
import xgboost
from flight_delays import bundle, problem
from flight_delays.engine import connect
from flight_delays.features.views import VIEWS
from flight_delays.operations import Project
from flight_delays.registry.client import Registry
from flight_delays.settings import Settings
from flight_delays.sources import SOURCES
from flight_delays.training.dataset import split_days, training_set
from flight_delays.training.fit import MAXIMUM_TREES, MINIMUM_TREES, PARAMETERS, PATIENCE
from flight_delays.training.pipeline import prepare
from harness import UNTIL, interleave, landed_year, ratio, show, verdict

ROUNDS, SEED = 3, 7


def main() -> None:
    until = date.fromisoformat(sys.argv[1]) if len(sys.argv) > 1 else UNTIL
    folder, lake = Path(tempfile.mkdtemp()), Settings(state=landed_year()).lake
    registry = Registry(f"sqlite:///{folder / 'mlflow.db'}", folder / "mlartifacts", problem.NAME)
    project = Project(Settings(state=folder), connect(), SOURCES, VIEWS, registry)
    settings = project.settings
    settings.lake.symlink_to(lake.resolve())
    project.build()
    split = split_days(settings.lake, until)
    rows = training_set(project.con, list(VIEWS.values()), settings.lake, settings.features, split)
    prepared = prepare(rows, split)
    (first, second), (known, checked) = prepared.fitting
    kinds = ["c"] * len(prepared.categories) + ["q"] * len(problem.NUMERIC)
    common = {**PARAMETERS, "feature_types": kinds, "enable_categorical": True, "random_state": SEED, "n_jobs": 2}
    print(f"{len(rows):,} rows of {split.since} to {split.until}, {len(kinds)} inputs", flush=True)

    def bare() -> np.ndarray:
        probe = xgboost.XGBClassifier(n_estimators=MAXIMUM_TREES, early_stopping_rounds=PATIENCE, **common)
        probe.fit(first, known, eval_set=[(second, checked)], verbose=False)
        trees = max(MINIMUM_TREES, int(probe.best_iteration) + 1)
        model = xgboost.XGBClassifier(n_estimators=trees, **common)
        model.fit(np.concatenate([first, second]), np.concatenate([known, checked]))
        return model.predict_proba(prepared.inputs["test"])[:, 1]

    def ours() -> str:
        return project.train(until, SEED, {})[0].number

    number = ours()
    registry.promote(number)
    scored = bundle.load(next((folder / "mlartifacts").glob("*/artifacts/bundle"))).scorer.score(
        prepared.inputs["test"]
    )
    worst = float(np.abs(scored - bare()).max())
    if worst > bundle.GOLDEN_TOLERANCE:
        sys.exit(f"the two models differ by {worst:.2g}")
    seconds = interleave({"bare fit and predict": bare, "train": ours}, ROUNDS)
    show(seconds)
    shutil.rmtree(folder)
    verdict("train-overhead", ratio(seconds, "train", "bare fit and predict"), 1.25)


if __name__ == "__main__":
    main()
