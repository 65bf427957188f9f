"""The generated project's manifests, as the objects that kustomize makes of them: valid, restricted, right together."""

import copy
import functools
import json
import re
import subprocess
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from manifests import MINORS, Object, kustomize, of_kind, refused, unsafe
from project_checks import (
    CHECKS,
    COMPONENT,
    OURS,
    careless,
    containers,
    disagreeing,
    one,
    templates,
    unequal,
    unnamed,
    unrestricted,
)

OVERLAYS = ("local", "staging", "production")
# In the order in which an overlay lists them: `canary` points at itself what `keda` brings.
COMPONENTS = ("ingress", "opentelemetry", "pod-monitors", "keda", "canary", "shadow")
COMBINATIONS = [chosen for size in range(7) for chosen in combinations(COMPONENTS, size)]


@pytest.fixture(scope="module")
def folder(render: Callable[[Path, dict[str, Any]], Any], golden: Object, tmp_path_factory: Any) -> Path:
    """Return k8s/ of the golden project."""
    path: Path = render(tmp_path_factory.mktemp("kubernetes") / "project", golden).path
    return path / "k8s"


@pytest.fixture(scope="module")
def build(require_tool: Callable[[str], str]) -> Callable[[Path], list[Object]]:
    """Return the function that renders a folder with kustomize."""
    return functools.partial(kustomize, require_tool("kubectl"))


@pytest.fixture(scope="module")
def overlays(folder: Path, build: Callable[[Path], list[Object]]) -> dict[str, list[Object]]:
    """Return the objects of each overlay."""
    return {name: build(folder / "overlays" / name) for name in OVERLAYS}


@pytest.fixture(scope="module")
def combined(folder: Path, build: Callable[[Path], list[Object]]) -> dict[tuple[str, ...], list[Object]]:
    """Return the objects of each combination of components, each in a namespace of its own.

    Eight are rendered at once: of one the start of kubectl takes longest, and of many the comparison of their names.
    """
    images = [{"name": f"{OURS}/{name}", "newTag": "0000000"} for name in ("serve", "sync", "pipeline", "next")]
    for number, chosen in enumerate(COMBINATIONS):
        path = folder / "combinations" / str(number // 8) / str(number)
        path.mkdir(parents=True)
        components = [f"../../../components/{name}" for name in chosen]
        made = {"namespace": f"n{number}", "resources": ["../../../base"], "components": components, "images": images}
        (path / "kustomization.yaml").write_text(yaml.safe_dump(made))
    found: dict[tuple[str, ...], list[Object]] = {chosen: [] for chosen in COMBINATIONS}
    for path in (folder / "combinations").iterdir():
        (path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [each.name for each in path.iterdir()]}))
        for each in build(path):
            found[COMBINATIONS[int(each["metadata"]["namespace"][1:])]].append(each)
    return found


@pytest.fixture(scope="module")
def everything(combined: dict[tuple[str, ...], list[Object]], overlays: dict[str, list[Object]]) -> list[Object]:
    """Return every object there is, once: what differs by nothing but its namespace is one."""
    seen: dict[str, Object] = {}
    for each in (item for objects in [*overlays.values(), *combined.values()] for item in objects):
        named = copy.deepcopy(each)
        named["metadata"].pop("namespace")
        seen.setdefault(json.dumps(named, sort_keys=True), each)
    return list(seen.values())


# Files


def test_every_manifest_says_what_it_is_for_and_what_breaks_without_it(folder: Path) -> None:
    files = [path for path in folder.rglob("*.yaml") if "combinations" not in path.parts]
    assert len(files) > 20
    for path in files:
        for document in re.split(r"^---\n", path.read_text(), flags=re.MULTILINE):
            opening = "".join(line for line in document.splitlines(keepends=True)[:3] if line.startswith("# "))
            assert opening.count("\n") >= 2, path
            assert "Without it: " in opening, path


