"""No gate can be turned round, or made to let everything pass, without a test of the gates that fails."""

import ast
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

GATES = Path("src", "flight_delays", "training", "gates.py")
TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.GtE: ast.Lt, ast.LtE: ast.Gt}


def verdicts(tree: ast.Module) -> dict[str, ast.Call]:
    """Return, by its name, where each gate decides: `Gate(NAME, MEASURED >= BOUND, ...)`."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    found = [call for call in calls if call.func.id == "Gate" and isinstance(call.args[1], ast.Compare)]
    return {ast.literal_eval(call.args[0]): call for call in found}


def turn_round(verdict: ast.expr) -> ast.expr:
    assert isinstance(verdict, ast.Compare)
    return ast.Compare(verdict.left, [TURNED[type(verdict.ops[0])]()], verdict.comparators)


def always_pass(verdict: ast.expr) -> ast.expr:
    return ast.Constant(True)


@pytest.fixture(scope="module")
def copy(golden_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the golden project whose gates may be changed."""
    path = tmp_path_factory.mktemp("mutations") / "project"
    return Path(shutil.copytree(golden_project, path, ignore=shutil.ignore_patterns(".venv", ".state", "__pycache__")))


def passes(project: Path, copy: Path) -> bool:
    """Return whether the tests of the gates pass on a copy, with the environment of the project."""
    command = [project / ".venv" / "bin" / "pytest", "tests/code/test_gates.py", "-q", "-x", "--noconftest"]
    environment = {**os.environ, "PYTHONPATH": str(copy / "src")}
    shutil.rmtree((copy / GATES).parent / "__pycache__", ignore_errors=True)  # two changes may come in one second
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr  # anything else is no verdict
    return done.returncode == 0


def test_no_change_of_a_verdict_survives(golden_project: Path, copy: Path):
    source = (golden_project / GATES).read_text(encoding="utf-8")
    names = list(verdicts(ast.parse(source)))
    assert len(names) == 7
    assert passes(golden_project, copy)  # and what fails below does so because of the change
    survived = []
    changes: list[Callable[[ast.expr], ast.expr]] = [turn_round, always_pass]
    for name in names:
        for change in changes:
            tree = ast.parse(source)
            call = verdicts(tree)[name]
            call.args[1] = change(call.args[1])
            (copy / GATES).write_text(ast.unparse(ast.fix_missing_locations(tree)), encoding="utf-8")
            if passes(golden_project, copy):
                survived.append(f"{name}: {change.__name__}")
    print(f"{len(names) * len(changes)} changes of {len(names)} gates, survived: {survived or 'none'}")
    assert not survived
