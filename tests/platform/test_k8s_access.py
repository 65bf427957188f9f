"""Who may reach whom, and who may do what, on a cluster with the platform and a project: computed of the manifests."""

import ipaddress
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from manifests import Object, kustomize, matches, name_of, namespace_of, of_kind

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
        for each in of_kind(objects, "Deployment", "StatefulSet")
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


def test_each_connection_that_is_made_is_open_and_no_other(laptop: list[Object]):
    names = {(source, ("kube-system", "dns"), 53) for source in LISTENS if source[0] in HERE}
    assert reaches(of_a_project(laptop)) == NEEDED | names


def test_a_project_that_opens_nothing_reaches_nothing(laptop: list[Object]):
    assert not [each for each in reaches(laptop) if "flight-delays" in (each[0][0], each[1][0])]


@pytest.mark.parametrize("policy", ["mlflow", "mlflow-to-postgres", "objects", "dns", "grafana", "default-deny"])
def test_a_network_policy_that_is_missing_is_noticed(policy: str, laptop: list[Object]):
    without = [each for each in laptop if (each["kind"], name_of(each)) != ("NetworkPolicy", policy)]
    assert reaches(of_a_project(without)) != reaches(of_a_project(laptop))


def test_the_registry_of_a_cloud_reaches_its_database_and_its_bucket_and_no_keys(
    k8s: dict[str, list[Object]],
):
    objects = [*k8s["overlays/cloud"], *k8s["tenants/flight-delays"]]
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
def rights(laptop: list[Object], k8s: dict[str, list[Object]]) -> list[Object]:
    return laptop + k8s["tenants/flight-delays-staging"]


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
        for each in kustomize(require_tool("kubectl"), overlay):
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
