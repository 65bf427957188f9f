"""The whole real year: each day keeps its contract but the two that the data ends in, and no model knows the future."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

SLUG, PREFIX = "flight-delays", "FLIGHT_DELAYS_"
EXPECTED = ["schedules 2013-12-31", "weather 2013-12-31"]


class Year:
    """A state of the golden project, and its verbs."""

    def __init__(self, project: Path, state: Path) -> None:
        self.project, self.state = project, state

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, f"{PREFIX}STATE": str(self.state)}
        command = [str(self.project / ".venv" / "bin" / words[0]), *words[1:]]
        return subprocess.run(command, cwd=self.project, env=environment, capture_output=True, text=True, check=False)

    def say(self, *words: str) -> str:
        """Run a verb that must succeed, and return what it printed."""
        done = self.run(SLUG, *words)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def year(golden_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Year:
    """Return a state on which the whole year has landed."""
    made = Year(golden_project, tmp_path_factory.mktemp("year") / "state")
    landed = made.run(SLUG, "data", "land", "--until", "2014-01-01")
    assert landed.returncode == 1
    assert landed.stdout.startswith("landed 1462 partitions of 7 sources")
    assert landed.stderr.startswith("error: 2 partition(s) went to quarantine, the first schedules of 2013-12-31")
    return made


def test_the_year_lands_but_for_the_days_on_which_the_data_ends(year: Year):
    """Blizzards, holidays and lost hours are honest; a schedule that stops and a day without weather are not."""
    *held, total = year.say("data", "quarantine").splitlines()
    assert [line[: len(day)] for line, day in zip(held, EXPECTED, strict=True)] == EXPECTED
    assert total.startswith("2 partition(s) in ")
    # As docs/how-to/release-a-partition.md says.
    released = year.say("data", "release", "weather", "2013-12-31", "--reason", "the feed ends with the year")
    assert released == "weather of 2013-12-31 is in the lake; build the features since 2013-12-31\n"
    assert year.say("data", "quarantine").splitlines()[-1].startswith("1 partition(s) in ")


MONTHS = """
import json, sys
from datetime import date
from pathlib import Path
import pandas as pd
from sklearn.metrics import roc_auc_score
from flight_delays import bundle
from flight_delays.engine import connect
from flight_delays.features.views import VIEWS
from flight_delays.training.dataset import Split, training_set
from flight_delays.training.pipeline import columns

state, found, digest = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
first = date(2013, 4, 1)
split = Split(first, first, first, date(2013, 12, 30))
rows = training_set(connect(), list(VIEWS.values()), state / "lake", state / "features", split)
scores = bundle.load(found, digest).score(columns(rows))
months = pd.to_datetime(rows["prediction_time"], unit="s").dt.month
print(json.dumps({m: roc_auc_score(rows["label"][months == m], scores[months == m]) for m in range(4, 13)}))
"""


def test_the_frozen_model_is_honest(year: Year):
    """A mean monthly AUC above 0.78 over April to December would mean a leak, one below 0.72 a lost feature."""
    year.say("features", "build", "--until", "2013-12-31")
    year.say("train", "--until", "2013-04-01")
    year.say("registry", "promote", "1")
    year.say("registry", "sync")
    (folder,) = (year.state / "bundles").glob("1-*")
    digest = hashlib.sha256((folder / "bundle.json").read_bytes()).hexdigest()
    done = year.run("python", "-c", MONTHS, str(year.state), str(folder), digest)
    assert done.returncode == 0, done.stderr
    months = json.loads(done.stdout.splitlines()[-1])
    assert len(months) == 9
    assert 0.72 <= sum(months.values()) / 9 <= 0.78, months
