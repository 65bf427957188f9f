"""What every request passes first: its number, its body under a limit, the answer of a handler, and the counts.

A handler is a plain function from the bytes of a body to a reply. It is called here, without routing, middleware or
models of a framework, which cost more than a prediction does. Whatever has no handler goes on to the application.
"""

import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

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
GONE = 499  # how a request is counted whose client went away before it was whole; nobody is sent it
UNKNOWN = "unknown"  # the path, in the metrics, of whatever is no route: anyone may ask for any number of those


class Reply(NamedTuple):
    """An answer, whole."""

    status: int
    body: bytes
    media_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    version: str = ""
    """The model's version that answered, for the log and the trace."""
    after: Callable[[], None] | None = None
    """What is done when the answer was sent."""


Handler = Callable[[bytes, str], Reply]
"""From the body and the id of a request to its answer; it runs in the event loop, and waits for nothing."""


class Front:
    """The outermost ASGI callable: `handlers` by method and path, and `app` for all the rest."""

    def __init__(
        self,
        app: ASGIApp,
        handlers: Mapping[tuple[str, str], Handler],
        settings: Settings,
        metrics: Metrics,
        traces: Traces | None = None,
    ) -> None:
        self.draining = False
        """Set when this process should get no more traffic: readiness fails, and what comes is still answered."""
        self.in_flight = 0
        """Requests that are not answered yet."""
        self.arrived = 0
        """Predictions whose requests are here, whole, and not answered; connections.py counts them."""
        self.shed = 0
        """Requests that were refused before they came here: see connections.py."""
        self._app = app
        self._handlers = handlers
        self._maximum = settings.maximum_body_bytes
        self._metrics = metrics
        self._traces = traces
        self._keys = Keys(settings.keys)
        self._turns = Turns()
        self._waiting = settings.maximum_waiting
        metrics.in_flight.set_function(lambda: self.in_flight)
        self._log = logs.Requests(settings.request_log == "all", settings.slow_seconds)

    def handles(self, method: bytes, url: bytes) -> bool:
        """Whether such a request is for one of the handlers."""
        return (method.decode(), url.decode("latin-1")) in self._handlers

    @property
    def full(self) -> bool:
        """Whether as many predictions wait as may: a connection asks before anything is done for one more."""
        return self.arrived >= self._waiting or len(self._turns) >= self._waiting

    def tell(self) -> None:
        """Bring the metrics up to date, and say what was refused since the last call before it came here."""
        if self.shed:
            self._metrics.shed.inc(self.shed)
            logs.event("overload", True, refused=self.shed, in_flight=self.in_flight)
            self.shed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        self.in_flight += 1
        status, path, version = GONE, UNKNOWN, ""
        headers: Headers = dict(scope["headers"])
        request_id = _request_id(headers)
        span = self._traces.begin(headers, scope["method"], request_id) if self._traces else None
        try:
            handler = self._handlers.get((scope["method"], scope["path"]))
            if handler:
                path = scope["path"]
            reply = self._admit(headers, scope["path"], handler is not None)
            if reply is None and handler is None:
                status = await self._pass_on(scope, receive, send, request_id)
                path = getattr(scope.get("route"), "path", UNKNOWN)
                return
            if reply is None and handler:
                body = await self._read(receive)
                if body is None:
                    return
                reply = await self._answer(handler, body, request_id, span)
            assert reply is not None
            status, version = reply.status, reply.version
            await send_reply(send, reply, request_id)
            if reply.after:
                reply.after()
        finally:
            self.in_flight -= 1
            seconds = time.perf_counter() - started
            self._done(path, status, seconds)
            self._log.done(request_id, scope["method"], path, status, seconds, version)
            if self._traces and span:
                self._traces.end(span, path, status, version)

    def _admit(self, headers: Headers, path: str, handled: bool) -> Reply | None:
        """Return a refusal that the headers of a request are reason enough for, None when it may go on."""
        role = PATHS.get(path, OPERATE)
        if role and (status := self._keys.refuse(headers.get(b"authorization", b""), role)):
            return _unauthorized(status, role)
        if not handled:
            return None
        if len(self._turns) >= self._waiting:
            return OVERLOAD
        if headers.get(b"content-encoding", b"identity") != b"identity":
            return refusal(415, "the body is encoded; send it as it is, without content-encoding")
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
            return refusal(415, "the body must be JSON; send it with content-type: application/json")
        declared = headers.get(b"content-length", b"0")
        return self._too_large() if declared.isdigit() and int(declared) > self._maximum else None

    async def _read(self, receive: Receive) -> bytes | None:
        """Return the body, cut off where it exceeds the limit, or None when the client went away."""
        message = await receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body", False) and len(body) <= self._maximum:
            message = await receive()
            body += message.get("body", b"")
        return None if message["type"] == "http.disconnect" else body

    async def _answer(self, handler: Handler, body: bytes, request_id: str, span: Any) -> Reply:
        """Return the handler's answer, in its turn."""
        if len(body) > self._maximum:
            return self._too_large()
        reply: Reply = await self._turns.take(lambda: self._handle(handler, body, request_id, span))
        return reply

    def _handle(self, handler: Handler, body: bytes, request_id: str, span: Any) -> Reply:
        """Return the handler's answer. An error that it does not know is told to the log, not to the client."""
        try:
            if self._traces:
                reply: Reply = self._traces.within(span, lambda: handler(body, request_id))
                return reply
            return handler(body, request_id)
        except Exception:
            logger.exception("request %s failed", request_id)
            return refusal(500, f"the server made a mistake; its log tells more about the request {request_id}")

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> int:
        """Let the application answer, and return the status that it did it with."""
        status = GONE

        async def numbered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID, request_id.encode())]
            await send(message)

        await self._app(scope, receive, numbered)
        return status

    def _done(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered, or left."""
        self._metrics.request_done(path, status, seconds)

    def _too_large(self) -> Reply:
        detail = f"the body is larger than {self._maximum} bytes; send fewer rows in a request"
        return refusal(413, detail, (b"connection", b"close"))  # the rest of it is not read


def refusal(status: int, detail: str, *headers: tuple[bytes, bytes]) -> Reply:
    """Return an error as RFC 9457 describes it; `detail` is one sentence that says what to do."""
    content: dict[str, Any] = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Reply(status, json.dumps(content, separators=(",", ":")).encode(), b"application/problem+json", headers)


OVERLOAD = refusal(503, "too many predictions wait already; try again in a second", RETRY_AFTER)


def _unauthorized(status: int, role: str) -> Reply:
    if status == HTTPStatus.FORBIDDEN:
        return refusal(403, f"this key is not for the role {role!r}, which the path needs; send one that is")
    return refusal(401, "no valid key came with the request; send one as `Authorization: Bearer KEY`", CHALLENGE)


async def send_reply(send: Send, reply: Reply, request_id: str) -> None:
    """Send an answer and the number of its request."""
    headers = [
        (b"content-type", reply.media_type),
        (b"content-length", b"%d" % len(reply.body)),
        (REQUEST_ID, request_id.encode()),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _request_id(headers: Headers) -> str:
    """Return the id that the caller gave the request, when it is fit for a log and a header, or else a new one."""
    given = headers.get(REQUEST_ID, b"")
    return given.decode() if SANE.fullmatch(given) else os.urandom(16).hex()
