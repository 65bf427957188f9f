"""Ours without the feature lookup and the prediction log: a flight is decoded, scored, and its answer encoded."""

import socket
import sys
from pathlib import Path
from typing import Any

from flight_delays.features.online import Found, Plan, nothing_found
from flight_delays.serving.metrics import Metrics
from flight_delays.serving.predictor import Predictor
from flight_delays.serving.service import make_front
from flight_delays.serving.worker import make_server
from flight_delays.settings import Settings


class NoStore:
    """An online store that holds nothing, and is not asked."""

    def read(self, plan: Plan, columns: Any, at: Any) -> Found:
        return nothing_found(plan, at)

    def definitions(self) -> dict[str, str]:
        return {}


class NoLog:
    """A prediction log that keeps nothing."""

    fault = ""

    def append(self, *answers: Any) -> None:
        """Forget some answers."""

    def probe(self) -> None:
        """Find everything well."""

    def close(self) -> None:
        """Leave nothing behind."""


settings = Settings(state=Path(sys.argv[2]))
predictor = Predictor(settings.bundles, NoStore(), NoLog(), lambda alias, outcome: None)  # type: ignore[arg-type]
server = make_server(settings, make_front(settings, predictor, Metrics()), lambda: None)
server.run([socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=2048)])
