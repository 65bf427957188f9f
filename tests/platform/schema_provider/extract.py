"""Write the provider schemas of the resource types that terraform/modules uses, for the stand-in of server.py.

    python tests/platform/schema_provider/extract.py azure gcp      (needs npm and the network)

A provider's program prints its schema (`terraform providers schema -json`), and is not on every machine. The packages
of the CDK for Terraform were generated from that schema; this reads them back. Their JavaScript is read as text, never
run: which argument is a block, and of which type, is in the functions that write HCL; whether it is required, in the
type declarations; what a resource computes, in its getters. What no module uses is left out.
"""

import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TERRAFORM = HERE.parents[2] / "terraform"
PACKAGES = {"azure": "@cdktf/provider-azurerm@14.23.1", "gcp": "@cdktf/provider-google@16.12.1"}

# Functions and classes of several files refer to each other through the names of these imports.
IMPORTS = re.compile(r"\(0, (?:index_)?structs\w*?\.(\w+)\)|(?:index_)?structs\w*\.")
WRITER = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{(.*?)^\}", re.S | re.M)
CLASS = re.compile(r"^class (\w+) extends cdktf\.\w+ \{(.*?)^\}", re.S | re.M)
SYNTHESIS = re.compile(r"^    synthesizeHclAttributes\(\) \{(.*?)^    \}", re.S | re.M)
ARGUMENT = re.compile(r'(\w+): \{\n +value: (.*),\n +isBlock: (true|false),\n +type: "(\w+)"')
INTERFACE = re.compile(r"^export interface (\w+)[^{]*\{(.*?)^\}", re.S | re.M)
REQUIRED = re.compile(r"^    readonly (\w+):", re.M)
GETTER = re.compile(r"this\.get(String|Number|Boolean|List|NumberList|StringMap)Attribute\('(\w+)'\)")
OBJECTS = re.compile(r'= new (\w+)List\(this, "(\w+)", (true|false)\)')
MAPS = re.compile(r'= new cdktf\.StringMap\(this, "(\w+)"\)')

PRIMITIVES = {"String": "string", "Number": "number", "Boolean": "bool"}
GETTERS = PRIMITIVES | {"List": ["list", "string"], "NumberList": ["list", "number"], "StringMap": ["map", "string"]}


class Package:
    """The sources of one type: its functions that write HCL, its classes, and what is required of it."""

    def __init__(self, folder: Path):
        scripts = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.js")))
        types = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.d.ts")))
        scripts = IMPORTS.sub(lambda match: match[1] or "", scripts)
        self.writers = dict(WRITER.findall(scripts))
        self.classes = dict(CLASS.findall(scripts))
        self.required = {name: set(REQUIRED.findall(body)) for name, body in INTERFACE.findall(types)}

    def schema(self) -> dict[str, Any]:
        """Return the schema of the resource type, the data source or the provider."""
        ((name, body, arguments),) = [
            (name, body, found[1]) for name, body in self.classes.items() if (found := SYNTHESIS.search(body))
        ]
        schema = self.block(f"{name}Config", arguments, body)
        # Of all that may be given and is computed otherwise, the packages tell this one only.
        schema["attributes"]["id"] = {"type": "string", "optional": True, "computed": True}
        return {"block": schema}

    def block(self, interface: str, arguments: str, body: str) -> dict[str, Any]:
        """Return a block: its arguments and nested blocks, then what is only computed, from the class's body."""
        attributes: dict[str, Any] = {}
        blocks: dict[str, Any] = {}
        for name, value, is_block, kind in ARGUMENT.findall(arguments):
            (argument,) = re.findall(r"\((?:struct\.|this\._)(\w+)", value)
            required = argument in self.required[interface]
            if is_block == "true":
                blocks[name] = self.nested(value, kind, required)
            else:
                attributes[name] = {"type": type_of(value, kind), "required" if required else "optional": True}
                # By the providers' own convention: passed through, and in no state.
                if name.endswith("_wo"):
                    attributes[name]["write_only"] = True
        for name, kind in self.computed(body).items():
            if name not in attributes and name not in blocks:
                attributes[name] = {"type": kind, "computed": True}
        return {"attributes": attributes, "block_types": blocks}

    def nested(self, value: str, kind: str, required: bool) -> dict[str, Any]:
        """Return a nested block. One that is written without a mapper over a list may be there once."""
        (writer,) = re.findall(r"(\w+)ToHclTerraform", value)
        name = writer[0].upper() + writer[1:]
        schema: dict[str, Any] = {
            "nesting_mode": "single" if kind == "struct" else kind,
            "block": self.block(name, self.writers[writer], self.classes.get(f"{name}OutputReference", "")),
        }
        if kind != "struct":
            schema |= {"min_items": int(required), "max_items": 0 if "listMapperHcl" in value else 1}
        return schema

    def computed(self, body: str) -> dict[str, Any]:
        """Return the type of each attribute that a class has a getter for; lists of objects have a class of theirs."""
        types: dict[str, Any] = {name: GETTERS[getter] for getter, name in GETTER.findall(body)}
        types |= {name: ["map", "string"] for name in MAPS.findall(body)}
        for element, name, is_set in OBJECTS.findall(body):
            fields = self.computed(self.classes.get(f"{element}OutputReference", ""))
            types[name] = ["set" if is_set == "true" else "list", ["object", fields]]
        return types


def type_of(value: str, kind: str) -> str | list[Any]:
    """Return the type of an argument from the call that writes it."""
    ((name),) = re.findall(r"cdktf\.(string|number|boolean)ToHclTerraform", value)
    primitive = PRIMITIVES[name.capitalize()]
    return primitive if kind == "simple" else [kind, primitive]


def used(kind: str, cloud: str) -> list[str]:
    """Return the types of the `resource` or `data` blocks in a cloud's modules and example."""
    paths = (path for folder in ("modules", "examples") for path in (TERRAFORM / folder / cloud).rglob("*.tf"))
    texts = [path.read_text(encoding="utf-8") for path in paths]
    return sorted({name for text in texts for name in re.findall(rf'^{kind} "(\w+)"', text, re.M)})


def extract(cloud: str, package: Path) -> dict[str, Any]:
    """Return the schemas in the form of `terraform providers schema -json`, with a note of where they come from."""
    description = json.loads((package / "package.json").read_text(encoding="utf-8"))
    address, version = (description["cdktf"]["provider"][key] for key in ("name", "version"))
    address = address.partition("/")[2]  # of Terraform's usual host, which may be left out
    folder = package / "lib"
    schemas = {
        "resource_schemas": {
            name: Package(folder / name.partition("_")[2].replace("_", "-")).schema()
            for name in used("resource", cloud)
        },
        "data_source_schemas": {
            name: Package(folder / f"data-{name.replace('_', '-')}").schema() for name in used("data", cloud)
        },
        "provider": Package(folder / "provider").schema(),
    }
    return {
        "source": f"npm {description['name']} {description['version']}, (c) HashiCorp, MPL-2.0 "
        "(https://mozilla.org/MPL/2.0/): read by extract.py, which keeps the resource types that are used",
        "provider_versions": {address: version},
        "provider_schemas": {address: schemas},
    }


def main(*clouds: str) -> None:
    """Write the schema file of each cloud."""
    for cloud in clouds:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["npm", "pack", "--silent", PACKAGES[cloud]], cwd=folder, check=True)
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
            schemas = extract(cloud, Path(folder) / "package")
        text = json.dumps(schemas, separators=(",", ":"), sort_keys=True)
        (HERE / f"{cloud}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
