"""infra/kind-up and the pages that say what to type on a cluster, checked without one.

docker, kind and kubectl are stand-ins that write down what they are asked, keep secrets, and leave to the real kubectl
what needs no cluster. That pods become ready is what only a real cluster shows.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

Object = dict[str, Any]
SCRIPTS = ("kind-up", "observability", "mlflow-user")
FAKE = """#!{python}
import base64, json, pathlib, subprocess, sys
state, kubectl = pathlib.Path("{state}"), "{kubectl}"
name, words = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
if words[:1] == ["--context"]:
    assert words[1] == "kind-slipway", words
    words = words[2:]
given, out = "", ""
at = {{words[i]: words[i + 1] for i in range(len(words) - 1)}}
values = ("--namespace", "--output")
plain = [word for i, word in enumerate(words) if word[0] != "-" and not (i and words[i - 1] in values)]
secret = state / "secrets" / at.get("--namespace", "") / (plain[-1] if plain else "")
if name == "kind" and words[:2] == ["get", "clusters"]:
    out = "slipway\\n" if (state / "cluster").exists() else ""
elif name == "kind" and words[:2] == ["create", "cluster"]:
    (state / "cluster").touch()
elif name == "docker" and words[0] == "build":
    out = "sha256:" + at.get("--target", "mlflow") + "\\n"
elif name == "kubectl" and (words[0] == "kustomize" or plain[:2] == ["create", "configmap"]):
    out = subprocess.run([kubectl, *words], stdout=subprocess.PIPE, text=True, check=True).stdout
elif name == "kubectl" and plain[:2] == ["get", "secret"]:
    if not secret.exists():
        sys.exit("Error from server (NotFound)")
    key = at.get("--output", "").removeprefix("jsonpath={{.data.").removesuffix("}}")
    values = dict(line.split("=", 1) for line in secret.read_text().splitlines())
    out = base64.b64encode(values[key].encode()).decode() if key else "there"
elif name == "kubectl" and plain[:3] == ["create", "secret", "generic"]:
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text(given := sys.stdin.read())
elif name == "kubectl" and plain[0] == "apply":
    rendered = [kubectl, "kustomize", at.get("--kustomize")]
    given = sys.stdin.read() if "-" in words else subprocess.check_output(rendered, text=True)
elif name == "kubectl" and plain[0] == "exec":
    given = sys.stdin.read()
with (state / "log").open("a") as log:
    log.write(json.dumps([name, words, given]) + "\\n")
print(out, end="")
"""
PROJECT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: serve, namespace: flight-delays}
spec: {template: {spec: {containers: [{name: a, image: flight-delays/serve}, {name: b, image: flight-delays/sync}]}}}
"""


class Machine:
    """A machine with stand-ins for docker, kind and kubectl."""

    def __init__(self, root: Path, folder: Path, kubectl: str) -> None:
        self.root, self.state, self.project = root, folder / "state", folder / "project"
        self._programs = folder / "bin"
        for path in (self.state, self.project / "k8s" / "overlays" / "local", self._programs):
            path.mkdir(parents=True)
        text = FAKE.format(python=sys.executable, state=self.state, kubectl=kubectl)
        for name in ("docker", "kind", "kubectl"):
            (self._programs / name).write_text(text)
            (self._programs / name).chmod(0o755)
        (self.project / ".copier-answers.yml").write_text("project_name: X\nproject_slug: flight-delays\n")
        shutil.copytree(root / "template" / "observability", self.project / "observability")
        overlay = self.project / "k8s" / "overlays" / "local"
        (overlay / "serve.yaml").write_text(PROJECT)
        images = [{"name": f"flight-delays/{name}", "newTag": "0000000"} for name in ("serve", "sync")]
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["serve.yaml"], "images": images}))

    def up(self, without: str = "") -> subprocess.CompletedProcess[str]:
        """Run kind-up, on a machine that lacks a tool if one is named, and return what it printed."""
        path = f"{self._programs}:/usr/bin:/bin"
        if without:
            bare = self.state / f"without-{without}"
            bare.mkdir()
            for tool in {"docker", "kind", "kubectl", "python3", "bash", "dirname", "env"} - {without}:
                found = self._programs / tool if (self._programs / tool).exists() else shutil.which(tool)
                (bare / tool).symlink_to(found)
            path = str(bare)
        command = [shutil.which("bash"), self.root / "infra" / "kind-up", self.project]
        environment = {**os.environ, "PATH": path}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def asked(self) -> list[tuple[str, list[str], str]]:
        """Return what was asked since the last time: the program, its words, its input or what it applied."""
        log = self.state / "log"
        lines = [tuple(json.loads(line)) for line in log.read_text().splitlines()]
        log.unlink()
        return lines

    def secrets(self) -> dict[str, dict[str, str]]:
        folder = self.state / "secrets"
        return {
            path.relative_to(folder).as_posix(): dict(line.split("=", 1) for line in path.read_text().splitlines())
            for path in folder.glob("*/*")
        }


