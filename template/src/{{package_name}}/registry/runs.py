"""What a run in MLflow holds of one training: enough to say later what was made from what, and how good it was."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag

if TYPE_CHECKING:
    from mlflow.tracking.client import MlflowClient

    from ..training.pipeline import Candidate

BUNDLE = "bundle"
COMMIT = "mlflow.source.git.commit"  # where MLflow's pages look for it
CONTEXT = "mlflow.data.context"


def log_run(client: MlflowClient, experiment_id: str, candidate: Candidate, tags: Mapping[str, str]) -> Run:
    """Log a candidate as a finished run and return it.

    Parameters, with the seed; metrics, also of each slice as `auc/origin/EWR`; the data as an input whose digest is
    their fingerprint; the bundle, the plots, the model card and the gates as artifacts. `tags` are the version's.
    """
    manifest = candidate.manifest
    run = client.create_run(experiment_id, run_name=f"until-{manifest.tested_until}")
    number, now = run.info.run_id, int(time.time() * 1000)
    measured = {**manifest.metrics}
    for group, figures in candidate.slices.items():
        measured |= {f"{name}/{group.replace('=', '/')}": value for name, value in figures.items()}
    known = {**candidate.parameters, "data_fingerprint": manifest.data_fingerprint}
    marked = {**tags, COMMIT: tags.get("git_commit", "")}
    client.log_batch(
        number,
        metrics=[Metric(_name(key), value, now, 0) for key, value in measured.items()],
        params=[Param(key, str(value)) for key, value in known.items()],
        tags=[RunTag(key, value) for key, value in marked.items() if value],
    )
    client.log_inputs(number, datasets=[_dataset(candidate)])
    client.log_artifacts(number, str(candidate.folder), BUNDLE)
    client.log_dict(number, {"gates": [gate.record() for gate in candidate.gates]}, "gates.json")
    with tempfile.TemporaryDirectory() as folder:
        for name, content in candidate.artifacts.items():
            (Path(folder) / name).write_bytes(content)
        client.log_artifacts(number, folder)
    client.set_terminated(number)
    return run


def _dataset(candidate: Candidate) -> DatasetInput:
    """Return the rows as an input of the run: which days of which views, by which definitions."""
    manifest = candidate.manifest
    views = {view.name: view.definition for view in manifest.views}
    source = {"since": manifest.trained_since, "until": manifest.tested_until, "views": views}
    dataset = Dataset(
        name=manifest.name,
        digest=manifest.data_fingerprint,
        source_type="feature views",
        source=json.dumps(source),
        profile=json.dumps({key: value for key, value in candidate.parameters.items() if key.endswith("rows")}),
    )
    return DatasetInput(dataset, [InputTag(CONTEXT, "training")])


def _name(text: str) -> str:
    """Return a metric's name of the characters that MLflow takes; a slice's value may hold others."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in text)
