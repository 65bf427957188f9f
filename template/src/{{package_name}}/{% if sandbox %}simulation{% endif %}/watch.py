"""Who watches the service, once a round: what a probe and the client's own requests say. It knows nothing of faults."""

import time
from collections.abc import Callable, Sequence

from ..registry.client import Registry
from .client import NoAnswer
from .server import Server

CALM = 4  # rounds without a finding after which the next one is another incident


class Watch:
    """Says what is wrong with the service; what it has said already it says again when there was CALM between."""

    def __init__(self, server: Server, registry: Registry, slow_seconds: float, page: Callable[[str], None]) -> None:
        self._server, self._registry, self._slow, self._page = server, registry, slow_seconds, page
        self._said: dict[str, int] = {}
        self._round = 0

    def unanswered(self, error: Exception) -> None:
        """Take in that a request got no answer."""
        self._say("no answer", f"a request got no answer ({error})")

    def look(self, seconds: float, degraded: Sequence[str]) -> None:
        """Take in a round: how long the answer to its requests took, and what it lacked. Looks at the rest itself."""
        self._round += 1
        if seconds > self._slow and (again := self._probe()) > self._slow:
            self._say(
                "slow", f"an answer took {seconds:.1f} s, and a second look {again:.1f} s (bound {self._slow:g} s)"
            )
        if degraded:
            self._say("degraded", f"answers lack what comes from the {' and the '.join(degraded)}")
        if not self._registry.exists():
            self._say("registry", "the registry cannot be reached: models can neither move nor be trained")

    def _probe(self) -> float:
        """Return how long the smallest request takes now: one slow answer may be the machine's own."""
        began = time.monotonic()
        try:
            self._server.versions()
        except NoAnswer as error:
            self.unanswered(error)
        return time.monotonic() - began

    def _say(self, what: str, text: str) -> None:
        last = self._said.get(what)
        self._said[what] = self._round
        if last is None or self._round - last > CALM:
            self._page(text)
