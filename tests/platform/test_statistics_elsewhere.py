"""The statistics of performance and drift, held against Evidently's on the same rows.

The distance of Kolmogorov and Smirnov itself is no figure of Evidently's: it shows the p-value alone. Of expected
performance, calibration and the intervals it has nothing; the generated project's own tests compare those.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("statistics_elsewhere.py")
Pairs = dict[str, tuple[float, float]]


@pytest.fixture(scope="module")
def compared(
    root: Path,
    environment_of: Callable[[str, Path], Path],
    render: Callable[[Path, dict[str, Any]], Any],
    golden: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Pairs]:
    """Return both figures of each statistic, ours first, on many rows and on few."""
    commands = environment_of("evidently", root / "locks" / "evidently.txt")
    source = render(tmp_path_factory.mktemp("statistics") / "project", golden).path / "src"
    quiet = {"DO_NOT_TRACK": "1", "PYTHONPATH": str(source), "PYTHONWARNINGS": "ignore"}  # it would tell its makers
    done = subprocess.run(
        [commands / "python", SCRIPT], env={**os.environ, **quiet}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("rows", ["large", "small"])
@pytest.mark.parametrize("name", ["auc", "log_loss", "nulls", "before", "now"])
def test_the_figures_are_those_of_evidently(compared: dict[str, Pairs], rows: str, name: str) -> None:
    ours, theirs = compared[rows][name]
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_of_many_rows_the_p_value_of_the_drift_is_evidentlys_too(compared: dict[str, Pairs]) -> None:
    ours, theirs = compared["large"]["p_value"]
    assert 1e-4 < theirs < 0.5, "a p-value of nearly 0 or 1 compares nothing"
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_of_few_rows_evidentlys_p_value_is_exact_and_ours_is_asymptotic_and_they_agree(
    compared: dict[str, Pairs],
) -> None:
    """Evidently leaves the choice to scipy, which takes the exact distribution up to 10,000 rows on either side."""
    ours, theirs = compared["small"]["p_value"]
    assert ours != theirs
    assert ours == pytest.approx(theirs, rel=0.05)
