"""The service and the daily run as a real Prometheus sees them: queries are answered, and a fault reaches its owner."""

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from local import answers, fetch, free_port, until

SLUG, PREFIX, JOB = "flight-delays", "FLIGHT_DELAYS_", "flight_delays"
DAY = "2013-02-05"
# What is there only after something happened that did not: no shadow serves, so that none has missed a row.
QUIET = {"Rows that a shadow missed"}
# The commands of the runbooks that change nothing, and are no work.
READS = ("curl", "df", "data quarantine", "registry status", "registry audit", "features list", "predictions compact")
# Sends the requests of some days, as they were known then, with the project's own names of their columns.
ASK = """
import json, sys, urllib.request
from datetime import date
from pathlib import Path
import pandas as pd
from flight_delays import problem
from flight_delays.lake import partition_path
url, lake, *days = sys.argv[1:]
for day in map(date.fromisoformat, days):
    rows = pd.read_parquet(partition_path(Path(lake), problem.REQUEST_SOURCE, day))[list(problem.REQUEST)].head(1000)
    asked = {problem.ROWS: json.loads(rows.to_json(orient="records", date_format="iso", date_unit="s"))}
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/predictions", json.dumps(asked).encode(), headers)
    urllib.request.urlopen(request, timeout=60).read()
"""


@dataclass
class Watched:
    """A project that serves, with what watches it."""

    project: Path
    state: Path
    environment: dict[str, str]
    service: str
    metrics: str
    prometheus: str
    alertmanager: str

    def run(self, *words: str) -> str:
        command = [str(self.project / ".venv" / "bin" / SLUG), *words]
        done = subprocess.run(
            command, cwd=self.project, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, *days: str) -> None:
        command = [str(self.project / ".venv" / "bin" / "python"), "-c", ASK]
        subprocess.run([*command, self.service, str(self.state / "lake"), *days], env=self.environment, check=True)

    def query(self, expression: str) -> list[dict[str, Any]]:
        asked = urllib.parse.urlencode({"query": expression})
        status, content = fetch(f"{self.prometheus}/api/v1/query?{asked}")
        assert status == 200, f"{expression}: {content.decode()}"
        answer = json.loads(content)
        assert "warnings" not in answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def alerts(self) -> dict[str, dict[str, Any]]:
        """Return what the Alertmanager knows, by the alert's name."""
        told = json.loads(fetch(f"{self.alertmanager}/api/v2/alerts")[1])
        return {alert["labels"]["alertname"]: alert for alert in told}


@pytest.fixture(scope="module")
def watched(
    golden_project: Path,
    small_state: Path,
    require_tool: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Watched]:
    """Return the service after nine days of requests, and Prometheus, Pushgateway and Alertmanager as configured."""
    programs = {
        name: require_tool(name) for name in ("prometheus", "prometheus-pushgateway", "prometheus-alertmanager")
    }
    folder = tmp_path_factory.mktemp("watched")
    state = shutil.copytree(small_state, folder / "state", symlinks=True)
    service, metrics, pushgateway, prometheus, alertmanager = (free_port() for _ in range(5))
    local = "http://127.0.0.1"
    environment = {
        **os.environ,
        f"{PREFIX}STATE": str(state),
        f"{PREFIX}PUSHGATEWAY_URL": f"{local}:{pushgateway}",
    }
    observability = shutil.copytree(golden_project / "observability", folder / "observability")
    config = observability / "prometheus" / "prometheus.yml"
    text = config.read_text(encoding="utf-8").replace("_interval: 15s", "_interval: 1s")
    for usual, port in ((8001, metrics), (9091, pushgateway), (9093, alertmanager)):
        assert f"127.0.0.1:{usual}" in text
        text = text.replace(f"127.0.0.1:{usual}", f"127.0.0.1:{port}")
    config.write_text(text, encoding="utf-8")

    with ExitStack() as running:

        def start(*command: str) -> None:
            with (folder / f"{Path(command[0]).name}.log").open("ab") as log:
                process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
            running.callback(process.wait)
            running.callback(process.send_signal, signal.SIGTERM)

        there = f"{local}:{service}", f"{local}:{metrics}", f"{local}:{prometheus}", f"{local}:{alertmanager}"
        made = Watched(golden_project, state, environment, *there)
        made.run("features", "publish", "--as-of", f"{DAY}T12:00:00Z")
        serve = str(golden_project / ".venv" / "bin" / SLUG)
        start(serve, "serve", "--port", str(service), "--metrics-port", str(metrics))
        start(programs["prometheus-pushgateway"], f"--web.listen-address=127.0.0.1:{pushgateway}")
        until(lambda: answers(f"{made.service}/healthz/ready") and answers(f"{local}:{pushgateway}/-/ready"))
        made.ask(*(f"2013-01-{day}" for day in range(27, 32)), *(f"2013-02-0{day}" for day in range(1, 6)))
        made.run("monitor", "run", "--day", DAY)
        start(
            programs["prometheus-alertmanager"],
            f"--config.file={observability / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alerts'}",
            f"--web.listen-address=127.0.0.1:{alertmanager}",
            "--cluster.listen-address=",
        )
        start(
            programs["prometheus"],
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{prometheus}",
        )
        until(lambda: answers(f"{made.prometheus}/-/ready") and answers(f"{made.alertmanager}/-/ready"))
        # Counts rise between two scrapes, and the recorded rates are there.
        until(lambda: made.query(f'ready{{job="{JOB}"}} == 1'))
        made.ask(DAY)
        until(lambda: made.query(f'sum(rate(predictions_total{{job="{JOB}"}}[30s])) > 0'))
        until(lambda: made.query(f'job:slo_errors:ratio_rate1h{{job="{JOB}", slo="latency"}}'))
        yield made