@pytest.fixture(scope="module")
def machine(root: Path, require_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(root, tmp_path_factory.mktemp("kind"), require_tool("kubectl"))


def objects(text: str) -> list[Object]:
    return [each for each in yaml.safe_load_all(text) if each]


@pytest.fixture(scope="module")
def first(machine: Machine) -> tuple[str, list[tuple[str, list[str], str]]]:
    """Return what the first kind-up printed, and what it asked for."""
    done = machine.up()
    assert done.returncode == 0, done.stderr
    return done.stdout, machine.asked()


def test_the_scripts_are_clean(root: Path, require_tool: Callable[[str], str]):
    paths = [root / "infra" / name for name in SCRIPTS]
    subprocess.run([require_tool("shellcheck"), *paths], check=True)
    assert all(os.access(path, os.X_OK) for path in paths)


def test_it_brings_up_a_cluster_the_platform_and_the_project_in_this_order(machine: Machine, first):
    _, asked = first
    said = [" ".join([name, *words]) for name, words, _ in asked]
    order = (
        "kind create cluster", "kind load docker-image", "kubectl apply --kustomize k8s/base/cluster",
        "kubectl --namespace platform create secret generic postgres", "kubectl apply --kustomize k8s/overlays/local",
        "kubectl --namespace monitoring rollout status deployment/grafana",
        "kubectl apply --kustomize k8s/tenants/flight-delays", "kubectl --namespace platform exec",
        "kubectl --namespace flight-delays create secret", "kubectl apply --filename -",
    )  # fmt: skip
    places = [max(i for i, line in enumerate(said) if line.startswith(start)) for start in order]
    assert places == sorted(places)
    waited = {tuple(words[1:5:3]) for name, words, _ in asked if "rollout" in words}
    (platform,) = (given for _, words, given in asked if words[-1] == "k8s/overlays/local")
    workloads = [each for each in objects(platform) if each["kind"] in ("Deployment", "StatefulSet")]
    expected = {
        (each["metadata"]["namespace"], f"{each['kind'].lower()}/{each['metadata']['name']}") for each in workloads
    }
    assert waited == expected


def test_every_secret_that_the_platform_names_is_made_strong_and_once(machine: Machine, first):
    _, asked = first
    (platform,) = (given for _, words, given in asked if words[-1] == "k8s/overlays/local")
    named = {
        (f"{each['metadata']['namespace']}/{reference['name']}", reference["key"])
        for each in objects(platform)
        if each["kind"] in ("Deployment", "StatefulSet")
        for container in each["spec"]["template"]["spec"]["containers"]
        for variable in container.get("env", [])
        if (reference := variable.get("valueFrom", {}).get("secretKeyRef"))
    }
    made = machine.secrets()
    assert {(secret, key) for secret, keys in made.items() if "flight-delays" not in secret for key in keys} == named
    values = [made[secret][key] for secret, key in named]
    assert len(set(values)) == len(values)
    assert min(map(len, values)) >= 40


def test_the_projects_secret_leads_to_the_platform_and_holds_no_key(machine: Machine, first):
    printed, asked = first
    made = machine.secrets()
    own = made["flight-delays/flight-delays-secrets"]
    keys = dict(line.split() for line in printed.splitlines() if line.startswith(("  predict", "  operate")))
    for role, key in keys.items():
        assert own[f"{role.upper()}_KEYS"] == hashlib.sha256(key.encode()).hexdigest()
    assert len(keys) == 2
    redis, studies = made["platform/redis"]["PASSWORD"], made["platform/postgres"]["STUDIES_PASSWORD"]
    assert own["ONLINE_URL"] == f"redis://:{redis}@redis.platform.svc.cluster.local:6379/0"
    assert own["STUDY_URL"] == f"postgresql://studies:{studies}@postgres.platform.svc.cluster.local:5432/studies"
    (login,) = (given for _, words, given in asked if "exec" in words)
    assert own["MLFLOW_TRACKING_PASSWORD"] == login.strip()
    assert own["MLFLOW_TRACKING_USERNAME"] == "flight-delays"


def test_the_project_gets_the_images_that_were_loaded_under_a_tag_of_their_content(first):
    _, asked = first
    (loaded,) = (set(words[4:]) for name, words, _ in asked if words[:2] == ["load", "docker-image"])
    (deployed,) = (
        each for _, words, given in asked if words[-1] == "-" for each in objects(given) if each["kind"] == "Deployment"
    )
    images = {each["image"] for each in deployed["spec"]["template"]["spec"]["containers"]}
    assert images < loaded
    assert all(re.fullmatch(r"flight-delays/(serve|sync):[0-9a-f]{12}", image) for image in images)


def test_rules_and_dashboards_are_the_projects(root: Path, first):
    _, asked = first
    maps = {
        each["metadata"]["name"]: each["data"]
        for _, words, given in asked
        if words[-1] == "-"
        for each in objects(given)
        if each["kind"] == "ConfigMap"
    }
    files = root / "template" / "observability"
    assert maps["rules"] == {name: (files / "prometheus" / name).read_text() for name in ("slo.yaml", "rules.yaml")}
    assert maps["dashboards"] == {
        path.name: path.read_text() for path in (files / "grafana" / "dashboards").glob("*.json")
    }


def test_what_observability_applies_has_no_field_that_each_apply_would_set_again(first):
    _, asked = first
    given = [given for _, words, given in asked if words[-1] == "-" and "kind: ConfigMap" in given]
    maps = [each["metadata"] for text in given for each in objects(text)]
    assert [sorted(metadata) for metadata in maps] == [["name", "namespace"]] * 2


def test_a_second_run_makes_no_secret_again_and_applies_the_same(machine: Machine, first):
    _, before = first
    secrets = machine.secrets()
    done = machine.up()
    assert done.returncode == 0, done.stderr
    again = machine.asked()
    assert machine.secrets() == secrets
    assert "predict" not in done.stdout.replace("predictions", "")
    assert not [words for _, words, _ in again if {"secret", "exec", "cluster"} & set(words) and "get" not in words]

    def applied(asked: list[tuple[str, list[str], str]]) -> list[str]:
        return [given for _, words, given in asked if "apply" in words]

    assert applied(again) == applied(before)


@pytest.mark.parametrize("tool", ["docker", "kind", "kubectl", "python3"])
def test_a_missing_tool_is_one_sentence(tool: str, machine: Machine):
    done = machine.up(without=tool)
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith(f"error: {tool} is not on the PATH")


def test_a_project_without_a_namespace_is_told_how_to_get_one(machine: Machine, first):
    answers = machine.project / ".copier-answers.yml"
    answers.write_text("project_slug: crane-ropes\n")
    done = machine.up()
    answers.write_text("project_slug: flight-delays\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Copy k8s/tenants/flight-delays" in done.stderr


# Pages


def commands(page: Path) -> list[list[str]]:
    """Return the kubectl commands of a page, in blocks and in lines, as words."""
    lines = re.findall(r"^(?:\$ )?(kubectl .*)$|`(kubectl [^`]*)`", page.read_text(), re.MULTILINE)
    return [shlex.split(first or second) for first, second in lines]


def names(words: list[str]) -> set[tuple[str, str, str]]:
    """Return the objects that a command of kubectl names: namespace, kind, name."""
    own = words[: words.index("--")] if "--" in words else words
    options = dict(pairwise(own))
    namespace = options.get("--namespace", "")
    found = {
        (namespace, *each.removeprefix("--from=").split("/"))
        for each in own
        if re.fullmatch(r"(--from=)?[a-z]+/[a-z-]+", each)
    }
    for kind in ("secret", "service"):
        if kind in own:
            found.add((namespace, kind, own[own.index(kind) + 1]))
    if selector := options.get("--selector"):
        found.add((namespace, "pod", selector.removeprefix("app.kubernetes.io/name=")))
    return {(space, kind, name) for space, kind, name in found if kind != "job"}


def test_the_names_of_a_command_are_found():
    line = "kubectl --namespace a create job b-1 --from=cronjob/b"
    assert names(shlex.split(line)) == {("a", "cronjob", "b")}
    line = "kubectl --namespace a exec statefulset/c -- cat x/y"
    assert names(shlex.split(line)) == {("a", "statefulset", "c")}
    assert names(shlex.split("kubectl --namespace a get secret d --output json")) == {("a", "secret", "d")}


def test_what_the_pages_tell_to_type_names_what_is_there(root: Path, machine: Machine, first, golden_manifests: Path):
    _, asked = first
    there = {
        (each["metadata"].get("namespace", ""), each["kind"].lower(), each["metadata"]["name"])
        for _, words, given in asked
        if words[-1] in ("k8s/overlays/local", "k8s/tenants/flight-delays")
        for each in objects(given)
    }
    there |= {(space, "pod", name) for space, kind, name in there if kind in ("deployment", "statefulset")}
    there |= {(*secret.split("/")[:1], "secret", secret.split("/")[1]) for secret in machine.secrets()}
    runbooks = root / "template" / "docs" / "runbooks"
    pages = [
        root / "docs" / "how-to" / "run-on-kind.md",
        *(runbooks / f"{name}.md" for name in ("keys", "online-store-away", "registry-down")),
    ]
    named = {each for page in pages for words in commands(page) for each in names(words)}
    named = {tuple(part.replace("PROJECT", "flight-delays") for part in each) for each in named}
    assert len(named) >= 12
    project = golden_manifests / "overlays" / "local"
    if project.exists():
        text = subprocess.run(["kubectl", "kustomize", project], capture_output=True, text=True, check=True).stdout
        there |= {("flight-delays", each["kind"].lower(), each["metadata"]["name"]) for each in objects(text)}
        assert named <= there, named - there
    assert {each for each in named if each[0] != "flight-delays"} <= there


def test_each_page_names_each_secret(root: Path, machine: Machine, first):
    page = (root / "docs" / "how-to" / "run-on-kind.md").read_text()
    for secret, keys in machine.secrets().items():
        name = secret.split("/")[1].replace("flight-delays-", "PROJECT-")
        (row,) = (line for line in page.splitlines() if line.startswith("| ") and f"| `{name}` |" in line)
        assert all(f"`{key}`" in row for key in keys), row


def test_the_reference_has_every_object_and_what_breaks_without_it(root: Path):
    page = (root / "docs" / "reference" / "kubernetes-platform.md").read_text()
    rows = []
    for path in sorted((root / "k8s").rglob("*.yaml")):
        if "tenants" in path.parts or not re.search(r"^kind: ", path.read_text(), re.MULTILINE):
            continue
        for text in re.split(r"^---$\n", path.read_text(), flags=re.MULTILINE):
            each = yaml.safe_load(text)
            if each["kind"] != "Kustomization":
                without = re.search(r"^# Without it: (.*)$", text, re.MULTILINE)[1]
                rows.append(f"| {each['kind']} `{each['metadata']['name']}` | {without} |")
    written = [line for line in page.splitlines() if line.startswith("| ") and "`" in line]
    assert sorted(written) == sorted(rows)
