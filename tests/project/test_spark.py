"""A generated project builds the same features on Spark, and needs nothing of it where nobody asks for it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path


def test_it_passes_its_tests_of_spark(
    golden_project: Path, make: Callable[..., str], require_tool: Callable[[str], str]
):
    require_tool("java")
    said = make(golden_project, "test-spark")
    assert " passed" in said
    assert "skipped" not in said


def test_its_other_tests_do_not_need_spark(golden_project: Path):
    command = [golden_project / ".venv" / "bin" / "pytest", "--collect-only", "-q", "tests/spark"]
    done = subprocess.run(command, cwd=golden_project, capture_output=True, text=True, check=False)
    assert "no tests collected" in done.stdout


def test_without_spark_the_verb_says_in_one_line_what_to_install(golden_project: Path, tmp_path: Path):
    command = [golden_project / ".venv" / "bin" / "flight-delays", "features", "build", "--engine", "spark"]
    environment = os.environ | {"FLIGHT_DELAYS_STATE": str(tmp_path / "state")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: Spark is not installed here; ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
