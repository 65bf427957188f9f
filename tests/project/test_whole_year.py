"""Every day of the real year keeps its contract, and the two that the data ends in do not."""

import os
import subprocess
from pathlib import Path

EXPECTED = ["schedules 2013-12-31", "weather 2013-12-31"]


def test_the_year_lands_but_for_the_days_on_which_the_data_ends(golden_project: Path, tmp_path: Path):
    """Blizzards, holidays and lost hours are honest; a schedule that stops and a day without weather are not."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "FLIGHT_DELAYS_STATE": str(tmp_path)}
        command = [str(golden_project / ".venv" / "bin" / "flight-delays"), "data", *words]
        return subprocess.run(command, cwd=golden_project, env=environment, capture_output=True, text=True, check=False)

    landed = run("land", "--until", "2014-01-01")
    assert landed.returncode == 1
    assert landed.stdout.startswith("landed 1462 partitions of 7 sources")
    assert landed.stderr.startswith("error: 2 partition(s) went to quarantine, the first schedules of 2013-12-31")
    *held, total = run("quarantine").stdout.splitlines()
    assert [line[: len(day)] for line, day in zip(held, EXPECTED, strict=True)] == EXPECTED
    assert total.startswith("2 partition(s) in ")
    # As docs/how-to/release-a-partition.md says.
    released = run("release", "weather", "2013-12-31", "--reason", "the feed ends with the year")
    assert released.stdout == "weather of 2013-12-31 is in the lake; build the features since 2013-12-31\n"
    assert run("quarantine").stdout.splitlines()[-1].startswith("1 partition(s) in ")
