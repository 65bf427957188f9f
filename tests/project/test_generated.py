"""A generated project passes its own checks, whatever it is called and whichever problem is in it."""

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


def test_it_passes_its_slow_tests(golden_project: Path, make: Callable[..., str]):
    """The other project has no slow test that the golden one has not."""
    make(golden_project, "test-slow")


def test_the_blank_project_lives_its_whole_life(other_project: Path, make: Callable[..., str]):
    """Its own short closed loop: the placeholder's model gets worse, is replaced, and a forced one rolled back."""
    said = make(other_project, "demo")
    assert "FAILED" not in said
    assert said.count("\nheld  ") == 7
    assert (other_project / ".state" / "report.html").exists()


def test_set_up_is_done_once(generated: Path, make: Callable[..., str]):
    assert "Installing" not in make(generated, "setup")
