"""Projects that are generated once for all tests, with their environments."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def small_state(golden_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state of the golden project: five weeks until 6 February 2013, and version 1 in production.

    It is one for all tests: copy it.
    """
    state = tmp_path_factory.mktemp("small") / "state"
    environment = {**os.environ, "FLIGHT_DELAYS_STATE": str(state)}
    for words in (
        "data land --until 2013-02-06", "features build --until 2013-02-06", "train --until 2013-02-06",
        "registry promote 1", "registry sync",
    ):  # fmt: skip
        command = [str(golden_project / ".venv" / "bin" / "flight-delays"), *words.split()]
        subprocess.run(command, cwd=golden_project, env=environment, check=True, capture_output=True)
    return state


@pytest.fixture(scope="session")
def other_project(
    render: Callable[[Path, dict[str, Any]], Any],
    make: Callable[..., str],
    require_tool: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """Return a blank project with other names, licence and Python: 3.12 where there is one, else that of the tests."""
    find = [require_tool("uv"), "python", "find", "--no-project", "--no-python-downloads", "3.12"]
    found = subprocess.run(find, capture_output=True, text=True, check=False).stdout.strip()
    answers = {
        "project_name": "Crane Ropes",
        "project_slug": "ropes",
        "package_name": "crane_rope_lives",
        "project_description": "Predicts when a rope is worn out",
        "author_name": "The Crane Ropes team",
        "author_email": "ropes@example.org",
        "license": "MIT",
        "example": "blank",
        "python_version": "3.12" if found else f"3.{sys.version_info.minor}",
    }
    path = tmp_path_factory.mktemp("other") / "project"
    render(path, answers)
    make(path, "setup", python=found or sys.executable)
    yield path
    shutil.rmtree(path, ignore_errors=True)
