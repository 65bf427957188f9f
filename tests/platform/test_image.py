"""The images: what is in them and what is not, and the loop that closes over them, each run as a deployment runs it."""

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from local import answers, free_port, until

SLUG, PREFIX = "flight-delays", "FLIGHT_DELAYS_"
TARGETS = ("serve", "sync", "pipeline")
ADDED, READY = 160.0, 2.5  # megabytes that serve adds to its base; seconds from the start to ready
HOST = ("--network", "host")
LOAD = Path(__file__).with_name("load.py")


def test_the_dockerfile_is_clean(images: Any, platform_tool: Callable[[str], str]):
    checked = subprocess.run(
        [platform_tool("hadolint"), "Dockerfile"], cwd=images.project, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_labels_say_what_it_is_and_of_which_commit(docker: Any, images: Any):
    for target in TARGETS:
        name = getattr(images, target)
        (found,) = json.loads(docker("inspect", name))
        labels = {
            key.removeprefix("org.opencontainers.image."): text for key, text in found["Config"]["Labels"].items()
        }
        assert labels["title"] == SLUG
        assert labels["revision"] == images.commit
        assert labels["licenses"] == "Apache-2.0"
        assert {"authors", "base.name", "created", "description", "version"} <= set(labels)
        assert name == f"{SLUG}/{target}:{labels['version']}"
        assert images.commit.startswith(labels["version"])
        assert found["Config"]["User"] == "10001:10001"
        assert found["Config"]["Entrypoint"] == [SLUG]
        assert images.mark not in json.dumps(found)


def installed(docker: Any, image: str) -> set[str]:
    """Return the packages of an image, as NAME==VERSION, without the project."""
    code = "from importlib.metadata import *; print(*{f'{d.name}=={d.version}' for d in distributions(path=[PLACE])})"
    place = "next(p for p in __import__('sys').path if p.startswith('/opt/venv'))"
    said = docker.run(
        image, "-c", code.replace("PLACE", place), options=("--network", "none", "--entrypoint", "python")
    )
    return {re.sub(r"[-_.]+", "-", word).lower() if "==" not in word else normal(word) for word in said.split()}


def normal(pin: str) -> str:
    name, version = pin.split("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


LOCKS = {"serve": ("serving",), "sync": ("sync",), "pipeline": ("pipeline", "aws")}


def locked(project: Path, target: str) -> str:
    """Return the text of the locks of an image."""
    paths = [project / "locks" / f"{name}.txt" for name in LOCKS[target]]
    return "".join(path.read_text(encoding="utf-8") for path in paths)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_the_packages_of_its_locks(docker: Any, images: Any, target: str):
    text = locked(images.project, target)
    pins = {normal(pin) for pin in re.findall(r"^(\S+==\S+)", text, flags=re.M)}
    found = installed(docker, getattr(images, target))
    assert found <= pins
    elsewhere = pins - found  # what a marker keeps for other systems, or other Pythons
    assert all(re.search(rf"^{re.escape(pin)} ;", text, flags=re.M) for pin in elsewhere), elsewhere


def test_serve_holds_nothing_that_is_not_for_answering(docker: Any, images: Any):
    look = (
        "find /var/lib/apt/lists /var/cache/apt /root/.cache /tmp -type f -size +0; find /opt /app -name '*.whl';"
        " for name in cc gcc ld make git uv; do command -v $name; done; true"
    )
    options = ("--network", "none", "--entrypoint", "sh", "--user", "0")
    assert docker.run(images.serve, "-c", look, options=options) == ""
    names = {pin.partition("==")[0] for pin in installed(docker, images.serve)}
    assert not names & {"mlflow", "mlflow-skinny", "pandas", "pyarrow", "scikit-learn", "xgboost-cpu", "duckdb", "pip"}


def test_serve_is_small(docker: Any, images: Any, base_image: str):
    sizes = [int(docker("inspect", "--format", "{{.Size}}", name)) / 1e6 for name in (images.serve, base_image)]
    assert sizes[0] - sizes[1] <= ADDED


def test_the_bill_of_materials_is_of_the_locks(
    render: Callable[[Path, dict[str, Any]], Any],
    golden: dict[str, Any],
    require_tool: Callable[[str], str],
    tmp_path: Path,
):
    """It is made anew, and the page of licences in the template is what comes of it."""
    project = render(tmp_path / "project", golden).path
    page = (project / "docs" / "licences.md").read_text(encoding="utf-8")
    made = subprocess.run(
        [sys.executable, "image/sbom.py", require_tool("uv")], cwd=project, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    assert (project / "docs" / "licences.md").read_text(encoding="utf-8") == page
    for target in TARGETS:
        found = json.loads((project / "dist" / "sbom" / f"{target}.cdx.json").read_text(encoding="utf-8"))
        assert found["bomFormat"] == "CycloneDX"
        assert found["metadata"]["component"]["name"] == SLUG
        pins = set(re.findall(r"^(\S+==\S+)", locked(project, target), flags=re.M))
        listed = {normal(f"{each['name']}=={each['version']}") for each in found["components"]}
        assert listed <= {normal(pin) for pin in pins}
        assert len(listed) > 0.9 * len(pins)


def layers(docker: Any, *names: str) -> Iterator[tuple[str, tarfile.TarInfo, bytes]]:
    """Yield each file of each layer of some images, and each part of what describes them: (layer, entry, content)."""
    command = [docker.program, "save", *names]
    with subprocess.Popen(command, env=docker.environment, stdout=subprocess.PIPE) as saved:
        assert saved.stdout
        with tarfile.open(fileobj=saved.stdout, mode="r|") as images:
            for part in images:
                content = images.extractfile(part) if part.isfile() else None
                if content is None:
                    continue
                if part.size < 512 or content.peek(1)[:1] in (b"{", b"["):
                    yield "", part, content.read()
                    continue
                with tarfile.open(fileobj=content, mode="r|") as layer:
                    for entry in layer:
                        inside = layer.extractfile(entry) if entry.isfile() else None
                        yield part.name, entry, inside.read() if inside else b""
    assert saved.returncode == 0


def test_no_secret_and_no_history_is_in_any_layer(docker: Any, images: Any):
    mark, seen = images.mark.encode(), 0
    for _, entry, content in layers(docker, images.serve, images.sync, images.pipeline):
        seen += 1
        assert mark not in content, entry.name
        assert ".git" not in entry.name.split("/"), entry.name
    assert seen > 10_000
    planted = [path for path in images.project.rglob("*") if path.is_file() and mark in path.read_bytes()]
    assert len(planted) > 8, "nothing was planted"


def test_two_builds_give_the_same_files(docker: Any, images: Any, build_options: list[str]):
    """Of the same commit, without a cache. Only the times of what Docker itself makes differ."""

    def files(name: str) -> dict[str, tuple[object, ...]]:
        found = {}
        for layer, entry, content in layers(docker, name):
            if layer:
                kept = (entry.type, entry.mode, entry.uid, entry.gid, entry.linkname)
                found[entry.name] = (*kept, hashlib.sha256(content).digest())
        return found

    epoch = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=images.project, capture_output=True, text=True, check=True
    )
    arguments = ["--build-arg", f"REVISION={images.commit}", "--build-arg", f"SOURCE_DATE_EPOCH={epoch.stdout.strip()}"]
    docker(
        "build", "--quiet", "--no-cache", *build_options, *arguments, "--target", "serve", "--tag", "again", ".",
        cwd=images.project,
    )  # fmt: skip
    one, other = files(images.serve), files("again")
    assert len(one) > 4_000
    assert {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)} == set()


@pytest.fixture(scope="module")
def registry(docker: Any, images: Any) -> Iterator[str]:
    """Return the address of an MLflow server, in a container of the pipeline's image, with a volume of its own."""
    port = free_port()
    docker(
        "run", "--detach", "--name", "registry", *docker.hardened, *HOST, "--volume", "registry:/state",
        "--env", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "--entrypoint", "mlflow", images.pipeline,
        "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--serve-artifacts",
        "--backend-store-uri", "sqlite:////state/mlflow.db", "--artifacts-destination", "/state/artifacts",
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    until(
        lambda: answers(f"{url}/health"),
        lambda: docker("logs", "registry", stderr=subprocess.STDOUT, capture_output=False, stdout=subprocess.PIPE),
    )
    yield url
    docker("rm", "--force", "registry")


@pytest.fixture(scope="module")
def verb(docker: Any, images: Any, registry: str) -> Callable[..., str]:
    """Return the function that runs a verb of the pipeline's image on the volume `state`."""
    options = (*HOST, "--volume", "state:/state", "--env", f"{PREFIX}REGISTRY_URI={registry}", "--memory", "3g")
    return lambda words: docker.run(images.pipeline, *words.split(), options=options)


@pytest.fixture(scope="module")
def two_versions(verb: Callable[[str], str]) -> str:
    """Return what the pipeline's image says of two versions, of which the first is in production."""
    for words in ("data land --until 2013-02-06", "features build --until 2013-02-06", "train --until 2013-02-06"):
        verb(words)
    verb("registry promote 1")
    verb("train --until 2013-02-06 --seed 8")
    return verb("registry status")


def test_the_pipeline_trains_and_knows_its_commit(docker: Any, images: Any, two_versions: str):
    assert "champion" in two_versions
    assert len(two_versions.splitlines()) == 3
    options = ("--network", "none", "--volume", "state:/state:ro", "--entrypoint", "cat")
    audit = docker.run(images.pipeline, "/state/audit.jsonl", options=options).splitlines()
    assert json.loads(audit[0])["evidence"]["git_commit"] == images.commit


def test_sync_of_a_file_says_what_it_needs(docker: Any, images: Any):
    run = ("run", "--rm", *docker.hardened, "--network", "none")
    for options, expected in (
        ((), f"{PREFIX}STATE must be a folder, in a container a volume"),
        (("--volume", "empty:/state"), f"set {PREFIX}REGISTRY_URI"),
    ):
        done = docker.start(*run, *options, images.sync, "registry", "sync", "--once")
        assert done.returncode == 1
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1


def spent(docker: Any, container: str) -> float:
    """Return the seconds of the processor that the processes of a container took until now."""
    pids = docker("top", container, "-eo", "pid").split()[1:]
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text(encoding="utf-8").split()[0]) for pid in pids) / 1e9


