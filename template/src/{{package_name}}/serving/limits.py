"""Predictions take turns, and past a number of them that wait the next one is refused at once.

A prediction occupies the event loop until it is answered. Were each one made as soon as its request is read, a burst of
them would be one long stretch in which nothing else is looked at, and nobody could say how many wait. With turns the
loop reads what has arrived between any two predictions: health is answered then, and what is too much is refused then.
"""

import asyncio
from collections import deque

RETRY_AFTER = (b"retry-after", b"1")  # seconds; a server that refuses is free again within one


class Turns:
    """A queue of those that wait for the event loop, first come, first served, with a limit on its length."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def full(self) -> bool:
        """Whether as many wait as may."""
        return len(self._waiting) >= self._most

    async def take(self) -> None:
        """Return when it is this one's turn; until `leave` it is nobody else's. Raises CancelledError."""
        if self._taken:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.leave()  # the turn had come already
                raise
        else:
            self._taken = True
            try:
                await asyncio.sleep(0)  # whoever arrived with this one is seen before it is answered
            except asyncio.CancelledError:
                self.leave()
                raise

    def leave(self) -> None:
        """End a turn: the next one that waits has it, in the next round of the loop."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False
