"""The stream's micro-batches of a replay: the rows of coming rounds, made while the replay is still at earlier ones.

Each round's rows are made by a tick of its own, from the events known by then; the replay publishes them in that round.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import msgspec

from .. import problem
from ..features.feature_view import FeatureView
from ..features.stream import MicroBatches, lookback
from .beside import Done, answer
from .world import World

STAGE = "stream ticks"


def work(views: Iterable[FeatureView], world: World, rounds: Iterable[str], say: Callable[[str], None]) -> None:
    """Make the streaming views' rows of each round that comes in, a list of instants a line, and say them.

    The rounds of all lines are in order; the windows are as if there had been one before the first.
    """
    views = list(views)
    batches = MicroBatches(views)
    last: datetime | None = None
    began = 0.0  # the start of the process is the first round's

    def ticks(line: str) -> Iterator[Done]:
        nonlocal last, began
        for at in msgspec.json.decode(line, type=list[datetime]):
            since = last or at - problem.ROUND
            events = world.events(last or since - lookback(views), at)
            rows = {view.name: made for view, made in batches.compute(since, at, events)}
            last, now = at, time.process_time()
            yield Done({STAGE: now - began}, rows)
            began = now

    answer(rounds, ticks, say)
