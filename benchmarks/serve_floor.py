"""Predictions a second over HTTP by one worker, against an empty ASGI application and a plain handler.

`ours` is the whole of `serve`: a flight is decoded and checked, its features are read from the SQLite online store, it
is scored, and it is in the prediction log before it is answered. `path` is ours without the store and the log. `plain`
is a FastAPI handler that takes the same flights and looks nothing up. Each server has a core, and the load, 32
connections without a pause, has the other. The processor's time of a request is the steadier figure: all processes of
the server count.
"""

import json
import sys

from harness import due, judge, served_state
from servers import empty, ours, path, plain, race


def main() -> None:
    state = served_state()
    flights = [json.dumps({"flights": [flight]}).encode() for flight in due(100)]
    rate = race(
        {
            "empty": empty(flights),
            "plain": plain(state, flights),
            "path": path(state, flights),
            "ours": ours(state, flights),
        }
    )
    held = [
        judge("serve-floor, the path of the empty application", rate["path"] / rate["empty"], 0.40, at_most=False),
        judge("serve-floor, ours of the empty application", rate["ours"] / rate["empty"], 0.25, at_most=False),
        judge("serve-floor, ours over the plain handler", rate["ours"] / rate["plain"], 1.2, at_most=False),
    ]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
