"""What must be right together in a generated project's manifests.

Each check takes the objects of an overlay and returns what is wrong as sentences, so that a test can show that it finds
a planted fault.
"""

import re
from collections.abc import Iterator
from itertools import product

from manifests import Object, containers_of, matches, of_kind

COMPONENT = "app.kubernetes.io/component"
OURS = "flight-delays"
SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
# What one worker, the process beside it, and each job took at most, in MiB: docs/decisions/0020-the-projects-pods.md.
MEASURED = {"serve": 150, "sync": 241, "land": 616, "features": 609, "publish": 410, "ticks": 595, "monitor": 433}
MEASURED |= {"retrain": 819, "tune": 734}
FREE = 15.0  # seconds that a server may take to end after its drain: serving/worker.py and supervisor.py


def one(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = (each for each in of_kind(objects, kind) if each["metadata"]["name"] == name)
    return found


def templates(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the name and the pod template of everything that makes pods."""
    for each in of_kind(objects, "Deployment", "CronJob"):
        spec = each["spec"]["jobTemplate"]["spec"] if each["kind"] == "CronJob" else each["spec"]
        yield each["metadata"]["name"], spec["template"]


def containers(template: Object) -> list[Object]:
    return containers_of(template["spec"])


def megabytes(quantity: str) -> float:
    """Return a quantity of memory in MiB."""
    number, unit = re.fullmatch(r"([0-9.]+)(Mi|Gi|MB|GB)", quantity).groups()
    return float(number) * {"Mi": 1, "Gi": 1024, "MB": 0.954, "GB": 954}[unit]


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
