"""A project whose daily partitions are on S3: moto's server stands in for it, on loopback.

moto believes every credential until it is told not to. What S3 says to a request without a signature, a stub says.
"""

import hashlib
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from aws_stand_in import StandIn, started
from local import answers, free_port, until

UNTIL = "2013-01-05"
BUCKET = "lake"
SIGNED = "AWS4-HMAC-SHA256 Credential=moto/20130101/us-east-1/s3/aws4_request"  # moto asks for no more
PLAIN = {"Content-Type": "text/plain"}
# Answers in a prediction log, as the server writes them, then everything else in one process.
LOG = """
import sys
from datetime import timedelta
from pathlib import Path
from flight_delays.serving.prediction_log import PredictionLog
from tests.appender import NOON, answer, shadow

log = PredictionLog(Path(sys.argv[1]) / "prediction_log")
for number in range(40):
    log.append(answer(f"a{number}", NOON + timedelta(hours=number), NOON + timedelta(hours=number), scores=(0.25, 0.5)))
log.append_shadows(shadow("a0", (0.75, 0.75)))
log.close()
"""
EMBEDDED = """
from datetime import date
from flight_delays.cli.compose import make_project
from flight_delays.monitoring.predictions import compact

project = make_project()
project.land(date.fromisoformat("UNTIL"))
project.build()
compact(project.settings.predictions, project.data.monitoring)
"""
# What training, scoring and publishing read: the requests of a day, with their features joined point in time.
JOINED = """
import sys
from datetime import date
from flight_delays.cli.compose import make_settings, problem_views
from flight_delays.engine import connect
from flight_delays.features.build import build
from flight_delays.lake import stores
from flight_delays.monitoring.predictions import read_predictions
from flight_delays.training.dataset import request_rows, with_features

con, settings, day = connect(), make_settings(), date(2013, 1, 3)
here, there = stores(settings.model_copy(update={"data_url": ""})), stores(settings)
assert str(there.lake).startswith("s3://")
assert not build(con, problem_views().values(), there.lake, there.features, None, None).built
found = []
for data in (here, there):
    requests = request_rows(con, data.lake, day, date(2013, 1, 4))
    found.append(with_features(con, list(problem_views().values()), data.features, requests))
    found.append(read_predictions(settings.predictions, data.monitoring, date(2013, 4, 1)))
assert len(found[0]) > 500 and len(found[1]) > 10
assert found[0].equals(found[2]) and found[1].equals(found[3])
"""
# By pyarrow's own file system, in the project's environment: an object's name and its sha256.
OBJECTS = """
import hashlib, json, os, sys
from pyarrow import fs

store = fs.S3FileSystem(endpoint_override=os.environ["AWS_ENDPOINT_URL"])
found = store.get_file_info(fs.FileSelector(sys.argv[1], recursive=True, allow_not_found=True))
names = [one.path for one in found if one.is_file]
print(json.dumps({name.removeprefix(sys.argv[1] + "/"): hashlib.sha256(store.open_input_file(name).read()).hexdigest()
                  for name in names}))
"""


