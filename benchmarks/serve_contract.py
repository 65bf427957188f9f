"""The share of cases, drawn by schemathesis from /openapi.json, in which the API breaks its contract: none.

All of its checks are made: no server error, every status and body as documented, what the schema allows is taken and
what it refuses is refused. That two instants must be in order is no matter of a schema, so a flight that it allows may
also get 422.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import due, served_state, verdict
from servers import ours, rival_python, started

LEAST = 5_000
EACH = 2_500  # of each phase and path that takes a body
SETTINGS = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 422]
"""


def main() -> None:
    flights = [json.dumps({"flights": [flight]}).encode() for flight in due(1)]
    program = Path(rival_python("schemathesis")).parent / "schemathesis"
    with tempfile.TemporaryDirectory() as name, started(ours(served_state(), flights)) as server:
        (Path(name) / "schemathesis.toml").write_text(SETTINGS)
        url = f"http://127.0.0.1:{server.port}/openapi.json"
        words = ["run", url, "--checks", "all", "-n", str(EACH), "--generation-deterministic", "--continue-on-failure"]
        done = subprocess.run([program, *words], cwd=name, stdout=subprocess.PIPE, text=True, check=False)
    counted = re.search(r"(\d+) generated(?:, (\d+) found)?", done.stdout)
    if not counted or int(counted[1]) < LEAST:
        sys.exit(f"error: too few cases\n{done.stdout}")
    failed = int(counted[2] or 0)
    if failed or done.returncode:
        print(done.stdout)
    print(f"{counted[1]} cases, {failed} failed")
    verdict("serve-contract", failed / int(counted[1]), 0.0)


if __name__ == "__main__":
    main()
