"""What serving must know of a version beside its bundle, and only the registry knows: one file beside the links.

`registry sync` writes it before it moves a link, so that a version never serves without it; the server reads it when it
loads a bundle.
"""

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from .errors import BundleError

FILE = "standing.json"


def forced(bundles: Path, folder: str) -> str:
    """Return why the version in a folder may serve against its gates, empty when it passed them.

    What cannot be read is no reason to believe that it passed. Without the file, or without the version in it, nothing
    was ever forced.
    """
    try:
        return str(json.loads((bundles / FILE).read_text(encoding="utf-8")).get(folder, {}).get("forced", ""))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError):
        return f"{FILE} cannot be read, so nobody knows"


def write(bundles: Path, reasons: Mapping[str, str]) -> None:
    """Replace the file atomically: for each folder, why its version may serve against its gates, empty if it passed.

    A folder that is not named and still there keeps what the file said of it: a link may point to it yet. Raises
    BundleError when the file system refuses; the old file stays.
    """
    path = bundles / FILE
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else "{}"
        kept = {name: about for name, about in json.loads(before).items() if (bundles / name).exists()}
    except (OSError, ValueError, AttributeError):
        before, kept = "", {}  # what cannot be read is written anew
    content = json.dumps(kept | {name: {"forced": why} for name, why in reasons.items()}, sort_keys=True)
    if content == before:
        return
    temporary = bundles / f".{FILE}-{uuid.uuid4().hex}"
    try:
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise BundleError(
            f"cannot write {path} ({error.strerror}); free some space or mend the rights, then sync again"
        ) from error


def swap(link: Path, target: str) -> None:
    """Point a symlink at `target` in one atomic step; a reader sees the old or the new one."""
    temporary = link.with_name(f".{link.name}-{uuid.uuid4().hex}")
    temporary.symlink_to(target)
    temporary.replace(link)
