"""What each image is made of, from its lock: dist/sbom/IMAGE.cdx.json (CycloneDX), and docs/licences.md of all of them.

`make sbom` calls it. It needs no Docker: each lock is installed as on Linux, and read. The same locks give the same
files.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

# The largest first, with its locks; that of AWS is there where the project is for AWS.
IMAGES = {"pipeline": ("pipeline", "aws"), "sync": ("sync",), "serve": ("serving",)}
LINUX = "x86_64-manylinux_2_28"
FOLDER, PAGE = Path("dist/sbom"), Path("docs/licences.md")
HEAD = """# Licences

The packages of the images and their licences, as they state them. `make sbom` writes this page and, with more detail,
`dist/sbom/*.cdx.json`, from the locks. serve is in sync, and sync in pipeline.

| package | version | licence | first in |
| --- | --- | --- | --- |
"""


def main(uv: str) -> None:
    """Write the files; `uv` is the program that installs."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    tool, image = FOLDER / "tool", FOLDER / "image"
    install(uv, tool, ("sbom",))
    first = dict[tuple[str, str], tuple[str, str]]()
    for name, locks in IMAGES.items():
        install(uv, image, locks, "--python-platform", LINUX)
        path = FOLDER / f"{name}.cdx.json"
        options = ["--pyproject", "pyproject.toml", "--mc-type", "application", "--output-reproducible"]
        command = [str(tool / "bin" / "cyclonedx-py"), "environment", *options, "--no-validate"]
        command += ["--output-file", str(path), str(image)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        for component in json.loads(path.read_text(encoding="utf-8"))["components"]:
            first[component["name"], component["version"]] = (licence(component), name)
    rows = sorted((package, version, *found) for (package, version), found in first.items())
    lines = [f"| {' | '.join(row)} |\n" for row in sorted(rows, key=lambda row: row[0].lower())]
    new = PAGE.with_suffix(".new")
    new.write_text(HEAD + "".join(lines), encoding="utf-8")
    new.replace(PAGE)
    print(f"{len(rows)} packages: {PAGE}, and of each image {FOLDER}/*.cdx.json")


def install(uv: str, environment: Path, locks: tuple[str, ...], *options: str) -> None:
    """Make an environment hold the packages of some locks and nothing else."""
    if not environment.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    place = ["--python", f"{environment}/bin/python", "--build-constraints", "locks/dev.txt"]
    sync = [uv, "pip", "sync", "--quiet", *place, *options, "--require-hashes"]
    paths = [path for lock in locks if (path := Path(f"locks/{lock}.txt")).exists()]
    subprocess.run([*sync, *paths], check=True)


def licence(component: dict[str, Any]) -> str:
    """Return the licence of a component as SPDX writes it, or else in the words that it gives."""
    given = component.get("licenses", [])
    spdx = {item.get("expression") or item["license"].get("id") for item in given} - {None}
    words = {item["license"]["name"] for item in given if "name" in item.get("license", {})}
    names = spdx or {" ".join(name.rpartition(" :: ")[2].split()[:10]) for name in words}
    return " and ".join(sorted(names)) or "not stated"


if __name__ == "__main__":
    main(sys.argv[1])
