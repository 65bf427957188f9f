"""Run the server: bind, say where, and keep the workers and the process that follows the registry alive."""

import asyncio
import ipaddress
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server

from ..errors import UserError
from ..settings import PREFIX, Settings
from . import logs
from .exposition import Summed
from .fixed import take
from .supervisor import Supervisor

WORKER = (sys.executable, "-m", f"{__package__}.worker")
SECONDS_TO_FINISH = 15.0  # what a worker may take to end after its drain: see worker.py


def run(settings: Settings, sync_command: Sequence[str]) -> None:
    """Serve until SIGTERM or SIGINT, with `sync_command` beside the workers unless it is empty.

    Raises UserError when an address is not allowed or in use, or when the state cannot be written. Raises SystemExit
    when the worker has said why it cannot start, or when a second signal did not want to wait.
    """
    listener = _bind(settings)
    try:
        bundles = settings.make_bundles()
        if settings.fixed_bundle:
            take(Path(settings.fixed_bundle), bundles)
    except UserError:
        listener.close()
        raise
    with tempfile.TemporaryDirectory(prefix="metrics-") as counts:
        registry, summed = CollectorRegistry(), Summed(Path(counts))
        registry.register(summed)
        try:
            exporter, thread = start_http_server(settings.metrics_port, settings.host, registry)
        except OSError as error:
            listener.close()
            raise UserError(_in_use(settings.metrics_port, "--metrics-port", error)) from error
        logs.configure()
        supervisor = Supervisor(
            [*WORKER, counts],
            sync_command,
            {**os.environ, **settings.environment()},
            listener.fileno(),
            settings.workers,
            settings.drain_seconds + SECONDS_TO_FINISH,
            summed.forget,
        )
        host, port = listener.getsockname()[:2]
        if settings.front_authenticates:
            logs.event("no key is asked for", True, reason=f"{PREFIX}FRONT_AUTHENTICATES is set")
        print(f"serving at http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
        try:
            code = asyncio.run(supervisor.run(listener.close))
        finally:
            exporter.shutdown()
            exporter.server_close()
            thread.join()
    if code:
        sys.exit(code)


def _bind(settings: Settings) -> socket.socket:
    host, port = settings.host, settings.port
    try:
        loopback = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host).is_loopback
    except ValueError as error:
        raise UserError(f"{host!r} is not an address; use 127.0.0.1") from error
    if settings.front_authenticates and settings.keys:
        raise UserError(
            f"{PREFIX}FRONT_AUTHENTICATES says that whoever comes was let in before and sends no key, and there are "
            "keys; unset it, or every key"
        )
    if not loopback and not settings.predict_keys and not settings.front_authenticates:
        raise UserError(
            f"{host} can be reached from outside and there is no key; make one with `serve-key`, put its hash into "
            f"{PREFIX}PREDICT_KEYS, or use 127.0.0.1"
        )
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        raise UserError(_in_use(port, "--port", error)) from error


def _in_use(port: int, option: str, error: OSError) -> str:
    return f"port {port} cannot be used ({error.strerror}); choose another with {option}, or 0 for a free one"
