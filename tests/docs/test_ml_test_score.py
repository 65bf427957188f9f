"""Each point of the ML Test Score is earned by something that exists, and the sums are right."""

import re
from pathlib import Path

import pytest

PAGE = "docs/reference/ml-test-score.md"
ROW = re.compile(r"^\| (\d) \| (.+?) \| ([\d.]+) \| (.+?) \|$", re.MULTILINE)
SECTION = re.compile(r"^## (\w+): ([\d.]+)\n(.*?)(?=^## )", re.MULTILINE | re.DOTALL)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
COMMAND = re.compile(r"`make bench-([\w-]+)`")


def missing(text: str, *roots: Path) -> list[str]:
    """Return the tests and benchmarks that a text names and none of the roots has."""
    lost = []
    for path, name in TEST.findall(text):
        files = [root / path for root in roots if (root / path).is_file()]
        if not any(f"def {name}(" in file.read_text(encoding="utf-8") for file in files):
            lost.append(f"{path}::{name}")
    for name in COMMAND.findall(text):
        if not any((root / "benchmarks" / f"{name.replace('-', '_')}.py").is_file() for root in roots):
            lost.append(name)
    return lost


@pytest.fixture(scope="session")
def flights(render, golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the rendered example project."""
    return render(tmp_path_factory.mktemp("score") / "project", golden).path


def test_every_point_is_earned_by_something_that_exists(root: Path, flights: Path):
    page = (root / PAGE).read_text(encoding="utf-8")
    assert not missing(page, root, flights)
    for _, name, points, earned in ROW.findall(page):
        assert float(points) in (0, 0.5, 1), name
        assert bool(TEST.search(earned) or COMMAND.search(earned)) == (float(points) > 0), name


def test_what_does_not_exist_is_found(root: Path, flights: Path):
    words = "`tests/code/test_gates.py::test_nobody`, `tests/code/test_gone.py::test_a`, `make bench-nothing`"
    assert len(missing(words, root, flights)) == 3


def test_the_sums_are_right(root: Path):
    page = (root / PAGE).read_text(encoding="utf-8")
    totals = {}
    for name, total, rows in SECTION.findall(page):
        if found := ROW.findall(rows):
            assert [number for number, *_ in found] == list("1234567"), name
            totals[name] = sum(float(points) for _, _, points, _ in found)
            assert totals[name] == float(total), name
    assert list(totals) == ["Data", "Model", "Infrastructure", "Monitoring"]
    assert f"## The score: {min(totals.values()):g}\n" in page
