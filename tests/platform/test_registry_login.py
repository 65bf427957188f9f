"""The registry of k8s/base/mlflow as a process, on PostgreSQL: its command, settings and auth.ini are the manifest's.

Exchanged are only what has another address here: the port, the database, and a folder in the place of the bucket.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from local import free_port, until

USER = "postgres"  # PostgreSQL refuses to run as root; Debian's package makes this account
NAME = "mlflow.platform.svc.cluster.local:5000"
PASSWORDS = {"SUPERUSER_PASSWORD": "super", "MLFLOW_PASSWORD": "of-mlflow", "STUDIES_PASSWORD": "of-studies"}
SECRETS = {"ADMIN_PASSWORD": "of-the-administrator", "SECRET_KEY": "of-the-forms", **PASSWORDS}
KUBECTL = """#!/bin/sh
# Does here what the registry's container would do.
while [ "$1" != python ]; do shift; done
program=$(printf %s "$3" | sed "s/localhost:5000/127.0.0.1:{port}/")
MLFLOW_AUTH_ADMIN_PASSWORD={password} exec {python} -c "$program" "$4"
"""


@dataclass
class Registry:
    port: int
    folder: Path
    root: Path

    def ask(self, path: str, user: str = "", body: str | None = None, host: str = NAME) -> int:
        """Return the status of an answer; a user is NAME:PASSWORD."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body and body.encode())
        request.add_header("Host", host)
        request.add_header("Content-Type", "application/json")
        if user:
            request.add_header("Authorization", "Basic " + b64encode(user.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def user(self, name: str, password: str) -> subprocess.CompletedProcess[str]:
        """Run infra/mlflow-user."""
        environment = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}
        command = [self.root / "infra" / "mlflow-user", name]
        return subprocess.run(command, input=password, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def registry(
    root: Path, require_tool: Callable[[str], str], environment_of: Callable[[str, Path], Path]
) -> Iterator[Registry]:
    lock = root / "infra" / "mlflow" / "requirements.txt"
    commands = environment_of("mlflow", lock)
    kubectl = [require_tool("kubectl"), "kustomize", root / "k8s" / "overlays" / "local"]
    text = subprocess.run(kubectl, capture_output=True, text=True, check=True).stdout
    found = {(each["kind"], each["metadata"]["name"].split("-")[0]): each for each in yaml.safe_load_all(text)}
    (container,) = found["Deployment", "mlflow"]["spec"]["template"]["spec"]["containers"]
    data = found["ConfigMap", "mlflow"]["data"]
    sql = found["ConfigMap", "postgres"]["data"]["databases.sql"]
    with ExitStack() as at_end:
        folder = Path(tempfile.mkdtemp(prefix="registry-"))
        at_end.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        own, database = free_port(), free_port()

        def here(value: str) -> str:
            return value.replace("@postgres:5432", f"@127.0.0.1:{database}").replace("s3://mlflow", str(folder))

        def start(command: list[str | Path], **options: object) -> subprocess.Popen[bytes]:
            log = at_end.enter_context((folder / f"{Path(command[0]).name}.log").open("wb"))
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True, **options)
            at_end.callback(process.wait, 30)
            at_end.callback(os.killpg, process.pid, signal.SIGINT if "user" in options else signal.SIGKILL)
            return process

        def wait(look: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
            def logs() -> str:
                return "".join(path.read_text() for path in folder.glob("*.log"))

            def alive_and_there() -> bool:
                assert process.poll() is None, logs()
                return look()

            until(alive_and_there, logs)

        def listens(port: int) -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        held = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))  # Debian keeps it off the PATH
        programs = Path(held[-1] if held else require_tool("initdb")).resolve().parent
        (folder / "data").mkdir()
        (folder / "password").write_text(PASSWORDS["SUPERUSER_PASSWORD"])
        account = {"user": USER, "group": USER} if os.getuid() == 0 else {"user": None}
        if account["user"]:
            shutil.chown(folder / "data", USER, USER)
        words = ["--pgdata", folder / "data", "--username", "postgres", "--auth", "scram-sha-256", "--no-sync"]
        make = [programs / "initdb", *words, "--pwfile", folder / "password"]
        subprocess.run(make, cwd=folder, stdout=subprocess.DEVNULL, check=True, **account)
        words = ["-D", folder / "data", "-h", "127.0.0.1", "-p", str(database), "-k", "", "-c", "fsync=off"]
        postgres = start([programs / "postgres", *words], **account)
        wait(lambda: listens(database), postgres)
        psql = [programs / "psql", "--host", "127.0.0.1", "--port", str(database), "--username", "postgres"]
        given = {**os.environ, **PASSWORDS, "PGPASSWORD": PASSWORDS["SUPERUSER_PASSWORD"]}
        ask = [*psql, "-c", "select 1"]  # it listens before it lets anybody in
        until(lambda: subprocess.run(ask, env=given, capture_output=True, check=False).returncode == 0, "it lets us in")
        subprocess.run(psql, input=sql, env=given, text=True, capture_output=True, check=True)

        (folder / "auth.ini").write_text(here(data["auth.ini"]))
        environment = {**os.environ, **{name: here(value) for name, value in data.items() if name.isupper()}}
        del environment["MLFLOW_S3_ENDPOINT_URL"]
        environment["MLFLOW_SERVER_ALLOWED_HOSTS"] += f",127.0.0.1:{own}"
        for variable in container["env"]:
            secret = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("key")
            environment[variable["name"]] = SECRETS[secret] if secret else variable["value"]
        environment |= {"MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"), "HOME": str(folder)}
        arguments = [word for word in container["args"] if not word.startswith(("--host", "--port", "--workers"))]
        command = [commands / container["command"][0], *container["command"][1:], *arguments]
        command += ["--host=127.0.0.1", f"--port={own}", "--workers=1"]
        environment["PATH"] = f"{commands}:{os.environ['PATH']}"
        mlflow = start(command, env=environment)
        made = Registry(own, folder, root)
        wait(lambda: listens(own) and made.ask("/health") == 200, mlflow)
        (folder / "kubectl").write_text(
            KUBECTL.format(port=own, password=SECRETS["ADMIN_PASSWORD"], python=commands / "python")
        )
        (folder / "kubectl").chmod(0o755)
        yield made


