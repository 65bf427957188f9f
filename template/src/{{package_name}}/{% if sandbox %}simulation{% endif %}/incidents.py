"""The faults of the service: what they do to its processes and files, and how that ends."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..settings import Settings
from .faults import Fault, Injection
from .server import Server

SECONDS_SLOWER = 1.5
AWAY = ".away"
# Five bytes of the file that the users of a SQLite database share: who reads takes a shared lock on one of them.
HOLD = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 5, 123)
    print("held", flush=True)
    sys.stdin.read()
"""


class Incidents:
    """Begins and ends faults. One at a time of each kind."""

    def __init__(self, settings: Settings, server: Server) -> None:
        self._settings, self._server = settings, server
        self._holder: subprocess.Popen[str] | None = None
        self.end(Fault.REGISTRY_OUTAGE)  # of a replay that was killed in the middle of it

    @property
    def store_away(self) -> bool:
        """Whether nobody can write to the online store now."""
        return self._holder is not None

    def begin(self, fault: Fault) -> str:
        """Plant a fault and return what was done."""
        if fault is Fault.KILLED_SERVER:
            self._server.kill()
            return "the server is killed (SIGKILL)"
        if fault is Fault.SLOW_SERVICE:
            self._server.slower = SECONDS_SLOWER
            return f"the server stops for {SECONDS_SLOWER} s at each request"
        if fault is Fault.STORE_AWAY:
            self._holder = subprocess.Popen(
                [sys.executable, "-c", HOLD, f"{self._settings.online}-shm"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert self._holder.stdout
            self._holder.stdout.readline()
            return "the online store is locked: it can neither be read nor written"
        file = _file(self._settings)
        file.rename(file.with_name(file.name + AWAY))
        return "the registry is away"

    def end(self, fault: Fault) -> None:
        """End a fault that was planted; one that was not is left as it is."""
        if fault is Fault.SLOW_SERVICE:
            self._server.slower = 0.0
        elif fault is Fault.STORE_AWAY and self._holder:
            self._holder.communicate()  # its input ends, and so does it
            self._holder = None
            # A server finds its store back within seconds, in which many rounds would pass here.
            self._server.wait_until_whole()
        elif fault is Fault.REGISTRY_OUTAGE and not self._settings.registry_uri:
            file = _file(self._settings)
            if (away := file.with_name(file.name + AWAY)).exists():
                away.rename(file)


def require(planted: Sequence[Injection], settings: Settings) -> None:
    """Raise UserError when a fault cannot be planted here: what other machines run is not for a replay to break."""
    faults = {item.fault for item in planted}
    for fault, elsewhere in (
        (Fault.REGISTRY_OUTAGE, settings.registry_uri),
        (Fault.STORE_AWAY, settings.online_url.get_secret_value()),
    ):
        if fault in faults and elsewhere:
            raise UserError(f"{fault} is planted in files of this machine only; unset the address of the service")


def _file(settings: Settings) -> Path:
    return Path(settings.tracking_uri.removeprefix("sqlite:///"))
