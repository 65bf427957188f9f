"""1,000 flights in one request over HTTP, against reading their features and onnxruntime alone, in memory.

Ours decodes and checks the flights, reads, scores, logs each row, and answers. The rival has the keys and the matrix at
hand: it reads the same features from the same SQLite store and runs the same model, in one thread.
"""

import json
from contextlib import closing

import numpy as np
from flight_delays import bundle, problem
from flight_delays.features.online import open_store, plan
from flight_delays.serving import schemas
from flight_delays.settings import Settings
from harness import due, interleave, ratio, served_state, show, verdict
from servers import ask, ours, started

FLIGHTS, ROUNDS = 1_000, 15
BOUND = 1 / 0.3


def main() -> None:
    state = served_state()
    body = json.dumps({"flights": due(FLIGHTS)}).encode()
    request = schemas.columns(schemas.decode(body).rows)
    columns = {**request, **problem.entity_columns(request)}
    champion = bundle.load((state / "bundles" / "champion").resolve())
    asked, at = plan(tuple(champion.manifest.views)), columns["prediction_time"]
    with closing(open_store(Settings(state=state))) as store, started(ours(state, [body])) as server:
        found = store.read(asked, columns, at)
        columns.update(found.features)
        matrix = champion.manifest.matrix({**columns, **problem.derived_features(columns)})

        def bare() -> None:
            store.read(asked, columns, at)
            champion.scorer.score(matrix)

        answered = json.loads(ask(server.url, body))["predictions"]
        scores = [one[problem.SCORE] for one in answered]
        if not np.array_equal(scores, champion.scorer.score(matrix)):
            raise SystemExit("error: the answers are not the scores of the matrix")
        seconds = interleave({"ours": lambda: ask(server.url, body), "bare": bare}, ROUNDS, warmups=3)
    show(seconds, "ms", 1e3)
    verdict("serve-bulk", ratio(seconds, "ours", "bare"), BOUND)


if __name__ == "__main__":
    main()
