"""Predictions a second over HTTP by one worker, against `mlflow models serve`, BentoML, MLServer and LitServe.

Ours is the whole of `serve`, with the feature lookup and the prediction log. The others get a row of inputs that is
ready: none reads a feature nor keeps a log. Of `mlflow models serve` it is the onnx flavor, the fastest.
"""

import json
import sys
import tempfile
from pathlib import Path

from harness import due, judge, served_state
from servers import bentoml, litserve, mlflow, mlserver, ours, race


def main() -> None:
    state = served_state()
    flights = [json.dumps({"flights": [flight]}).encode() for flight in due(100)]
    with tempfile.TemporaryDirectory() as folder:
        rate = race(
            {
                "ours": ours(state, flights),
                "mlflow": mlflow(state, Path(folder)),
                "BentoML": bentoml(state),
                "MLServer": mlserver(state, Path(folder)),
                "LitServe": litserve(state),
            }
        )
    rivals = max(rate[who] for who in ("BentoML", "MLServer", "LitServe"))
    held = [
        judge("serve-peers, over mlflow models serve", rate["ours"] / rate["mlflow"], 3.5, at_most=False),
        judge("serve-peers, over the best model server", rate["ours"] / rivals, 2.5, at_most=False),
    ]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
