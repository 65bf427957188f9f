"""The tutorial's commands do what the page says: each is run, in order, in a fresh copy of the repository."""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = "docs/tutorials/the-whole-life-of-a-model.md"
BLOCK = re.compile(r"^```console( background)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMPARED = 60  # characters of a line: what follows may be cut or be a figure of another width


@dataclass(frozen=True)
class Command:
    """One command of the page and the lines that the page shows below it."""

    text: str
    background: bool
    shown: list[str]


def commands(page: str) -> Iterator[Command]:
    """Yield the commands of a page's console blocks."""
    for background, block in BLOCK.findall(page):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            text, *shown = part.splitlines()
            yield Command(text, bool(background), [line for line in shown if line.strip()])


def shape(line: str) -> str:
    """Return a line without its figures, hashes, spaces and rules, which may differ on another machine."""
    line = re.sub(r"[0-9a-f]{8,}|-?\d[\d.:]*", "#", line)
    return re.sub(r"[\s─]+", " ", line).strip()[:COMPARED]


def alike(shown: str, printed: str) -> bool:
    """Return whether a printed line is what the page shows; the page writes … for what comes before."""
    if "…" in shown:
        return printed.endswith(shown.partition("…")[2])
    return shape(shown) == shape(printed)


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Path:
    """Return a copy of the repository without environments and state."""
    ignored = shutil.ignore_patterns(".git", ".venv", "build", ".*_cache", "__pycache__")
    return Path(shutil.copytree(root, tmp_path / "clone", ignore=ignored))


@pytest.fixture
def free_port() -> None:
    """Skip where another program has the port that the page serves on; fail with CI=true."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 8000)) == 0:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("port 8000 is in use")


@pytest.mark.usefixtures("free_port")
def test_the_tutorial_is_true(clone: Path, require_tool):
    for tool in ("make", "curl", "bash"):
        require_tool(tool)
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    folder = clone
    started: list[subprocess.Popen[bytes]] = []
    page = (clone / PAGE).read_text(encoding="utf-8")
    try:
        for command in commands(page):
            if command.background:
                started.append(
                    subprocess.Popen(
                        ["bash", "-c", command.text], cwd=folder, env=environment, start_new_session=True,
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    )
                )  # fmt: skip
            elif command.text.startswith("cd "):
                folder = folder / command.text.removeprefix("cd ")
            else:
                done = subprocess.run(
                    ["bash", "-c", command.text], cwd=folder, env=environment,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                )  # fmt: skip
                assert done.returncode == 0, f"$ {command.text}\n{done.stdout}"
                printed = done.stdout.splitlines()
                missing = [line for line in command.shown if not any(alike(line, other) for other in printed)]
                assert not missing, f"$ {command.text}\nprinted:\n{done.stdout}"
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)
