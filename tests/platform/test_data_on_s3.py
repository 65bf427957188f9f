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
from on_aws import VERBS

UNTIL = "2013-01-05"
BUCKET = "lake"
SIGNED = "AWS4-HMAC-SHA256 Credential=moto/20130101/us-east-1/s3/aws4_request"  # moto asks for no more
# The embedded run, in one process. What was answered on two days is asked of the lake, and logged as a server logs it.
# The log is as it was afterwards, for the run on S3.
EMBEDDED = """
import shutil
from datetime import UTC, date, datetime
from flight_delays import problem
from flight_delays.cli.compose import make_project
from flight_delays.monitoring.predictions import compact
from flight_delays.segments import Answer, Scores
from flight_delays.serving.prediction_log import PredictionLog
from flight_delays.training.dataset import request_rows, with_features

project = make_project()
project.land(date.fromisoformat("UNTIL"))
project.build()
asked = request_rows(project.con, project.data.lake, date(2013, 1, 3), date.fromisoformat("UNTIL"))
rows = with_features(project.con, list(project.views.values()), project.data.features, asked)
log, folder = PredictionLog(project.settings.predictions), project.settings.predictions
for number, part in rows.groupby(rows.index // 100):
    count = len(part)
    values = {name: [None if value != value else value for value in part[name].tolist()] for name in part.columns}
    log.append(Answer(
        f"r{number}", list(range(count)), values["prediction_time"], {"champion": Scores("1", [0.25] * count)},
        datetime.fromtimestamp(values["prediction_time"][0], UTC), 1.5,
        {name: values[name] for name in problem.REQUEST}, {name: values[name] for name in problem.NUMERIC},
    ))
log.close()
shutil.copytree(folder, folder.with_name("kept"))
assert compact(folder, project.data.monitoring).rows == len(rows) > 1_000
shutil.rmtree(folder)
folder.with_name("kept").rename(folder)
"""
# What training, scoring, publishing and monitoring read and write, on S3 and in the state: the same.
JOINED = """
from datetime import UTC, date, datetime
from flight_delays.cli.compose import make_settings, problem_views
from flight_delays.engine import connect
from flight_delays.features.build import build
from flight_delays.lake import fingerprints, partition_days, stores, tables
from flight_delays.monitoring import daily
from flight_delays.monitoring.gauges import collect
from flight_delays.monitoring.predictions import read_predictions
from flight_delays.sources import SOURCES
from flight_delays.training.dataset import Split, request_rows, training_set, with_features

con, settings, views, day = connect(), make_settings(), problem_views(), date(2013, 1, 3)
there = stores(settings)
assert str(there.lake).startswith("s3://")
assert not build(con, views.values(), there.lake, there.features, None, None).built
found = []
for given in (settings, settings.model_copy(update={"data_url": ""})):
    data, split = stores(given), Split(date(2013, 1, 2), day, day, day)
    requests = request_rows(con, data.lake, day, date(2013, 1, 4))
    decided = daily.run(con, given, SOURCES, views, {}, day, date(2013, 1, 4))
    assert collect(given, SOURCES, views, None, date(2013, 1, 4), datetime.now(UTC))
    written = {table: fingerprints(data.monitoring, table, partition_days(data.monitoring, table))
               for table in tables(data.monitoring)}
    assert {"cohorts", "decisions", "expected", "performance", "predictions"} <= written.keys()
    rows = [training_set(con, list(views.values()), data.lake, data.features, split),
            with_features(con, list(views.values()), data.features, requests),
            read_predictions(given.predictions, data.monitoring, day)]
    found.append((rows, decided, written))
(ours, *others), (theirs, *same) = found
assert len(ours[0]) > 500 and len(ours[1]) > 500 and len(ours[2]) > 500
assert all(our.equals(their) for our, their in zip(ours, theirs))
assert others == same
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

    def python(self, script: str, *words: object, given: str = "", **more: str) -> str:
        """Run a script in the project's environment."""
        command = [self.project / ".venv" / "bin" / "python", "-c", script, *map(str, words)]
        environment = self.environment(**more)
        done = subprocess.run(
            command, cwd=self.project, env=environment, input=given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def command(self, *words: str) -> str:
        """Run a verb of the project, and return what it printed."""
        command = [self.project / ".venv" / "bin" / "flight-delays", *words]
        done = subprocess.run(
            command, cwd=self.project, env=self.environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout

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
    store.python(EMBEDDED.replace("UNTIL", UNTIL), FLIGHT_DELAYS_DATA_URL="")
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
    folded = store.command("predictions", "compact")
    assert int(folded.split()[1]) > 1_000
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


def test_what_cannot_be_used_is_one_sentence(store: Store, unsigned: str) -> None:
    nobody = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    somebody, url = store.stand_in.environment("us-east-1"), "FLIGHT_DELAYS_DATA_URL"
    changes = [
        {url: "s3://nobody/project"},
        {url: "abfss://lake@account.dfs.core.windows.net"},
        {url: f"s3://{BUCKET}/unsigned", "AWS_ENDPOINT_URL": unsigned, **nobody},
        {url: f"s3://{BUCKET}/away", **somebody, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"},
    ]
    # From now on moto lets in whom it knows: nobody.
    changes.append({url: f"s3://{BUCKET}/denied", **somebody, "LET_IN": "0"})
    said = json.loads(store.python(VERBS, "data", "quarantine", given=json.dumps(changes)))
    expected = (
        "there is no bucket nobody; make it, or correct FLIGHT_DELAYS_DATA_URL",
        "FLIGHT_DELAYS_DATA_URL: Value error, partitions are replaced whole on S3 only",
        "S3 denies this process",
        "no S3 answers for s3://lake/away/quarantine (Failed to connect to 127.0.0.1",
        "S3 denies this process s3://lake/denied/quarantine; give it an identity",
    )
    for (code, line), words in zip(said, expected, strict=True):
        assert (code, line.count("\n")) == (1, 1), line
        assert words in line


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
