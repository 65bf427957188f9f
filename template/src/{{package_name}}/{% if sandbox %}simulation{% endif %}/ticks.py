"""The stream's micro-batches of a replay: the rows of coming rounds, made while the replay is still at earlier ones.

The replay publishes the rows of each round in it. Those of an hour's rounds are made together, as to plan a query
takes as long as to run it: a view that looked ahead would see an hour at most, so that most of its rows were not those
of the offline store, which monitoring calls skew.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import groupby

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
        for _, hour in groupby(msgspec.json.decode(line, type=list[datetime]), lambda at: (at.date(), at.hour)):
            together = list(hour)
            since = last or together[0] - problem.ROUND
            events = world.events(last or since - lookback(views), together[-1])
            last = together[-1]
            for made in batches.compute(since, together, events):
                now = time.process_time()
                yield Done({STAGE: now - began}, {view.name: rows for view, rows in made})
                began = now

    answer(rounds, ticks, say)
