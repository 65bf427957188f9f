"""moto's server, which stands in for AWS on loopback and believes every credential until it is told not to."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local import free_port, until


@dataclass(frozen=True)
class StandIn:
    """A server that takes calls of AWS's API."""

    process: subprocess.Popen[bytes]
    url: str

    def environment(self, region: str) -> dict[str, str]:
        """Return what makes clients of AWS ask it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "moto",
            "AWS_SECRET_ACCESS_KEY": "moto",
            "AWS_REGION": region,
        }


@contextmanager
def started(moto_server: str, log: Path, **settings: str) -> Iterator[StandIn]:
    """Run the server, with these variables in its environment, for as long as the context lasts."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [moto_server, "-H", "127.0.0.1", "-p", str(port)],
            env={"PATH": os.environ["PATH"], **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def listens() -> bool:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(listens, log.read_text)
        yield StandIn(process, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(30)
