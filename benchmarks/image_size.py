"""What the serving image adds to its base, against mlflow, scikit-learn and xgboost on the same base.

It needs no Docker: each layer is made by the script that the Dockerfile calls, image/install.sh, in a folder. It writes
docs/reference/image-size.md. The same locks give the same figures.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import PROJECT, verdict

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "image-size.md"
UV = ROOT / ".venv" / "bin" / "uv"
BOUND = 1 / 5
LAYERS = {"serve": "serving", "sync": "sync", "pipeline": "pipeline"}  # in this order, each on top of the one before
HEAD = """# The size of the images, by layer

What each layer adds to the base image, in MB (10^6 bytes, uncompressed), on {machine}.
`make bench-image-size` writes this page. The layers are shared: a machine that runs `serve` and `sync` fetches the
first one once. The project itself adds less than 2 MB to each image.

| layer | adds | in the images |
| --- | ---: | --- |
"""


def megabytes(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) / 1e6


def layers(folder: Path) -> dict[str, float]:
    """Return the size of each layer, made as the Dockerfile makes it."""
    venv, sizes = folder / "ours", dict[str, float]()
    cache = subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    shutil.copy(PROJECT / "image" / "install.sh", folder)
    shutil.copy(UV, folder)
    for name, lock in LAYERS.items():
        command = ["sh", str(folder / "install.sh"), str(PROJECT / "locks" / f"{lock}.txt")]
        environment = os.environ | {"VENV": str(venv), "UV_PYTHON": sys.executable, "UV_CACHE_DIR": cache}
        subprocess.run([*command, str(PROJECT / "locks" / "dev.txt")], env=environment, check=True)
        sizes[name] = megabytes(venv) - sum(sizes.values())
    return sizes


def rival(folder: Path, *packages: str) -> float:
    """Return what some packages take, at the versions of our lock where it has them, compiled as ours are."""
    venv = folder / "rival"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    install = [UV, "pip", "install", "--quiet", "--compile-bytecode", "--link-mode", "copy"]
    install += ["--python", venv / "bin" / "python", "--constraint", PROJECT / "locks" / "pipeline.txt"]
    subprocess.run([*install, *packages], check=True)
    return megabytes(venv)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = layers(folder)
        theirs = rival(folder, "mlflow", "scikit-learn", "xgboost")
    images = list(LAYERS)
    rows = [
        f"| packages of `{each}` | {ours[each]:.0f} | {', '.join(images[images.index(each) :])} |\n" for each in images
    ]
    rows.append(f"| for comparison: mlflow, scikit-learn and xgboost | {theirs:.0f} | |\n")
    machine = f"{sys.platform} {os.uname().machine} with Python {sys.version_info.major}.{sys.version_info.minor}"
    PAGE.write_text(HEAD.format(machine=machine) + "".join(rows), encoding="utf-8")
    print("".join(rows), end="")
    verdict("image-size", ours["serve"] / theirs, BOUND)


if __name__ == "__main__":
    main()
