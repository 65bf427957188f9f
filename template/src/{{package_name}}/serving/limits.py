"""Predictions take turns, and past a number of them that wait the next one is refused at once.

A prediction occupies the event loop until it is answered. Were each one made as soon as its request is read, a burst of
them would be one long stretch in which nothing else is looked at, and nobody could say how many wait. With turns the
loop reads what has arrived every few milliseconds: health is answered then, and what is too much is refused then.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

RETRY_AFTER = (b"retry-after", b"1")  # seconds: until a server is free again, or has asked a store again
SLICE = 0.005  # seconds of predictions between two looks at what has arrived; one that takes longer is not cut


class Turns:
    """A queue of calls that wait for the event loop, first come, first served."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[asyncio.Future[Any], Callable[[], None]]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    async def take(self, call: Callable[[], Any]) -> Any:
        """Return the result of the call, which is made in its turn. Raises what the call raises, and CancelledError."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Any] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._work)  # whoever arrived with this one is seen before it is answered
        self._waiting.append((turn, lambda: turn.set_result(call())))
        return await turn

    def _work(self) -> None:
        end = time.perf_counter() + SLICE
        while self._waiting:
            turn, call = self._waiting[0]
            if not turn.done():  # or else its request was cancelled
                try:
                    call()
                except Exception as error:
                    turn.set_exception(error)
            self._waiting.popleft()
            if self._waiting and time.perf_counter() >= end:
                asyncio.get_running_loop().call_soon(self._work)
                return
