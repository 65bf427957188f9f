"""docs/explanation/what-terraform-owns.md names every resource of the AWS modules, and lines that are there."""

import re
from pathlib import Path

PAGE = Path("docs") / "explanation" / "what-terraform-owns.md"
ROW = re.compile(r"^\| ((?:`[a-z0-9_]+\.[a-z0-9_]+` ?)+)\| `([^`]+)` \| `([^`]+)` \| (.+) \|$", re.M)


def test_every_resource_is_needed_by_a_line_of_the_project(root: Path) -> None:
    named = set()
    # A file that some answers leave out has its condition in its name.
    names = {path: re.sub(r"\{%.*?%\}", "", path.as_posix()) for path in root.glob("template/**/*") if path.is_file()}
    for section in (root / PAGE).read_text(encoding="utf-8").split("\n## ")[1:]:
        module = section.partition("\n")[0]
        rows = ROW.findall(section)
        assert len(rows) == section.count("\n|") - 2, f"a row of {module} is not of the form"
        for resources, file, line, _ in rows:
            named |= {(module, resource) for resource in re.findall(r"`([^`]+)`", resources)}
            found = [path for path, name in names.items() if name.endswith(f"/{file}")]
            assert found, f"no file of the template ends in {file}"
            assert any(line in path.read_text(encoding="utf-8") for path in found), f"{file} has no line with {line}"
    modules = root / "terraform" / "modules" / "aws"
    there = {
        (path.parent.name, f"{kind}.{name}")
        for path in modules.glob("*/main.tf")
        for kind, name in re.findall(r'^resource "(\w+)" "(\w+)"', path.read_text(encoding="utf-8"), flags=re.M)
    }
    assert named == there
