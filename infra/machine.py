"""What `make platform-...` and `make demo PLATFORM=1` need beside Docker: secrets, addresses, and a look around."""

import argparse
import os
import secrets
import shutil
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
# What a project talks to, by the name of the variable: inside of the platform's network, and on this machine.
ADDRESSES = {
    "REGISTRY_URI": "http://{mlflow}",
    "ONLINE_URL": "redis://:{REDIS_PASSWORD}@{redis}/0",
    "STUDY_URL": "postgresql://studies:{STUDIES_PASSWORD}@{postgres}/studies",
    "PUSHGATEWAY_URL": "http://{pushgateway}",
}
PORTS = {"mlflow": 5000, "redis": 6379, "postgres": 5432, "pushgateway": 9091}


def read(path: Path) -> dict[str, str]:
    """Return the variables of a file of NAME=VALUE lines."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def make_secrets(example: Path, target: Path) -> None:
    """Write the target as the example is, with a random value for each name that has none; what it held stays."""
    held = read(target)
    lines = []
    for line in example.read_text(encoding="utf-8").splitlines():
        name, is_variable, value = line.partition("=")
        if is_variable and not line.startswith("#"):
            line = f"{name}={held.get(name) or value or secrets.token_hex(24)}"
        lines.append(line)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".env-")  # readable by its owner alone
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    Path(temporary).replace(target)


def prepare(project: Path, folder: Path = HERE) -> None:
    """Make the secrets, and copy the project's rules, routes and dashboards to where the containers read them."""
    source = project / "observability"
    if not source.is_dir():
        sys.exit(f"error: {project} has no folder observability; type: make platform-up PROJECT=/path/to/your/project")
    make_secrets(folder / ".env.example", folder / ".env")
    # Written over, not replaced: a running container keeps the folder that it was given.
    shutil.copytree(source, folder / "project", dirs_exist_ok=True)
    (folder / "receivers").mkdir(exist_ok=True)


def addresses(package: str, inside: bool, folder: Path = HERE) -> dict[str, str]:
    """Return the variables of a project on the platform. Ends with a sentence when there are no secrets yet."""
    if not (folder / ".env").exists():
        sys.exit("error: the platform was never started on this machine; type: make platform-up")
    places = {name: f"{name if inside else '127.0.0.1'}:{port}" for name, port in PORTS.items()}
    values = {**read(folder / ".env"), **places}
    return {f"{package.upper()}_{name}": text.format_map(values) for name, text in ADDRESSES.items()}


def require_empty(model: str, ports: dict[str, int]) -> None:
    """End with a sentence unless the platform answers, and holds no such model: a demo is its first life."""
    for name, port in ports.items():
        with socket.socket() as probe:
            probe.settimeout(5)
            if probe.connect_ex(("127.0.0.1", port)):
                sys.exit(f"error: the platform's {name} does not answer at 127.0.0.1:{port}; type: make platform-up")
    url = f"http://127.0.0.1:{ports['mlflow']}/api/2.0/mlflow/registered-models/get?name={model}"
    try:
        with urllib.request.urlopen(url, timeout=30):
            pass
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return
        sys.exit(f"error: MLflow answers {error.code}; type: make platform-status")
    except OSError as error:
        sys.exit(f"error: MLflow does not answer ({error}); type: make platform-status")
    sys.exit(
        f"error: the platform's registry holds versions of {model} already, and the demo begins with none; "
        "type: make platform-nuke, then make platform-up"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("secrets", help="make .env, or complete it")
    verbs.add_parser("prepare", help="make what the containers read").add_argument("project", type=Path)
    environment = verbs.add_parser("env", help="print the settings of a project on the platform")
    environment.add_argument("package")
    environment.add_argument("--inside", action="store_true", help="as the project's containers reach it")
    verbs.add_parser("empty", help="fail unless a demo can run on the platform").add_argument("model")
    asked = parser.parse_args()
    if asked.verb == "secrets":
        make_secrets(HERE / ".env.example", HERE / ".env")
    elif asked.verb == "prepare":
        prepare(asked.project)
    elif asked.verb == "env":
        for name, value in addresses(asked.package, asked.inside).items():
            print(f"{name}={value}")
    else:
        require_empty(asked.model, PORTS)


if __name__ == "__main__":
    main()
