"""Kubernetes objects as the tests look at them: plain dictionaries, as kustomize renders them."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
MINORS = ("1.35", "1.36", "1.37")  # the three newest that kubernetes-validate knows


def kustomize(kubectl: str, folder: Path) -> list[Object]:
    """Return the objects of a folder."""
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if each]  # ten times as fast


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    return [each for each in objects if each["kind"] in kinds]


def name_of(each: Object) -> str:
    return each["metadata"]["name"]


def namespace_of(each: Object) -> str:
    return each["metadata"].get("namespace", "")


def containers_of(pod: Object) -> list[Object]:
    return pod.get("initContainers", []) + pod["containers"]


def matches(selector: Object, labels: Object) -> bool:
    """Return whether a selector selects what has these labels."""
    assert set(selector) <= {"matchLabels", "matchExpressions"}, selector
    for each in selector.get("matchExpressions", []):
        assert each["operator"] in ("In", "Exists"), each
        if each["key"] not in labels or (each["operator"] == "In" and labels[each["key"]] not in each["values"]):
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()


VALIDATE = """
import json, pathlib, sys
import kubernetes_validate
for minor in sys.argv[2:]:
    for each in json.loads(pathlib.Path(sys.argv[1]).read_text()):
        try:
            kubernetes_validate.validate(each, minor, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            print(minor, each["kind"], each["metadata"]["name"], "no schema", sep="\t")
        except Exception as error:
            print(minor, each["kind"], each["metadata"]["name"], " ".join(str(error).split()), sep="\t")
"""


def refused(objects: list[Object], python: Path, folder: Path) -> set[tuple[str, ...]]:
    """Return what the schemas of the minors refuse: minor, kind, name, why. `python` has kubernetes-validate.

    One process asks about all: most of its time goes into its start. A planted one shows that wrong fields are found.
    """
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "planted"}, "spec": {"ports": [{"prot": 1}]}}
    (folder / "all.json").write_text(json.dumps([*objects, wrong]))
    command = [python, "-W", "ignore", "-c", VALIDATE, folder / "all.json", *MINORS]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = {tuple(line.split("\t", maxsplit=3)) for line in lines}
    planted = {each for each in found if each[1:3] == ("Service", "planted")}
    assert {minor for minor, *_ in planted} == set(MINORS)
    return found - planted


def unsafe(objects: list[Object], checkov: str, folder: Path) -> set[tuple[str, str]]:
    """Return what checkov finds: check, resource. Each of its skips must be explained; a planted pod must be found."""
    bad = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad", "namespace": "x"}}
    bad["spec"] = {"containers": [{"name": "a", "image": "a:latest", "securityContext": {"privileged": True}}]}
    (folder / "all.yaml").write_text(yaml.safe_dump_all([*objects, bad]))
    command = [checkov, "--file", folder / "all.yaml", "--framework", "kubernetes", "--output", "json", "--compact"]
    done = subprocess.run([*command, "--skip-download"], capture_output=True, text=True, check=False)
    results = json.loads(done.stdout)["results"]
    found = {(each["check_id"], each["resource"]) for each in results["failed_checks"]}
    planted = {each for each in found if each[1] == "Pod.x.bad"}
    assert {"CKV_K8S_14", "CKV_K8S_16"} <= {check for check, _ in planted}
    for each in results["skipped_checks"]:
        assert len(each["check_result"]["suppress_comment"]) > 30, each["resource"]
    return found - planted
