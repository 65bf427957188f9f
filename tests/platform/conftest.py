"""What the tests of the platform start from: checkers and a stand-in cloud in an environment of their own."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_terraform import Terraform, environment, find_mirror


@pytest.fixture(scope="session")
def platform_tool(root: Path, require_tool: Callable[[str], str]) -> Callable[[str], str]:
    """Return the function that says where a command of locks/platform.txt is, such as checkov or moto_server.

    The environment is build/platform; it is made once for all processes of the tests, and again when the lock changes.
    """
    lock, environment = root / "locks" / "platform.txt", root / "build" / "platform"
    environment.parent.mkdir(exist_ok=True)
    with (environment.parent / "platform.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        made = environment / "made-from.txt"
        if not made.is_file() or made.read_bytes() != lock.read_bytes():
            uv, python = require_tool("uv"), environment / "bin" / "python"
            quiet = {"check": True, "stdout": subprocess.DEVNULL, "env": {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}}
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment], **quiet)
            sync = [uv, "pip", "sync", "--quiet", "--compile-bytecode", "--require-hashes"]
            subprocess.run([*sync, "--python", python, lock], **quiet)
            made.write_bytes(lock.read_bytes())

    def find(name: str) -> str:
        path = environment / "bin" / name
        assert path.is_file(), f"locks/platform.txt has no command {name}"
        return str(path)

    return find


@pytest.fixture(scope="session")
def golden_manifests(
    render: Callable[[Path, dict[str, Any]], Any], golden: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder k8s of the golden project, which is rendered and has no environment."""
    return render(tmp_path_factory.mktemp("manifests") / "project", golden).path / "k8s"


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
