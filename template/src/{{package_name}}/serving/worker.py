"""One worker: a process that answers on a socket that its parent has bound, and ends with its parent."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from ..errors import UserError
from ..features.online import open_store
from ..problem import NAME
from ..settings import Settings, load
from . import exposition, logs
from .connections import limited, look_after
from .front import Front
from .listener import Listener
from .metrics import Metrics
from .prediction_log import PredictionLog
from .predictor import Predictor
from .service import make_front
from .supervisor import CANNOT
from .tracing import make_traces

SECONDS_TO_FINISH = 10  # what a request may still take once no more are accepted


class _Server(uvicorn.Server):
    """uvicorn's server, with the signals left to whoever runs it, and a listener of our own."""

    _listener: Listener

    def __init__(self, config: uvicorn.Config, front: Front, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._front = front
        self._on_start = on_start
        self._life = AsyncExitStack()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # uvicorn would end at once on a signal, and raise it again when all is done

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        assert sockets
        await self._life.enter_async_context(self._front.lifespan())
        await super().startup([])
        made: Any = self.config.http_protocol_class  # by keywords that asyncio does not know
        connection = partial(made, config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        self._listener = Listener(sockets[0], connection)
        self._listener.open()
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._listener.close()
        await super().shutdown(sockets)
        await self._life.aclose()


def make_server(settings: Settings, front: Front, on_start: Callable[[], None]) -> uvicorn.Server:
    """Return the server of an application; it calls `on_start` when it answers, and ends when `should_exit` is set."""
    config = uvicorn.Config(
        front,
        http=limited(settings, front),
        ws="none",
        lifespan="off",  # the application has none
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )
    return _Server(config, front, on_start)


def serve(
    settings: Settings, counts: Path, listener: socket.socket, lifeline: int, on_start: Callable[[], None]
) -> None:
    """Serve until SIGTERM, or until the other end of `lifeline` is closed. Raises UserError.

    After SIGTERM readiness fails at once, what arrives within `drain_seconds` is answered, and then what still waits.
    What is counted is written to a file in `counts`.
    """
    logs.configure()
    metrics = Metrics()
    online = open_store(settings)

    def on_load(alias: str, outcome: str) -> None:
        loaded = outcome == "loaded"
        metrics.bundle_loads.labels(alias, "loaded" if loaded else "refused").inc()
        logs.event("bundle loaded" if loaded else "bundle refused", not loaded, alias=alias, reason=outcome)

    log = PredictionLog(settings.predictions, settings.segment_bytes)
    traces = make_traces(NAME)
    if traces:
        online, log = traces.parts(online, read="read"), traces.parts(log, append="log")
    predictor = Predictor(settings.bundles, online, log, on_load)
    front = make_front(settings, predictor, metrics, traces)
    server = make_server(settings, front, on_start)

    def tell() -> None:
        front.tell()
        exposition.write(metrics.registry, counts / f"{os.getpid()}.prom")

    try:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_run(server, front, settings.drain_seconds, listener, lifeline, tell))
    finally:
        tell()
        online.close()
        if traces:
            traces.close()


async def _run(
    server: uvicorn.Server,
    front: Front,
    drain_seconds: float,
    listener: socket.socket,
    lifeline: int,
    tell: Callable[[], None],
) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(lifeline)
        server.should_exit = True

    def drain() -> None:
        if front.draining:
            return  # systemd tells every process, and then the parent tells this one; who cannot wait kills
        front.draining = True
        logs.event("draining", seconds=drain_seconds, in_flight=front.in_flight)
        loop.call_later(drain_seconds, end)

    loop.add_signal_handler(signal.SIGTERM, drain)
    loop.add_reader(lifeline, end)
    looks = asyncio.create_task(look_after(server.server_state.connections, tell))
    await server.serve(sockets=[listener])
    looks.cancel()
    logs.event("ended")


def main() -> None:
    """Serve on the descriptors that the supervisor hands over, with the settings of the environment."""
    counts = Path(sys.argv[1])
    listener, lifeline, started = map(int, sys.argv[2:])

    def on_start() -> None:
        os.write(started, b".")
        os.close(started)

    try:
        serve(load(), counts, socket.socket(fileno=listener), lifeline, on_start)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(CANNOT)


if __name__ == "__main__":
    main()
