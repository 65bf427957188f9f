"""A client's connection: what has a route is answered here, and every request must arrive in time and within bounds.

uvicorn makes a scope, a task and several messages of each request, and knows no limits. Here a request for a route is
put into the queue as soon as it is whole, and its answer written in one piece; what goes to the application still takes
uvicorn's way. Answers leave in the order of the requests, whichever way each of them goes.

A client that sends a byte now and then would hold its connection for ever. Each connection has a deadline, which moves
as its request arrives, and one look over all of them every half second drops those that are late: a timer for each
request would cost more.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from math import inf
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..settings import Settings
from .front import GONE, OVERLOAD, REQUEST_ID, TOO_MANY, UNKNOWN, Front, Headers, Reply, Route, Visit, refusal

LOOK = 0.5  # seconds between two looks at the deadlines
BEYOND = 64  # so many connections beyond the limit may ask for health; more are closed unheard


def limited(settings: Settings, front: Front) -> type[asyncio.Protocol]:
    """Return the protocol with the limits of the settings."""

    class Limited(_Connection):
        _front = front
        _limits = settings

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


class _Exchange:
    """A request for a route. uvicorn takes it for the `cycle` that it makes of one itself."""

    message_event = asyncio.Event()  # nobody waits for it

    def __init__(
        self, connection: "_Connection", route: Route, headers: Headers, keep_alive: bool, expects: bool
    ) -> None:
        self.route = route
        self._connection = connection
        self.headers = headers
        self.keep_alive = keep_alive
        self.expects = expects
        """Whether the client sends the body only when it is told to."""
        self.body = b""
        self.whole = self.response_complete = self.disconnected = False
        self.visit: Visit | None = None
        """Set when its turn on the connection has come, unless it was shed."""

    @property
    def seen(self) -> Visit:
        """The visit, once it is set."""
        assert self.visit
        return self.visit

    @property
    def gone(self) -> bool:
        """Whether the client is gone."""
        return self._connection.transport.is_closing()

    def reply(self, reply: Reply) -> None:
        """Send the answer."""
        self._connection.answer(self, reply)


class _Connection(HttpToolsProtocol):
    deadline = inf
    """The time of the loop at which this connection is dropped."""
    _front: Front
    _limits: Settings
    _arrived = 0
    """Bytes of the request that arrives."""
    _receiving = False
    _in_headers = False
    _beyond = False
    _deaf = False
    """Whether what still comes is thrown away."""
    _wrong = refusal(400, "this is not HTTP/1.1; send a request that is")
    cycle: Any
    """The last request whose headers are here."""

    # What arrives

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        beyond = len(self.connections) - self._limits.maximum_connections
        self._beyond = beyond > 0
        if beyond > BEYOND:
            transport.abort()
        self._within(self._limits.header_seconds)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._arrived += len(data)
        super().data_received(data)
        most = self._limits.maximum_header_bytes
        if self._in_headers and self._arrived > most and not self.transport.is_closing():
            self._end(_too_large(most))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._receiving = self._in_headers = True
        self._within(self._limits.header_seconds)

    def on_headers_complete(self) -> None:
        if self.transport.is_closing():
            return
        # Only what arrived as one large piece has to be counted: the pieces of a header were, as they came.
        if self._arrived > (most := self._limits.maximum_header_bytes):
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > most:
                self._wrong = _too_large(most)
                raise ValueError  # the parser stops, and send_400_response is called
        self._in_headers = False
        self._within(self._limits.body_seconds)
        method = self.parser.get_method()
        route = self._front.find(method, self.url)
        if not route and not self._beyond:
            super().on_headers_complete()
            if self._front.draining:
                self.cycle.keep_alive = False  # the client's next request goes to another server
            return
        before, keep_alive = self.cycle, self.parser.should_keep_alive() and self.parser.get_http_version() == "1.1"
        route = route or Route(method.decode(), UNKNOWN, lambda asked: [TOO_MANY for _ in asked], predicts=True)
        self.cycle = _Exchange(self, route, dict(self.headers), keep_alive, self.expect_100_continue)
        if before is None or before.response_complete:
            self._begin(self.cycle)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        exchange = self.cycle
        if exchange.__class__ is not _Exchange:
            super().on_body(body)
        elif not exchange.response_complete:
            exchange.body = exchange.body + body if exchange.body else body
            if exchange.visit and (reply := self._front.too_large(len(exchange.body))):
                self.answer(exchange, reply)

    def on_message_complete(self) -> None:
        self._arrived, self._receiving = 0, False
        if self._deaf:
            self.transport.close()
            return
        exchange = self.cycle
        self._within(self._limits.keep_alive_seconds if exchange.response_complete else inf)
        if exchange.__class__ is not _Exchange:
            super().on_message_complete()
        else:
            exchange.whole = True
            if exchange.visit and not exchange.response_complete:
                self._hand_over(exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        exchange = self.cycle
        if exchange.__class__ is _Exchange and exchange.visit and not (exchange.whole or exchange.response_complete):
            self._front.end(exchange.visit, exchange.route.path, GONE)
        self.pipeline.clear()
        super().connection_lost(exc)

    # What is answered

    def _begin(self, exchange: _Exchange) -> None:
        """Look at a request whose headers are here, and before which no other one on this connection waits."""
        front, route = self._front, exchange.route
        if self.transport.is_closing():
            return
        if route.predicts and front.full:
            # Before anything is made for it: were refusing dear, it alone would take all time.
            front.shed += 1
            self._write(exchange, _OVERLOAD)
            return
        exchange.visit = front.begin(route.method, exchange.headers)
        if self._beyond and route.predicts:
            self.answer(exchange, TOO_MANY)
        elif reply := front.refuse(route, exchange.headers) or front.too_large(len(exchange.body)):
            self.answer(exchange, reply)
        elif exchange.whole:
            self._hand_over(exchange)
        elif exchange.expects:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Begin what has waited for the answer to an earlier request."""
        if cycle.__class__ is _Exchange:
            self.loop.call_soon(self._begin, cycle)
        else:
            super()._start_asgi_task(cycle, app)

    def _hand_over(self, exchange: _Exchange) -> None:
        if not exchange.route.predicts:
            self._front.answer([exchange])
        elif self._front.full:
            self.answer(exchange, OVERLOAD)
        else:
            self._front.turns.add(exchange)

    def answer(self, exchange: _Exchange, reply: Reply) -> None:
        """Send the answer to a request."""
        front, visit = self._front, exchange.seen
        # A client that was not told to send the body may send it all the same, or the next request in its place.
        if reply.close or front.draining or (exchange.expects and not exchange.whole):
            exchange.keep_alive = False
        number = (REQUEST_ID, visit.request_id.encode())
        self._write(exchange, _written(reply, exchange.keep_alive, number, *self.server_state.default_headers))
        front.end(visit, exchange.route.path, reply.status, reply.version)
        if reply.after:
            reply.after()

    def _write(self, exchange: _Exchange, answer: bytes) -> None:
        exchange.response_complete = True
        self.transport.write(answer)
        if not exchange.keep_alive:
            self._close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        if self.transport.is_closing():
            return
        if not self.flow.write_paused:
            self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self._receiving:
            limits = self._limits
            self._within(limits.body_seconds if self.flow.write_paused else limits.keep_alive_seconds)

    # What goes wrong

    def pause_writing(self) -> None:
        super().pause_writing()
        self.flow.pause_reading()
        self._within(self._limits.body_seconds)  # a client that does not read holds as much as a slow one

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self.flow.resume_reading()
        self._within(self._limits.keep_alive_seconds)

    def send_400_response(self, msg: str) -> None:
        if self._due and (self._in_headers or not self._receiving):
            self.cycle.keep_alive = False  # the requests before this one get their answers
            self._deaf, self.deadline = True, inf
        else:
            self._end(self._wrong)

    def end_late(self) -> None:
        """Drop this connection: its request, or its client, is too slow."""
        self.deadline = inf
        if self.flow.write_paused or self._deaf:
            self.transport.abort()
        elif self._receiving and self._due != self._in_headers:
            self._end(refusal(408, "the request did not arrive in time; send it faster"))
        else:
            self.transport.close()

    def _within(self, seconds: float) -> None:
        self.deadline = self.loop.time() + seconds

    @property
    def _due(self) -> bool:
        """Whether a request whose headers are here has no answer yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _end(self, reply: Reply) -> None:
        """Answer what is no whole request, and close the connection."""
        if not self.transport.is_closing():
            self.transport.write(_written(reply, keep_alive=False))
            self._close()

    def _close(self) -> None:
        """Close as soon as the request is whole: what arrives at a closed connection resets it, answer and all."""
        if not self._receiving:
            self.transport.close()
            return
        self._deaf = True
        self.pipeline.clear()
        self.transport.write_eof()
        self._within(self._limits.body_seconds)


def _too_large(most: int) -> Reply:
    return refusal(431, f"the headers are larger than {most} bytes; send fewer")


def _written(reply: Reply, keep_alive: bool, *headers: tuple[bytes, bytes]) -> bytes:
    """Return an answer as it is sent."""
    start = b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n"
    lines = [start % (_STATUS[reply.status], reply.media_type, len(reply.body))]
    for name, value in (*headers, *reply.headers):
        lines += (name, b": ", value, b"\r\n")
    lines += (b"\r\n" if keep_alive else b"connection: close\r\n\r\n", reply.body)
    return b"".join(lines)


_STATUS = {status.value: f"{status.value} {status.phrase}".encode() for status in HTTPStatus}
_OVERLOAD = _written(OVERLOAD, keep_alive=True)
