"""Terraform with the AWS provider of this machine's mirror, for the tests of the AWS modules."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Terraform:
    """Terraform with the provider from the machine's mirror, in copies of the repository's roots and modules."""

    command: str
    environment: dict[str, str]

    def __call__(self, folder: Path, *words: str, expect: int = 0, **more: str) -> str:
        """Return what one command printed; it has to exit as expected."""
        environment = {**self.environment, **more}
        done = subprocess.run(
            [self.command, *words],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == expect, f"terraform {' '.join(words)}: exit {done.returncode}\n{done.stdout[-8000:]}"
        return done.stdout

    def json(self, folder: Path, *words: str, **more: str) -> Any:
        """Return what one command printed as JSON."""
        return json.loads(self(folder, *words, **more))


def find_mirror() -> str | None:
    """Return the folder of a mirror that holds the provider, None where this machine has none.

    It is looked for where mirrors usually are, then everywhere but in environments and caches, which takes long.
    """
    for base in map(Path, ("/opt", "/usr/local", "/usr/local/share", "/usr/share", "/srv", "/var/lib", Path.home())):
        for found in (*base.glob("*/*/hashicorp/aws"), *base.glob("*/*/*/hashicorp/aws")):
            return str(found.parents[2])  # below it are the folders of hosts
    skipped = [
        word for name in ("proc", "sys", "site-packages", "node_modules", ".git") for word in ("-name", name, "-o")
    ]
    aws = ["-path", "*.*/hashicorp/aws", "-type", "d"]
    find = ["find", "/", "-xdev", "(", *skipped[:-1], ")", "-prune", "-o", *aws, "-print", "-quit"]
    lines = subprocess.run(find, capture_output=True, text=True, check=False).stdout.splitlines()
    return str(Path(lines[0]).parents[2]) if lines else None


def environment(mirror: str, home: Path) -> dict[str, str]:
    """Return the environment in which Terraform takes providers from the mirror, and asks nobody for anything."""
    configuration = home / "terraform.rc"
    configuration.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TF_CLI_CONFIG_FILE": str(configuration),
        "TF_CLI_ARGS": "-no-color",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
