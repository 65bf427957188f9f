"""The platform's manifests in k8s/, as objects: what they would be on a cluster, computed from what is rendered."""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from local import answers, fetch, free_port, until
from manifests import (
    MINORS,
    Object,
    containers_of,
    kustomize,
    name_of,
    namespace_of,
    of_kind,
    refused,
    unsafe,
)

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


def pod_of(workload: Object) -> Object:
    return workload["spec"]["template"]["spec"]


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


def test_no_secret_is_in_git(k8s: dict[str, list[Object]]):
    for objects in k8s.values():
        assert not list(of_kind(objects, "Secret"))


def test_schemas_of_the_three_newest_minors_take_every_object(
    k8s: dict[str, list[Object]], platform_tool: Callable[[str], str], tmp_path: Path
):
    every = [each for objects in k8s.values() for each in objects]
    python = Path(platform_tool("kubernetes-validate")).with_name("python")
    assert refused(every, python, tmp_path) == set()


def test_checkov_finds_nothing_and_each_of_its_skips_is_explained(
    k8s: dict[str, list[Object]], platform_tool: Callable[[str], str], tmp_path: Path
):
    names = ("overlays/local", "overlays/cloud", "tenants/flight-delays")
    every = [each for name in names for each in k8s[name]]
    assert unsafe(every, platform_tool("checkov"), tmp_path) == set()


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
            if not answers(f"http://{address}/-/ready"):  # before it is, everything is refused
                return []
            targets = json.loads(fetch(f"http://{address}/api/v1/targets")[1])["data"]["activeTargets"]
            return targets if len(targets) == 3 else []  # two of projects, and the Pushgateway

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


def test_compose_and_a_cluster_run_the_same_images(root: Path, k8s: dict[str, list[Object]]):
    services = yaml.safe_load((root / "infra" / "compose.yaml").read_text())["services"]
    containers = {name_of(each): pod_of(each)["containers"][0] for each in of_kind(k8s["overlays/local"], *WORKLOADS)}
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
def test_a_pod_that_is_not_restricted_is_found(path: str, value: Any, laptop: list[Object]):
    pod = pod_of(next(each for each in of_kind(laptop, "Deployment") if name_of(each) == "mlflow"))
    assert restricted_faults(pod) == set()
    faults = restricted_faults(broken(pod, path, value))
    assert len(faults) == 1
    assert faults <= set(path.split("/"))


@pytest.mark.parametrize("overlay", ["overlays/local", "overlays/cloud"])
def test_every_pod_is_restricted_and_has_no_more_than_it_needs(overlay: str, k8s: dict[str, list[Object]]):
    for workload in of_kind(k8s[overlay], *WORKLOADS):
        pod = pod_of(workload)
        assert restricted_faults(pod) == set(), name_of(workload)
        assert pod["automountServiceAccountToken"] is (name_of(workload) == "prometheus")
        assert pod["priorityClassName"] in {name_of(each) for each in of_kind(k8s[overlay], "PriorityClass")}
        for each in pod["containers"]:
            assert {"requests", "limits"} <= set(each["resources"])
            assert "readinessProbe" in each
            assert "livenessProbe" in each
    for namespace in of_kind(k8s[overlay], "Namespace"):
        labels = namespace["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        assert labels["pod-security.kubernetes.io/enforce-version"] == f"v{MINORS[0]}"


@pytest.mark.parametrize("overlay", ["overlays/local", "overlays/cloud"])
def test_what_a_manifest_names_is_there(overlay: str, k8s: dict[str, list[Object]]):
    objects = k8s[overlay]
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


def test_lists_that_an_apply_replaces_whole_are_written_whole(k8s: dict[str, list[Object]]):
    # What the API server adds to an entry of such a list is a change to take back at each apply.
    for objects in k8s.values():
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
    k8s: dict[str, list[Object]], golden_manifests: Path, require_tool: Callable[[str], str]
):
    """1000m and 1024Mi come back as 1 and 1Gi, and each apply would change them again."""
    project = kustomize(require_tool("kubectl"), golden_manifests / "overlays" / "production")
    found = {str(each) for each in quantities([*k8s.values(), *project])}
    assert len(found) > 10
    for each in found:
        number, unit = re.fullmatch(r"([1-9]\d*)(m|Mi|Gi|)", each).groups()
        assert int(number) % {"m": 1000, "Mi": 1024, "Gi": 1024, "": 1_000_000}[unit], f"{each} is written otherwise"


def bytes_of(quantity: str) -> float:
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "m": 1e-3}
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", str(quantity)).groups()
    return float(number) * units.get(unit, 1)


@pytest.mark.parametrize("overlay", ["overlays/local", "overlays/cloud"])
def test_all_pods_fit_into_their_quota_while_each_is_rolled(overlay: str, k8s: dict[str, list[Object]]):
    for namespace in ("platform", "monitoring"):
        objects = [each for each in k8s[overlay] if namespace_of(each) == namespace]
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


def test_a_project_fits_into_its_share_with_every_server_and_every_job_at_once(
    k8s: dict[str, list[Object]], golden_manifests: Path, require_tool: Callable[[str], str]
):
    objects = kustomize(require_tool("kubectl"), golden_manifests / "overlays" / "production")
    shares = [each["spec"]["hard"] for each in of_kind(k8s["tenants/flight-delays"], "ResourceQuota")]
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
    k8s: dict[str, list[Object]], golden_manifests: Path, require_tool: Callable[[str], str]
):
    """Kubernetes itself on kind, the platform, two servers, one more while they are rolled, and a job."""
    objects = kustomize(require_tool("kubectl"), golden_manifests / "overlays" / "local")
    used = Counter({"requests.cpu": 0.95, "requests.memory": 290 * 2**20})  # of kind's own pods
    for each in of_kind(k8s["overlays/local"], *WORKLOADS):
        used.update(asked_for(each["spec"]["template"], each["spec"]["replicas"]))
    (scaler,) = of_kind(objects, "HorizontalPodAutoscaler")
    (serve,) = of_kind(objects, "Deployment")
    used.update(asked_for(serve["spec"]["template"], scaler["spec"]["minReplicas"] + 1))
    jobs = [asked_for(each["spec"]["jobTemplate"]["spec"]["template"], 1) for each in of_kind(objects, "CronJob")]
    for what, much in {"requests.cpu": 2.0, "requests.memory": 6e9}.items():
        assert used[what] + max(job[what] for job in jobs) <= much, used
