"""The Terraform of Azure and Google Cloud: real `terraform validate` and `terraform test` against schemas alone.

Their providers are not on every machine. tests/platform/schema_provider stands in for them: it knows which arguments a
resource has, and applies nothing. docs/reference/terraform-checks.md says what that finds, and what it cannot.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import module_tables
import pytest

CLOUDS = ("azure", "gcp")
MODULES = ("cluster", "database", "lake", "mlflow", "network", "registry", "secrets", "workload")
FILES = ["main.tf", "outputs.tf", "variables.tf", "versions.tf"]

Terraform = Callable[..., subprocess.CompletedProcess[str]]


def validated(schema_terraform: Terraform, folder: Path) -> str:
    """Return what `terraform validate` finds wrong with a folder, or nothing."""
    start = schema_terraform(folder, "init", "-backend=false", "-input=false")
    assert start.returncode == 0, start.stderr
    run = schema_terraform(folder, "validate")
    return run.stdout + run.stderr if run.returncode else ""


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_valid_and_does_what_its_tests_say(
    schema_terraform: Terraform, terraform_copy: Path, cloud: str, module: str
):
    folder = terraform_copy / "modules" / cloud / module
    assert sorted(path.name for path in folder.glob("*.tf")) == FILES
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert readme == module_tables.page(folder), "the tables are out of date; type: make terraform-docs"
    assert validated(schema_terraform, folder) == ""
    run = schema_terraform(folder, "test")
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("folder", ["", "bootstrap"])
def test_an_example_is_valid(schema_terraform: Terraform, terraform_copy: Path, cloud: str, folder: str):
    assert validated(schema_terraform, terraform_copy / "examples" / cloud / folder) == ""


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        ("public_access_prevention ", "public_acess_prevention ", 'Did you mean "public_access_prevention"?'),
        ("location      = var.region", "", 'argument "location" is required'),
        ("enabled = true", 'enabled = "perhaps"', "a bool is required"),
        ("lifecycle_rule {", "lifecycle_rules {", 'Blocks of type "lifecycle_rules" are not expected here'),
        ("var.deleted_days * 86400", "google_storage_bucket.this.nme", "has no argument, nested block, or exported"),
        ('"google_storage_bucket" "this"', '"google_storage_buckett" "this"', "Invalid resource type"),
    ],
)
def test_a_planted_mistake_is_found(
    schema_terraform: Terraform, terraform_copy: Path, tmp_path: Path, good: str, bad: str, words: str
):
    folder = tmp_path / "lake"
    shutil.copytree(
        terraform_copy / "modules" / "gcp" / "lake", folder, ignore=shutil.ignore_patterns("tests", ".terraform")
    )
    text = (folder / "main.tf").read_text(encoding="utf-8")
    assert good in text
    (folder / "main.tf").write_text(text.replace(good, bad, 1), encoding="utf-8")
    assert words in re.sub(r"\s+(?:│ )?", " ", validated(schema_terraform, folder))


@pytest.mark.parametrize(
    ("module", "good", "bad"),
    [
        ("azure/registry", r"admin_enabled( +)= false", r"admin_enabled\1= true"),
        ("azure/lake", r"shared_access_key_enabled( +)= false", r"shared_access_key_enabled\1= true"),
        ("azure/database", r'require_secure_transport( +)= "on"', r'require_secure_transport\1= "off"'),
        ("azure/secrets", r"purge_protection_enabled( +)= true", r"purge_protection_enabled\1= false"),
        ("azure/cluster", r"local_account_disabled( +)= true", r"local_account_disabled\1= false"),
        ("azure/mlflow", r"platform:mlflow", r"platform:default"),
        ("azure/workload", r"serviceaccount:\$\{local.namespace\}", r"serviceaccount:${var.project}"),
        ("gcp/registry", r"immutable_tags = true", r"immutable_tags = false"),
        ("gcp/lake", r'"enforced"', r'"inherited"'),
        ("gcp/database", r"ENCRYPTED_ONLY", r"ALLOW_UNENCRYPTED_AND_ENCRYPTED"),
        ("gcp/cluster", r"GKE_METADATA", r"GCE_METADATA"),
        ("gcp/mlflow", r"platform/mlflow", r"platform/default"),
        ("gcp/workload", r"roles/storage.objectUser", r"roles/storage.admin"),
    ],
)
def test_a_weakened_module_fails_its_own_test(
    schema_terraform: Terraform, root: Path, tmp_path: Path, module: str, good: str, bad: str
):
    folder = tmp_path / "module"
    shutil.copytree(root / "terraform" / "modules" / module, folder, ignore=shutil.ignore_patterns(".terraform*"))
    text, count = re.subn(good, bad, (folder / "main.tf").read_text(encoding="utf-8"))
    assert count == 1
    (folder / "main.tf").write_text(text, encoding="utf-8")
    assert validated(schema_terraform, folder) == ""
    run = schema_terraform(folder, "test")
    assert run.returncode == 1
    assert "Error: Test assertion failed" in run.stdout + run.stderr


def test_the_stand_in_cannot_apply(schema_terraform: Terraform, terraform_copy: Path, tmp_path: Path):
    folder = tmp_path / "lake"
    shutil.copytree(
        terraform_copy / "modules" / "gcp" / "lake", folder, ignore=shutil.ignore_patterns("tests", ".terraform")
    )
    assert validated(schema_terraform, folder) == ""
    run = schema_terraform(folder, "apply", "-auto-approve", "-var=bucket=contoso-lake", "-var=region=europe-west1")
    assert run.returncode == 1
    assert "cannot plan or apply" in run.stderr


def outputs(folder: Path) -> set[str]:
    """Return the names of a module's outputs."""
    return set(re.findall(r'^output "(\w+)"', (folder / "outputs.tf").read_text(encoding="utf-8"), re.M))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_outputs_have_the_same_names_on_every_cloud(root: Path, cloud: str):
    modules = root / "terraform" / "modules"
    for module, names in {
        "workload": {"service_account_annotations", "image_registry", "data_url", "secret_name"},
        "registry": {"image_registry"},
        "cluster": {"name"},
        "mlflow": {"service_account_annotations", "artifacts_url"},
        "database": {"endpoint"},
    }.items():
        assert names <= outputs(modules / cloud / module), module
        assert names <= outputs(modules / "aws" / module), module


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("module", MODULES)
def test_each_validation_refuses_something_in_a_test(root: Path, cloud: str, module: str):
    folder = root / "terraform" / "modules" / cloud / module
    blocks = re.split(r"^variable ", (folder / "variables.tf").read_text(encoding="utf-8"), flags=re.M)[1:]
    conditions = {block.split('"')[1]: block.count("validation {") for block in blocks}
    tests = (folder / "tests" / f"{module}.tftest.hcl").read_text(encoding="utf-8")
    refusals = re.findall(r"expect_failures = \[var[.](\w+)\]", tests)
    assert {name: refusals.count(name) for name, count in conditions.items() if count} == {
        name: count for name, count in conditions.items() if count
    }