EXPERIMENTS = "/api/2.0/mlflow/experiments/search?max_results=5"
MODELS = "/api/2.0/mlflow/registered-models"


def test_nobody_gets_in_without_a_login_or_by_a_foreign_name(registry: Registry):
    admin = f"admin:{SECRETS['ADMIN_PASSWORD']}"
    assert registry.ask(EXPERIMENTS) == 401
    assert registry.ask(EXPERIMENTS, "admin:password1234") == 401
    assert registry.ask(EXPERIMENTS, admin) == 200
    assert registry.ask(EXPERIMENTS, admin, host="evil.example.com") == 403


def test_a_probe_needs_neither(registry: Registry):
    assert registry.ask("/health", host="10.0.0.1:5000") == 200


def test_a_project_changes_its_own_models_and_reads_those_of_others(registry: Registry):
    for name in ("ours", "theirs"):
        assert registry.user(name, f"password-of-{name}").returncode == 0
    ours, theirs = "ours:password-of-ours", "theirs:password-of-theirs"
    assert registry.ask(f"{MODELS}/get?name=risk", ours) == 404
    assert registry.ask(f"{MODELS}/create", ours, '{"name": "risk"}') == 200
    assert registry.ask(f"{MODELS}/get?name=risk", theirs) == 200
    tag = '{"name": "risk", "key": "a", "value": "b"}'
    assert registry.ask(f"{MODELS}/set-tag", theirs, tag) == 403
    assert registry.ask(f"{MODELS}/set-tag", ours, tag) == 200


def test_a_password_can_be_changed_and_a_short_one_is_refused(registry: Registry):
    assert registry.user("changing", "the-first-password").returncode == 0
    assert registry.user("changing", "the-second-password").returncode == 0
    assert registry.ask(EXPERIMENTS, "changing:the-first-password") == 401
    assert registry.ask(EXPERIMENTS, "changing:the-second-password") == 200
    done = registry.user("changing", "short")
    assert done.returncode != 0
    assert done.stderr.startswith("error: the password on standard input has less than 12 characters")