def test_all_that_is_on_a_laptop_is_small_enough_to_read(folder: Path, require_tool: Callable[[str], str]) -> None:
    command = [require_tool("kubectl"), "kustomize", folder / "overlays" / "local"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.count("\n") < 1_500


# Schemas and checkov


def test_the_schemas_of_three_minors_take_every_object(
    everything: list[Object], platform_tool: Callable[[str], str], tmp_path: Path
) -> None:
    python = Path(platform_tool("kubernetes-validate")).with_name("python")
    custom = {"AnalysisTemplate", "HTTPRoute", "PodMonitor", "Rollout", "ScaledObject"}  # those of the next test
    found = {(minor, kind, why) for minor, kind, _, why in refused(everything, python, tmp_path)}
    assert found == {(minor, kind, "no schema") for minor in MINORS for kind in custom}


def test_what_the_components_bring_is_as_its_definition_says(everything: list[Object]) -> None:
    """The schemas are narrowed: each names its source, and refuses what the manifests do not use."""
    schemas = {}
    for path in (Path(__file__).parent / "schemas").glob("*.json"):
        schema = json.loads(path.read_text())
        if "apiVersion" in schema.get("properties", {}):
            schemas[schema["properties"]["kind"]["const"]] = schema
    found = of_kind(everything, *schemas)
    assert {each["kind"] for each in found} == schemas.keys()
    for each in found:
        jsonschema.validate(each, schemas[each["kind"]])
        broken = copy.deepcopy(each)
        broken["spec"]["paussed"] = True
        with pytest.raises(jsonschema.ValidationError, match="paussed"):
            jsonschema.validate(broken, schemas[each["kind"]])


def test_checkov_finds_nothing_and_each_of_its_skips_is_explained(
    everything: list[Object], platform_tool: Callable[[str], str], tmp_path: Path
) -> None:
    assert unsafe(everything, platform_tool("checkov"), tmp_path) == set()


# Together


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_overlay_and_every_combination_is_right(
    check: Callable[[list[Object]], list[str]],
    overlays: dict[str, list[Object]],
    combined: dict[tuple[str, ...], list[Object]],
) -> None:
    for name, objects in {**overlays, **combined}.items():
        assert check(objects) == [], name


def test_each_connection_that_the_code_makes_is_open_and_no_other(
    overlays: dict[str, list[Object]], combined: dict[tuple[str, ...], list[Object]], laptop: list[Object]
) -> None:
    chosen = [combined[of] for of in [(), *((name,) for name in COMPONENTS), COMPONENTS]]
    for objects in [*overlays.values(), *chosen]:
        assert unequal(objects, laptop) == []


def test_no_overlay_changes_a_selector_and_none_has_a_secret(overlays: dict[str, list[Object]]) -> None:
    selectors = [
        {each["metadata"]["name"]: each["spec"]["selector"] for each in of_kind(objects, "Deployment", "Service")}
        for objects in overlays.values()
    ]
    assert selectors[0] == selectors[1] == selectors[2]
    assert not of_kind(overlays["local"] + overlays["staging"] + overlays["production"], "Secret")


def test_the_overlays_have_the_images_by_one_tag_each_and_their_own_namespace(
    overlays: dict[str, list[Object]],
) -> None:
    for name, objects in overlays.items():
        images = {each["image"] for _, template in templates(objects) for each in containers(template)}
        parts = {tuple(image.removeprefix("registry.example.com/").split(":")) for image in images}
        assert parts == {(f"{OURS}/{target}", "0000000") for target in ("serve", "sync", "pipeline")}
        assert {each["metadata"]["namespace"] for each in objects} == {OURS + "-staging" * (name == "staging")}


def test_staging_pushes_its_figures_under_the_job_of_its_servers(root: Path, overlays: dict[str, list[Object]]) -> None:
    """Prometheus asks the pods of a namespace that ends with `-staging` under the job of their annotation, changed."""
    config = yaml.safe_load((root / "k8s" / "base" / "prometheus" / "prometheus.yml").read_text())
    rules = [rule for each in config["scrape_configs"] for rule in each.get("relabel_configs", [])]
    (rule,) = (rule for rule in rules if len(rule.get("source_labels", [])) == 2 and rule["target_label"] == "job")
    for name, objects in overlays.items():
        annotations = one(objects, "Deployment", "serve")["spec"]["template"]["metadata"]["annotations"]
        job = annotations["prometheus.io/job"]
        found = re.fullmatch(rule["regex"], f"{objects[0]['metadata']['namespace']};{job}")
        expected = rule["replacement"].replace("${1}", found[1]) if found else job
        (settings,) = of_kind(objects, "ConfigMap")
        assert settings["data"].get("PUSHGATEWAY_JOB", job) == expected, name


def at(objects: list[Object], kind: str, name: str, path: str) -> tuple[Any, Any]:
    """Return what holds the last part of a path in an object, and that part."""
    here: Any = one(objects, kind, name)
    *way, last = [int(part) if part.isdigit() else part.replace("~", "/") for part in path.split("/")]
    for part in way:
        here = here[part]
    return here, last


POD = "spec/template/spec"
JOB = "spec/jobTemplate/spec"
GONE = object()


@pytest.mark.parametrize(
    ("check", "kind", "name", "path", "value"),
    [
        (unrestricted, "Deployment", "serve", f"{POD}/securityContext/runAsNonRoot", GONE),
        (unrestricted, "Deployment", "serve", f"{POD}/securityContext/runAsUser", 0),
        (unrestricted, "Deployment", "serve", f"{POD}/securityContext/seccompProfile", GONE),
        (unrestricted, "Deployment", "serve", f"{POD}/automountServiceAccountToken", True),
        (unrestricted, "Deployment", "serve", f"{POD}/volumes/1", {"name": "tmp", "hostPath": {"path": "/tmp"}}),
        (unrestricted, "Deployment", "serve", f"{POD}/initContainers/0/securityContext/readOnlyRootFilesystem", False),
        (unrestricted, "CronJob", "land", f"{JOB}/template/spec/containers/0/securityContext/capabilities", GONE),
        (unnamed, "Service", "serve", "spec/selector", {COMPONENT: "server"}),
        (unnamed, "Service", "serve", "spec/ports/0/targetPort", "web"),
        (unnamed, "Ingress", "serve", "spec/rules/0/http/paths/0/backend/service/port/name", "web"),
        (unnamed, "Deployment", "serve", f"{POD}/containers/0/ports/1/name", "figures"),
        (unnamed, "Deployment", "serve", f"{POD}/containers/0/readinessProbe/httpGet/port", "web"),
        (unnamed, "Deployment", "serve", f"{POD}/serviceAccountName", "default"),
        (unnamed, "CronJob", "land", f"{JOB}/template/spec/containers/0/envFrom/0/configMapRef/name", "settings"),
        (unnamed, "HorizontalPodAutoscaler", "serve", "spec/scaleTargetRef/name", "server"),
        (unnamed, "NetworkPolicy", "studies", "spec/podSelector/matchLabels", {COMPONENT: "tuning"}),
        (disagreeing, "Deployment", "serve", "spec/replicas", 2),
        (disagreeing, "HorizontalPodAutoscaler", "serve", "spec/minReplicas", 1),
        (disagreeing, "HorizontalPodAutoscaler", "serve", "spec/metrics/0/containerResource/container", "sync"),
        (disagreeing, "PodDisruptionBudget", "serve", "spec/maxUnavailable", 0),
        (disagreeing, "PodDisruptionBudget", "serve", "spec/selector/matchLabels", {COMPONENT: "server"}),
        (disagreeing, "Deployment", "serve", "spec/strategy/rollingUpdate/maxUnavailable", 1),
        (disagreeing, "Deployment", "serve", f"{POD}/containers/0/livenessProbe/httpGet/path", "/healthz/ready"),
        (disagreeing, "Deployment", "serve", f"{POD}/containers/0/readinessProbe/periodSeconds", 5),
        (disagreeing, "Deployment", "serve", f"{POD}/terminationGracePeriodSeconds", 24),
        (disagreeing, "Deployment", "serve", f"{POD}/containers/0/lifecycle", {"preStop": {"sleep": {"seconds": 10}}}),
        (disagreeing, "Deployment", "serve", f"{POD}/topologySpreadConstraints", GONE),
        (disagreeing, "Deployment", "serve", f"{POD}/containers/0/resources/limits/memory", "200Mi"),
        (disagreeing, "CronJob", "retrain", f"{JOB}/template/spec/containers/0/resources/limits/memory", "1Gi"),
        (careless, "CronJob", "land", "spec/timeZone", GONE),
        (careless, "CronJob", "land", "spec/concurrencyPolicy", "Allow"),
        (careless, "CronJob", "ticks", "spec/startingDeadlineSeconds", 5),
        (careless, "CronJob", "tune", f"{JOB}/activeDeadlineSeconds", GONE),
        (unequal, "NetworkPolicy", "online-store", "spec/podSelector/matchExpressions/0/values", ["serve", "ticks"]),
        (unequal, "NetworkPolicy", "registry", "spec/podSelector", {}),
        (unequal, "NetworkPolicy", "serve", "spec/ingress/0/from/0", {"namespaceSelector": {}}),
        (unequal, "NetworkPolicy", "serve", "spec/ingress/1/from/0/podSelector", {}),
        (unequal, "NetworkPolicy", "pushgateway", "spec/egress/0/ports/0/port", 9090),
        (unequal, "NetworkPolicy", "default-deny", "spec/policyTypes", ["Egress"]),
    ],
)
def test_a_planted_fault_is_found(
    check: Callable[..., list[str]],
    kind: str,
    name: str,
    path: str,
    value: Any,
    overlays: dict[str, list[Object]],
    request: pytest.FixtureRequest,
) -> None:
    # The tenant's own walls stand in for the project's default-deny: it is asked about alone.
    others = [[]] if check is unequal else []
    objects = copy.deepcopy(overlays["production"])
    assert check(objects, *others) == []
    here, last = at(objects, kind, name, path)
    if value is GONE:
        del here[last]
    else:
        here[last] = value
    assert check(objects, *others) != []
