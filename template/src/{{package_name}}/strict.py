"""What a bundle's files must be before a library reads them: files of a bounded size, strict JSON, a closed ONNX model.

A digest tells only that nothing changed since somebody registered it. These checks hold for whatever was registered,
and need no library of the pipeline. Each failure is a BundleError of one sentence.
"""

import errno
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from .errors import BundleError

# The operators that every ONNX runtime has. Anything else is code that somebody added to one.
DOMAINS = (b"", b"ai.onnx", b"ai.onnx.ml")
# Of each ONNX message: its fields that lead to an operator or to a tensor (onnx.proto3 of ONNX 1.23).
LEADS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 8: "operators", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute", 7: "domain"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external data"},
    "operators": {1: "domain"},
}
REFUSED = {
    "external data": "keeps data in a file outside of it",
    "function": "defines operators of its own",
    "training": "holds a training step",
}
# Fields in a row that are numbers, as a tree's thresholds are: varints, and 4 bytes. A loop would take seconds.
NUMBERS = re.compile(
    rb"(?:[\x08\x10\x18\x20\x28\x30\x38\x40\x48\x50\x58\x60\x68\x70\x78][\x80-\xff]{0,9}[\x00-\x7f]"
    rb"|[\x0d\x15\x1d\x25\x2d\x35\x3d\x45\x4d\x55\x5d\x65\x6d\x75\x7d].{4})++",
    re.DOTALL,
)


def require_names(folder: Path, names: Collection[str]) -> None:
    """Refuse a folder that lacks one of `names`, or holds anything else."""
    try:
        with os.scandir(folder) as entries:
            found = {entry.name for entry in islice(entries, len(names) + 1)}  # one too many says enough
    except OSError as error:
        raise BundleError(f"{folder} is no folder that can be read ({error.strerror}); sync the registry") from error
    if extra := found - set(names):
        raise BundleError(f"{folder} holds {min(extra)!r}, which is no file of a bundle; remove it and sync again")
    if missing := set(names) - found:
        raise BundleError(f"{folder} lacks {min(missing)}; remove it and sync again")


def read_file(path: Path, limit: int) -> bytes:
    """Return the content of an ordinary file of at most `limit` bytes.

    A link is not followed, a pipe not waited for, and a larger file not read.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        reason = "is a link" if error.errno == errno.ELOOP else f"cannot be read ({error.strerror})"
        raise BundleError(f"{path} {reason}; remove {path.parent} and sync again") from error
    try:
        about = os.fstat(number)
        if not stat.S_ISREG(about.st_mode):
            raise BundleError(f"{path} is no ordinary file; remove {path.parent} and sync again")
        if about.st_size > limit:
            raise BundleError(f"{path} has {about.st_size} bytes, and may have {limit}; train a smaller model")
        with os.fdopen(number, "rb", closefd=False) as file:
            return file.read(limit)
    finally:
        os.close(number)


def parse_json(kind: Any, text: bytes, path: Path) -> Any:
    """Return JSON as a value of the type `kind`; a wrong type, an unknown field, NaN and deep nesting are refused."""
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise BundleError(f"{path} is not a bundle's ({ascii(what)[1:-1]:.200}); train and register again") from error


def require_parquet(content: bytes, path: Path) -> None:
    """Refuse what does not begin and end as Parquet does (github.com/apache/parquet-format, File format)."""
    footer = int.from_bytes(content[-8:-4], "little")
    if content[:4] != b"PAR1" or content[-4:] != b"PAR1" or not 0 < footer <= len(content) - 12:
        raise BundleError(f"{path} is not Parquet; train and register again")


def require_model(content: bytes, path: Path) -> None:
    """Refuse what is not ONNX, and a model that is not whole in itself: external data, operators of no standard.

    onnxruntime opens a file that a model names, beneath the folder that the process runs in.
    """
    todo: list[tuple[str, memoryview]] = [("model", memoryview(content))]
    graphs = 0
    try:
        while todo:
            message, data = todo.pop()
            for number, value in _fields(data):
                lead = LEADS[message].get(number)
                if lead in REFUSED:
                    raise BundleError(f"{path} {REFUSED[lead]}; export it whole, with standard operators only")
                if lead == "domain":
                    if value not in DOMAINS:
                        raise BundleError(f"{path} needs operators of {bytes(value)!r:.80}; use standard ones only")
                elif lead:
                    todo.append((lead, value))
                    graphs += lead == "graph"
    except (IndexError, ValueError) as error:
        raise BundleError(f"{path} is not an ONNX model; train and register again") from error
    if not graphs:
        raise BundleError(f"{path} is not an ONNX model; train and register again")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each field of a Protocol Buffers message that has a length; the others are skipped.

    Raises ValueError or IndexError where the bytes are no message (protobuf.dev/programming-guides/encoding).
    """
    at = 0
    while at < len(data):
        if numbers := NUMBERS.match(data, at):
            at = numbers.end()
            continue
        tag, at = _varint(data, at)
        kind = tag & 7
        if tag >> 32 or not tag >> 3 or kind not in (0, 1, 2, 5):  # groups, 3 and 4, are not in ONNX
            raise ValueError("not a field")
        if kind == 0:
            _, at = _varint(data, at)
        else:
            length, at = _varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            if at + length > len(data):
                raise ValueError("a field ends after its message")
            if kind == 2:
                yield tag >> 3, data[at : at + length]
            at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number without an end")
