"""The platform's manifests in k8s/, as objects: what they would be on a cluster, computed from what kustomize renders."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

Object = dict[str, Any]
OVERLAYS = ("overlays/local", "overlays/cloud", "tenants/flight-delays", "tenants/flight-delays-staging")
MINORS = ("1.35", "1.36", "1.37")  # the three newest that kubernetes-validate knows
WORKLOADS = ("Deployment", "StatefulSet")
# What somebody has to put into the cluster: k8s/ names it, docs/how-to/run-on-kind.md says how, git never has it.
SECRETS = {
    ("platform", "postgres"): {"SUPERUSER_PASSWORD", "MLFLOW_PASSWORD", "STUDIES_PASSWORD"},
    ("platform", "mlflow"): {"ADMIN_PASSWORD", "SECRET_KEY"},
    ("platform", "redis"): {"PASSWORD"},
    ("platform", "objects"): {"SECRET_KEY"},
    ("monitoring", "grafana"): {"PASSWORD"},
    ("monitoring", "alertmanager-receivers"): set(),
}
# What infra/observability puts into the cluster.
OBSERVABILITY = {"rules", "dashboards"}


@pytest.fixture(scope="module")
def rendered(root: Path, require_tool: Callable[[str], str]) -> dict[str, list[Object]]:
    """Return the objects of each overlay, as kustomize renders them."""
    kubectl = require_tool("kubectl")
    texts = {
        name: subprocess.run([kubectl, "kustomize", root / "k8s" / name], capture_output=True, text=True, check=True)
        for name in OVERLAYS
    }
    return {name: [each for each in yaml.safe_load_all(done.stdout) if each] for name, done in texts.items()}


@pytest.fixture(scope="module")
def local(rendered: dict[str, list[Object]]) -> list[Object]:
    """Return what is on a laptop's cluster: the platform, and what it gives one project."""
    return rendered["overlays/local"] + rendered["tenants/flight-delays"]


def of_kind(objects: list[Object], *kinds: str) -> Iterator[Object]:
    return (each for each in objects if each["kind"] in kinds)


def name_of(each: Object) -> str:
    return each["metadata"]["name"]


def namespace_of(each: Object) -> str:
    return each["metadata"].get("namespace", "")


def pod_of(workload: Object) -> Object:
    return workload["spec"]["template"]["spec"]


def containers_of(pod: Object) -> list[Object]:
    return pod["containers"] + pod.get("initContainers", [])


def files(root: Path) -> list[Path]:
    return sorted((root / "k8s").rglob("*.yaml"))


# Whole files


def test_every_manifest_says_what_it_is_for_and_what_breaks_without_it(root: Path):
    kinds = re.compile(r"^kind: ", re.MULTILINE)
    for path in files(root):
        if not kinds.search(text := path.read_text()):
            continue  # what a generator puts into a ConfigMap
        for document in re.split(r"^---$\n", text, flags=re.MULTILINE):
            lines = [line for line in document.splitlines() if line]
            comments = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
            assert len(comments) >= 2, f"{path}: {lines[0]}"
            assert comments[-1].startswith("# Without it: "), f"{path}: {comments[-1]}"


def test_no_secret_is_in_git(rendered: dict[str, list[Object]]):
    for objects in rendered.values():
        assert not list(of_kind(objects, "Secret"))


def test_schemas_of_the_three_newest_minors_take_every_object(
    rendered: dict[str, list[Object]], platform_tool: Callable[[str], str], tmp_path: Path
):
    every = [each for objects in rendered.values() for each in objects]
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [{"prot": 1}]}}
    (tmp_path / "all.json").write_text(json.dumps([*every, wrong]))
    # One process for all: most of its time goes into its start.
    check = """
import json, pathlib, sys
import kubernetes_validate
for minor in sys.argv[2:]:
    for each in json.loads(pathlib.Path(sys.argv[1]).read_text()):
        try:
            kubernetes_validate.validate(each, minor, strict=True)
        except Exception as error:
            print(minor, each["kind"], each["metadata"]["name"], type(error).__name__, sep="\\t")
"""
    python = Path(platform_tool("kubernetes-validate")).with_name("python")
    command = [python, "-W", "ignore", "-c", check, tmp_path / "all.json", *MINORS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # The planted one is what tells that wrong fields are found.
    assert done.stdout.splitlines() == [f"{minor}\tService\tx\tValidationError" for minor in MINORS]


def test_checkov_finds_nothing_and_each_of_its_skips_is_explained(
    rendered: dict[str, list[Object]], platform_tool: Callable[[str], str], tmp_path: Path
):
    names = ("overlays/local", "overlays/cloud", "tenants/flight-delays")
    for name in names:
        (tmp_path / f"{name.replace('/', '-')}.yaml").write_text(yaml.safe_dump_all(rendered[name]))
    bad = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad", "namespace": "x"}}
    bad["spec"] = {"containers": [{"name": "a", "image": "a:latest", "securityContext": {"privileged": True}}]}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(bad))
    command = [platform_tool("checkov"), "--directory", tmp_path, "--framework", "kubernetes", "--output", "json"]
    done = subprocess.run([*command, "--compact", "--skip-download"], capture_output=True, text=True, check=False)
    results = json.loads(done.stdout)["results"]
    found = {(each["check_id"], each["resource"]) for each in results["failed_checks"]}
    assert {resource for _, resource in found} == {"Pod.x.bad"}, found
    assert {"CKV_K8S_14", "CKV_K8S_16"} <= {check for check, _ in found}
    for each in results["skipped_checks"]:
        assert len(each["check_result"]["suppress_comment"]) > 30, each["resource"]


def test_the_servers_own_checkers_take_their_files(root: Path, require_tool: Callable[[str], str]):
    base = root / "k8s" / "base"
    # Debian's is older than the image, and knows all that is in the file.
    subprocess.run([require_tool("promtool"), "check", "config", base / "prometheus" / "prometheus.yml"], check=True)
    subprocess.run([require_tool("amtool"), "check-config", base / "alertmanager" / "alertmanager.yml"], check=True)


def test_what_two_places_have_is_equal(root: Path):
    # kustomize reads no file outside of its folder, and follows no link out of it.
    k8s, infra, observability = root / "k8s", root / "infra", root / "template" / "observability"
    copies = {
        k8s / "base" / "alertmanager" / "alertmanager.yml": observability / "alertmanager.yml",
        k8s / "base" / "grafana" / "datasources.yaml": observability / "grafana/provisioning/datasources/prometheus.yaml",
        k8s / "base" / "grafana" / "dashboards.yaml": observability / "grafana/provisioning/dashboards/dashboards.yaml",
        k8s / "base" / "postgres" / "databases.sql": infra / "postgres" / "databases.sql",
    }
    for copy, original in copies.items():
        assert copy.read_text() == original.read_text(), f"cp {original} {copy}"
    here, cloud = ((k8s / folder / "auth.ini").read_text() for folder in ("base/mlflow", "overlays/cloud"))
    assert re.sub("postgresql.*", "", here) == re.sub("postgresql.*", "", cloud)


def test_a_laptop_and_a_cluster_run_the_same_images(root: Path, rendered: dict[str, list[Object]]):
    services = yaml.safe_load((root / "infra" / "compose.yaml").read_text())["services"]
    for workload in of_kind(rendered["overlays/local"], *WORKLOADS):
        assert pod_of(workload)["containers"][0]["image"] == services[name_of(workload)]["image"]
