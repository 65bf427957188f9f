"""Search the parameters of the model: an Optuna study that any number of workers share, and a restart goes on with.

A trial's number is all that workers agree on: the study is its first N trials, whoever runs them. A worker that finds
every number taken runs a trial again that has not ended, and the first result of a trial counts; it is the same one,
because a trial's parameters are kept before it is run and its fit has the study's seed. So a worker that was killed
blocks nobody, no clock or heartbeat has to say who is alive, and nobody is idle while another one is still at work.

Trials are not pruned. A median of the scores after as many trees would end what learns slowly, which is what gets
best in the end; early stopping ends each trial that no longer improves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.exceptions import DuplicatedStudyError, StorageInternalError, UpdateFinishedTrialError
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from .. import problem
from ..errors import UserError
from .fit import PARAMETERS, Labels, Matrices, probe

if TYPE_CHECKING:
    from .dataset import Split


def study_name(split: Split, fingerprint: str, seed: int) -> str:
    """Return the name of a study: of one problem, window, content of the rows and seed, so that it never mixes any."""
    return f"{problem.NAME} {split.since}/{split.validation}/{split.test} data {fingerprint} seed {seed}"


def suggest(trial: Trial) -> dict[str, Any]:
    """Return the parameters of a trial: the search space, small enough for some dozens of trials."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
        "max_depth": trial.suggest_int("max_depth", 3, 8),
        "min_child_weight": trial.suggest_float("min_child_weight", 1, 100, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1),
        "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 30, log=True),
    }


def tune(
    matrices: Matrices,
    labels: Labels,
    categories: int,
    seed: int,
    trials: int,
    url: str,
    name: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Return the best parameters of the first `trials` trials of the study `name` in the database at `url`.

    A trial is judged by its log loss on the validation rows. Comes back when all of them have ended, here or in other
    workers. `name` is study_name's. Raises UserError when the database cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _explained(), _study(url, name) as study:
        while (number := _next(study, trials)) is not None:
            parameters = _parameters(study, number, seed)
            loss = float(probe(matrices, labels, categories, seed, parameters).best_score)
            try:
                study.tell(number, loss, skip_if_finished=True)
            except UpdateFinishedTrialError:
                continue  # another worker was faster by a moment
            say(f"trial {number + 1} of {trials}: log loss {loss:.4f}, best {_best(study, trials).value:.4f}")
        return {**PARAMETERS, **_best(study, trials).params}


@contextmanager
def _study(url: str, name: str) -> Iterator[optuna.Study]:
    """Yield the study, made with the parameters in use as its first trial where it is new."""
    storage = _storage(url)
    try:
        try:
            study = optuna.create_study(storage=storage, study_name=name, direction="minimize")
            study.enqueue_trial(dict(PARAMETERS))
        except DuplicatedStudyError:
            study = optuna.load_study(storage=storage, study_name=name)
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _storage(url: str, attempts: int = 5) -> RDBStorage:
    """Return the database; where it is new, several workers make its tables at once, and all but one may fail."""
    try:
        return RDBStorage(url)
    except SQLAlchemyError:
        if attempts == 1:
            raise
        return _storage(url, attempts - 1)


def _next(study: optuna.Study, trials: int) -> int | None:
    """Return the number of a trial to run, None when all have ended: a new one, else the one begun longest ago."""
    found = study.get_trials(deepcopy=False)
    if len(found) < trials or any(trial.state == TrialState.WAITING for trial in found):
        number = study.ask().number
        if number < trials:  # another worker may have taken the last one at the same moment
            return number
        found = study.get_trials(deepcopy=False)
    running = [trial for trial in found if trial.number < trials and trial.state == TrialState.RUNNING]
    return min(running, key=lambda trial: str(trial.datetime_start)).number if running else None


def _parameters(study: optuna.Study, number: int, seed: int) -> dict[str, Any]:
    """Return a trial's parameters: those that are kept of it, else new ones, drawn by the seed and its number."""
    study.sampler = TPESampler(seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
    trial = study.get_trials(deepcopy=False)[number]
    suggest(Trial(study, trial._trial_id))  # Optuna has no public way from a number to a trial that can be asked
    kept: FrozenTrial = study.get_trials(deepcopy=False)[number]
    return {**PARAMETERS, **kept.params}


def _best(study: optuna.Study, trials: int) -> FrozenTrial:
    """Return the best of the trials that have ended, the earlier one of two equal ones."""
    ended = [trial for trial in study.get_trials(deepcopy=False)[:trials] if trial.state == TrialState.COMPLETE]
    return min(ended, key=lambda trial: (trial.values, trial.number))


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what the database raises into one sentence, without the address: it may hold a password."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        cause = type(error.__cause__ or error).__name__
        raise UserError(
            f"the study's database cannot be used ({cause}); check that it is up, and the address in STUDY_URL"
        ) from error
