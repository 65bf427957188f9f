"""The generated project's manifests, as the objects that kustomize makes of them: valid, restricted, right together.

Each check returns what is wrong as sentences, so that each can be shown to find a planted fault.
"""

import copy
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

Object = dict[str, Any]
MINORS = ("1.35", "1.36", "1.37")  # the three newest that kubernetes-validate knows
OVERLAYS = ("local", "staging", "production")
# In the order in which an overlay lists them: `canary` points at itself what `keda` brings.
COMPONENTS = ("ingress", "opentelemetry", "pod-monitors", "keda", "canary", "shadow")
COMBINATIONS = [chosen for size in range(7) for chosen in combinations(COMPONENTS, size)]
COMPONENT = "app.kubernetes.io/component"
OURS = "flight-delays"
SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
# What one worker, the process beside it, and each job took at most, in MiB: docs/decisions/0020-the-projects-pods.md.
MEASURED = {"serve": 150, "sync": 241, "land": 616, "features": 609, "publish": 410, "ticks": 595, "monitor": 433}
MEASURED |= {"retrain": 819, "tune": 734}
FREE = 15.0  # seconds that a server may take to end after its drain: serving/worker.py and supervisor.py


@pytest.fixture(scope="module")
def folder(render: Callable[[Path, dict[str, Any]], Any], golden: Object, tmp_path_factory: Any) -> Path:
    """Return k8s/ of the golden project."""
    path: Path = render(tmp_path_factory.mktemp("kubernetes") / "project", golden).path
    return path / "k8s"


