"""Run the server: bind, say where, serve, and keep the process that follows the registry beside it."""

import ipaddress
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from types import FrameType

import uvicorn
from prometheus_client import start_http_server

from ..errors import UserError
from ..features.online import open_store
from ..settings import Settings
from .app import create_app
from .metrics import Metrics
from .prediction_log import PredictionLog
from .predictor import Predictor


def run(settings: Settings, sync_command: Sequence[str]) -> None:
    """Serve until SIGTERM or SIGINT. Raises UserError when an address is not allowed or in use."""
    listener = _bind(settings.host, settings.port)
    metrics = Metrics()
    try:
        exporter, thread = start_http_server(settings.metrics_port, settings.host, metrics.registry)
    except OSError as error:
        listener.close()
        raise UserError(_in_use(settings.metrics_port, "--metrics-port", error)) from error
    settings.bundles.mkdir(parents=True, exist_ok=True)
    online = open_store(settings)

    def on_load(alias: str, outcome: str) -> None:
        loaded = outcome == "loaded"
        metrics.bundle_loads.labels(alias, "loaded" if loaded else "refused").inc()
        print(f"{alias}: {outcome}", flush=True)

    log = PredictionLog(settings.predictions, settings.segment_bytes)
    predictor = Predictor(settings.bundles, online, log, on_load)
    app = create_app(settings, predictor, metrics)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=10))

    def end(number: int, frame: FrameType | None) -> None:
        # uvicorn has handlers of its own while it runs, and then raises the signal again. An exception here could be
        # swallowed anywhere; the flag cannot, and what stands in `finally` is always done.
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    follower = subprocess.Popen(sync_command, env={**os.environ, **settings.environment()})
    try:
        host, port = listener.getsockname()[:2]
        print(f"serving at http://{host}:{port}", flush=True)
        server.run(sockets=[listener])
    finally:
        follower.terminate()
        follower.wait()
        exporter.shutdown()
        exporter.server_close()
        thread.join()
        online.close()


def _bind(host: str, port: int) -> socket.socket:
    try:
        loopback = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host).is_loopback
    except ValueError as error:
        raise UserError(f"{host!r} is not an address; use 127.0.0.1") from error
    if not loopback:
        raise UserError(f"{host} can be reached from outside and this server has no keys yet; use 127.0.0.1")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UserError(_in_use(port, "--port", error)) from error


def _in_use(port: int, option: str, error: OSError) -> str:
    return f"port {port} cannot be used ({error.strerror}); choose another with {option}, or 0 for a free one"
