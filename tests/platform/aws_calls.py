"""Make calls of the AWS API in the environment of locks/platform.txt, which has boto3: JSON in, JSON out.

Standard input holds a list of [service, method, arguments]; an argument `Body` is the path of a file. Standard output
gets the list of the answers. The address and the credentials come from the environment, as in Terraform's process.
"""

import json
import sys
from pathlib import Path

import boto3


def plain(value: object) -> str:
    """Return what JSON does not know as text: bytes, streams and times."""
    if hasattr(value, "read"):
        value = value.read()
    return value.decode() if isinstance(value, bytes) else str(value)


answers = []
for service, method, arguments in json.load(sys.stdin):
    if "Body" in arguments:
        arguments["Body"] = Path(arguments["Body"]).read_bytes()
    answers.append(getattr(boto3.client(service), method)(**arguments))
json.dump(answers, sys.stdout, default=plain)