@pytest.fixture(scope="module")
def build(require_tool: Callable[[str], str]) -> Callable[[Path], list[Object]]:
    """Return the function that renders a folder with kustomize."""
    kubectl = require_tool("kubectl")

    def run(path: Path) -> list[Object]:
        done = subprocess.run([kubectl, "kustomize", path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return list(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))  # ten times as fast

    return run


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


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [each for each in objects if each["kind"] in kinds]


def one(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = (each for each in of_kind(objects, kind) if each["metadata"]["name"] == name)
    return found


def templates(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the name and the pod template of everything that makes pods."""
    for each in of_kind(objects, "Deployment", "CronJob"):
        spec = each["spec"]["jobTemplate"]["spec"] if each["kind"] == "CronJob" else each["spec"]
        yield each["metadata"]["name"], spec["template"]


def containers(template: Object) -> list[Object]:
    return template["spec"].get("initContainers", []) + template["spec"]["containers"]


def matches(selector: Object, labels: Object) -> bool:
    assert set(selector) <= {"matchLabels", "matchExpressions"}, selector
    for each in selector.get("matchExpressions", []):
        assert each["operator"] in ("In", "Exists"), each
        if each["key"] not in labels or (each["operator"] == "In" and labels[each["key"]] not in each["values"]):
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()


def megabytes(quantity: str) -> float:
    """Return a quantity of memory in MiB."""
    number, unit = re.fullmatch(r"([0-9.]+)(Mi|Gi|MB|GB)", quantity).groups()
    return float(number) * {"Mi": 1, "Gi": 1024, "MB": 0.954, "GB": 954}[unit]


# The checks


def unrestricted(objects: list[Object]) -> list[str]:
    """Containers that the Pod Security Standard `restricted` refuses, that can write to their image or have a token."""
    wrong = []
    for name, template in templates(objects):
        pod = template["spec"]
        context = pod["securityContext"]
        fits = {
            "runAsNonRoot": context.get("runAsNonRoot") is True,
            "user": context.get("runAsUser") == context.get("runAsGroup") == 10001,
            "seccomp": context.get("seccompProfile") == {"type": "RuntimeDefault"},
            "token": pod.get("automountServiceAccountToken") is False,
            "host": not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(),
            "volumes": all({"persistentVolumeClaim", "emptyDir"} & volume.keys() for volume in pod["volumes"]),
        }
        wrong += [f"{name}: {what}" for what, fine in fits.items() if not fine]
        for each in containers(template):
            allowed = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
            if each.get("securityContext") != allowed | {"capabilities": {"drop": ["ALL"]}}:
                wrong.append(f"{name}/{each['name']}: securityContext")
    return wrong


def unnamed(objects: list[Object]) -> list[str]:
    """Services that select no pod, and what names a port, an object or a volume that is not there."""
    wrong = []
    pods = dict(templates(objects))
    ports = {
        name: {port["name"] for each in containers(template) for port in each.get("ports", [])}
        for name, template in pods.items()
    }

    def selected(selector: Object) -> list[str]:
        return [name for name, template in pods.items() if matches(selector, template["metadata"]["labels"])]

    for each in of_kind(objects, "Service"):
        name = each["metadata"]["name"]
        found = selected({"matchLabels": each["spec"]["selector"]})
        if len(found) != 1:
            wrong.append(f"Service {name} selects {found or 'nothing'}")
        wrong += [f"Service {name}: port {port['targetPort']}" for port in each["spec"]["ports"]
                  for pod in found if port["targetPort"] not in ports[pod]]  # fmt: skip
    for each in of_kind(objects, "NetworkPolicy"):
        named = [port["port"] for rule in each["spec"].get("ingress", []) for port in rule["ports"]]
        wrong += [f"NetworkPolicy {each['metadata']['name']}: port {port}" for port in named
                  for pod in selected(each["spec"]["podSelector"]) if port not in ports[pod]]  # fmt: skip
        callers = matches(each["spec"]["podSelector"], {COMPONENT: "client"})
        if not callers and not selected(each["spec"]["podSelector"]):
            wrong.append(f"NetworkPolicy {each['metadata']['name']} selects nothing")
    for each in of_kind(objects, "PodMonitor"):
        wrong += [f"PodMonitor: port {point['port']}" for point in each["spec"]["podMetricsEndpoints"]
                  for pod in selected(each["spec"]["selector"]) if point["port"] not in ports[pod]]  # fmt: skip
    services = {each["metadata"]["name"]: each["spec"]["ports"] for each in of_kind(objects, "Service")}
    for each in of_kind(objects, "Ingress"):
        for path in each["spec"]["rules"][0]["http"]["paths"]:
            to = path["backend"]["service"]
            if to["port"]["name"] not in {port["name"] for port in services.get(to["name"], [])}:
                wrong.append(f"Ingress: {to}")
    for each in of_kind(objects, "HTTPRoute"):
        (rule,) = each["spec"]["rules"]
        for to in [*rule["backendRefs"], *(one["requestMirror"]["backendRef"] for one in rule["filters"])]:
            if to["port"] not in {port["port"] for port in services.get(to["name"], [])}:
                wrong.append(f"HTTPRoute: {to}")
    there = {(each["kind"], each["metadata"]["name"]) for each in objects}
    for name, template in pods.items():
        pod, volumes = template["spec"], {each["name"]: each for each in template["spec"]["volumes"]}
        needs = {("ServiceAccount", pod["serviceAccountName"])}
        needs |= {("ConfigMap", of["configMapRef"]["name"]) for each in containers(template) for of in each["envFrom"]}
        needs |= {("PersistentVolumeClaim", of["persistentVolumeClaim"]["claimName"])
                  for of in volumes.values() if "persistentVolumeClaim" in of}  # fmt: skip
        wrong += [f"{name}: no {kind} {of}" for kind, of in sorted(needs - there)]
        mounted = {mount["name"] for each in containers(template) for mount in each["volumeMounts"]}
        wrong += [f"{name}: volume {of}" for of in mounted ^ volumes.keys()]
        probes = [(each, each[probe]["httpGet"]["port"]) for each in containers(template)
                  for probe in ("startupProbe", "livenessProbe", "readinessProbe") if probe in each]  # fmt: skip
        wrong += [f"{name}: a probe asks port {port}" for each, port in probes
                  if port not in {of["name"] for of in each["ports"]}]  # fmt: skip
    for scaler in of_kind(objects, *SCALERS):
        to = scaler["spec"]["scaleTargetRef"]
        if (to["kind"], to["name"]) not in there:
            wrong.append(f"{scaler['kind']} scales {to['kind']} {to['name']}, which is not there")
    for rollout in of_kind(objects, "Rollout"):
        if ("Deployment", rollout["spec"]["workloadRef"]["name"]) not in there:
            wrong.append("the Rollout has no template")
        for used in rollout["spec"]["strategy"]["canary"]["analysis"]["templates"]:
            if ("AnalysisTemplate", used["templateName"]) not in there:
                wrong.append(f"no AnalysisTemplate {used['templateName']}")
    return wrong


def disagreeing(objects: list[Object]) -> list[str]:
    """Figures of the service that do not fit together."""
    wrong = []
    deployment = one(objects, "Deployment", "serve")
    spec, pod = deployment["spec"], deployment["spec"]["template"]["spec"]
    (serve,) = pod["containers"]
    (settings,) = of_kind(objects, "ConfigMap")
    scalers = of_kind(objects, *SCALERS)
    if "replicas" in spec or len(scalers) != 1:
        wrong.append(f"{len(scalers)} scalers, and the Deployment has {spec.get('replicas', 'no')} replicas")
    if {"Rollout"} & {each["kind"] for each in objects} != {"Rollout"} & {scalers[0]["spec"]["scaleTargetRef"]["kind"]}:
        wrong.append("what scales does not scale the Rollout")
    least = scalers[0]["spec"].get("minReplicas", scalers[0]["spec"].get("minReplicaCount"))
    budget = one(objects, "PodDisruptionBudget", "serve")["spec"]
    if budget.get("maxUnavailable") != 1 or least < 2:
        wrong.append(f"with {least} pods, a drain that leaves {budget} would wait, or take the service along")
    if not matches(budget["selector"], spec["template"]["metadata"]["labels"]):
        wrong.append("the budget is for other pods")
    for metric in scalers[0]["spec"].get("metrics", []):
        if metric.get("containerResource", {}).get("container") != serve["name"]:
            wrong.append("the load is measured elsewhere than in the server")
    if "cpu" not in serve["resources"]["requests"]:
        wrong.append("a utilization needs a request")
    if spec["strategy"].get("rollingUpdate") != {"maxSurge": 1, "maxUnavailable": 0}:
        wrong.append("a rolling update takes a pod away before there is another")
    paths = {kind: serve[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    if paths != {"startup": "/healthz/live", "liveness": "/healthz/live", "readiness": "/healthz/ready"}:
        wrong.append(f"a probe asks something else: {paths}")
    ready = serve["readinessProbe"]
    drain = float(settings["data"].get("DRAIN_SECONDS", 0))
    if drain < ready["periodSeconds"] * ready["failureThreshold"] + 5:
        wrong.append(f"a drain of {drain:g} s ends before everybody knows that the pod is not ready")
    pause = serve.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if pod["terminationGracePeriodSeconds"] < pause + drain + FREE:
        wrong.append(f"{pod['terminationGracePeriodSeconds']} s are less than the drain and what comes after it")
    keys = {each["topologyKey"] for each in pod.get("topologySpreadConstraints", [])
            if matches(each["labelSelector"], spec["template"]["metadata"]["labels"])}  # fmt: skip
    if keys != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
        wrong.append("the pods may all be in one place")
    for name, template in templates(objects):
        for each in containers(template):
            took = MEASURED[each["name"] if each["name"] != "job" else name]
            limit, request = (megabytes(each["resources"][of]["memory"]) for of in ("limits", "requests"))
            if limit < 1.5 * took or not took <= request <= limit:
                wrong.append(f"{name}/{each['name']}: {request:g} to {limit:g} MiB for {took}")
            if name in MEASURED and each["name"] == "job" and limit < 2 * megabytes(settings["data"]["MEMORY_LIMIT"]):
                wrong.append(f"{name}: DuckDB may take what the job has")
    return wrong


def careless(objects: list[Object]) -> list[str]:
    """Jobs that may overlap, run for ever, or run by another clock."""
    wrong = []
    for each in of_kind(objects, "CronJob"):
        name, spec, job = each["metadata"]["name"], each["spec"], each["spec"]["jobTemplate"]["spec"]
        fits = {
            "timeZone": spec.get("timeZone") == "Etc/UTC",
            "concurrencyPolicy": spec.get("concurrencyPolicy") == "Forbid",
            "startingDeadlineSeconds": spec.get("startingDeadlineSeconds", 0) >= 200,  # or it may never start
            "history": {"successfulJobsHistoryLimit", "failedJobsHistoryLimit"} <= spec.keys(),
            "backoffLimit": 0 < job.get("backoffLimit", 6) < 6,
            "activeDeadlineSeconds": 0 < job.get("activeDeadlineSeconds", 0) < 86_400,
            "label": job["template"]["metadata"]["labels"][COMPONENT] == name,
        }
        wrong += [f"{name}: {what}" for what, fine in fits.items() if not fine]
    return wrong


# Who is there: the project's pods, a caller in its namespace, and what the platform and others have, with their ports.
OTHERS = {
    "mlflow": ("platform", {5000}),
    "redis": ("platform", {6379}),
    "postgres": ("platform", {5432}),
    "objects": ("platform", {8333}),
    "prometheus": ("monitoring", {9090}),
    "pushgateway": ("monitoring", {9091}),
    "alertmanager": ("monitoring", {9093}),
    "grafana": ("monitoring", {3000}),
    "opentelemetry-collector": ("monitoring", {4318}),
    "traefik": ("traefik", {443}),
    "stranger": ("strangers", {443}),
    "database": ("outside", {5432}),  # the cloud's
}


def connections(objects: list[Object], platform: list[Object]) -> set[tuple[str, str, int]]:
    """Return the connections that the network policies of both sides leave open: from, to, port. Without DNS."""
    policies = [(OURS, each["spec"]) for each in of_kind(objects, "NetworkPolicy")]
    policies += [(each["metadata"]["namespace"], each["spec"]) for each in of_kind(platform, "NetworkPolicy")]
    spaces = {each["metadata"]["name"]: each["metadata"]["labels"] for each in of_kind(platform, "Namespace")}
    spaces |= {OURS: {"slipway.dev/project": OURS}}
    labels = {name: (OURS, template["metadata"]["labels"]) for name, template in templates(objects)}
    labels |= {"client": (OURS, {COMPONENT: "client"})}
    labels |= {name: (space, {"app.kubernetes.io/name": name}) for name, (space, _) in OTHERS.items()}
    ports = {
        name: {port["containerPort"]: port["name"] for each in containers(template) for port in each.get("ports", [])}
        | {9999: ""}  # what listens without saying so
        for name, template in templates(objects)
    }
    ports |= {name: dict.fromkeys(of, "") for name, (_, of) in OTHERS.items()}

    def passes(direction: str, of: str, other: str, target: str, port: int) -> bool:
        space, mine = labels[of]
        selecting = [
            policy
            for where, policy in policies
            if where == space and direction in policy["policyTypes"] and matches(policy["podSelector"], mine)
        ]
        rules = [rule for each in selecting for rule in each.get(direction.lower(), [])]
        for rule in rules:
            if not {port, ports[target][port]} & {each["port"] for each in rule["ports"]}:
                continue
            for peer in rule["from" if direction == "Ingress" else "to"]:
                if "ipBlock" in peer:
                    if other == "database":
                        return True
                    continue  # no pod of the cluster is outside of it
                there, theirs = labels[other]
                named = spaces.get(there, {}) | {"kubernetes.io/metadata.name": there}
                near = matches(peer["namespaceSelector"], named) if "namespaceSelector" in peer else there == space
                if near and matches(peer.get("podSelector", {}), theirs):
                    return True
        return not selecting

    return {
        (source, target, port)
        for source, target in product(labels, ports)
        for port in ports[target]
        if source != target
        and OURS in (labels[source][0], labels[target][0])
        and passes("Egress", source, target, target, port)
        and passes("Ingress", target, source, target, port)
    }


def made(objects: list[Object]) -> set[tuple[str, str, int]]:
    """Return the connections that the code makes: by the addresses and keys that each pod gets, and by who calls it."""
    found = {("prometheus", "serve", 8001), ("client", "serve", 8000)}
    for name, template in templates(objects):
        env = {of["name"].removeprefix("FLIGHT_DELAYS_") for each in containers(template) for of in each.get("env", [])}
        if "MLFLOW_TRACKING_PASSWORD" in env:
            found.add((name, "mlflow", 5000))
        if "ONLINE_URL" in env:
            found.add((name, "redis", 6379))
        if "STUDY_URL" in env:
            found.add((name, "database" if any(map(in_a_cloud, objects)) else "postgres", 5432))
        if "OTEL_EXPORTER_OTLP_ENDPOINT" in env:
            found.add((name, "opentelemetry-collector", 4318))
        if template["spec"]["containers"][0].get("args", [])[:2] == ["monitor", "run"]:
            found.add((name, "pushgateway", 9091))
        if template["metadata"]["labels"][COMPONENT] == "shadow":
            found |= {("traefik", name, 8000), ("prometheus", name, 8001)}
    if of_kind(objects, "Ingress", "HTTPRoute"):
        found.add(("traefik", "serve", 8000))
    return found


def in_a_cloud(each: Object) -> bool:
    """Return whether an object opens a way to the cloud, whose database is no pod."""
    return each["kind"] == "NetworkPolicy" and any(
        "ipBlock" in peer for rule in each["spec"].get("egress", []) for peer in rule["to"]
    )


def unequal(objects: list[Object], platform: list[Object]) -> list[str]:
    """Connections that are open and not made, or made and not open."""
    opened, needed = connections(objects, platform), made(objects)
    return [f"{source} to {target}:{port} is {'open' if (source, target, port) in opened else 'closed'}"
            for source, target, port in sorted(opened ^ needed)]  # fmt: skip


CHECKS = (unrestricted, unnamed, disagreeing, careless)


@pytest.fixture(scope="module")
def platform(root: Path, build: Callable[[Path], list[Object]]) -> list[Object]:
    """Return the objects of the platform, and what it gives the project."""
    folders = [root / "k8s" / "overlays" / "local", root / "k8s" / "tenants" / OURS]
    return [each for path in folders for each in build(path)]


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
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [{"prot": 1}]}}
    (tmp_path / "all.json").write_text(json.dumps([*everything, wrong]))
    check = """
import json, pathlib, sys
import kubernetes_validate
for minor in sys.argv[2:]:
    for each in json.loads(pathlib.Path(sys.argv[1]).read_text()):
        try:
            kubernetes_validate.validate(each, minor, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            print("no schema", each["kind"])
        except Exception as error:
            print(minor, each["kind"], each["metadata"]["name"], " ".join(str(error).split())[:200])
"""
    python = Path(platform_tool("kubernetes-validate")).with_name("python")
    command = [python, "-W", "ignore", "-c", check, tmp_path / "all.json", *MINORS]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    unknown = {line for line in lines if line.startswith("no schema ")}
    assert [line.split()[:3] for line in lines if line not in unknown] == [[minor, "Service", "x"] for minor in MINORS]
    custom = {"AnalysisTemplate", "HTTPRoute", "PodMonitor", "Rollout", "ScaledObject"}
    assert unknown == {f"no schema {kind}" for kind in custom}  # those of the next test


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
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(everything))
    bad = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad", "namespace": "x"}}
    bad["spec"] = {"containers": [{"name": "a", "image": "a:latest", "securityContext": {"privileged": True}}]}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(bad))
    command = [platform_tool("checkov"), "--directory", tmp_path, "--framework", "kubernetes", "--output", "json"]
    done = subprocess.run([*command, "--compact", "--skip-download"], capture_output=True, text=True, check=False)
    results = json.loads(done.stdout)["results"]
    failed = {(each["check_id"], each["resource"]) for each in results["failed_checks"]}
    assert {resource for _, resource in failed} == {"Pod.x.bad"}, sorted(failed)
    for each in results["skipped_checks"]:
        assert len(each["check_result"]["suppress_comment"]) > 30, each["resource"]


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
    overlays: dict[str, list[Object]], combined: dict[tuple[str, ...], list[Object]], platform: list[Object]
) -> None:
    chosen = [combined[of] for of in [(), *((name,) for name in COMPONENTS), COMPONENTS]]
    for objects in [*overlays.values(), *chosen]:
        assert unequal(objects, platform) == []


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
