"""The admission policies of k8s/, evaluated on objects that they must refuse and on their neighbours that must pass.

What is evaluated are the very expressions of the YAML, by cel-python: match conditions, variables in their order,
validations, message expressions. Where it differs from the API server:

- `join` is of Kubernetes' own library of lists; it is given to cel-python here, as one line.
- The API server checks types before anything is asked, and warns; cel-python has no types of Kubernetes. `dyn(object)`
  is what keeps the API server from warning of fields that one of the kinds does not have.
- An error while an expression is evaluated is a refusal, as `failurePolicy: Fail` makes it one. Variables are lazy on
  the API server, so that an error in one that no validation uses is none there; here it is one.
- The API server limits the cost of an expression. Here nothing does.
"""

import copy
import functools
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import celpy
import pytest
import yaml
from celpy import celtypes

Object = dict[str, Any]
DIGEST = "@sha256:" + "0a" * 32


def join(texts: celtypes.ListType, separator: celtypes.StringType) -> celtypes.StringType:
    return celtypes.StringType(str(separator).join(map(str, texts)))


@functools.cache
def compiled(expression: str) -> celpy.Runner:
    environment = celpy.Environment()
    return environment.program(environment.compile(expression), functions={"join": join})


def evaluate(expression: str, values: dict[str, Any]) -> Any:
    return compiled(expression).evaluate(values)


def refusals(policy: Object, subject: Object) -> list[str]:
    """Return the messages by which a policy refuses an object; none when it lets it pass or does not ask."""
    spec = policy["spec"]
    values: dict[str, Any] = {"object": celpy.json_to_cel(subject)}
    try:
        if not all(evaluate(each["expression"], values) for each in spec.get("matchConditions", [])):
            return []
        values["variables"] = celtypes.MapType()
        for variable in spec.get("variables", []):
            values["variables"][celtypes.StringType(variable["name"])] = evaluate(variable["expression"], values)
        failed = [each for each in spec["validations"] if not evaluate(each["expression"], values)]
        return [
            str(evaluate(each["messageExpression"], values)) if "messageExpression" in each else each["message"]
            for each in failed
        ]
    except celpy.CELEvalError as error:
        assert spec["failurePolicy"] == "Fail"
        return [f"error: {error}"]


@pytest.fixture(scope="module")
def policies(root: Path) -> dict[str, Object]:
    """Return the policies by name."""
    files = sorted((root / "k8s" / "base" / "admission").glob("*.yaml"))
    every = [document for file in files for document in yaml.safe_load_all(file.read_text())]
    return {each["metadata"]["name"]: each for each in every if each["kind"] == "ValidatingAdmissionPolicy"}


def container(**changes: Any) -> Object:
    return {
        "name": "serve",
        "image": "flight-delays/serve:0a1b2c3",
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **changes,
    }


def pod(**changes: Any) -> Object:
    context = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container()], "securityContext": context, **changes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}


def context(**changes: Any) -> Object:
    """Return a pod whose only container has a changed security context; None takes a field out."""
    changed = {**container()["securityContext"], **changes}
    given = {name: value for name, value in changed.items() if value is not None}
    return pod(containers=[container(securityContext=given)])


def image(name: str) -> Object:
    return pod(containers=[container(image=name)])


def resources(**changes: Any) -> Object:
    return pod(containers=[container(resources={**container()["resources"], **changes})])


