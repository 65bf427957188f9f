"""How other ways to retrain would have done on the answers that were logged: never, and on the first of each month."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import bundle, problem
from ..lake import partition_days
from ..monitoring.labels import COHORTS, read_days
from ..monitoring.predictions import PREDICTIONS, latest
from ..monitoring.replayed import WAYS, Rival
from ..operations import Project
from ..registry.sync import folder_name
from ..training.dataset import split_days, training_set
from ..training.evaluate import auc
from ..training.fit import PARAMETERS, fit
from ..training.pipeline import columns, prepare

Score = Callable[[pd.DataFrame], NDArray[np.float64]]


def compare(project: Project, seed: int, say: Callable[[str], None]) -> list[Rival]:
    """Return the loop, a model retrained by the calendar and the first model, on the labelled rows of every cohort.

    A model of the calendar is what the loop's own training would have made of what was known on the first of its
    month, and serves from then on without gates. Days on which a version answered that was forced past its gates count
    for nobody: that is not the loop's doing.
    """
    monitoring = project.data.monitoring
    days = partition_days(monitoring, COHORTS)
    if not days:
        return []
    versions = project.registry.versions()
    chosen = read_days(monitoring, COHORTS, days[:1])["champion_version"].mode().iloc[0]
    first = next(version for version in versions if version.number == chosen)
    folder = project.settings.bundles / folder_name(first)
    if not folder.exists():
        project.registry.fetch(first, folder)
    frozen = bundle.load(folder, first.digest)
    months = [day for day in days if day.day == 1 and day > days[0]]
    models: dict[date, Score] = {days[0]: lambda rows: frozen.score(columns(rows))}
    for month in months:
        say(f"training as of {month}")
        models[month] = _trained(project, month, seed)
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    refused = [version.number for version in versions if not version.gates_passed]
    for day, rows in _labelled(project, days):
        if rows["champion_version"].isin(refused).any():
            continue
        labels = rows["label"].to_numpy(dtype=bool)
        if labels.all() or not labels.any():
            continue
        of_month = models[max(start for start in models if start <= day)]
        found["loop"].append(auc(labels, rows["champion_score"].to_numpy(dtype=np.float64)))
        found["calendar"].append(auc(labels, of_month(rows)))
        found["frozen"].append(auc(labels, models[days[0]](rows)))
    trained = sum(version.tags.get("decided_by") == "policy" for version in versions)
    retrains = {"loop": trained, "calendar": len(months), "frozen": 0}
    return [Rival(name, retrains[name], float(np.mean(values))) for name, values in found.items()]


def _labelled(project: Project, days: Sequence[date]) -> Iterator[tuple[date, pd.DataFrame]]:
    """Yield each day's answers that have a label, with the inputs that the service had."""
    monitoring = project.data.monitoring
    for day in days:
        cohort = read_days(monitoring, COHORTS, [day])
        answers = latest(read_days(monitoring, PREDICTIONS, [day]))
        told = problem.entity_columns({name: answers[name].to_numpy() for name in problem.REQUEST})
        answers = answers.assign(**{name: told[name] for name in problem.CATEGORICAL if name not in answers})
        inputs = answers[list(dict.fromkeys((*problem.ENTITY, *problem.CATEGORICAL, *problem.NUMERIC)))]
        columns = [*problem.ENTITY, "label", "champion_version", "champion_score"]
        labels = cohort[columns].dropna(subset=["label", "champion_score"])
        yield day, labels.merge(inputs, on=list(problem.ENTITY))


def _trained(project: Project, until: date, seed: int) -> Score:
    split = split_days(project.data.lake, until)
    views = list(project.views.values())
    rows = training_set(project.con, views, project.data.lake, project.data.features, split)
    prepared = prepare(rows, split)
    fitted = fit(*prepared.fitting, prepared.categories, seed, PARAMETERS)
    return lambda rows: fitted.score(bundle.matrix(prepared.categories, problem.NUMERIC, columns(rows)))
