"""The limits of a connection that uvicorn does not have: how long its requests may take to arrive, and their size.

A client that sends a byte now and then, in the headers or in the body, would hold its connection for ever. Each
connection has a deadline, which moves as its request arrives, and one look over all of them every half second drops
those that are late: a timer for each request would cost more.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from math import inf
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..settings import Settings
from .front import OVERLOAD, Front, Reply, refusal, send_reply
from .limits import RETRY_AFTER

LOOK = 0.5  # seconds between two looks at the deadlines
HEALTH = "/healthz/"  # these paths are answered on connections beyond the limit, too
BEYOND = 64  # so many connections beyond the limit may ask for health; more are closed unheard


def limited(settings: Settings, front: Front) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with the limits of the settings."""

    class Limited(_Connection):
        _front = front
        _header_bytes = settings.maximum_header_bytes
        _header_seconds = settings.header_seconds
        _body_seconds = settings.body_seconds
        _most = settings.maximum_connections

    return Limited


async def look_after(connections: set[Any], tell: Callable[[], None]) -> None:
    """End every connection whose deadline has passed, and call `tell`, again and again."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(LOOK)
        tell()
        now = loop.time()
        for connection in [each for each in connections if each.deadline < now]:
            connection.end_late()


class _Connection(HttpToolsProtocol):
    """One connection of a client."""

    deadline = inf
    """The time of the loop at which this connection is dropped."""
    _front: Front
    _header_bytes: int
    _header_seconds: float
    _body_seconds: float
    _most: int
    _arrived = 0
    """Bytes of the request whose headers are not complete."""
    _in_headers = False
    _prediction = False
    _counted = False
    """Whether its request is among those of the front that have arrived."""
    _beyond = False
    _refused: Reply | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        count = len(self.connections)
        self._beyond = count > self._most
        if count > self._most + BEYOND:
            transport.abort()
        self.deadline = self.loop.time() + self._header_seconds

    def data_received(self, data: bytes) -> None:
        self._arrived += len(data)
        super().data_received(data)
        if self._in_headers and self._arrived > self._header_bytes and not self.transport.is_closing():
            self._end(_too_large(self._header_bytes))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        self.deadline = self.loop.time() + self._header_seconds

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self.deadline = self.loop.time() + self._body_seconds
        self._prediction = self._front.handles(self.parser.get_method(), self.url)
        # A request that comes before an earlier one has its answer cannot be refused before that.
        if self._prediction and self._front.full and (self.cycle is None or self.cycle.response_complete):
            self._shed()
            return
        # Only what arrived as one large piece has to be counted: the pieces of a header were, as they came.
        if self._arrived > self._header_bytes:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self._header_bytes:
                self._refused = _too_large(self._header_bytes)
                raise ValueError  # the parser stops, and send_400_response is called
        super().on_headers_complete()
        if self._front.draining:
            self.cycle.keep_alive = False  # the client's next request goes to another server

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._arrived = 0
        if self._prediction and not self._counted and self.cycle is not _ANSWERED:
            self._counted = True
            self._front.arrived += 1
        self.deadline = inf

    def on_response_complete(self) -> None:
        self._uncount()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._uncount()
        super().connection_lost(exc)

    def _uncount(self) -> None:
        if self._counted:
            self._counted = False
            self._front.arrived -= 1

    def pause_writing(self) -> None:
        super().pause_writing()
        self.deadline = self.loop.time() + self._body_seconds  # a client that does not read holds as much as a slow one

    def resume_writing(self) -> None:
        super().resume_writing()
        self.deadline = inf

    def _shed(self) -> None:
        """Refuse a request before anything is made for it: were that dear, refusing alone would take all time."""
        self.cycle = _ANSWERED
        self.transport.write(_OVERLOAD)
        self._front.shed += 1
        if not self.parser.should_keep_alive() or self._front.draining:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        self._end(self._refused or refusal(400, "this is not HTTP/1.1; send a request that is"))

    def end_late(self) -> None:
        """Drop this connection: its request, or its client, is too slow."""
        self.deadline = inf
        if self.flow.write_paused:
            self.transport.abort()
        elif self._arrived and not (self.cycle and self.cycle.response_started and not self.cycle.response_complete):
            self._end(refusal(408, "the request did not arrive in time; send it faster"))
        else:
            self.transport.close()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if self._beyond and not cycle.scope["path"].startswith(HEALTH):
            app = _too_many
        super()._start_asgi_task(cycle, app)

    def _end(self, reply: Reply) -> None:
        """Answer, and close the connection."""
        if not self.transport.is_closing():
            self.transport.write(_written(reply._replace(headers=((b"connection", b"close"),))))
            self.transport.close()


async def _too_many(scope: Scope, receive: Receive, send: Send) -> None:
    close = (b"connection", b"close")
    await send_reply(
        send, refusal(503, "there are too many connections; try again in a second", RETRY_AFTER, close), ""
    )


def _too_large(most: int) -> Reply:
    return refusal(431, f"the headers are larger than {most} bytes; send fewer")


def _written(reply: Reply) -> bytes:
    """Return an answer as it is sent."""
    headers = [(b"content-type", reply.media_type), (b"content-length", b"%d" % len(reply.body)), *reply.headers]
    lines = [b"HTTP/1.1 %d %s" % (reply.status, HTTPStatus(reply.status).phrase.encode())]
    return b"\r\n".join([*lines, *(name + b": " + value for name, value in headers), b"", reply.body])


class _Answered:
    """What uvicorn keeps of a request, of one that has its answer already."""

    response_started = response_complete = True
    disconnected = keep_alive = False
    message_event = asyncio.Event()


_ANSWERED: Any = _Answered()
_OVERLOAD = _written(OVERLOAD)
