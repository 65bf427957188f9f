"""What the tests of the platform start from: checkers and a stand-in cloud in an environment of their own."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
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
