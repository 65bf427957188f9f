"""What the gates ask of the exported model beyond its scores of the test rows: how long a row takes, how it behaves."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..bounds import Behaviour, Rises
from ..bundle import Scorer
from ..errors import DataError

WARM_UP = 20
TIMED = 400

Columns = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Observed:
    """A stated behaviour and what the model did: how far its mean score rose, or its scores moved on average."""

    behaviour: Behaviour
    moved: float

    @property
    def margin(self) -> float:
        """How far it is on the right side of its bound; negative when it is broken."""
        if isinstance(self.behaviour, Rises):
            return self.moved - self.behaviour.by
        return self.behaviour.within - self.moved

    def __str__(self) -> str:
        names = self.behaviour.inputs
        what = f"{names[0]} and {len(names) - 1} more" if len(names) > 2 else " and ".join(names)
        if isinstance(self.behaviour, Rises):
            change = f"with {what} at {self.behaviour.high:g} instead of {self.behaviour.low:g}"
            return f"{change} the mean score moves by {self.moved:+.3f}, at least {self.behaviour.by:+g} is asked"
        value = self.behaviour.value
        kind = "unknown" if value != value else f"at {value}"  # a NaN is not equal to itself
        return f"with {what} {kind} scores move by {self.moved:.3f}, at most {self.behaviour.within:g} is allowed"


def time_rows(scorer: Scorer, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how long the model takes for one row, in milliseconds, for some hundred rows of a matrix (n, k).

    The rows are spread over the matrix; those that warm the model up are not timed.
    """
    rows = np.linspace(0, len(matrix) - 1, WARM_UP + TIMED).astype(int)
    times = []
    for row in rows:
        single = matrix[row : row + 1]
        started = time.perf_counter_ns()
        scorer.score(single)
        times.append((time.perf_counter_ns() - started) / 1e6)
    return np.array(times[WARM_UP:])


def observe(
    behaviours: Sequence[Behaviour], score: Callable[[Columns], NDArray[np.float64]], columns: Columns
) -> list[Observed]:
    """Return what a model does where its inputs are changed as each behaviour says.

    `score` returns n scores for `columns`, one array of n values for each input. Raises DataError when a behaviour
    names something that is no input.
    """
    usual = score(columns)

    def changed(behaviour: Behaviour, value: float | str) -> NDArray[np.float64]:
        if wrong := set(behaviour.inputs) - set(columns):
            raise DataError(f"BEHAVIOURS in problem.py name {min(wrong)}, which is no input of the model; correct them")
        return score({**columns, **{name: np.full(len(usual), value) for name in behaviour.inputs}})

    found = []
    for behaviour in behaviours:
        if isinstance(behaviour, Rises):
            low, high = (changed(behaviour, value) for value in (behaviour.low, behaviour.high))
            moved = float(high.mean() - low.mean())
        else:
            moved = float(np.abs(changed(behaviour, behaviour.value) - usual).mean())
        found.append(Observed(behaviour, moved))
    return found
