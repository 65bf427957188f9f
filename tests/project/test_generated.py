"""A generated project passes its own checks, whatever it is called."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(params=["golden_project", "other_project"])
def generated(request: pytest.FixtureRequest) -> Path:
    """Return each generated project in turn."""
    path: Path = request.getfixturevalue(request.param)
    return path


def test_it_passes_its_own_lint(generated: Path, make: Callable[..., str]):
    make(generated, "lint")


def test_it_passes_its_own_tests(generated: Path, make: Callable[..., str]):
    make(generated, "test")


def test_set_up_is_done_once(generated: Path, make: Callable[..., str]):
    assert "Installing" not in make(generated, "setup")
