"""The AWS modules are formed well, documented, and refuse what is wrong; checkov finds nothing unexplained."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import module_tables
import pytest
from aws_terraform import Terraform

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "terraform" / "modules" / "aws"
NAMES = sorted(path.parent.name for path in MODULES.glob("*/main.tf"))


def test_everything_is_formatted(require_tool: Callable[[str], str]) -> None:
    check = [require_tool("terraform"), "fmt", "-check", "-recursive", "-diff", ROOT / "terraform"]
    done = subprocess.run(check, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, f"type: terraform fmt -recursive terraform\n{done.stdout}"


@pytest.mark.parametrize("name", NAMES)
def test_a_module_is_four_files_and_its_readme(name: str) -> None:
    module = MODULES / name
    assert {path.name for path in module.glob("*.tf")} == {"main.tf", "variables.tf", "outputs.tf", "versions.tf"}
    readme = (module / "README.md").read_text(encoding="utf-8")
    assert readme == module_tables.page(module), "the tables are out of date; type: make terraform-docs"


@pytest.mark.parametrize("folder", ["terraform", "template"])
def test_versions_are_bounded_and_states_encrypted_and_locked(folder: str) -> None:
    blocks = [
        (path, block)
        for path in (ROOT / folder).rglob("*.tf")
        for block in re.findall(r"^terraform {\n.*?^}", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    ]
    assert {path.parent for path, _ in blocks} == {path.parent for path in (ROOT / folder).rglob("main.tf*")}
    backends = 0
    for path, block in blocks:
        assert re.search(r'required_version = ">= 1[.]11, < 2[.]0"', block), path
        providers = re.findall(r"^    \w+ = {\n(.*?)^    }", block, flags=re.M | re.S)
        assert providers, path
        for provider in providers:
            # `~>` with two numbers ends before the next major version, as the bound does.
            assert re.search(r'version = "(>= \d+[.]\d+, < \d+[.]0|~> \d+[.]\d+)"', provider), path
        for kind, body in re.findall(r'^  backend "(\w+)" {(.*?)}', block, flags=re.M | re.S):
            backends += 1
            # Google Cloud encrypts and locks every state; Azure does too, and is to take identities in place of keys.
            wanted = {"s3": ["encrypt", "use_lockfile"], "azurerm": ["use_azuread_auth"], "gcs": []}[kind]
            assert re.findall(r"^    (\w+) += true$", body, flags=re.M) == wanted, path
    assert backends == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_variable_is_described_and_what_it_refuses_is_tried(name: str) -> None:
    text = (MODULES / name / "variables.tf").read_text(encoding="utf-8")
    tests = (MODULES / name / "tests" / f"{name}.tftest.hcl").read_text(encoding="utf-8")
    tried = re.findall(r"var\.(\w+)", " ".join(re.findall(r"expect_failures = \[(.*?)\]", tests, flags=re.S)))
    for variable, arguments in module_tables.blocks(text, "variable").items():
        assert {"type", "description", "nullable"} <= arguments.keys(), variable
    conditions = {
        variable: body.count("validation {")
        for variable, body in re.findall(r'^variable "(\w+)" {\n(.*?)^}', text, flags=re.M | re.S)
    }
    assert {variable: tried.count(variable) for variable in conditions} == conditions


def test_the_tables_read_what_terraform_means(tmp_path: Path) -> None:
    (tmp_path / "variables.tf").write_text(
        'variable "nodes" {\n  type = object({\n    min = number\n    max = number\n  })\n'
        '  description = "How many: a \\"pair\\"."\n  default     = { min = 1 }\n\n'
        '  validation {\n    condition     = true\n    error_message = "No."\n  }\n}\n'
    )
    (tmp_path / "outputs.tf").write_text('output "one" {\n  description = "First."\n  value       = 1\n}\n')
    made = module_tables.table(tmp_path)
    assert '| `nodes` | `object({ min = number, max = number })` | `{ min = 1 }` | How many: a "pair". |' in made
    assert "| `one` | First. |" in made


def test_checkov_finds_nothing_that_is_not_explained(platform_tool: Callable[[str], str], tmp_path: Path) -> None:
    for part in ("modules/aws", "examples/aws"):
        shutil.copytree(ROOT / "terraform" / part, tmp_path / part, ignore=shutil.ignore_patterns(".terraform*"))
    # A bucket without anything, to see that it looks.
    (tmp_path / "bad.tf").write_text('resource "aws_s3_bucket" "bad" {\n  bucket = "bad"\n}\n')
    command = [platform_tool("checkov"), "--directory", str(tmp_path), "--framework", "terraform", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    results = json.loads(done.stdout)["results"]
    failed = results["failed_checks"]
    assert any(check["resource"] == "aws_s3_bucket.bad" for check in failed)
    unexplained = {
        (check["check_id"], check["resource"]) for check in failed if check["resource"] != "aws_s3_bucket.bad"
    }
    assert not unexplained
    assert results["skipped_checks"]
    assert all(len(check["check_result"]["suppress_comment"]) > 30 for check in results["skipped_checks"])


@pytest.mark.parametrize("name", NAMES)
def test_a_module_passes_its_own_tests(aws_terraform: Terraform, terraform_copy: Path, name: str) -> None:
    module = terraform_copy / "modules" / "aws" / name
    aws_terraform(module, "init", "-backend=false")
    assert re.search(r"Success! [1-9][0-9]* passed, 0 failed", aws_terraform(module, "test"))
