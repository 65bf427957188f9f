"""What every request passes, whoever answers it: its number, its key, and how it is counted, logged and traced.

Predictions and health have routes: plain functions from the bytes of a body to a reply, which connections.py calls
without the routing, the middleware and the models of a framework, which cost more than a prediction does. Whatever has
no route goes on to the application, through the ASGI callable that is here.
"""

import asyncio
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from itertools import count, groupby
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

import httptools
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..settings import Settings
from . import logs
from .auth import CHALLENGE, OPERATE, PATHS, Keys
from .limits import RETRY_AFTER, Turns
from .metrics import Metrics
from .tracing import Traces

logger = logging.getLogger(__name__)

Headers = Mapping[bytes, bytes]
"""The headers of a request, their names in lower case."""

SANE = re.compile(rb"[A-Za-z0-9._-]{1,64}")
REQUEST_ID = b"x-request-id"
GONE = 499  # how a request is counted whose client went away before it was answered; nobody is sent it
UNKNOWN = "unknown"  # the path, in the metrics, of whatever is no route: anyone may ask for any number of those


class Reply(NamedTuple):
    """An answer, whole."""

    status: int
    body: bytes
    media_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    close: bool = False
    """Whether the connection ends with it."""
    version: str = ""
    """The model's version that answered, for the log and the trace."""
    after: Callable[[], None] | None = None
    """What is done when the answer was sent."""


Handler = Callable[[Sequence[tuple[bytes, str]]], list[Reply]]
"""From the body and the id of each of some requests to their answers; it runs in the event loop, and waits for nothing.

Each is answered as it would be alone.
"""


class Route(NamedTuple):
    """What is answered in front of the application."""

    method: str
    path: str
    answer: Handler
    predicts: bool
    """Whether it takes a JSON body, and its turn; what does not is answered at once, also when all else is refused."""


class Visit(NamedTuple):
    """A request on its way."""

    request_id: str
    method: str
    began: float
    span: Any


class Asked(Protocol):
    """A request for a route, that waits for its answer."""

    body: bytes

    @property
    def route(self) -> Route:
        """What answers it."""

    @property
    def seen(self) -> Visit:
        """What `Front.begin` returned of it."""

    @property
    def gone(self) -> bool:
        """Whether its client is gone."""

    def reply(self, reply: Reply) -> None:
        """Send the answer, and call `Front.end`."""