DEBUGGER = {"name": "debug", "image": "tools:1.2.3", "securityContext": container()["securityContext"]}
# Of each rule: its policy, an object that it refuses, a part of what it says, and a neighbour that passes.
RULES: dict[str, tuple[str, Object, str, Object]] = {
    "latest": ("images", image("a/serve:latest"), "a/serve:latest", image("a/serve:1.2.3")),
    "no tag": ("images", image("a/serve"), "a/serve.", image("a/serve" + DIGEST)),
    "a port is no tag": ("images", image("host:5000/serve"), "host:5000/serve", image("host:5000/serve:0a1b2c3")),
    "a branch": ("images", image("a/serve:main"), "a/serve:main", image("a/serve:v1.2.3")),
    "a tree with changes": ("images", image("a/serve:0a1b2c3-dirty"), "-dirty", image("a/serve:0a1b2c3")),
    "a minor that moves": ("images", image("redis:8.4"), "redis:8.4", image("redis:8.4.0-bookworm")),
    "a hash too short": ("images", image("a/serve:0a1b2c"), "0a1b2c", image("a/serve:0a1b2c3d4e5f")),
    "half a digest": ("images", image("a/serve@sha256:0a1b2c3"), "sha256", image("a/serve:latest" + DIGEST)),
    "of a first container": (
        "images",
        pod(initContainers=[container(image="a/sync")]),
        "a/sync",
        pod(initContainers=[container()]),
    ),
    "of a debugger": (
        "images",
        pod(ephemeralContainers=[{**DEBUGGER, "image": "tools:latest"}]),
        "tools:latest",
        pod(ephemeralContainers=[DEBUGGER]),
    ),
    "no resources": (
        "resources",
        pod(containers=[{name: value for name, value in container().items() if name != "resources"}]),
        "serve",
        pod(),
    ),
    "no processor": ("resources", resources(requests={"memory": "1Gi"}), "requests.cpu", resources()),
    "no memory": ("resources", resources(requests={"cpu": "1"}), "requests.memory", resources()),
    "no limit": ("resources", resources(limits={"cpu": "1"}), "limits.memory", resources(limits={"memory": "2Gi"})),
    "of a sidecar": (
        "resources",
        pod(initContainers=[container(name="sync", resources={})]),
        "sync",
        pod(initContainers=[container(name="sync")], ephemeralContainers=[DEBUGGER]),
    ),
    "the host's network": ("privilege", pod(hostNetwork=True), "hostNetwork", pod(hostNetwork=False)),
    "the host's processes": ("privilege", pod(hostPID=True), "hostPID", pod(hostPID=False)),
    "the host's memory": ("privilege", pod(hostIPC=True), "hostIPC", pod(hostIPC=False)),
    "the host's files": (
        "privilege",
        pod(volumes=[{"name": "tmp", "emptyDir": {}}, {"name": "docker", "hostPath": {"path": "/var/run"}}]),
        "hostPath",
        pod(volumes=[{"name": "tmp", "emptyDir": {}}]),
    ),
    "no context": (
        "privilege",
        pod(containers=[{name: value for name, value in container().items() if name != "securityContext"}]),
        "serve",
        pod(),
    ),
    "privileged": ("privilege", context(privileged=True), "privileged", context(privileged=False)),
    "may gain rights": ("privilege", context(allowPrivilegeEscalation=True), "allowPrivilegeEscalation", context()),
    "may gain rights unsaid": ("privilege", context(allowPrivilegeEscalation=None), "may gain rights", context()),
    "keeps capabilities": (
        "privilege",
        context(capabilities={"drop": ["NET_RAW"]}),
        "[ALL]",
        context(capabilities={"drop": ["NET_RAW", "ALL"]}),
    ),
    "adds a capability": (
        "privilege",
        context(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        "add no capability",
        context(capabilities={"drop": ["ALL"], "add": []}),
    ),
    "root by its pod": (
        "privilege",
        pod(securityContext={"seccompProfile": {"type": "RuntimeDefault"}}),
        "runAsNonRoot",
        pod(
            securityContext={"seccompProfile": {"type": "RuntimeDefault"}},
            containers=[container(securityContext={**container()["securityContext"], "runAsNonRoot": True})],
        ),
    ),
    "root by itself": ("privilege", context(runAsNonRoot=False), "runAsNonRoot", context(runAsNonRoot=True)),
    "no seccomp": (
        "privilege",
        pod(securityContext={"runAsNonRoot": True}),
        "seccompProfile",
        pod(
            securityContext={"runAsNonRoot": True},
            containers=[
                container(securityContext={**container()["securityContext"], "seccompProfile": {"type": "Localhost"}})
            ],
        ),
    ),
    "seccomp turned off": (
        "privilege",
        context(seccompProfile={"type": "Unconfined"}),
        "seccompProfile",
        context(seccompProfile={"type": "RuntimeDefault"}),
    ),
    "a root that is written": (
        "privilege",
        context(readOnlyRootFilesystem=None),
        "readOnlyRootFilesystem",
        context(readOnlyRootFilesystem=True),
    ),
    "a debugger with rights": (
        "privilege",
        pod(ephemeralContainers=[{**DEBUGGER, "securityContext": {"privileged": True}}]),
        "debug",
        pod(ephemeralContainers=[DEBUGGER]),
    ),
}


# A container without a context breaks two rules at once.
TWICE = {"no context", "a debugger with rights"}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_refuses_what_it_must_and_lets_its_neighbour_pass(rule: str, policies: dict[str, Object]):
    name, refused, says, passes = RULES[rule]
    messages = refusals(policies[f"slipway-{name}"], refused)
    assert len(messages) == 1 + (rule in TWICE)
    assert any(says in message for message in messages)
    assert refusals(policies[f"slipway-{name}"], passes) == []


def test_every_rule_of_every_policy_is_tried(policies: dict[str, Object]):
    said = {
        message for name, refused, _, _ in RULES.values() for message in refusals(policies[f"slipway-{name}"], refused)
    }
    for policy in policies.values():
        for each in policy["spec"]["validations"]:
            start = each.get("message") or each["messageExpression"].split('"')[1]
            assert any(message.startswith(start) for message in said), start


def wrapped(kind: str, spec: Object) -> Object:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": spec}
    inner = {"jobTemplate": {"spec": {"template": template}}} if kind == "CronJob" else {"template": template}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "one"}, "spec": inner}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"])