def test_every_module_is_in_these_tests(root: Path):
    for cloud in CLOUDS:
        assert sorted(path.parent.name for path in root.glob(f"terraform/modules/{cloud}/*/main.tf")) == list(MODULES)


# Each role that a module gives, and to do what.
ROLES = {
    "Network Contributor": "the control plane of AKS puts nodes and load balancers into their subnet, and no other",
    "Managed Identity Operator": "the control plane of AKS gives the nodes their identity, and no other",
    "AcrPull": "nodes pull images",
    "Storage Blob Data Contributor": "a project reads and writes its container, and MLflow the artifacts",
    "Key Vault Secrets User": "a project reads its secret",
    "roles/cloudkms.cryptoKeyEncrypterDecrypter": "GKE encrypts the secrets of Kubernetes with their key",
    "roles/container.defaultNodeServiceAccount": "nodes write logs and metrics",
    "roles/artifactregistry.reader": "nodes pull images",
    "roles/iam.workloadIdentityUser": "a project's ServiceAccount, or MLflow's, acts as its identity",
    "roles/storage.objectUser": "a project reads and writes its folder, and MLflow the artifacts",
    "roles/secretmanager.secretAccessor": "a project reads its secret",
}


def test_only_these_roles_are_given_and_none_of_them_rules_a_subscription_or_project(root: Path):
    texts = [path.read_text(encoding="utf-8") for cloud in CLOUDS for path in root.glob(f"terraform/*/{cloud}/**/*.tf")]
    roles = {role for text in texts for role in re.findall(r'\b(?:role|role_definition_name) += "([^"]+)"', text)}
    assert roles == ROLES.keys()
    # Of the whole Google project there is one, and it is the nodes'.
    wide = [text for text in texts for _ in re.findall('resource "google_project_iam', text)]
    assert len(wide) == 1
    assert not any("azurerm_role_definition" in text or "google_project_iam_custom_role" in text for text in texts)


def test_checkov_finds_nothing_and_each_skip_has_its_reason(root: Path, platform_tool: Callable[[str], str]):
    folder = ["--directory", root / "terraform", "--skip-path", "/aws/", "--framework", "terraform"]
    words = ["--output", "json", "--quiet", "--skip-download", "--soft-fail"]
    run = subprocess.run([platform_tool("checkov"), *folder, *words], capture_output=True, text=True, check=True)
    report = json.loads(run.stdout)
    assert report["summary"]["passed"] > 50
    assert [(check["check_id"], check["resource"]) for check in report["results"]["failed_checks"]] == []
    skips = {
        line.strip()
        for path in root.glob("terraform/*/*/**/*.tf")
        if path.relative_to(root / "terraform").parts[1] in CLOUDS
        for line in path.read_text(encoding="utf-8").splitlines()
        if "checkov:skip" in line
    }
    for skip in skips:
        assert re.fullmatch(r"#checkov:skip=CKV2?_[A-Z]+_\d+:\w.{20,}", skip), f"{skip}: say why, beside the resource"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_schemas_are_of_the_version_that_is_asked_for(root: Path, cloud: str):
    schema = json.loads((root / f"tests/platform/schema_provider/{cloud}.json").read_text(encoding="utf-8"))
    ((address, version),) = schema["provider_versions"].items()
    wanted = f'version = "~> {version.rpartition(".")[0]}"'
    files = [*root.glob(f"terraform/*/{cloud}/**/*.tf"), *root.glob(f"template/*cloud == '{cloud}'*/*.tf")]
    asking = [text for path in files if address in (text := path.read_text(encoding="utf-8"))]
    assert len(asking) == len(MODULES) + 3  # the example, its bootstrap, and a generated project's root
    assert all(wanted in text for text in asking)
