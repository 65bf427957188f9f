"""The Terraform of a generated project, and the way of its outputs into the Kubernetes overlay, on every cloud."""

import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

CLOUDS = ("aws", "azure", "gcp")
# The workload module's outputs, as `make cloud` reads them.
MADE = """
output "service_account_annotations" { value = { "cloud.example.com/identity" = "${var.project}-${var.environment}" } }
output "image_registry" { value = "registry.example.org/team" }
output "data_url" { value = "s3://lake/${var.project}-${var.environment}" }
output "secret_name" { value = "${var.project}-${var.environment}" }
output "stream_names" { value = { events = "e", predictions = "${var.project}-${var.environment}-predictions" } }
"""
KUSTOMIZATION = """
resources: [objects.yaml]
components: [cloud]
configMapGenerator: [{name: settings, literals: [DRAIN_SECONDS=10]}]
"""
# What the component changes, and beside each what it must leave alone.
OBJECTS = """
{apiVersion: v1, kind: ServiceAccount, metadata: {name: flight-delays}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: other}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: serve}
spec:
  selector: {matchLabels: {app: serve}}
  template:
    metadata: {labels: {app: serve}}
    spec:
      containers:
        - {name: a, image: "flight-delays/serve:abc1234"}
        - {name: b, image: "flight-delays/sync:abc1234"}
        - {name: c, image: "flight-delays/pipeline:abc1234"}
        - {name: d, image: "elsewhere/serve:1"}
"""

SOURCE = re.compile(r'source = "git::(\S+)//(\S+)[?]ref=(\S+)"')