class Front:
    """What all connections of a process share: `routes`, and an application for all the rest.

    The application is made when it is first asked for, so that neither a start nor a server that only predicts waits
    for its framework.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        make_app: Callable[[], ASGIApp],
        lifespan: Callable[[], AbstractAsyncContextManager[None]],
        settings: Settings,
        metrics: Metrics,
        traces: Traces | None = None,
    ) -> None:
        self.draining = False
        """Set when this process should get no more traffic: readiness fails, and what comes is still answered."""
        self.in_flight = 0
        """Requests that are not answered yet."""
        self.shed = 0
        """Predictions that were refused, since `tell` was called, before anything was done for them."""
        self.turns = Turns(self._take)
        """Predictions whose requests are here, whole."""
        self.lifespan = lifespan
        """What has to go on while connections are taken."""
        self._make_app = make_app
        self._app: ASGIApp | None = None
        self._making = asyncio.Lock()
        self._routes = {(route.method.encode(), route.path.encode()): route for route in routes}
        self._waiting = settings.maximum_waiting
        self._maximum = settings.maximum_body_bytes
        self._keys = Keys(settings.keys)
        self._metrics = metrics
        self._traces = traces
        self._log = logs.Requests(settings.request_log == "all", settings.slow_seconds)
        self._numbers = count()
        self._process = os.urandom(8).hex()
        metrics.in_flight.set_function(lambda: self.in_flight)

    @property
    def full(self) -> bool:
        """Whether as many predictions wait as may."""
        return len(self.turns) >= self._waiting

    def tell(self) -> None:
        """Bring the metrics up to date, and say what was shed since the last call."""
        if self.shed:
            self._metrics.shed.inc(self.shed)
            logs.event("overload", True, refused=self.shed, in_flight=self.in_flight)
            self.shed = 0

    def find(self, method: bytes, url: bytes) -> Route | None:
        """Return the route of a request. Raises HttpParserInvalidURLError."""
        if route := self._routes.get((method, url)):
            return route
        path: bytes = httptools.parse_url(url).path or b""
        return self._routes.get((method, unquote(path).encode()))

    def begin(self, method: str, headers: Headers) -> Visit:
        """Count a request as one that waits, until `end` is called."""
        began = time.perf_counter()
        self.in_flight += 1
        given = headers.get(REQUEST_ID)
        # Each process has numbers of its own: random ones would cost a system call each.
        request_id = given.decode() if given and SANE.fullmatch(given) else f"{self._process}{next(self._numbers):016x}"
        span = self._traces.begin(headers, method, request_id) if self._traces else None
        return Visit(request_id, method, began, span)

    def end(self, visit: Visit, path: str, status: int, version: str = "") -> None:
        """Count, log and trace a request that was answered, or left."""
        self.in_flight -= 1
        seconds = time.perf_counter() - visit.began
        self._metrics.request_done(path, status, seconds)
        self._log.done(visit.request_id, visit.method, path, status, seconds, version)
        if self._traces:
            self._traces.end(visit.span, path, status, version)

    def refuse(self, route: Route, headers: Headers) -> Reply | None:
        """Return what the headers of a request are reason enough for, None when it may go on."""
        if (reply := self._locked(route.path, headers)) or not route.predicts:
            return reply
        if headers.get(b"content-encoding", b"identity") != b"identity":
            return refusal(415, "the body is encoded; send it as it is, without content-encoding")
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
            return refusal(415, "the body must be JSON; send it with content-type: application/json")
        declared = headers.get(b"content-length", b"0")
        return self.too_large(int(declared)) if declared.isdigit() else None

    def too_large(self, size: int) -> Reply | None:
        """Return what refuses a body of so many bytes, None when it may be that large."""
        if size <= self._maximum:
            return None
        detail = f"the body is larger than {self._maximum} bytes; send fewer rows in a request"
        return refusal(413, detail, close=True)  # the rest of it is not read

    def answer(self, requests: Sequence[Asked]) -> None:
        """Answer some requests for one route. An error that it does not know is told to the log, not to the client."""
        alone = len(requests) == 1
        if self._traces and not alone:  # the spans below a request's are its own
            for one in requests:
                self.answer([one])
            return
        asked = [(one.body, one.seen.request_id) for one in requests]
        handler, visit = requests[0].route.answer, requests[0].seen
        try:
            replies: list[Reply] = (
                self._traces.within(visit.span, lambda: handler(asked)) if self._traces else handler(asked)
            )
        except Exception:
            if not alone:  # one of them spoils it for the others
                for one in requests:
                    self.answer([one])
                return
            logger.exception("request %s failed", visit.request_id)
            detail = f"the server made a mistake; its log tells more about the request {visit.request_id}"
            replies = [refusal(500, detail)]
        for one, reply in zip(requests, replies, strict=True):
            one.reply(reply)

    def _take(self, waiting: list[Asked]) -> None:
        """Answer the requests whose clients are still there."""
        for _, requests in groupby(waiting, lambda one: one.route.answer):
            here = []
            for one in requests:
                if one.gone:
                    self.end(one.seen, one.route.path, GONE)
                else:
                    here.append(one)
            if here:
                self.answer(here)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer a request that has no route."""
        headers: Headers = dict(scope["headers"])
        visit, status = self.begin(scope["method"], headers), GONE

        async def numbered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID, visit.request_id.encode())]
            await send(message)

        try:
            if reply := self._locked(scope["path"], headers):
                said = [(b"content-type", reply.media_type), (b"content-length", b"%d" % len(reply.body))]
                start = {"type": "http.response.start", "status": reply.status, "headers": [*said, *reply.headers]}
                await numbered(start)
                await send({"type": "http.response.body", "body": reply.body})
            else:
                app = await self._application()
                await app(scope, receive, numbered)
        finally:
            self.end(visit, getattr(scope.get("route"), "path", UNKNOWN), status)

    async def _application(self) -> ASGIApp:
        async with self._making:
            if self._app is None:
                self._app = await asyncio.to_thread(self._make_app)
        return self._app

    def _locked(self, path: str, headers: Headers) -> Reply | None:
        role = PATHS.get(path, OPERATE)
        status = self._keys.refuse(headers.get(b"authorization", b""), role) if role else 0
        if status == HTTPStatus.FORBIDDEN:
            return refusal(403, f"this key is not for the role {role!r}, which the path needs; send one that is")
        if status:
            detail = "no valid key came with the request; send one as `Authorization: Bearer KEY`"
            return refusal(401, detail, CHALLENGE)
        return None


def refusal(status: int, detail: str, *headers: tuple[bytes, bytes], close: bool = False) -> Reply:
    """Return an error as RFC 9457 describes it; `detail` is one sentence that says what to do."""
    content: dict[str, Any] = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body = json.dumps(content, separators=(",", ":")).encode()
    return Reply(status, body, b"application/problem+json", headers, close)


OVERLOAD = refusal(503, "too many predictions wait already; try again in a second", RETRY_AFTER)
TOO_MANY = refusal(503, "there are too many connections; try again in a second", RETRY_AFTER, close=True)
