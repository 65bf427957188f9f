"""Write the tables of inputs and outputs into the READMEs of the Terraform modules: `make terraform-docs`.

`terraform fmt` gives every block the same form, so that lines and their indentation are all there is to read.
"""

import re
from pathlib import Path

MODULES = Path(__file__).resolve().parents[2] / "terraform" / "modules"
MARK = "<!-- inputs and outputs -->"


def blocks(text: str, kind: str) -> dict[str, dict[str, str]]:
    """Return the arguments of each `variable` or `output` block by the block's name, as they are written."""
    found = {}
    for name, body in re.findall(rf'^{kind} "(\w+)" {{\n(.*?)^}}', text, flags=re.M | re.S):
        # An argument is two spaces deep, and what belongs to it is deeper; its last bracket may be two deep again.
        arguments = re.findall(r"^  (\w+) += (.*(?:\n(?:    .*|  [\])}]+))*)", body, flags=re.M)
        found[name] = {argument: _line(value) for argument, value in arguments}
    return found


def _line(value: str) -> str:
    """Return a value in one line: the arguments of an object stand in lines of their own, without commas."""
    return " ".join(re.sub(r'(?<=[\w)"])\n(?= +\w)', ",", value).split())


def table(module: Path) -> str:
    """Return the Markdown tables of a module's variables and outputs, in the order of their files."""
    lines = ["| input | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, variable in blocks((module / "variables.tf").read_text(encoding="utf-8"), "variable").items():
        default = f"`{variable['default']}`" if "default" in variable else "required"
        lines.append(f"| `{name}` | `{variable['type']}` | {default} | {_text(variable['description'])} |")
    lines += ["", "| output | meaning |", "| --- | --- |"]
    for name, output in blocks((module / "outputs.tf").read_text(encoding="utf-8"), "output").items():
        lines.append(f"| `{name}` | {_text(output['description'])} |")
    return "\n".join(lines) + "\n"


def _text(literal: str) -> str:
    return literal[1:-1].replace('\\"', '"').replace("|", "\\|")


def page(module: Path) -> str:
    """Return a module's README with the tables of today below its mark."""
    head, mark, _ = (module / "README.md").read_text(encoding="utf-8").partition(MARK)
    assert mark, f"{module / 'README.md'} lacks the line {MARK}"
    return f"{head}{MARK}\n\n{table(module)}"


def modules() -> list[Path]:
    """Return the folders of all modules, on every cloud."""
    return sorted(file.parent for file in MODULES.glob("*/*/variables.tf"))


if __name__ == "__main__":
    for each in modules():
        written = page(each)  # read first: writing empties the file
        (each / "README.md").write_text(written, encoding="utf-8")