Terraform = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module", params=CLOUDS)
def deployed(
    request: pytest.FixtureRequest,
    render: Callable[[Path, dict[str, Any]], Any],
    golden: dict[str, Any],
    root: Path,
    schema_terraform: Terraform,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return a project whose Terraform was applied for staging, with the module's variables and nothing behind them.

    The variables and their conditions are those of the module itself. What it would make, no test can make: the outputs
    are invented, and the state is a file.
    """
    cloud = request.param
    project = render(tmp_path_factory.mktemp(cloud) / "project", golden | {"cloud": cloud}).path
    folder, module = project / "terraform", project.parent / "workload"
    module.mkdir()
    shutil.copy(root / "terraform" / "modules" / cloud / "workload" / "variables.tf", module)
    (module / "outputs.tf").write_text(MADE, encoding="utf-8")
    text = (folder / "main.tf").read_text(encoding="utf-8")
    source = SOURCE.search(text)
    assert source, "the module does not come from a version of a Git repository"
    assert source[1] == golden["platform_url"]
    assert (root / source[2]).is_dir()
    (folder / "main.tf").write_text(text.replace(source[0], f'source = "{module}"'), encoding="utf-8")
    (folder / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n', encoding="utf-8")
    for words in (
        ("init", "-input=false"),
        ("apply", "-auto-approve", "-input=false", "-var-file=environments/staging.tfvars"),
    ):
        run = schema_terraform(folder, *words)
        assert run.returncode == 0, run.stdout + run.stderr
    return project


def make_cloud(schema_terraform: Terraform, project: Path, environment: str) -> subprocess.CompletedProcess[str]:
    """Type `make cloud` in a project."""
    return schema_terraform(project, "--no-print-directory", "cloud", f"ENVIRONMENT={environment}", program="make")


def test_what_terraform_made_reaches_the_overlay(
    deployed: Path, schema_terraform: Terraform, require_tool: Callable[[str], str], tmp_path: Path
):
    component = deployed / "k8s" / "overlays" / "staging" / "cloud"
    before = (component / "kustomization.yaml").read_text(encoding="utf-8")
    run = make_cloud(schema_terraform, deployed, "staging")
    assert run.returncode == 0, run.stderr
    text = (component / "kustomization.yaml").read_text(encoding="utf-8")
    # It opens with the two lines that each manifest opens with.
    assert text.splitlines()[:4] == before.splitlines()[:4]
    assert make_cloud(schema_terraform, deployed, "staging").returncode == 0
    assert (component / "kustomization.yaml").read_text(encoding="utf-8") == text
    assert [path.name for path in component.iterdir()] == ["kustomization.yaml"]

    overlay = tmp_path / "k8s" / "overlays" / "staging"
    shutil.copytree(component, overlay / "cloud")
    shutil.copytree(deployed / "k8s" / "components" / "object-store", tmp_path / "k8s" / "components" / "object-store")
    (overlay / "objects.yaml").write_text(OBJECTS, encoding="utf-8")
    (overlay / "kustomization.yaml").write_text(KUSTOMIZATION, encoding="utf-8")
    built = subprocess.run([require_tool("kubectl"), "kustomize", overlay], capture_output=True, text=True, check=True)
    objects = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(built.stdout)}
    account, other = (objects["ServiceAccount", name] for name in ("flight-delays", "other"))
    deployment, network = objects["Deployment", "serve"], objects["NetworkPolicy", "object-store"]
    (settings,) = (each for (kind, _), each in objects.items() if kind == "ConfigMap")
    aws = 'backend "s3"' in (deployed / "terraform" / "versions.tf").read_text(encoding="utf-8")
    stream = {"STREAM": "flight-delays-staging-predictions"} if aws else {}
    assert settings["data"] == {"DRAIN_SECONDS": "10", "DATA_URL": "s3://lake/flight-delays-staging"} | stream
    assert [rule["ports"] for rule in network["spec"]["egress"]] == [[{"port": 443, "protocol": "TCP"}]]
    assert account["metadata"]["annotations"] == {"cloud.example.com/identity": "flight-delays-staging"}
    assert "annotations" not in other["metadata"]
    pod = deployment["spec"]["template"]
    registry = "registry.example.org/team/flight-delays"
    assert [found["image"] for found in pod["spec"]["containers"]] == [
        *(f"{registry}/{name}:abc1234" for name in ("serve", "sync", "pipeline")),
        "elsewhere/serve:1",
    ]
    # Azure gives its identity only to pods that ask for it. A selector never changes.
    azure = 'backend "azurerm"' in (deployed / "terraform" / "versions.tf").read_text(encoding="utf-8")
    asks = {"azure.workload.identity/use": "true"} if azure else {}
    assert pod["metadata"]["labels"] == {"app": "serve"} | asks
    assert deployment["spec"]["selector"] == {"matchLabels": {"app": "serve"}}


def test_the_state_of_another_environment_is_not_written(deployed: Path, schema_terraform: Terraform):
    overlay = deployed / "k8s" / "overlays" / "production" / "cloud" / "kustomization.yaml"
    before = overlay.read_text(encoding="utf-8")
    run = make_cloud(schema_terraform, deployed, "production")
    assert run.returncode != 0
    assert "has no outputs of production (it has those of: staging)" in run.stderr
    assert overlay.read_text(encoding="utf-8") == before


def test_before_the_first_apply_it_says_what_to_do(deployed: Path, schema_terraform: Terraform, tmp_path: Path):
    state = deployed / "terraform" / "terraform.tfstate"
    away = state.rename(tmp_path / state.name)
    run = make_cloud(schema_terraform, deployed, "staging")
    away.rename(state)
    assert run.returncode != 0
    assert "has no outputs of staging (it has those of: none). Apply it first" in run.stderr


def test_without_an_environment_it_says_what_to_type(deployed: Path, schema_terraform: Terraform):
    for environment in ("", "local"):
        run = make_cloud(schema_terraform, deployed, environment)
        assert run.returncode != 0
        assert "Type: make cloud ENVIRONMENT=staging" in run.stderr


def test_both_environments_take_the_module_and_keep_their_states_apart(deployed: Path, schema_terraform: Terraform):
    folder = deployed / "terraform"
    run = schema_terraform(folder, "plan", "-input=false", "-state=none", "-var-file=environments/production.tfvars")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "s3://lake/flight-delays-production" in run.stdout
    states = [(folder / "environments" / f"{name}.tfbackend").read_text() for name in ("staging", "production")]
    assert states[0] == states[1].replace("production", "staging") != states[1]
    assert all("flight-delays" in state for state in states)


def test_the_root_is_formatted(deployed: Path, schema_terraform: Terraform):
    (deployed / "terraform" / "backend_override.tf").unlink()
    run = schema_terraform(deployed / "terraform", "fmt", "-check", "-recursive")
    assert run.returncode == 0, run.stdout


def test_checkov_finds_nothing_in_the_roots_alone_and_with_the_modules_behind_them(
    render: Callable[[Path, dict[str, Any]], Any],
    golden: dict[str, Any],
    root: Path,
    platform_tool: Callable[[str], str],
    tmp_path: Path,
):
    for cloud in CLOUDS:
        project = render(tmp_path / "projects" / cloud, golden | {"cloud": cloud}).path
        text = (project / "terraform" / "main.tf").read_text(encoding="utf-8")
        for name, source in {
            "alone": r'source = "git::\1//\2?ref=v1.0.0"',  # as of a release; here it is a commit
            "whole": rf'source = "../../modules/{cloud}/workload"',
        }.items():
            folder = tmp_path / "roots" / name / cloud
            shutil.copytree(project / "terraform", folder)
            (folder / "main.tf").write_text(SOURCE.sub(source, text), encoding="utf-8")
    kept = shutil.ignore_patterns("tests", ".terraform*")
    shutil.copytree(root / "terraform" / "modules", tmp_path / "roots" / "modules", ignore=kept)
    # A bucket without anything in one of the roots, to see that it looks there.
    with (tmp_path / "roots" / "alone" / "aws" / "platform.tf").open("a", encoding="utf-8") as planted:
        planted.write('\nresource "aws_s3_bucket" "bad" {\n  bucket = "bad"\n}\n')
    words = ["--directory", tmp_path / "roots", "--framework", "terraform", "--output", "json", "--skip-download"]
    run = subprocess.run([platform_tool("checkov"), *words], capture_output=True, text=True, check=False, timeout=300)
    report = json.loads(run.stdout)
    looked = {check["file_path"].split("/")[1] for check in report["results"]["passed_checks"]}
    assert looked == {"alone", "whole", "modules"}
    failed = {(check["check_id"], check["resource"]) for check in report["results"]["failed_checks"]}
    assert {resource for _, resource in failed} == {"aws_s3_bucket.bad"}, failed
    assert all(len(check["check_result"]["suppress_comment"]) > 20 for check in report["results"]["skipped_checks"])


def test_the_readme_brings_the_bundle_to_where_the_endpoint_looks(
    render: Callable[[Path, dict[str, Any]], Any], golden: dict[str, Any], root: Path, tmp_path: Path
):
    project = render(tmp_path / "project", golden | {"cloud": "aws"}).path
    readme = (project / "terraform" / "README.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```sh\n(\S+ registry sync\n.*?)```", readme, flags=re.S)
    name, bundles, tools = "3-0123456789ab", project / ".state" / "bundles", tmp_path / "tools"
    (bundles / name).mkdir(parents=True)
    (bundles / name / "bundle.json").write_text("{}")
    (bundles / "standing.json").write_text("{}")
    (bundles / "champion").symlink_to(name)
    for path, script in {
        project / ".venv" / "bin" / "flight-delays": "true",
        tools
        / "terraform": '[ "$*" = "-chdir=terraform output -raw data_url" ] && printf s3://lake/flight-delays-staging',
        tools / "aws": '[ "$1 $2" = "s3 cp" ] && cp "$3" uploaded && printf %s "$4" > address',
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    environment = {"PATH": f"{tools}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-euc", commands], cwd=project, env=environment, check=True)
    with tarfile.open(project / "uploaded") as archive:
        assert {member.name for member in archive if member.isfile()} == {f"{name}/bundle.json", "standing.json"}
        assert not [member for member in archive if member.issym() or member.name.startswith("/")]
    module = (root / "terraform/modules/aws/workload/main.tf").read_text(encoding="utf-8")
    (key,) = re.findall(r'key += "(\S+/endpoint/\S+)"', module)
    key = key.replace("${local.name}", "flight-delays-staging").replace("${var.endpoint.bundle}", name)
    assert (project / "address").read_text() == f"s3://lake/{key}"


# On AWS it would be the provider itself, which takes long to start; the variables above are the module's all the same.
@pytest.mark.parametrize("deployed", ["azure", "gcp"], indirect=True)
def test_the_root_is_valid_with_the_module_itself(
    deployed: Path, schema_terraform: Terraform, terraform_copy: Path, tmp_path: Path
):
    text = (deployed / "terraform" / "main.tf").read_text(encoding="utf-8")
    folder, cloud = tmp_path / "terraform", deployed.parent.name.rstrip("0123456789")
    shutil.copytree(deployed / "terraform", folder, ignore=shutil.ignore_patterns(".terraform*", "*_override.tf"))
    # A relative path, as an absolute one cuts the module off from its siblings.
    module = os.path.relpath(terraform_copy / "modules" / cloud / "workload", folder)
    (folder / "main.tf").write_text(re.sub('source = ".*"', f'source = "{module}"', text), encoding="utf-8")
    for words in (("init", "-backend=false", "-input=false"), ("validate",)):
        run = schema_terraform(folder, *words)
        assert run.returncode == 0, run.stdout + run.stderr
