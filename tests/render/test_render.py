"""The template renders, for each set of answers, whole and well-formed files that hold the answers."""

import ast
import hashlib
import re
import resource
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml

# The report's pages are Jinja templates of the generated project itself; Prometheus and Grafana have the same braces.
KEEPS_JINJA = re.compile(
    r"src/[a-z0-9_]+/(monitoring/.*\.html|training/card\.md)|observability/(prometheus|grafana)/.*\.(yaml|json)"
)
# The text as the Apache Software Foundation publishes it.
APACHE_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_answers_are_kept(project):
    assert project.answers["_src_path"]
    asked = {"project_name", "project_slug", "package_name", "project_description", "author_name", "author_email"}
    # Where the modules are is asked of those who have Terraform.
    asked |= {"license", "python_version", "example", "cloud", "sandbox"}
    asked |= set() if project.answers["cloud"] == "none" else {"platform_url"}
    assert set(project.answers) - {"_src_path"} == asked


def test_golden_answers_are_complete_and_kept_as_they_are(
    render: Callable[[Path, dict[str, Any]], Any], golden: dict[str, Any], tmp_path: Path
):
    answers = render(tmp_path / "project", golden).answers
    assert {key: answers[key] for key in golden} == golden
    assert set(answers) - set(golden) == {"_src_path", "author_email"}
    assert answers["author_email"] == ""


def test_nothing_is_left_unrendered(project):
    for name, text in project.texts().items():
        assert "{" not in name
        assert not name.endswith(".jinja")
        if KEEPS_JINJA.fullmatch(name):
            continue
        if name.startswith(".github/workflows/"):
            text = text.replace("${{", "")
        assert "{{" not in text, name
        assert "{%" not in text, name


def named(folder: Path, suffix: str) -> list[Path]:
    """Return the files whose name ends so where they are rendered."""
    return [path for path in folder.rglob("*") if re.sub(r"\{%.*?%\}", "", path.name).endswith(suffix)]


def test_python_is_python_before_it_is_rendered(root: Path):
    for path in named(root / "template", ".py"):
        text = path.read_text(encoding="utf-8")
        ast.parse(text, str(path))
        assert not re.search(r"\{\{|\{%|\{#", text), f"{path} holds Jinja: make its imports relative"


def test_python_templates_hold_the_package_name_in_imports_and_nothing_else(root: Path):
    for path in named(root / "template", ".py.jinja"):
        text = path.read_text(encoding="utf-8")
        assert "{{ package_name }}" in text, f"{path} has nothing to render: drop its suffix"
        rest = re.sub(r"^(\s*(?:from|import) )\{\{ package_name \}\}", r"\1", text, flags=re.M)
        assert not re.search(r"\{\{|\{%|\{#", rest), f"{path} holds Jinja beyond its imports"


def test_python_parses(project):
    for name, text in project.texts().items():
        if name.endswith(".py"):
            ast.parse(text, name)


