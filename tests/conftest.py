"""What every test of the template starts from: the template itself, sets of answers, and rendered projects."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
GOLDEN: dict[str, Any] = yaml.safe_load((ROOT / "example-answers.yml").read_text())
# Every licence, Python, example and cloud, the sandbox and none, the shortest and the longest names, an address and
# none, letters beyond ASCII.
ANSWERS: dict[str, dict[str, Any]] = {
    "golden": GOLDEN,
    "short": {
        "project_name": "Q",
        "project_description": "Predicts",
        "author_name": "A",
        "license": "MIT",
        "python_version": "3.12",
        "example": "blank",
        "cloud": "gcp",
        "sandbox": False,
    },
    "long": {
        "project_name": "The Remaining Life of Harbour Crane Hoist Ropes",
        "project_slug": "harbour-crane-hoist-rope-remaining-lives",
        "package_name": "harbour_crane_hoist_rope_remaining_lives",
        "project_description": "Predicts the remaining life of a rope" + ", so that it's changed in time" * 10,
        "author_name": "The team that looks after the cranes",
        "author_email": "cranes@example.org",
        "license": "Proprietary",
        "python_version": "3.13",
        "cloud": "azure",
        "platform_url": "ssh://git@git.example.org:7999/cranes/platform",
    },
    "letters": {
        "project_name": "Prévision d'été & Großwetter",
        "project_description": "Prédit s'il fera beau: oui / non, à 90 % près",
        "author_name": "L'équipe météo",
        "sandbox": False,
        "license": "Apache-2.0",
    },
}


# The files of tests that take the longest begin first, so that no process of `make test` ends long after the others.
LONGEST = (
    "project/test_generated.py", "project/test_registry.py", "docs/test_tutorial.py", "platform/test_platform.py",
    "project/test_spark.py", "project/test_whole_year.py", "platform/test_image.py", "project/test_observability.py",
    "project/test_year.py", "platform/test_terraform_aws_applied.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of LONGEST first."""
    places = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@dataclass(frozen=True)
class Project:
    """A rendered project: where it is, and the answers in it, the defaults among them."""

    path: Path
    answers: dict[str, Any]

    def texts(self) -> dict[str, str]:
        """Return the text of each file by its path in the project."""
        files = (path for path in sorted(self.path.rglob("*")) if path.is_file())
        return {path.relative_to(self.path).as_posix(): path.read_text(encoding="utf-8") for path in files}


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the template's repository."""
    return ROOT


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """Return the answers of example-answers.yml."""
    return GOLDEN


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the working tree's template outside of git, so that what is tested is what is there."""
    copy = tmp_path_factory.mktemp("template")
    shutil.copy(ROOT / "copier.yml", copy)
    shutil.copytree(ROOT / "template", copy / "template", ignore=shutil.ignore_patterns(".*_cache", "__pycache__"))
    return copy


@pytest.fixture(scope="session")
def render(template: Path) -> Callable[[Path, dict[str, Any]], Project]:
    """Return the function that renders the template into a folder with some answers, and defaults for the rest."""

    def to(path: Path, answers: dict[str, Any]) -> Project:
        copier.run_copy(str(template), path, data=answers, defaults=True, quiet=True)
        return Project(path, yaml.safe_load((path / ".copier-answers.yml").read_text(encoding="utf-8")))

    return to


@pytest.fixture(scope="session", params=list(ANSWERS))
def project(
    request: pytest.FixtureRequest,
    render: Callable[[Path, dict[str, Any]], Project],
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    """Return the project of each set of answers in turn."""
    return render(tmp_path_factory.mktemp(request.param) / "project", ANSWERS[request.param])


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], str]:
    """Return the function that finds a tool: in the tests' environment, then on the PATH.

    Without the tool the test is skipped; where CI=true it fails, so that nothing is skipped unseen.
    """

    def find(name: str) -> str:
        found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
        if found:
            return found
        message = f"needs {name}, which is not on the PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)

    return find


@pytest.fixture(scope="session")
def make(require_tool: Callable[[str], str]) -> Callable[..., str]:
    """Return the function that runs targets of a project's Makefile and returns what they printed.

    The project gets the uv and, unless told otherwise, the Python of the tests. A target that fails fails the test,
    with what it printed.
    """
    tool, uv = require_tool("make"), require_tool("uv")

    def run(path: Path, *targets: str, python: str = sys.executable) -> str:
        # The options of the `make test` that runs this are not for the project's own make.
        environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
        command = [tool, *targets, f"UV={uv}", f"PYTHON={python}"]
        result = subprocess.run(
            command, cwd=path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if result.returncode != 0:
            pytest.fail(f"make {' '.join(targets)}: exit {result.returncode}\n{result.stdout}", pytrace=False)
        return result.stdout

    return run


@pytest.fixture(scope="session")
def golden_project(
    render: Callable[[Path, dict[str, Any]], Project],
    golden: dict[str, Any],
    make: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """Return the project of the golden answers, with its environment. It is one for all tests: leave it as it is."""
    path = tmp_path_factory.mktemp("golden") / "project"
    render(path, golden)
    make(path, "setup")
    yield path
    shutil.rmtree(path, ignore_errors=True)
