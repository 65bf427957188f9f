"""Alert rules: each fires when it should, stays silent when it should, and reaches somebody who can mend the cause."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

OBSERVABILITY = Path(__file__).resolve().parents[2] / "observability"
RULES = OBSERVABILITY / "prometheus"
ALERT = re.compile(r"^ *- alert: (\w+)\n(.*?)(?=^ *- (?:alert|name):|\Z)", re.MULTILINE | re.DOTALL)
LABELS = re.compile(r"labels: \{severity: (page|ticket), cause: (data|freshness|model|service|skew)\}\n")
RECEIVERS = {
    ("page", "service"): "team-pager",
    ("page", "skew"): "team-pager",
    ("page", "data"): "data-owner-pager",
    ("ticket", "service"): "team-chat",
    ("ticket", "model"): "team-chat",
    ("ticket", "freshness"): "team-chat",
    ("ticket", "data"): "data-owner-chat",
}


def run(program: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *words], cwd=folder, capture_output=True, text=True, check=False)


def alerts() -> list[tuple[str, str]]:
    """Return the name and the text of each alert; one that has two severities is there twice."""
    return [found for name in ("slo.yaml", "rules.yaml") for found in ALERT.findall((RULES / name).read_text())]


def test_the_rules_fire_and_stay_silent_as_their_tests_say(require_tool: Callable[[str], str]) -> None:
    promtool = require_tool("promtool")
    for words in ("check config prometheus.yml", "test rules slo_test.yaml rules_test.yaml"):
        done = run(promtool, RULES, *words.split())
        assert done.returncode == 0, done.stdout + done.stderr


# An alert that never fires, that always fires, that one replica cannot raise, and that outlives its cause.
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("(champion_forced) > 0", "(champion_forced) > 1"),
        ("(source_days_late) > 0", "(source_days_late) >= 0"),
        ("max by (job) (champion_forced)", "min by (job) (champion_forced)"),
        ("(champion_forced)", "(ready)"),
    ],
)
def test_a_rule_that_is_wrong_fails_its_test(
    require_tool: Callable[[str], str], tmp_path: Path, right: str, wrong: str
) -> None:
    promtool = require_tool("promtool")
    folder = Path(shutil.copytree(RULES, tmp_path / "rules"))
    rules = (folder / "rules.yaml").read_text()
    assert rules.count(right) == 1
    (folder / "rules.yaml").write_text(rules.replace(right, wrong))
    assert run(promtool, folder, "check", "rules", "rules.yaml").returncode == 0
    assert run(promtool, folder, "test", "rules", "rules_test.yaml").returncode == 1


def test_each_alert_is_tested_by_its_fault_and_by_what_is_none() -> None:
    tests = "".join((RULES / name).read_text() for name in ("slo_test.yaml", "rules_test.yaml"))
    for name, text in alerts():
        found = LABELS.search(text)
        assert found, f"{name} has no severity and cause that somebody is told of"
        fired = rf"alertname: {name}\n +exp_alerts:\n(?: +[- ] .*\n)*? +- exp_labels: .*severity: {found[1]}"
        assert re.search(fired, tests), f"no test fires {name} as a {found[1]}"
        assert re.search(rf"alertname: {name}\n +exp_alerts: \[\]", tests), f"no test keeps {name} silent"


def test_drift_is_never_an_alert() -> None:
    assert alerts()
    assert not [name for name, text in alerts() if "drift" in text]


def test_an_alert_reaches_who_can_mend_its_cause(require_tool: Callable[[str], str]) -> None:
    amtool = require_tool("amtool")
    assert run(amtool, OBSERVABILITY, "check-config", "alertmanager.yml").returncode == 0
    raised = {found.groups() for _, text in alerts() if (found := LABELS.search(text))}
    assert raised <= RECEIVERS.keys()
    for (severity, cause), receiver in RECEIVERS.items():
        words = ("config", "routes", "test", "--config.file", "alertmanager.yml", f"--verify.receivers={receiver}")
        done = run(amtool, OBSERVABILITY, *words, f"severity={severity}", f"cause={cause}")
        assert done.returncode == 0, done.stdout + done.stderr
