"""The platform's manifests in k8s/, as objects: what they would be on a cluster, computed from what is rendered."""

import ipaddress
import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from local import fetch, free_port, until

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
# What infra/observability puts into the cluster, and for a managed database somebody by docs/how-to/run-on-kind.md.
MADE_THERE = {"rules", "dashboards", "database-ca"}


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


def test_alertmanager_takes_its_file(root: Path, require_tool: Callable[[str], str]):
    file = root / "k8s" / "base" / "alertmanager" / "alertmanager.yml"
    subprocess.run([require_tool("amtool"), "check-config", file], check=True, capture_output=True)


def pod_target(namespace: str, scrape: str = "true", **changes: str) -> Object:
    """Return a container of a pod as Prometheus finds it in a cluster."""
    found = {
        "namespace": namespace,
        "pod_name": "serve-1",
        "pod_ip": "10.1.2.3",
        "pod_phase": "Running",
        "pod_container_port_number": "8000",
        "pod_annotation_prometheus_io_scrape": scrape,
        "pod_annotation_prometheus_io_port": "8001",
        "pod_annotation_prometheus_io_job": "flight_delays",
        **changes,
    }
    labels = {f"__meta_kubernetes_{name}": value for name, value in found.items()}
    return {"targets": ["10.1.2.3:8000"], "labels": labels}


