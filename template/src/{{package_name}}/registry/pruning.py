"""Runs that no version refers to: what is left of pruned versions, and of registrations that were killed."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator

from mlflow.entities import Run
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking.client import MlflowClient

PRUNED = "pruned"
PARENT = "mlflow.parentRunId"
YOUNG = 86_400
"""Seconds during which a run without a version may be one that is still being registered."""


def mark(client: MlflowClient, run: str) -> None:
    """Note that a run's version is about to be deleted, so that a kill after that does not hide the run."""
    client.set_tag(run, PRUNED, "true")


def delete_runs(client: MlflowClient, experiment: str, used: Collection[str], uri: str) -> list[str]:
    """Delete the runs that are not `used` and that are marked, or a day old, with their artifacts; a line each."""
    deleted = []
    for run in list(_runs(client, experiment)):
        info, tags = run.info, run.data.tags
        if info.run_id in used or PARENT in tags:
            continue
        if PRUNED not in tags and time.time() - info.start_time / 1000 < YOUNG:
            continue
        # First what takes up the space: a run that is left without it is found again, and deleted then.
        get_artifact_repository(info.artifact_uri, tracking_uri=uri).delete_artifacts()  # type: ignore[no-untyped-call]
        client.delete_run(info.run_id)
        deleted.append(f"run {info.run_id}")
    return deleted


def _runs(client: MlflowClient, experiment: str) -> Iterator[Run]:
    found = client.get_experiment_by_name(experiment)
    token = None
    while found:
        page = client.search_runs([found.experiment_id], page_token=token)
        yield from page
        token = page.token
        if not token:
            return