@dataclass(frozen=True)
class Store:
    """An S3 on loopback with an empty bucket, and a project that uses it."""

    stand_in: StandIn
    project: Path
    state: Path
    """Of the embedded run with which the project on S3 is compared; it has the same prediction log."""

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> str:
        request = urllib.request.Request(f"{self.stand_in.url}/{path}", body or None, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())

    def keys(self, prefix: str) -> list[str]:
        return re.findall(r"<Key>([^<]*)</Key>", self.ask("GET", f"{BUCKET}?list-type=2&prefix={prefix}"))

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a process of the project."""
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONDONTWRITEBYTECODE") if name in os.environ}
        return (
            kept
            | self.stand_in.environment("us-east-1")
            | {
                "HOME": str(self.state),
                "AWS_EC2_METADATA_DISABLED": "true",
                "FLIGHT_DELAYS_STATE": str(self.state),
                "FLIGHT_DELAYS_DATA_URL": f"s3://{BUCKET}/project",
                **more,
            }
        )

    def python(self, script: str, *words: object, **more: str) -> str:
        """Run a script in the project's environment."""
        command = [self.project / ".venv" / "bin" / "python", "-c", script, *map(str, words)]
        done = subprocess.run(
            command, cwd=self.project, env=self.environment(**more), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def command(self, *words: str, expect: int = 0, without: tuple[str, ...] = (), **more: str) -> str:
        """Run a verb of the project, and return what it printed; of one that fails, the error."""
        given = {name: value for name, value in self.environment(**more).items() if name not in without}
        command = [self.project / ".venv" / "bin" / "flight-delays", *words]
        done = subprocess.run(command, cwd=self.project, env=given, capture_output=True, text=True, check=False)
        assert done.returncode == expect, (done.stdout + done.stderr)[-4000:]
        return done.stderr if expect else done.stdout

    def objects(self) -> dict[str, str]:
        """Return the sha256 of each object of the project, read back by pyarrow."""
        found: dict[str, str] = json.loads(self.python(OBJECTS, f"{BUCKET}/project"))
        return found


@pytest.fixture(scope="module")
def store(
    golden_project: Path, platform_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("s3")
    with started(platform_tool("moto_server"), folder / "moto.log") as stand_in:
        store = Store(stand_in, golden_project, folder / "state")
        store.ask("PUT", BUCKET, Authorization=SIGNED)
        yield store


@pytest.fixture(scope="module")
def embedded(store: Store) -> dict[str, str]:
    """Return the sha256 of each partition and note of the embedded run, by its path below the state."""
    store.python(LOG, store.state)
    log = store.state / "prediction_log"
    kept = {path.relative_to(log): path.read_bytes() for path in log.rglob("*.jsonl")}
    store.python(EMBEDDED.replace("UNTIL", UNTIL), FLIGHT_DELAYS_DATA_URL="")
    assert not list(log.rglob("*.jsonl"))
    for name, content in kept.items():
        (log / name).parent.mkdir(parents=True, exist_ok=True)
        (log / name).write_bytes(content)
    roots = [store.state / name for name in ("lake", "quarantine", "features", "monitoring")]
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(store.state).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_loop_on_s3_makes_the_bytes_of_the_embedded_one_also_after_a_kill(
    store: Store, embedded: dict[str, str]
) -> None:
    assert "landed" in store.command("data", "land", "--until", UNTIL)
    build = subprocess.Popen(
        [store.project / ".venv" / "bin" / "flight-delays", "features", "build"],
        cwd=store.project, env=store.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    while not store.keys("project/features/"):
        assert build.poll() is None, build.communicate()[0]
        time.sleep(0.01)
    store.stand_in.process.send_signal(signal.SIGSTOP)  # so that the kill finds it in the middle
    build.kill()
    store.stand_in.process.send_signal(signal.SIGCONT)
    build.communicate()
    left = store.objects()
    features = {name for name in embedded if name.startswith("features/") and name.endswith(".parquet")}
    assert 0 < len(left.keys() & features) < len(features)
    assert {name: embedded.get(name) for name in left if name.endswith(".parquet")} == {
        name: sha256 for name, sha256 in left.items() if name.endswith(".parquet")
    }, "a killed build left something that is no whole partition"

    assert "built" in store.command("features", "build")
    assert "folded 80 new answers" in store.command("predictions", "compact")
    assert store.objects() == embedded
    store.python(JOINED)


class Unsigned(BaseHTTPRequestHandler):
    """S3, as it answers a request that nobody has signed."""

    def do_GET(self) -> None:
        signed = "authorization" in self.headers
        code = "SignatureDoesNotMatch" if signed else "AccessDenied"
        body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        self.send_response(400 if signed else 403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *given: object) -> None:
        pass


@pytest.fixture
def unsigned() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Unsigned) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def refused(store: Store, **how: object) -> str:
    """Return the one line that a verb prints when it cannot use the store."""
    (line,) = store.command("data", "quarantine", expect=1, **how).splitlines()  # type: ignore[arg-type]
    return line


def test_what_cannot_be_used_is_one_sentence(store: Store, unsigned: str) -> None:
    line = refused(store, FLIGHT_DELAYS_DATA_URL="s3://nobody/project")
    assert "there is no bucket nobody; make it, or correct FLIGHT_DELAYS_DATA_URL" in line
    line = refused(store, FLIGHT_DELAYS_DATA_URL="abfss://lake@account.dfs.core.windows.net")
    assert "FLIGHT_DELAYS_DATA_URL: Value error, partitions are replaced whole on S3 only" in line
    secrets = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    assert "S3 denies this process" in refused(store, without=secrets, AWS_ENDPOINT_URL=unsigned)
    line = refused(store, AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}")
    assert "no S3 answers for s3://lake/project/quarantine (Failed to connect to 127.0.0.1" in line
    store.ask("POST", "moto-api/reset-auth", b"0", **PLAIN)  # from now on moto lets in whom it knows: nobody
    try:
        line = refused(store)
        assert "S3 denies this process s3://lake/project/quarantine; give it an identity" in line
    finally:
        store.ask("POST", "moto-api/reset-auth", b"1000000", **PLAIN)


def test_an_artifact_passes_through_mlflow_to_the_bucket(
    store: Store, root: Path, environment_of: Callable[[str, Path], Path], tmp_path: Path
) -> None:
    """By the settings of the platform in a cloud; of its addresses the loopback ones are put in the place."""
    overlay = yaml.safe_load((root / "k8s" / "overlays" / "cloud" / "kustomization.yaml").read_text(encoding="utf-8"))
    literals = dict(word.split("=", 1) for word in overlay["configMapGenerator"][0]["literals"])
    assert literals["MLFLOW_ARTIFACTS_DESTINATION"].startswith("s3://")
    assert all(literals.values()), "boto3 takes an empty endpoint for an address, and refuses it"
    commands, port = environment_of("mlflow", root / "infra" / "mlflow" / "requirements.txt"), free_port()
    given = store.environment(PATH=f"{commands}:{os.environ['PATH']}", HOME=str(tmp_path)) | literals
    given |= {
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/artifacts",
        "MLFLOW_S3_ENDPOINT_URL": store.stand_in.url,
        "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path",  # moto's buckets have no names of hosts
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [commands / "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, env=given, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    url = f"{address}/api/2.0/mlflow-artifacts/artifacts/1/bundle/model.onnx"

    def up() -> bool:
        assert server.poll() is None, (tmp_path / "log").read_text()
        return answers(f"{address}/health")

    try:
        until(up, "the registry answers")
        put = urllib.request.Request(url, b"a model", {"Content-Type": "application/octet-stream"}, method="PUT")
        try:
            urllib.request.urlopen(put, timeout=30).close()
        except urllib.error.HTTPError as error:
            pytest.fail(f"{error}\n{(tmp_path / 'log').read_text()[-4000:]}")
        assert store.keys("artifacts/") == ["artifacts/1/bundle/model.onnx"]
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert answer.read() == b"a model"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