def test_a_workload_is_asked_like_its_pods(kind: str, policies: dict[str, Object]):
    for policy in policies.values():
        assert refusals(policy, wrapped(kind, pod()["spec"])) == []
    bad = pod(containers=[{"name": "serve", "image": "a/serve:latest"}])
    for policy in policies.values():
        assert refusals(policy, wrapped(kind, bad["spec"])) == refusals(policy, bad) != []
        rules = policy["spec"]["matchConstraints"]["resourceRules"]
        asked = {resource: rule["operations"] for rule in rules for resource in rule["resources"]}
        assert asked["pods"] == asked[f"{kind.lower()}s"] == ["CREATE", "UPDATE"]


def test_an_object_that_is_being_deleted_is_not_asked(policies: dict[str, Object]):
    for policy in policies.values():
        bad = pod(containers=[{"name": "serve", "image": "a/serve:latest"}], hostNetwork=True)
        assert refusals(policy, bad)
        bad["metadata"]["deletionTimestamp"] = "2026-11-26T00:00:00Z"
        assert refusals(policy, bad) == []


def test_an_expression_that_fails_refuses(policies: dict[str, Object]):
    broken = copy.deepcopy(policies["slipway-images"])
    broken["spec"]["variables"][1]["expression"] = "variables.podSpec.nothing.map(c, c.image)"
    assert refusals(broken, pod())[0].startswith("error")


def test_the_policies_deny_in_the_namespaces_of_projects_and_only_there(root: Path, require_tool, policies):
    def rendered(folder: str) -> list[Object]:
        return kustomized(require_tool("kubectl"), root / "k8s" / folder)

    platform, tenant = rendered("overlays/local"), rendered("tenants/flight-delays")
    bindings = {each["spec"]["policyName"]: each["spec"] for each in platform if each["kind"].endswith("PolicyBinding")}
    assert set(bindings) == set(policies)
    for binding in bindings.values():
        assert binding["validationActions"] == ["Deny"]
        (asked,) = binding["matchResources"]["namespaceSelector"]["matchExpressions"]
        assert asked == {"key": "slipway.dev/project", "operator": "Exists"}
    with_label = {
        each["metadata"]["name"]: "slipway.dev/project" in each["metadata"]["labels"]
        for each in platform + tenant
        if each["kind"] == "Namespace"
    }
    assert with_label == {"platform": False, "monitoring": False, "flight-delays": True}


def kustomized(kubectl: str, folder: Path) -> list[Object]:
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=True)
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def test_what_the_platform_runs_itself_would_pass(root: Path, require_tool: Callable[[str], str], policies):
    every = kustomized(require_tool("kubectl"), root / "k8s" / "overlays" / "local")
    workloads = [each for each in every if each["kind"] in ("Deployment", "StatefulSet")]
    assert len(workloads) == 8
    # But for the names of images: PostgreSQL and SeaweedFS have whole versions of two numbers, which no rule can tell
    # from a minor version that moves.
    for workload in workloads:
        assert refusals(policies["slipway-resources"], workload) == [], workload["metadata"]["name"]
        assert refusals(policies["slipway-privilege"], workload) == [], workload["metadata"]["name"]


def test_what_a_project_deploys_passes(golden_manifests: Path, require_tool: Callable[[str], str], policies):
    for overlay in sorted((golden_manifests / "overlays").glob("*")):
        workloads = [
            each
            for each in kustomized(require_tool("kubectl"), overlay)
            if each["kind"] in ("Deployment", "Job", "CronJob")
        ]
        assert workloads
        for each in workloads:
            for policy in policies.values():
                assert refusals(policy, each) == [], (overlay.name, each["metadata"]["name"])
