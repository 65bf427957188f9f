"""Dashboards as Grafana takes them: whole, each panel says what it shows, and nothing names one Prometheus or one job.

That a Prometheus answers every query of theirs is a test of the template.
"""

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "observability" / "grafana" / "dashboards"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


@pytest.fixture(params=sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def board(request: pytest.FixtureRequest) -> Any:
    return json.loads(request.param.read_text())


def test_there_is_one_for_the_service_the_model_and_the_data() -> None:
    boards = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
    assert set(boards) == {"service", "model", "data"}
    assert len({board["uid"] for board in boards.values()}) == 3


def test_a_panel_says_what_it_shows_in_what_unit(board: Any) -> None:
    panels = board["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["type"] in ("stat", "timeseries", "heatmap")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert [target["refId"] for target in panel["targets"]] == ["A", "B", "C", "D", "E"][: len(panel["targets"])]


def test_panels_lie_side_by_side_on_the_grid(board: Any) -> None:
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in board["panels"]):
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_reader_chooses_the_datasource_and_the_job(board: Any) -> None:
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "job"]
    for panel in board["panels"]:
        assert panel["datasource"] == DATASOURCE
        for target in panel["targets"]:
            assert 'job="$job"' in target["expr"]