def test_prometheus_takes_its_file_and_finds_a_pod_once_under_its_project(
    root: Path, require_tool: Callable[[str], str], tmp_path: Path
):
    # Debian builds its own without the discovery of Kubernetes: a file tells it what that would find.
    config = yaml.safe_load((root / "k8s" / "base" / "prometheus" / "prometheus.yml").read_text())
    (projects,) = (each for each in config["scrape_configs"] if each["job_name"] == "projects")
    assert projects.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    projects["file_sd_configs"] = [{"files": [str(tmp_path / "pods.json")]}]
    config["rule_files"] = [str(root / "template" / "observability" / "prometheus" / "*o.yaml")]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    pods = [
        pod_target("flight-delays"),
        pod_target("flight-delays", pod_container_port_number="8001"),  # its other port, and its sidecar
        pod_target("flight-delays-staging", pod_name="serve-2", pod_ip="10.1.2.4"),
        pod_target("flight-delays", scrape="false", pod_name="land-1"),
        pod_target("flight-delays", pod_phase="Succeeded", pod_name="monitor-1"),
    ]
    (tmp_path / "pods.json").write_text(json.dumps(pods))
    address = f"127.0.0.1:{free_port()}"
    files = [f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    command = [require_tool("prometheus"), *files, f"--web.listen-address={address}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:

        def found() -> list[Object]:
            assert process.poll() is None, process.stderr.read()
            with suppress(OSError):
                targets = json.loads(fetch(f"http://{address}/api/v1/targets")[1])["data"]["activeTargets"]
                return targets if len(targets) == 3 else []  # two of projects, and the Pushgateway
            return []

        active = until(found, "it has its targets")
    finally:
        process.kill()
        process.communicate()
    assert {each["scrapeUrl"]: each["labels"] for each in active if each["scrapePool"] == "projects"} == {
        "http://10.1.2.3:8001/metrics": {"job": "flight_delays", "instance": "serve-1", "namespace": "flight-delays"},
        "http://10.1.2.4:8001/metrics": {
            "job": "flight_delays_staging",
            "instance": "serve-2",
            "namespace": "flight-delays-staging",
        },
    }


def test_what_two_places_have_is_equal(root: Path):
    # kustomize reads no file outside of its folder, and follows no link out of it.
    k8s, infra, observability = root / "k8s", root / "infra", root / "template" / "observability"
    copies = {
        k8s / "base" / "alertmanager" / "alertmanager.yml": observability / "alertmanager.yml",
        k8s / "base" / "grafana" / "datasources.yaml": observability
        / "grafana/provisioning/datasources/prometheus.yaml",
        k8s / "base" / "grafana" / "dashboards.yaml": observability / "grafana/provisioning/dashboards/dashboards.yaml",
    }
    copies[k8s / "base" / "postgres" / "databases.sql"] = infra / "postgres" / "databases.sql"
    for copy, original in copies.items():
        assert copy.read_text() == original.read_text(), f"cp {original} {copy}"
    here, cloud = ((k8s / folder / "auth.ini").read_text() for folder in ("base/mlflow", "overlays/cloud"))
    assert re.sub("postgresql.*", "", here) == re.sub("postgresql.*", "", cloud)


def test_compose_and_a_cluster_run_the_same_images(root: Path, rendered: dict[str, list[Object]]):
    services = yaml.safe_load((root / "infra" / "compose.yaml").read_text())["services"]
    containers = {
        name_of(each): pod_of(each)["containers"][0] for each in of_kind(rendered["overlays/local"], *WORKLOADS)
    }
    for name, container in containers.items():
        assert container["image"] == services[name]["image"]
    # Grafana is run by no test: without the last of these it would lose its data source.
    here, there = (
        {name: value for name, value in settings.items() if name.startswith(("GF_ANALYTICS_", "GF_PLUGINS_"))}
        for settings in (
            {each["name"]: each.get("value") for each in containers["grafana"]["env"]},
            services["grafana"]["environment"],
        )
    )
    assert here == there
    assert here["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"


# Pods


def restricted_faults(pod: Object) -> set[str]:
    """Return what the Pod Security Standard `restricted` (v1.35), and a read-only root, refuse of a pod."""
    faults, context = set(), pod.get("securityContext", {})
    faults |= {field for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field)}
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    faults |= {"volumes" for volume in pod.get("volumes", []) if not set(volume) - {"name"} <= allowed}
    if context.get("sysctls"):
        faults.add("sysctls")
    for each in containers_of(pod):
        own = each.get("securityContext", {})
        if own.get("privileged"):
            faults.add("privileged")
        if own.get("allowPrivilegeEscalation") is not False:
            faults.add("allowPrivilegeEscalation")
        capabilities = own.get("capabilities", {})
        if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            faults.add("capabilities")
        if not own.get("runAsNonRoot", context.get("runAsNonRoot")):
            faults.add("runAsNonRoot")
        if own.get("runAsUser", context.get("runAsUser")) == 0:
            faults.add("runAsUser")
        seccomp = own.get("seccompProfile", context.get("seccompProfile", {}))
        if seccomp.get("type") not in ("RuntimeDefault", "Localhost"):
            faults.add("seccompProfile")
        if not own.get("readOnlyRootFilesystem"):
            faults.add("readOnlyRootFilesystem")
        if any("hostPort" in port for port in each.get("ports", [])):
            faults.add("hostPort")
    return faults


def broken(pod: Object, path: str, value: Any) -> Object:
    """Return a copy of a pod's specification with one field set, or taken out where the value is None."""
    changed = json.loads(json.dumps(pod))
    at, (*way, last) = changed, [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in way:
        at = at[part]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("hostNetwork", True),
        ("volumes/0", {"name": "config", "hostPath": {"path": "/etc"}}),
        ("securityContext/runAsNonRoot", None),
        ("securityContext/runAsUser", 0),
        ("securityContext/seccompProfile", None),
        ("securityContext/sysctls", [{"name": "a", "value": "b"}]),
        ("containers/0/securityContext/privileged", True),
        ("containers/0/securityContext/allowPrivilegeEscalation", None),
        ("containers/0/securityContext/capabilities", {"drop": ["NET_RAW"]}),
        ("containers/0/securityContext/readOnlyRootFilesystem", False),
        ("containers/0/ports/0/hostPort", 80),
    ],
)
def test_a_pod_that_is_not_restricted_is_found(path: str, value: Any, local: list[Object]):
    pod = pod_of(next(each for each in of_kind(local, "Deployment") if name_of(each) == "mlflow"))
    assert restricted_faults(pod) == set()
    faults = restricted_faults(broken(pod, path, value))
    assert len(faults) == 1
    assert faults <= set(path.split("/"))


@pytest.mark.parametrize("overlay", ["overlays/local", "overlays/cloud"])
def test_every_pod_is_restricted_and_has_no_more_than_it_needs(overlay: str, rendered: dict[str, list[Object]]):
    for workload in of_kind(rendered[overlay], *WORKLOADS):
        pod = pod_of(workload)
        assert restricted_faults(pod) == set(), name_of(workload)
        assert pod["automountServiceAccountToken"] is (name_of(workload) == "prometheus")
        assert pod["priorityClassName"] in {name_of(each) for each in of_kind(rendered[overlay], "PriorityClass")}
        for each in pod["containers"]:
            assert {"requests", "limits"} <= set(each["resources"])
            assert "readinessProbe" in each
            assert "livenessProbe" in each
    for namespace in of_kind(rendered[overlay], "Namespace"):
        labels = namespace["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        assert labels["pod-security.kubernetes.io/enforce-version"] == f"v{MINORS[0]}"


@pytest.mark.parametrize("overlay", ["overlays/local", "overlays/cloud"])
def test_what_a_manifest_names_is_there(overlay: str, rendered: dict[str, list[Object]]):
    objects = rendered[overlay]
    workloads = {(namespace_of(each), name_of(each)): each for each in of_kind(objects, *WORKLOADS)}
    there = {(each["kind"], namespace_of(each), name_of(each)) for each in objects}
    for service in of_kind(objects, "Service"):
        selected = [
            workload
            for (namespace, _), workload in workloads.items()
            if namespace == namespace_of(service)
            and service["spec"]["selector"].items() <= workload["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert [name_of(each) for each in selected] == [name_of(service)]
        ports = {port["name"] for each in pod_of(selected[0])["containers"] for port in each["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    secrets = set()
    for (namespace, name), workload in workloads.items():
        pod, template = pod_of(workload), workload["spec"]["template"]
        assert workload["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        if "serviceAccountName" in pod:
            assert ("ServiceAccount", namespace, pod["serviceAccountName"]) in there
        claims = {each["metadata"]["name"] for each in workload["spec"].get("volumeClaimTemplates", [])}
        volumes = {each["name"] for each in pod.get("volumes", [])} | claims
        for volume in pod.get("volumes", []):
            if "configMap" in volume and volume["configMap"]["name"] not in MADE_THERE:
                assert ("ConfigMap", namespace, volume["configMap"]["name"]) in there, name
            if "secret" in volume:
                secrets.add((namespace, volume["secret"]["secretName"], None))
        for each in pod["containers"]:
            assert {mount["name"] for mount in each["volumeMounts"]} == volumes, name
            named = {port["name"] for port in each["ports"]}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                for how in ("httpGet", "tcpSocket"):
                    assert each.get(probe, {}).get(how, {}).get("port") in named | {None}, name
            for source in each.get("envFrom", []):
                assert ("ConfigMap", namespace, source["configMapRef"]["name"]) in there
            for variable in each.get("env", []):
                if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                    secrets.add((namespace, reference["name"], reference["key"]))
    for namespace, secret, key in secrets:
        assert key is None or key in SECRETS[namespace, secret], (namespace, secret, key)
    if overlay == "overlays/local":
        known = {(*where, key) for where, keys in SECRETS.items() for key in (keys or {None})}
        assert known - secrets == {("platform", "postgres", "SUPERUSER_PASSWORD")} - secrets
    for budget in of_kind(objects, "PodDisruptionBudget"):
        workload = workloads[namespace_of(budget), name_of(budget)]
        assert workload["spec"]["replicas"] > budget["spec"]["maxUnavailable"]


def test_lists_that_an_apply_replaces_whole_are_written_whole(rendered: dict[str, list[Object]]):
    # What the API server adds to an entry of such a list is a change to take back at each apply.
    for objects in rendered.values():
        for policy in of_kind(objects, "NetworkPolicy"):
            for rule in (*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])):
                assert all("protocol" in port for port in rule["ports"]), name_of(policy)
        for policy in of_kind(objects, "ValidatingAdmissionPolicy"):
            assert all("scope" in rule for rule in policy["spec"]["matchConstraints"]["resourceRules"])
        for limits in of_kind(objects, "LimitRange"):
            assert all({"default", "defaultRequest"} <= set(limit) for limit in limits["spec"]["limits"])
        for workload in of_kind(objects, "StatefulSet"):
            for claim in workload["spec"]["volumeClaimTemplates"]:
                added = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Pending"}}
                assert added.items() <= claim.items(), name_of(workload)
                assert claim["spec"]["volumeMode"] == "Filesystem", name_of(workload)


def quantities(part: Any) -> Iterator[str]:
    """Yield the quantities of processor time, memory and disk anywhere in an object."""
    for name, value in part.items() if isinstance(part, dict) else ():
        if re.fullmatch(r"((requests|limits)\.)?(cpu|memory|storage)|sizeLimit", name):
            yield value
        yield from quantities(value)
    for value in part if isinstance(part, list) else ():
        yield from quantities(value)


def test_quantities_are_written_as_the_api_server_writes_them(
    rendered: dict[str, list[Object]], golden_manifests: Path, require_tool: Callable[[str], str]
):
    """1000m and 1024Mi come back as 1 and 1Gi, and each apply would change them again."""
    command = [require_tool("kubectl"), "kustomize", golden_manifests / "overlays" / "production"]
    project = yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    found = {str(each) for each in quantities([*rendered.values(), *project])}
    assert len(found) > 10
    for each in found:
        number, unit = re.fullmatch(r"([1-9]\d*)(m|Mi|Gi|)", each).groups()
        assert int(number) % {"m": 1000, "Mi": 1024, "Gi": 1024, "": 1_000_000}[unit], f"{each} is written otherwise"


def bytes_of(quantity: str) -> float:
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "m": 1e-3}
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", str(quantity)).groups()
    return float(number) * units.get(unit, 1)


@pytest.mark.parametrize("overlay", ["overlays/local", "overlays/cloud"])
def test_all_pods_fit_into_their_quota_while_each_is_rolled(overlay: str, rendered: dict[str, list[Object]]):
    for namespace in ("platform", "monitoring"):
        objects = [each for each in rendered[overlay] if namespace_of(each) == namespace]
        (hard,) = (each["spec"]["hard"] for each in of_kind(objects, "ResourceQuota"))
        (limits,) = (each["spec"]["limits"][0] for each in of_kind(objects, "LimitRange"))
        used = dict.fromkeys(("requests.cpu", "requests.memory", "limits.memory", "requests.storage", "pods"), 0.0)
        for workload in of_kind(objects, *WORKLOADS):
            pods = workload["spec"]["replicas"] + (workload["kind"] == "Deployment")
            used["pods"] += pods
            for each in pod_of(workload)["containers"]:
                assert bytes_of(each["resources"]["limits"]["memory"]) <= bytes_of(limits["max"]["memory"])
                for what, resource in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
                    used[f"{what}.{resource}"] += pods * bytes_of(each["resources"][what][resource])
            for claim in workload["spec"].get("volumeClaimTemplates", []):
                used["requests.storage"] += bytes_of(claim["spec"]["resources"]["requests"]["storage"])
        assert {what for what, much in used.items() if much > bytes_of(hard[what])} == set(), (namespace, used)


def asked_for(template: Object, count: int) -> dict[str, float]:
    """Return what so many pods of a template ask a quota for."""
    used = {"pods": float(count)}
    for each in containers_of(template["spec"]):
        for what, resource in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            name = f"{what}.{resource}"
            used[name] = used.get(name, 0.0) + count * bytes_of(each["resources"][what][resource])
    return used


def project_of(manifests: Path, overlay: str, kubectl: str) -> list[Object]:
    command = [kubectl, "kustomize", manifests / "overlays" / overlay]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [each for each in yaml.safe_load_all(text) if each]


def test_a_project_fits_into_its_share_with_every_server_and_every_job_at_once(
    rendered: dict[str, list[Object]], golden_manifests: Path, require_tool: Callable[[str], str]
):
    objects = project_of(golden_manifests, "production", require_tool("kubectl"))
    shares = [each["spec"]["hard"] for each in of_kind(rendered["tenants/flight-delays"], "ResourceQuota")]
    (hard,) = (share for share in shares if "requests.cpu" in share)
    (scaler,) = of_kind(objects, "HorizontalPodAutoscaler")
    (serve,) = of_kind(objects, "Deployment")
    used = Counter(asked_for(serve["spec"]["template"], scaler["spec"]["maxReplicas"] + 1))
    for each in of_kind(objects, "CronJob"):
        job = each["spec"]["jobTemplate"]["spec"]
        used.update(asked_for(job["template"], job.get("parallelism", 1)))
    (claim,) = of_kind(objects, "PersistentVolumeClaim")
    used["requests.storage"] = bytes_of(claim["spec"]["resources"]["requests"]["storage"])
    assert {what for what, much in used.items() if much > bytes_of(hard[what])} == set(), used


def test_all_of_a_laptop_fits_into_two_processors_and_six_gigabytes(
    rendered: dict[str, list[Object]], golden_manifests: Path, require_tool: Callable[[str], str]
):
    """Kubernetes itself on kind, the platform, two servers, one more while they are rolled, and a job."""
    objects = project_of(golden_manifests, "local", require_tool("kubectl"))
    used = Counter({"requests.cpu": 0.95, "requests.memory": 290 * 2**20})  # of kind's own pods
    for each in of_kind(rendered["overlays/local"], *WORKLOADS):
        used.update(asked_for(each["spec"]["template"], each["spec"]["replicas"]))
    (scaler,) = of_kind(objects, "HorizontalPodAutoscaler")
    (serve,) = of_kind(objects, "Deployment")
    used.update(asked_for(serve["spec"]["template"], scaler["spec"]["minReplicas"] + 1))
    jobs = [asked_for(each["spec"]["jobTemplate"]["spec"]["template"], 1) for each in of_kind(objects, "CronJob")]
    for what, much in {"requests.cpu": 2.0, "requests.memory": 6e9}.items():
        assert used[what] + max(job[what] for job in jobs) <= much, used


# Connections

# What listens on which port, whether it says so or not, and what has no pod.
LISTENS = {
    ("platform", "mlflow"): {5000},
    ("platform", "redis"): {6379},
    ("platform", "postgres"): {5432},
    ("platform", "objects"): {8333, 8080, 8888, 9333, 18080},  # S3; volume, filer, master: they ask for no key
    ("monitoring", "prometheus"): {9090},
    ("monitoring", "alertmanager"): {9093},
    ("monitoring", "pushgateway"): {9091},
    ("monitoring", "grafana"): {3000},
    ("monitoring", "opentelemetry-collector"): {4317, 4318},
    ("keda", "keda-operator"): {8080},
    ("argo-rollouts", "argo-rollouts"): {8090},
    ("flight-delays", "serve"): {8000, 8001},
    ("strangers", "pod"): {8001},
    ("kube-system", "dns"): {53},
    ("outside", "8.8.8.8"): {22, 443},
    ("outside", "10.0.0.1"): {22, 443, 6443},  # the API server, by its Service or on its node
    ("outside", "169.254.169.254"): {80},  # the metadata of the machine, with its keys
}
# Each connection that something makes; every other one is closed.
NEEDED = {
    (("platform", "mlflow"), ("platform", "postgres"), 5432),
    (("platform", "mlflow"), ("platform", "objects"), 8333),
    (("monitoring", "prometheus"), ("monitoring", "alertmanager"), 9093),
    (("monitoring", "prometheus"), ("monitoring", "pushgateway"), 9091),
    (("monitoring", "prometheus"), ("flight-delays", "serve"), 8001),
    (("monitoring", "prometheus"), ("outside", "10.0.0.1"), 443),
    (("monitoring", "prometheus"), ("outside", "10.0.0.1"), 6443),
    # A network policy can tell the API server from the world by no name, only by an address that each cloud changes.
    (("monitoring", "prometheus"), ("outside", "8.8.8.8"), 443),
    (("monitoring", "alertmanager"), ("outside", "8.8.8.8"), 443),
    (("monitoring", "grafana"), ("monitoring", "prometheus"), 9090),
    # Whom the components `keda` and `canary` have ask for a project's figures.
    (("keda", "keda-operator"), ("monitoring", "prometheus"), 9090),
    (("argo-rollouts", "argo-rollouts"), ("monitoring", "prometheus"), 9090),
    # A project's own policies say which of its pods; here it has opened all of its side.
    (("flight-delays", "serve"), ("platform", "mlflow"), 5000),
    (("flight-delays", "serve"), ("platform", "redis"), 6379),
    (("flight-delays", "serve"), ("platform", "postgres"), 5432),
    (("flight-delays", "serve"), ("monitoring", "pushgateway"), 9091),
    (("flight-delays", "serve"), ("monitoring", "opentelemetry-collector"), 4318),
}
HERE = {"platform", "monitoring"}


def matches(selector: Object, labels: Object) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    for each in selector.get("matchExpressions", []):
        assert each["operator"] in ("Exists", "In"), each
        value = labels.get(each["key"])
        wanted = wanted and (value is not None if each["operator"] == "Exists" else value in each["values"])
    return wanted


def in_block(block: Object, address: str) -> bool:
    networks = [ipaddress.ip_network(each) for each in (block["cidr"], *block.get("except", []))]
    return ipaddress.ip_address(address) in networks[0] and not any(
        ipaddress.ip_address(address) in each for each in networks[1:]
    )


def reaches(objects: list[Object]) -> set[tuple[tuple[str, str], tuple[str, str], int]]:
    """Return the connections that the network policies leave open, by source, destination and port.

    A connection is open when both ends let it pass; an end that no policy of the direction selects lets all pass.
    """
    spaces = {name_of(each): each["metadata"]["labels"] for each in of_kind(objects, "Namespace")}
    spaces |= {name: {} for name in ("strangers", "kube-system", "keda", "argo-rollouts")}
    for name, labels in spaces.items():
        labels = spaces[name] = {**labels, "kubernetes.io/metadata.name": name}
    labels = {
        (namespace_of(each), name_of(each)): each["spec"]["template"]["metadata"]["labels"]
        for each in of_kind(objects, *WORKLOADS)
    }
    labels |= {
        ("flight-delays", "serve"): {"app.kubernetes.io/component": "serve"},
        ("strangers", "pod"): {"app.kubernetes.io/name": "mlflow"},  # it calls itself what it likes
        ("kube-system", "dns"): {"k8s-app": "kube-dns"},
        ("keda", "keda-operator"): {"app": "keda-operator"},
        ("argo-rollouts", "argo-rollouts"): {"app.kubernetes.io/name": "argo-rollouts"},
        ("monitoring", "opentelemetry-collector"): {"app.kubernetes.io/name": "opentelemetry-collector"},
    }

    def passes(direction: str, of: tuple[str, str], other: tuple[str, str], port: int) -> bool:
        if of[0] not in spaces:
            return True
        selecting = [
            each["spec"]
            for each in of_kind(objects, "NetworkPolicy")
            if namespace_of(each) == of[0]
            and direction in each["spec"]["policyTypes"]
            and matches(each["spec"]["podSelector"], labels[of])
        ]
        side, peers = ("from", "ingress") if direction == "Ingress" else ("to", "egress")
        for policy in selecting:
            for rule in policy.get(peers, []):
                for peer in rule[side]:
                    if "ipBlock" in peer:
                        hit = other[0] == "outside" and in_block(peer["ipBlock"], other[1])
                    elif other[0] == "outside":
                        hit = False
                    else:
                        space = spaces[other[0]]
                        same = other[0] == of[0]
                        hit = matches(peer["namespaceSelector"], space) if "namespaceSelector" in peer else same
                        hit = hit and matches(peer.get("podSelector", {}), labels[other])
                    if hit and port in {each["port"] for each in rule["ports"]}:
                        return True
        return not selecting

    return {
        (source, target, port)
        for source, target in product(LISTENS, LISTENS)
        for port in LISTENS[target]
        if source != target
        and (source[0] in HERE or target[0] in HERE)
        and passes("Egress", source, target, port)
        and passes("Ingress", target, source, port)
    }


def of_a_project(objects: list[Object]) -> list[Object]:
    """Return the objects, with a project that opens all of its side."""
    everywhere = [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "0.0.0.0/0"}}]
    ports = [{"port": port} for port in sorted(set().union(*LISTENS.values()))]
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    spec |= {"ingress": [{"from": everywhere, "ports": ports}], "egress": [{"to": everywhere, "ports": ports}]}
    metadata = {"name": "open", "namespace": "flight-delays"}
    return [*objects, {"kind": "NetworkPolicy", "metadata": metadata, "spec": spec}]


def test_each_connection_that_is_made_is_open_and_no_other(local: list[Object]):
    names = {(source, ("kube-system", "dns"), 53) for source in LISTENS if source[0] in HERE}
    assert reaches(of_a_project(local)) == NEEDED | names


def test_a_project_that_opens_nothing_reaches_nothing(local: list[Object]):
    assert not [each for each in reaches(local) if "flight-delays" in (each[0][0], each[1][0])]


@pytest.mark.parametrize("policy", ["mlflow", "mlflow-to-postgres", "objects", "dns", "grafana", "default-deny"])
def test_a_network_policy_that_is_missing_is_noticed(policy: str, local: list[Object]):
    without = [each for each in local if (each["kind"], name_of(each)) != ("NetworkPolicy", policy)]
    assert reaches(of_a_project(without)) != reaches(of_a_project(local))


def test_the_registry_of_a_cloud_reaches_its_database_and_its_bucket_and_no_keys(rendered: dict[str, list[Object]]):
    objects = [*rendered["overlays/cloud"], *rendered["tenants/flight-delays"]]
    (policy,) = (each["spec"] for each in of_kind(objects, "NetworkPolicy") if name_of(each) == "mlflow-to-cloud")
    open_to = {
        (address, port["port"])
        for address in ("10.1.2.3", "8.8.8.8", "169.254.169.254")
        for rule in policy["egress"]
        for peer, port in product(rule["to"], rule["ports"])
        if in_block(peer["ipBlock"], address)
    }
    assert open_to == {("10.1.2.3", 5432), ("10.1.2.3", 443), ("8.8.8.8", 443)}


# Rights

EVERYBODY = {"system:authenticated"}  # pods too, and in some clouds everybody with an account there
COLLEAGUE = EVERYBODY | {"slipway-users"}
TEAM = COLLEAGUE | {"flight-delays"}


def may(objects: list[Object], groups: set[str], verb: str, what: str, namespace: str = "", name: str = "") -> bool:
    """Return whether a group may do something: `what` is RESOURCE or RESOURCE.GROUP, as kubectl writes it."""
    resource, _, group = what.partition(".")
    roles = {
        (each["kind"], namespace_of(each), name_of(each)): each["rules"]
        for each in of_kind(objects, "Role", "ClusterRole")
    }
    for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        where, reference = namespace_of(binding), binding["roleRef"]
        if where not in ("", namespace) or not groups & {
            subject["name"] for subject in binding["subjects"] if subject["kind"] == "Group"
        }:
            continue
        for rule in roles[reference["kind"], where if reference["kind"] == "Role" else "", reference["name"]]:
            if (
                {verb, "*"} & set(rule["verbs"])
                and {resource, "*"} & set(rule["resources"])
                and {group, "*"} & set(rule["apiGroups"])
                and (not rule.get("resourceNames") or name in rule["resourceNames"])
            ):
                return True
    return False


MAY = """
create deployments.apps flight-delays | patch deployments.apps flight-delays | create cronjobs.batch flight-delays
create jobs.batch flight-delays | update horizontalpodautoscalers.autoscaling flight-delays
create networkpolicies.networking.k8s.io flight-delays | create persistentvolumeclaims flight-delays
create configmaps flight-delays | create services flight-delays | create serviceaccounts flight-delays
create poddisruptionbudgets.policy flight-delays | patch deployments/scale.apps flight-delays
get pods/log flight-delays | list pods flight-delays | list events flight-delays | create pods/exec flight-delays
get secrets flight-delays flight-delays-secrets | patch secrets flight-delays flight-delays-secrets
create secrets flight-delays | get resourcequotas flight-delays | create rollouts.argoproj.io flight-delays
create scaledobjects.keda.sh flight-delays | create podmonitors.monitoring.coreos.com flight-delays
create analysistemplates.argoproj.io flight-delays | create httproutes.gateway.networking.k8s.io flight-delays
list pods platform | get deployments.apps platform | list events monitoring
create deployments.apps flight-delays-staging | get secrets flight-delays-staging flight-delays-secrets
"""
MAY_NOT = """
get secrets flight-delays other | list secrets flight-delays | watch secrets flight-delays
get secrets platform postgres | list secrets platform | get secrets monitoring grafana | get secrets default any
get configmaps platform | get pods/log platform | create pods/exec platform | create pods/portforward platform
create pods platform | delete pods platform | create deployments.apps platform | create configmaps monitoring
create deployments.apps other-project | list pods other-project | get secrets other-project flight-delays-secrets
update resourcequotas flight-delays | delete limitranges flight-delays
create roles.rbac.authorization.k8s.io flight-delays
create rolebindings.rbac.authorization.k8s.io flight-delays | bind roles.rbac.authorization.k8s.io flight-delays
escalate roles.rbac.authorization.k8s.io flight-delays | impersonate groups | create serviceaccounts/token flight-delays
patch namespaces | patch namespaces flight-delays flight-delays | create namespaces | get nodes
delete validatingadmissionpolicies.admissionregistration.k8s.io
patch validatingadmissionpolicybindings.admissionregistration.k8s.io
create priorityclasses.scheduling.k8s.io | delete networkpolicies.networking.k8s.io platform
"""


def questions(text: str) -> list[str]:
    return [" ".join(each.split()) for line in text.strip().splitlines() for each in line.split("|")]


@pytest.fixture(scope="module")
def rights(local: list[Object], rendered: dict[str, list[Object]]) -> list[Object]:
    return local + rendered["tenants/flight-delays-staging"]


@pytest.mark.parametrize("question", questions(MAY))
def test_a_team_may(question: str, rights: list[Object]):
    assert may(rights, TEAM, *question.split())


@pytest.mark.parametrize("question", questions(MAY_NOT))
def test_a_team_may_not(question: str, rights: list[Object]):
    assert not may(rights, TEAM, *question.split())


def test_a_team_may_apply_all_that_its_project_has(
    golden_manifests: Path, rights: list[Object], require_tool: Callable[[str], str]
):
    for overlay in sorted((golden_manifests / "overlays").glob("*")):
        command = [require_tool("kubectl"), "kustomize", overlay]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for each in yaml.safe_load_all(text):
            resource = re.sub("y$", "ie", re.sub("ss$", "sse", each["kind"].lower())) + "s"
            group, _, _ = each["apiVersion"].rpartition("/")
            what = f"{resource}.{group}" if group else resource
            for verb in ("create", "get", "patch"):
                assert may(rights, TEAM, verb, what, namespace_of(each), name_of(each)), (verb, what)


def test_who_is_in_no_team_sees_whether_the_platform_runs_and_nothing_else(rights: list[Object]):
    allowed = {question for question in questions(MAY) if may(rights, COLLEAGUE, *question.split())}
    assert allowed == {"list pods platform", "get deployments.apps platform", "list events monitoring"}


def test_a_login_alone_sees_nothing(rights: list[Object]):
    assert not [question for question in questions(MAY) if may(rights, EVERYBODY, *question.split())]


def test_no_role_takes_everything(rights: list[Object]):
    for each in of_kind(rights, "Role", "ClusterRole"):
        for rule in each["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
