"""New connections: as many as wait are taken in each round of the event loop, up to a few.

libuv takes one a round (since 1.45), and with it uvloop. In an overload a round takes as long as the predictions that
are answered in it, so that of 256 clients that connect at once the last waits for 256 of them. The load balancer's
probe may be that one.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

AT_ONCE = 32  # of several workers at one socket, none takes all that wait
PAUSE = 1.0  # seconds for which nothing is taken when the process has no descriptor left

logger = logging.getLogger(__name__)


class Listener:
    """Gives each connection to a listening socket a protocol of its own, from `open` to `close`."""

    def __init__(self, listening: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._listening = listening
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[object]] = set()  # the loop itself would not keep them
        self._pause: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Take connections from now on."""
        self._listening.setblocking(False)
        self._loop.add_reader(self._listening, self._take)

    def close(self) -> None:
        """Take no more of them. The socket stays open."""
        self._loop.remove_reader(self._listening)
        if self._pause:
            self._pause.cancel()

    def _take(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return  # no other waits, or another worker has it, or its client is gone
            except OSError as error:
                # It would be told again at once, and for ever.
                logger.error("no connection can be taken for %g s: %s", PAUSE, error.strerror)
                self._loop.remove_reader(self._listening)
                self._pause = self._loop.call_later(PAUSE, self.open)
                return
            connection.setblocking(False)
            beginning = self._loop.create_task(self._begin(connection))
            self._beginning.add(beginning)
            beginning.add_done_callback(self._beginning.discard)

    async def _begin(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()  # its client is gone already