def test_the_loop_closes_over_the_images(
    docker: Any,
    images: Any,
    registry: str,
    two_versions: str,
    verb: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
):
    key, digest = re.findall(r"^(?:key|hash)\s+(\S+)$", docker.run(images.serve, "serve-key"), flags=re.M)
    state = ("--volume", "state:/state")
    docker(
        "run", "--detach", "--name", "sync", *docker.hardened, *HOST, *state, "--memory", "512m",
        "--env", f"{PREFIX}REGISTRY_URI={registry}", images.sync,
    )  # fmt: skip
    until(lambda: "champion: version 1" in docker("logs", "sync"), lambda: docker("logs", "sync"))

    # Without keys it would not start on this address, and with nothing but loopback it depends on nothing else.
    docker(
        "create", "--name", "serve", *docker.hardened, "--network", "none", *state, "--memory", "512m",
        "--env", f"{PREFIX}PREDICT_KEYS={digest}", "--env", f"{PREFIX}OPERATE_KEYS={digest}",
        "--env", f"{PREFIX}DRAIN_SECONDS=1", images.serve,
    )  # fmt: skip
    began = time.time()
    docker("start", "serve")
    pid = docker("inspect", "--format", "{{.State.Pid}}", "serve")
    command = ["nsenter", "--net", "--target", pid, sys.executable, str(LOAD), "8000", key]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdin
        assert load.stdout
        ready = load.stdout.readline().split()
        assert ready, docker("logs", "serve")
        processor = spent(docker, "serve")
        load.stdin.write("go\n")
        load.stdin.flush()
        assert load.stdout.readline() == "version 1\n"
        verb("registry promote 2")
        assert load.stdout.readline() == "version 2\n"
        healthy = "{{.State.Health.Status}}"
        until(lambda: docker("inspect", "--format", healthy, "serve") == "healthy", lambda: docker("inspect", "serve"))
        docker("kill", "--signal", "TERM", "serve")
        last = json.loads(load.stdout.readline())
    assert docker("wait", "serve") == "0"
    logs = docker.start("logs", "serve")
    assert "started again" not in logs.stdout + logs.stderr, "it tried to follow the registry itself"
    assert last["failures"] == []
    assert set(last["answered"]) == {"1", "2"}
    assert min(last["answered"].values()) > 50
    seconds = float(ready[1]) - began
    with capsys.disabled():
        print(f"\nimages: ready {seconds:.2f} s after the start ({processor:.2f} s of the processor); {last}")
    # Other tests run beside it; on a machine of its own the two are the same but for what Docker takes.
    assert processor < READY

    docker("stop", "--time", "5", "sync")
    assert docker("inspect", "--format", "{{.State.ExitCode}}", "sync") == "0"
    assert "champion: version 2" in docker("logs", "sync")
    options = ("--network", "none", "--volume", "state:/state:ro", "--entrypoint", "sh")
    logged = docker.run(
        images.serve, "-c", "find /state/prediction_log -type f -exec cat {} + | wc -l", options=options
    )
    assert int(logged) >= sum(last["answered"].values())
