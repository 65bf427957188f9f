"""A Terraform provider that knows its schema and nothing else, for providers whose program is not on the machine.

    python server.py SCHEMA.json SOCKET

serves the schema on a Unix socket until its standard input closes. Terraform connects to it where the environment
variable TF_REATTACH_PROVIDERS says so, as it does to a provider that is being debugged: then `terraform validate` and
`terraform test` with a mocked provider are the real ones. It cannot plan or apply: to configure it is an error.
"""

import json
import sys
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from tf.gen import tfplugin_pb2 as wire
from tf.gen import tfplugin_pb2_grpc as service

NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
# `bool write_only = 11`, which is younger than the package's copy of the protocol.
WRITE_ONLY = bytes([11 << 3, 1])
ANY_SIZE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def attribute(name: str, value: dict[str, Any]) -> wire.Schema.Attribute:
    """Return an attribute as the protocol writes it, from the form of `terraform providers schema -json`."""
    kinds = {kind: value.get(kind, False) for kind in ("required", "optional", "computed")}
    made = wire.Schema.Attribute(name=name, type=json.dumps(value["type"]).encode(), **kinds)
    if value.get("write_only"):
        made.MergeFromString(WRITE_ONLY)
    return made


def block(value: dict[str, Any]) -> wire.Schema.Block:
    """Return a block with all that is nested in it as the protocol writes it."""
    return wire.Schema.Block(
        attributes=[attribute(*item) for item in value.get("attributes", {}).items()],
        block_types=[
            wire.Schema.NestedBlock(
                type_name=name,
                block=block(nested["block"]),
                nesting=NESTING[nested["nesting_mode"]],
                min_items=nested.get("min_items", 0),
                max_items=nested.get("max_items", 0),
            )
            for name, nested in value.get("block_types", {}).items()
        ],
    )


def schemas(value: dict[str, Any]) -> dict[str, wire.Schema]:
    """Return the schema of each resource type or data source."""
    return {name: wire.Schema(version=0, block=block(body["block"])) for name, body in value.items()}


class SchemaOnly(service.ProviderServicer):
    """Answers what Terraform asks before it would plan."""

    def __init__(self, provider: dict[str, Any]):
        self.schema = wire.GetProviderSchema.Response(
            provider=wire.Schema(version=0, block=block(provider["provider"]["block"])),
            resource_schemas=schemas(provider["resource_schemas"]),
            data_source_schemas=schemas(provider["data_source_schemas"]),
        )

    def GetProviderSchema(self, request, context):
        return self.schema

    def ValidateProviderConfig(self, request, context):
        return wire.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request, context):
        return wire.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request, context):
        return wire.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request, context):
        words = "This stand-in knows the provider's schema and cannot plan or apply: use mock_provider in a test."
        refusal = wire.Diagnostic(severity=wire.Diagnostic.ERROR, summary="Schema-only provider", detail=words)
        return wire.ConfigureProvider.Response(diagnostics=[refusal])

    def StopProvider(self, request, context):
        return wire.StopProvider.Response()


def main(path: str, socket: str) -> None:
    """Serve the one provider of a schema file on a socket, and say `ready`, until standard input closes."""
    provider_schemas = json.loads(Path(path).read_text(encoding="utf-8"))["provider_schemas"]
    (provider,) = provider_schemas.values()
    server = grpc.server(futures.ThreadPoolExecutor(4), options=ANY_SIZE)
    service.add_ProviderServicer_to_server(SchemaOnly(provider), server)
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    print("ready", flush=True)
    sys.stdin.read()
    server.stop(grace=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
