"""Predictions take turns, and past a number of them that wait the next one is refused at once.

A prediction occupies the event loop until it is answered. Were each one made as soon as its request is read, a burst of
them would be one long stretch in which nothing else is looked at, and nobody could say how many wait. With turns the
loop reads what has arrived every few milliseconds: health is answered then, and what is too much is refused then.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

RETRY_AFTER = (b"retry-after", b"1")  # seconds: until a server is free again, or has asked a store again
SLICE = 0.005  # seconds of predictions between two looks at what has arrived; one that takes longer is not cut

logger = logging.getLogger(__name__)


class Turns:
    """A queue of calls that wait for the event loop, first come, first served."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, call: Callable[[], None]) -> None:
        """Make a call in its turn. What it raises is told to the log."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._work)  # whoever arrived with this one is seen before it
        self._waiting.append(call)

    def _work(self) -> None:
        end = time.perf_counter() + SLICE
        while self._waiting:
            try:
                self._waiting[0]()
            except Exception:
                logger.exception("a turn failed")
            self._waiting.popleft()
            if self._waiting and time.perf_counter() >= end:
                asyncio.get_running_loop().call_soon(self._work)
                return
