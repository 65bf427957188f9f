"""Objects of an S3 bucket as paths, as far as daily partitions need them; by pyarrow's own client, and nothing else.

S3 keeps an object whole or not at all, so that nothing is renamed. Who may not list the whole bucket is told that a
missing object is forbidden: whether one is there is therefore asked by listing its folder. Credentials come from the
environment, a web identity token or the machine's role, in the order of the AWS SDK; no setting holds any.
"""

import errno
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
from pyarrow import fs

from .errors import DataError
from .settings import PREFIX

SCHEME = "s3://"
READERS = 16  # requests at once: an answer takes tens of milliseconds, most of which is waiting
DENIED = re.compile(r"ACCESS_DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE|TOKEN|CREDENTIALS|HTTP status 40[13]")


@dataclass(frozen=True)
class ObjectPath:
    """An object or a folder of objects, with those methods of pathlib.Path that the lake uses.

    Each of them raises DataError, in one sentence, when S3 cannot be asked or refuses.
    """

    store: fs.FileSystem = field(hash=False)  # it has no hash
    key: PurePosixPath
    """The bucket, and the object's key in it."""

    def __str__(self) -> str:
        return f"{SCHEME}{self.key}"

    def __truediv__(self, name: str) -> "ObjectPath":
        return replace(self, key=self.key / name)

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.name

    @property
    def parent(self) -> "ObjectPath":
        """The folder that it lies in."""
        return replace(self, key=self.key.parent)

    def with_name(self, name: str) -> "ObjectPath":
        """Return the object of another name in the same folder."""
        return replace(self, key=self.key.with_name(name))

    def below(self) -> list[str]:
        """Return the names of all objects in this folder, relative to it; none where there is no such folder."""
        found = self._list(recursive=True)
        return [str(PurePosixPath(one.path).relative_to(self.key)) for one in found if one.type == fs.FileType.File]

    def folders(self) -> list[str]:
        """Return the names of the folders in this one, in order."""
        return sorted(one.base_name for one in self._list(recursive=False) if one.type == fs.FileType.Directory)

    def exists(self) -> bool:
        """Return whether there is this object."""
        listed = self.parent._list(recursive=False)
        return any(one.base_name == self.name and one.type == fs.FileType.File for one in listed)

    def read_bytes(self) -> bytes:
        """Return the content. Raises FileNotFoundError when there is no such object."""
        try:
            with self.store.open_input_stream(str(self.key)) as stream:
                return bytes(stream.read())
        except OSError as error:
            if isinstance(error, FileNotFoundError) or not self.exists():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from error
            raise _refused(self, error) from error

    def read_text(self, encoding: str) -> str:
        """Return the content as text. Raises FileNotFoundError when there is no such object."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes) -> None:
        """Replace the object whole: readers see the old content or this, and a kill leaves the old."""
        try:
            with self.store.open_output_stream(str(self.key)) as stream:
                stream.write(content)
        except OSError as error:
            raise _refused(self, error) from error

    def unlink(self) -> None:
        """Remove the object, which is there."""
        try:
            self.store.delete_file(str(self.key))
        except OSError as error:
            raise _refused(self, error) from error

    def _list(self, recursive: bool) -> list[fs.FileInfo]:
        try:
            return list(self.store.get_file_info(fs.FileSelector(str(self.key), recursive=recursive)))
        except FileNotFoundError:  # and no other error: a bucket that does not exist has one of its own
            return []
        except OSError as error:
            raise _refused(self, error) from error


@cache
def open_url(url: str) -> ObjectPath:
    """Return the folder that an address like `s3://BUCKET/PREFIX` names. Nothing is asked yet."""
    # pyarrow reads each variable of the AWS SDKs but this one, which names an S3 that is not AWS's.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    # A small object is one request then, and a large one several, of which the last makes it appear.
    store = fs.S3FileSystem(endpoint_override=endpoint, allow_delayed_open=True)
    return ObjectPath(store, PurePosixPath(url.removeprefix(SCHEME)))


def dataset(paths: Sequence[ObjectPath]) -> Any:
    """Return Parquet objects as one pyarrow.dataset.Dataset, which an engine reads by the columns and rows it needs.

    Raises DataError, which names the object, when one is not whole or has other columns than the first: pyarrow would
    read a column that an object lacks as nulls.
    """
    from pyarrow import dataset as datasets  # takes a while to import, and an embedded run needs none

    kind = datasets.ParquetFileFormat()
    parts = [kind.make_fragment(str(path.key), filesystem=path.store) for path in paths]
    with ThreadPoolExecutor(READERS) as pool:
        schemas = list(pool.map(_schema, paths, parts))
    for path, schema in zip(paths, schemas, strict=True):
        if not schema.equals(schemas[0]):
            raise DataError(
                f"{path} has other columns or types than {paths[0]}; remove that partition and build it again"
            )
    return datasets.FileSystemDataset(parts, schemas[0].remove_metadata(), kind, paths[0].store)


def _schema(path: ObjectPath, part: Any) -> pa.Schema:
    try:
        return part.physical_schema
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is no whole Parquet file; remove that partition and build it again") from error
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: ObjectPath, error: OSError) -> DataError:
    """Return what to do about an error of S3."""
    said = next(iter(str(error).splitlines()), type(error).__name__)
    if "NO_SUCH_BUCKET" in said:
        return DataError(f"there is no bucket {path.key.parts[0]}; make it, or correct {PREFIX}DATA_URL")
    if DENIED.search(said):
        return DataError(
            f"S3 denies this process {path}; give it an identity that may read and write there: the role of its "
            "service account or machine, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in its environment"
        )
    if "NETWORK_CONNECTION" in said:
        return DataError(
            f"no S3 answers for {path} ({said.partition('; Details: ')[2] or said}); see that AWS_REGION is right, and "
            "that the network lets this process out to it"
        )
    return DataError(f"{path} cannot be used ({said:.300}); mend that, then run it again")
