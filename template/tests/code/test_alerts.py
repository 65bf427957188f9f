"""Alert rules: each fires when it should and stays silent when it should, and names a runbook that exists."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "observability" / "prometheus"
ALERT = re.compile(r"^ *- alert: (\w+)\n(.*?)(?=^ *- alert:|\Z)", re.MULTILINE | re.DOTALL)


def promtool(program: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *words], cwd=folder, capture_output=True, text=True, check=False)


def without_runbook(rules: str, root: Path) -> list[str]:
    """Return the alerts that name no runbook, or one that is not there."""
    runbooks = {name: re.search(r"^ *runbook: (\S+)$", body, re.MULTILINE) for name, body in ALERT.findall(rules)}
    return [name for name, found in runbooks.items() if not found or not (root / found[1]).is_file()]


def test_the_rules_fire_and_stay_silent_as_their_tests_say(require_tool: Callable[[str], str]) -> None:
    program = require_tool("promtool")
    done = promtool(program, RULES, "test", "rules", "rules_test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


# An alert that never fires, that always fires, that one replica cannot raise, and that outlives its cause.
@pytest.mark.parametrize(
    ("right", "wrong"), [("> 0", "> 1"), ("> 0", ">= 0"), ("max by", "min by"), ("champion_forced)", "ready)")]
)
def test_a_rule_that_is_wrong_fails_its_test(
    require_tool: Callable[[str], str], tmp_path: Path, right: str, wrong: str
) -> None:
    program = require_tool("promtool")
    folder = Path(shutil.copytree(RULES, tmp_path / "rules"))
    rules = (folder / "rules.yaml").read_text()
    assert rules.count(right) == 1
    (folder / "rules.yaml").write_text(rules.replace(right, wrong))
    assert promtool(program, folder, "check", "rules", "rules.yaml").returncode == 0
    assert promtool(program, folder, "test", "rules", "rules_test.yaml").returncode == 1


def test_every_alert_names_a_runbook_that_exists() -> None:
    rules = (RULES / "rules.yaml").read_text()
    assert ALERT.findall(rules)
    assert without_runbook(rules, ROOT) == []


def test_an_alert_without_a_runbook_is_found(tmp_path: Path) -> None:
    (tmp_path / "here.md").touch()
    alert = "      - alert: {0}\n        expr: up\n        annotations:\n          {1}\n"
    rules = alert.format("Good", "runbook: here.md") + alert.format("Bare", "summary: x")
    assert without_runbook(rules + alert.format("Lost", "runbook: gone.md"), tmp_path) == ["Bare", "Lost"]
