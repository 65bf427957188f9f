"""Predictions take turns, those that wait are answered together, and past a number of them the next one is refused.

A prediction occupies the event loop until it is answered. Were each one made as soon as its request is read, a burst of
them would be one long stretch in which nothing else is looked at, and nobody could say how many wait. With turns the
loop reads what has arrived every few milliseconds: health is answered then, and what is too much is refused then.
Nobody waits for company: a request that comes alone is answered alone.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

RETRY_AFTER = (b"retry-after", b"1")  # seconds: until a server is free again, or has asked a store again
SLICE = 0.005  # seconds of predictions between two looks at what has arrived; one that takes longer is not cut
TOGETHER = 50_000  # bytes of bodies that are answered together; a larger one is answered alone

logger = logging.getLogger(__name__)


class Turns:
    """Requests that wait for the event loop, first come, first served. `answer` gets some of them at once.

    All that is known of a request here is that it has a `body`.
    """

    def __init__(self, answer: Callable[[list[Any]], None]) -> None:
        self._answer = answer
        self._waiting: deque[Any] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, request: Any) -> None:
        """Have a request answered in its turn. What `answer` raises is told to the log."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._work)  # whoever arrived with this one is seen before it
        self._waiting.append(request)

    def _work(self) -> None:
        end = time.perf_counter() + SLICE
        while self._waiting:
            some = [self._waiting.popleft()]
            size = len(some[0].body)
            while self._waiting and (size := size + len(self._waiting[0].body)) <= TOGETHER:
                some.append(self._waiting.popleft())
            try:
                self._answer(some)
            except Exception:
                logger.exception("a turn failed")
            if self._waiting and time.perf_counter() >= end:
                asyncio.get_running_loop().call_soon(self._work)
                return