def test_python_has_the_projects_style(project, require_tool: Callable[[str], str]):
    ruff = require_tool("ruff")
    for command in (["check", "--no-cache"], ["format", "--no-cache", "--diff"]):
        run = subprocess.run([ruff, *command], cwd=project.path, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr


def test_pyproject_holds_the_answers(project):
    answers = project.answers
    document = tomllib.loads((project.path / "pyproject.toml").read_text(encoding="utf-8"))
    metadata = document["project"]
    author = {"name": answers["author_name"], "email": answers["author_email"]}
    assert metadata["name"] == answers["project_slug"]
    assert metadata["description"] == answers["project_description"]
    assert metadata["authors"] == [{key: value for key, value in author.items() if value}]
    assert metadata["scripts"] == {answers["project_slug"]: f"{answers['package_name']}.cli:main"}
    assert metadata["requires-python"] == f">={answers['python_version']},<3.14"
    assert metadata["license"] == {"Proprietary": "LicenseRef-Proprietary"}.get(answers["license"], answers["license"])
    assert (project.path / "src" / answers["package_name"] / "__init__.py").is_file()


def test_licence_is_the_chosen_one(project):
    text = (project.path / "LICENSE").read_text(encoding="utf-8")
    if project.answers["license"] == "Apache-2.0":
        assert hashlib.sha256(text.encode()).hexdigest() == APACHE_SHA256
        return
    first = {"MIT": "MIT License\n", "Proprietary": f"Copyright (c) {project.answers['author_name']}. All rights"}
    assert text.startswith(first[project.answers["license"]])
    assert f"Copyright (c) {project.answers['author_name']}" in text


def test_terraform_is_of_the_chosen_cloud(project):
    files = {name: text for name, text in project.texts().items() if name.startswith("terraform/")}
    cloud = project.answers["cloud"]
    if cloud == "none":
        # An existing project has no answer yet, and `copier update` gives it this default.
        assert not files
        assert "\ncloud:" not in (project.path / "Makefile").read_text(encoding="utf-8")
        return
    backends = {"aws": "s3", "azure": "azurerm", "gcp": "gcs"}
    assert f'backend "{backends[cloud]}"' in files["terraform/versions.tf"]
    source = f'"git::{project.answers["platform_url"]}//terraform/modules/{cloud}/workload?ref='
    assert source in files["terraform/main.tf"]


def test_only_a_project_for_aws_has_what_publishes_to_kinesis(project):
    texts = project.texts()
    words = re.compile(r"\bboto|kinesis|aws[.]txt|stream-predictions", re.I)
    about = {name for name, text in texts.items() if words.search(text)}
    code = f"src/{project.answers['package_name']}"
    files = {"locks/aws.txt", f"{code}/cli/ship.py", f"{code}/monitoring/shipping.py", "tests/code/test_shipping.py"}
    if project.answers["cloud"] == "aws":
        where = {"Dockerfile", "Makefile", "README.md", ".env.example", "docs/licences.md", "pyproject.toml"}
        assert files | where <= about
    else:
        assert about == set()
        assert files.isdisjoint(texts)


def test_makefile_lists_its_commands(project, require_tool: Callable[[str], str]):
    make = require_tool("make")
    run = subprocess.run([make], cwd=project.path, capture_output=True, text=True, check=True)
    for target in ("setup", "lint", "test", "demo", "serve", "clean"):
        assert f"make {target} " in run.stdout


def test_a_copy_takes_at_most_eight_times_the_start_of_copier(template: Path, golden: dict[str, Any], tmp_path: Path):
    """Of the processor's time, as other tests run meanwhile. So the template runs nothing of its own after the copy."""

    def spent(*words: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "copier", *words], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    answers = tmp_path / "answers.yml"
    answers.write_text(yaml.safe_dump(golden), encoding="utf-8")
    copy = ("copy", "--quiet", "--defaults", "--data-file", str(answers), str(template))
    start = min(spent("--version") for _ in range(3))
    seconds = min(spent(*copy, str(tmp_path / str(attempt))) for attempt in range(3))
    print(f"{seconds:.2f} s against {start:.2f} s")
    assert seconds < 8 * start


@pytest.mark.filterwarnings("ignore:Dirty template changes", "ignore:The repository .* is a shallow clone")
def test_copy_from_git_has_every_file_and_the_commit(
    root: Path,
    golden: dict[str, Any],
    render: Callable[[Path, dict[str, Any]], Any],
    require_tool: Callable[[str], str],
    tmp_path: Path,
):
    git = require_tool("git")
    probe = subprocess.run([git, "rev-parse", "--show-toplevel"], cwd=root, capture_output=True, text=True, check=False)
    if probe.returncode != 0 or Path(probe.stdout.strip()).resolve() != root:
        pytest.skip("not a clone: there is no commit to copy from")
    copier.run_copy(str(root), tmp_path / "git", data=golden, defaults=True, quiet=True, vcs_ref="HEAD")
    answers = yaml.safe_load((tmp_path / "git" / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert answers["_commit"]
    # A file that .gitignore hides would be in the working tree and in no clone.
    from_git = {path.relative_to(tmp_path / "git") for path in (tmp_path / "git").rglob("*")}
    from_tree = {path.relative_to(tmp_path / "tree") for path in render(tmp_path / "tree", golden).path.rglob("*")}
    assert from_git == from_tree
