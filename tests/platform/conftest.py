"""What the tests of the platform start from: Docker, and checkers, a stand-in cloud and MLflow in environments apart.

Docker is a daemon of the tests' own, without a network of its own: a container has none, or the host's. No registry is
asked for the base image; Debian's packages stand in for it, under its name.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from aws_terraform import Terraform, environment, find_mirror
from manifests import Object, kustomize

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
BASE = """
mmdebstrap --quiet --variant=minbase --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr
    --include=usr-is-merged,python3,python3-pip,python3-venv,ca-certificates
    --dpkgopt=path-exclude=/usr/share/doc/* --dpkgopt=path-exclude=/usr/share/man/*
    --dpkgopt=path-exclude=/usr/share/locale/*
"""
# As in the image that it stands for: Python under /usr/local, a pip that installs, and no lists of packages.
FINISH = """
ln -s /usr/bin/python3 "$1/usr/local/bin/python3"; ln -s /usr/bin/python3 "$1/usr/local/bin/python"
rm -rf "$1"/usr/lib/python3*/EXTERNALLY-MANAGED "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*
"""
HARDENED = (
    "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--pids-limit", "256",
)  # fmt: skip
PATIENCE = 60.0


@dataclass(frozen=True)
class Docker:
    """A daemon of the tests' own; a call is a command of its client, and returns what that printed."""

    program: str
    address: str
    hardened: tuple[str, ...] = HARDENED
    """The options of `docker run` of a deployment: nothing can be written but /state, a volume, and /tmp."""

    def __call__(self, *words: str, timeout: float | None = 600, **options: Any) -> str:
        done = self.start(*words, timeout=timeout, **options)
        if done.returncode:
            pytest.fail(
                f"docker {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False
            )
        return done.stdout.strip()

    def start(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail."""
        given = {"capture_output": True, "text": True, "env": self.environment, "check": False, **options}
        return subprocess.run([self.program, *words], **given)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": self.address, "DOCKER_BUILDKIT": "1"}

    def run(self, image: str, *words: str, options: tuple[str, ...] = ()) -> str:
        """Run a command of an image to its end, hardened, and return what it printed."""
        return self("run", "--rm", *HARDENED, *options, image, *words)


def unavailable(message: str) -> NoReturn:
    """Skip the test, or fail it where CI=true, so that nothing is skipped unseen."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def docker(require_tool: Callable[[str], str]) -> Iterator[Docker]:
    """Return a Docker daemon of the tests' own: Debian's docker.io. All that it made is gone afterwards.

    It needs root. Its containers have the network `none` or `host`.
    """
    daemon = require_tool("dockerd")
    debian = Path("/usr/bin/docker")  # a client that comes first on the PATH may have no BuildKit
    program = str(debian) if debian.exists() else require_tool("docker")
    if os.geteuid() != 0:
        unavailable("needs root, to run a Docker daemon")
    folder = Path(tempfile.mkdtemp(prefix="docker-", dir="/tmp"))  # a short path: sockets have at most 107 characters
    docker = Docker(program, f"unix://{folder}/socket")
    command = [
        "setpriv", "--pdeathsig", "TERM",  # it ends with the tests, whatever ends them
        daemon, "--host", docker.address, "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec"),
        "--pidfile", str(folder / "pid"), "--bridge", "none", "--iptables=false",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while docker.start("version").returncode:
            if process.poll() is not None or time.monotonic() > deadline:
                last = (folder / "log").read_text(encoding="utf-8", errors="replace")[-3000:]
                pytest.fail(f"dockerd does not start\n{last}", pytrace=False)
            time.sleep(0.1)
        yield docker
        if left := docker("ps", "--all", "--quiet").split():
            docker("rm", "--force", *left)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
        for mount in reversed([path for path in mounts if path.startswith(f"{folder}/")]):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def base_image(root: Path, docker: Docker, require_tool: Callable[[str], str]) -> str:
    """Return the name of the Dockerfile's base image, made of Debian's packages: of the same release, with its Python.

    The packages are fetched once a machine, into build/base-images.
    """
    tool = require_tool("mmdebstrap")
    (name,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", dockerfile(root), flags=re.M)
    recipe = hashlib.sha256(f"{BASE}{FINISH}".encode()).hexdigest()[:12]
    archive = root / "build" / "base-images" / f"{recipe}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with (archive.parent / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not archive.exists():
            new = archive.with_suffix(".new.tar")
            command = [tool, *BASE.split()[1:], f"--customize-hook={FINISH}", "bookworm", str(new)]
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.fail(f"mmdebstrap: exit {made.returncode}\n{made.stderr[-3000:]}", pytrace=False)
            new.rename(archive)
    docker("import", str(archive), name)
    return name


def dockerfile(root: Path) -> str:
    """Return the template's Dockerfile, for the oldest Python that it is rendered for."""
    return (root / "template" / "Dockerfile.jinja").read_text(encoding="utf-8").replace("{{ python_version }}", "3.11")


@dataclass(frozen=True)
class Images:
    """The images of the golden project, built by its `make image` in a folder that holds secrets beside the sources."""

    project: Path
    commit: str
    serve: str
    sync: str
    pipeline: str
    mark: str = "planted-d41b7c"
    """What the secrets hold that lie beside the sources, and the message of the commit."""


@pytest.fixture(scope="session")
def build_options() -> list[str]:
    """Return what a build needs on this machine: the host's network, and its certificates where there are any."""
    secret = ["--secret", f"id=ca,src={CERTIFICATES}"] if CERTIFICATES.exists() else []
    return ["--network", "host", *secret]


@pytest.fixture(scope="session")
def images(
    docker: Docker,
    base_image: str,
    build_options: list[str],
    render: Callable[[Path, dict[str, Any]], Any],
    golden: dict[str, Any],
    require_tool: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Images:
    """Return the three images of the golden project."""
    project, git = tmp_path_factory.mktemp("images") / "project", require_tool("git")
    render(project, golden)
    commit = [
        "-c",
        "user.name=Test",
        "-c",
        "user.email=test@example.org",
        "commit",
        "--quiet",
        "--message",
        Images.mark,
    ]
    for words in (["init", "--quiet"], ["add", "."], commit):
        subprocess.run([git, *words], cwd=project, check=True)
    plant(project)
    tools = [f"DOCKER={docker.program}", f"BUILD={' '.join(build_options)}"]
    kept = {name: value for name, value in docker.environment.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    command = [require_tool("make"), "--no-print-directory", "image", *tools]
    made = subprocess.run(command, cwd=project, env=kept, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.fail(f"make image: exit {made.returncode}\n{made.stdout[-3000:]}\n{made.stderr[-6000:]}", pytrace=False)
    revision = subprocess.run([git, "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True, check=True)
    return Images(project, revision.stdout.strip(), *made.stdout.split()[-3:])


def plant(project: Path) -> None:
    """Put secrets where people leave them: all of them are ignored by git, and none may come into an image."""
    package = next((project / "src").iterdir())
    for path in (
        project / ".env", project / "server.key", project / "notes.txt", project / ".state" / "mlflow.db",
        package / ".env", package / "client.pem", package / "serving" / "private.key", project / "locks" / ".netrc",
    ):  # fmt: skip
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{Images.mark} {path.name}\n", encoding="utf-8")
    with (project / ".git" / "info" / "exclude").open("a", encoding="utf-8") as excluded:
        excluded.write("*.key\n*.pem\nnotes.txt\n.netrc\n.env\n")


@pytest.fixture(scope="session")
def environment_of(root: Path, require_tool: Callable[[str], str]) -> Callable[[str, Path], Path]:
    """Return the function that makes an environment below build/ from a lock, and returns the folder of its commands.

    It is made once for all processes of the tests, and again when the lock changes.
    """
    uv = require_tool("uv")

    def make(name: str, lock: Path) -> Path:
        path = root / "build" / name
        path.parent.mkdir(exist_ok=True)
        with path.with_suffix(".lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            made = path / "made-from.txt"
            if not made.is_file() or made.read_bytes() != lock.read_bytes():
                quiet = {"check": True, "stdout": subprocess.DEVNULL}
                quiet["env"] = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
                subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, path], **quiet)
                sync = [uv, "pip", "sync", "--quiet", "--compile-bytecode", "--require-hashes"]
                subprocess.run([*sync, "--python", path / "bin" / "python", lock], **quiet)
                made.write_bytes(lock.read_bytes())
        return path / "bin"

    return make


@pytest.fixture(scope="session")
def platform_tool(root: Path, environment_of: Callable[[str, Path], Path]) -> Callable[[str], str]:
    """Return the function that says where a command of locks/platform.txt is, such as checkov or weed.

    The environment is build/platform.
    """
    commands = environment_of("platform", root / "locks" / "platform.txt")

    def find(name: str) -> str:
        path = commands / name
        assert path.is_file(), f"locks/platform.txt has no command {name}"
        return str(path)

    return find


@pytest.fixture(scope="session")
def golden_manifests(
    render: Callable[[Path, dict[str, Any]], Any], golden: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder k8s of the golden project, which is rendered and has no environment."""
    return render(tmp_path_factory.mktemp("manifests") / "project", golden).path / "k8s"


@pytest.fixture(scope="session")
def k8s(root: Path, require_tool: Callable[[str], str]) -> dict[str, list[Object]]:
    """Return the objects of each overlay and tenant of k8s/."""
    kubectl = require_tool("kubectl")
    names = ("overlays/local", "overlays/cloud", "tenants/flight-delays", "tenants/flight-delays-staging")
    return {name: kustomize(kubectl, root / "k8s" / name) for name in names}


@pytest.fixture(scope="session")
def laptop(k8s: dict[str, list[Object]]) -> list[Object]:
    """Return what is on a laptop's cluster: the platform, and what it gives one project."""
    return k8s["overlays/local"] + k8s["tenants/flight-delays"]


@pytest.fixture(scope="session")
def aws_terraform(require_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """Return Terraform with the AWS provider from a mirror on this machine; nothing is asked of any registry."""
    command, mirror = require_tool("terraform"), find_mirror()
    if not mirror:
        message = "needs a mirror of the provider hashicorp/aws: terraform providers mirror /opt/tf-plugins"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return Terraform(command, environment(mirror, tmp_path_factory.mktemp("terraform")))


@pytest.fixture(scope="session")
def terraform_copy(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of `terraform/` to work in."""
    path = tmp_path_factory.mktemp("copy") / "terraform"
    shutil.copytree(root / "terraform", path, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "backend.hcl"))
    return path


@pytest.fixture(scope="session")
def schema_terraform(
    require_tool: Callable[[str], str], platform_tool: Callable[[str], str]
) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Return the function that runs Terraform in a folder, with schema_provider for the providers, and no network."""
    command, servers, reattach = require_tool("terraform"), [], {}
    # The path of a socket has a bound of 104 bytes on macOS, which pytest's own folders exceed.
    sockets = Path(tempfile.mkdtemp(prefix="schemas-", dir="/tmp"))
    for schema in sorted((Path(__file__).parent / "schema_provider").glob("*.json")):
        words = [platform_tool("python"), schema.with_name("server.py"), schema, sockets / schema.stem]
        server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        servers.append(server)
        (provider,) = json.loads(schema.read_text(encoding="utf-8"))["provider_schemas"]
        reattach[provider] = {
            "Protocol": "grpc",
            "ProtocolVersion": 6,
            "Addr": {"Network": "unix", "String": str(sockets / schema.stem)},
            "Pid": server.pid,
            "Test": True,  # Terraform did not start it, and does not end it
        }
    for server in servers:
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
    environment = {
        "PATH": os.environ["PATH"],
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": os.devnull,
        "TF_CLI_ARGS": "-no-color",
        "TF_REATTACH_PROVIDERS": json.dumps(reattach),
    }

    def run(folder: Path, *words: str, program: str = command) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    yield run
    for server in servers:
        server.communicate("", timeout=10)
    shutil.rmtree(sockets)
