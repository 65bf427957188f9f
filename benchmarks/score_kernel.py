"""Rows a second of `score` on 1,000,000 rows with features ready, over bare onnxruntime on the same matrix in memory.

The rows are the year's own, repeated with noise. Ours reads them from Parquet, makes the matrix, scores, writes, and
records the lineage. The rival has the float32 matrix in memory and the same model in one thread, and takes it in slices
as large as our batches, which is faster for it than the whole. The scores must be equal, bit for bit. The peak memory
of the command, in a process of its own, must be under 1.5 GiB, and the same for a quarter of the rows.
"""

import os
import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from flight_delays import bundle, problem, scoring
from flight_delays.cli.compose import make_project
from flight_delays.operations import Project
from flight_delays.training.dataset import split_days, training_set
from flight_delays.training.pipeline import columns
from harness import COMMAND, SINCE, UNTIL, interleave, landed_year, peak_megabytes, ratio, show, verdict

ROWS, FEW = 1_000_000, 250_000
ROW_GROUP = 100_000
LIMIT = 1.5 * 2**30 / 1e6  # megabytes, as harness.peak_megabytes has them
GROWTH = 1.1  # from FEW to ROWS, with what an allocator may keep
BOUND = 0.6


def champion(state: Path, lake: Path) -> Project:
    """Make a state whose champion was trained on the year, with the project's own commands."""
    state.mkdir()
    (state / "lake").symlink_to(lake)
    os.environ["FLIGHT_DELAYS_STATE"] = str(state)
    days = ["--until", str(UNTIL)]
    for words in (["features", "build", "--since", str(SINCE), *days], ["train", *days], ["registry", "promote", "1"]):
        subprocess.run([COMMAND, *words], check=True)
    return make_project()


def repeated(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return `count` rows: the real ones again and again, each number but a missing one moved a little."""
    rng = np.random.default_rng(7)
    taken = rows[[*problem.ENTITY, *problem.CATEGORICAL, *problem.NUMERIC]]
    many = taken.loc[:, ~taken.columns.duplicated()].iloc[np.resize(np.arange(len(rows)), count)]
    moved = {
        name: many[name].to_numpy(dtype=float) + rng.normal(scale=0.01 * rows[name].std(), size=count)
        for name in problem.NUMERIC
    }
    return many.assign(**moved).reset_index(drop=True)


def main() -> None:
    lake = landed_year() / "lake"
    with tempfile.TemporaryDirectory(dir=lake.parent) as scratch:
        folder = Path(scratch)
        project = champion(folder / "state", lake)
        views, store = list(project.views.values()), project.settings.features
        rows = repeated(training_set(project.con, views, lake, store, split_days(lake, UNTIL)), ROWS)
        inputs = {count: folder / f"{count}.parquet" for count in (FEW, ROWS)}
        for count, path in inputs.items():
            table = pa.Table.from_pandas(rows.head(count), preserve_index=False)
            pq.write_table(table, path, compression="zstd", row_group_size=ROW_GROUP)
        scorer = project.scorer()
        matrix = scorer.bundle.manifest.matrix(columns(rows))
        del rows, table
        target = folder / "scores.parquet"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        model = str(scorer.bundle.path / bundle.MODEL)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        name, probabilities = session.get_inputs()[0].name, session.get_outputs()[1].name

        def bare() -> list[np.ndarray]:
            slices = (matrix[start : start + scoring.BATCH] for start in range(0, ROWS, scoring.BATCH))
            return [session.run([probabilities], {name: part})[0] for part in slices]

        def ours() -> None:
            scoring.lineage_path(target).unlink(missing_ok=True)  # what it holds would not be done again
            (part,) = scoring.plan(inputs[ROWS], target)
            assert scoring.score(scorer, part, lambda _: None)

        seconds = interleave({"score": ours, "bare onnxruntime": bare}, rounds=3, warmups=0)
        expected = np.concatenate(bare())[:, 1].astype(np.float64)
        if not np.array_equal(pq.read_table(target)[problem.SCORE].to_numpy(), expected):
            raise SystemExit("the results are not equal")
        print(f"equal: {ROWS} scores; the input has {inputs[ROWS].stat().st_size / 1e6:.0f} MB")
        show(seconds)
        peaks = {}
        for count, path in inputs.items():
            took, peaks[count] = peak_megabytes([COMMAND, "score", str(path), str(folder / f"scores-{count}.parquet")])
            print(f"the command on {count} rows: {took:.1f} s, peak memory {peaks[count]:.0f} MB")
    if peaks[ROWS] > LIMIT or peaks[ROWS] > GROWTH * peaks[FEW]:
        raise SystemExit(f"the peak memory must be under {LIMIT:.0f} MB, and grow by less than {GROWTH - 1:.0%}")
    verdict("score-kernel", ratio(seconds, "bare onnxruntime", "score"), BOUND, at_most=False)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    main()