def test_every_query_of_a_dashboard_is_answered(watched: Watched):
    empty = []
    for path in sorted((watched.project / "observability" / "grafana" / "dashboards").glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel["targets"]:
                query = target["expr"].replace("$job", JOB).replace("$__rate_interval", "1m")
                if not watched.query(query) and panel["title"] not in QUIET:
                    empty.append(f"{path.stem}, {panel['title']}: {query}")
    assert empty == []


def test_every_rule_is_evaluated_and_what_is_sound_raises_nothing(watched: Watched):
    groups = json.loads(fetch(f"{watched.prometheus}/api/v1/rules")[1])["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 25
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []
    # What is served is what was published last, and the test asks for days before that: it is found.
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == ["SkewFound"]


def test_a_day_in_quarantine_reaches_the_owner_of_the_data(watched: Watched):
    held = watched.state / "quarantine" / "weather" / f"date={DAY}"
    shutil.copytree(watched.state / "lake" / "weather" / f"date={DAY}", held)
    assert watched.run("monitor", "run", "--day", DAY).startswith("quarantine: weather of")
    until(lambda: "DataQuarantined" in watched.alerts())
    alert = watched.alerts()["DataQuarantined"]
    assert [receiver["name"] for receiver in alert["receivers"]] == ["data-owner-pager"]
    assert alert["labels"] | {"job": JOB, "source": "weather", "severity": "page"} == alert["labels"]
    assert alert["annotations"]["runbook_url"] == "docs/runbooks/data-quarantined.md"
    shutil.rmtree(held)


def test_what_follows_from_another_alert_is_not_told_beside_it(watched: Watched):
    def raised(name: str, **labels: str) -> dict[str, Any]:
        return {"labels": {"alertname": name, "job": "inhibited"} | labels}

    page, ticket = {"severity": "page"}, {"severity": "ticket"}
    service, day = {"cause": "service"}, {"source": "arrivals"}
    told = [
        raised("ServiceDown", **page, **service),
        raised("DataQuarantined", **page, cause="data", **day),
        raised("ModelWorse", **ticket, cause="model"),
        raised("SourceLate", **page, cause="data", source="weather"),
    ]
    untold = [
        raised("LatencyBurn", **page, **service),
        raised("OnlineStoreAway", **page, **service),
        raised("FeatureViewLate", **ticket, cause="freshness", **day, view="routes"),
    ]
    assert fetch(f"{watched.alertmanager}/api/v2/alerts", [*told, *untold])[0] == 200

    def silent() -> set[str]:
        alerts = [alert for alert in watched.alerts().values() if alert["labels"].get("job") == "inhibited"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["status"]["inhibitedBy"]}

    until(lambda: {"LatencyBurn", "OnlineStoreAway", "FeatureViewLate"} == silent())


def test_what_a_runbook_tells_to_look_at_can_be_looked_at(watched: Watched):
    ran = set()
    for page in sorted((watched.project / "docs" / "runbooks").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for line in re.findall(r"^\$ (.*)$", text, re.MULTILINE):
            if line in ran or not line.startswith(READS):
                continue
            ran.add(line)
            command = line.replace("http://127.0.0.1:8000", watched.service)
            command = command.replace("http://127.0.0.1:8001", watched.metrics)
            if not line.startswith(("curl", "df")):
                command = f"{watched.project / '.venv' / 'bin' / SLUG} {command}"
            shell = ["bash", "-o", "pipefail", "-c", command]
            done = subprocess.run(
                shell, cwd=watched.project, env=watched.environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{page.name}: {line}\n{done.stdout}{done.stderr}"
            assert done.stdout, f"{page.name}: {line} says nothing"
    assert all(any(line.startswith(read) for line in ran) for read in READS)
