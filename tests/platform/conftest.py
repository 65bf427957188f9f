"""What the tests of the platform start from: checkers, and the platform's MLflow, in environments of their own."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


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
