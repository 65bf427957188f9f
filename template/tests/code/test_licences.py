"""The page of licences is of the packages that the images hold: those of the locks."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_page_is_of_the_locks() -> None:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    listed = {(normal(name), version) for name, version in re.findall(r"^\| (\S+) \| (\d\S*) \|", page, flags=re.M)}
    paths = [ROOT / "locks" / f"{name}.txt" for name in ("pipeline", "aws")]  # the second of a project for AWS
    lock = "".join(path.read_text(encoding="utf-8") for path in paths if path.exists())
    everywhere = {tuple(pin) for pin in re.findall(r"^([^=\s]+)==(\S+) \\$", lock, flags=re.M)}
    somewhere = {tuple(pin) for pin in re.findall(r"^([^=\s]+)==(\S+) [;\\]", lock, flags=re.M)}
    assert everywhere <= listed <= somewhere, "type: make sbom"
    assert len(listed) > 50
