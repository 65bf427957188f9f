"""An ASGI application that does nothing: what the server itself takes of a request."""

import sys
from typing import Any

import uvicorn

HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"2")]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": b"{}"})


uvicorn.run(app, port=int(sys.argv[1]), lifespan="off", log_level="warning", access_log=False)
