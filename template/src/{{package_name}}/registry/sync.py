"""Bring the registry's aliases to the serving folder: `bundles/<version>-<digest>/` and one symlink per alias.

Runs beside the server (a process of its own on a laptop, a sidecar in a cluster). Serving reads the links only, so
a registry that is down, slow or wrong changes nothing about the bundle that already serves.
"""

import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from .. import segments, standing
from ..bundle import verify
from ..errors import BundleError, UserError
from .client import ALIASES, Registry, Version

LEFT = 3600
"""Seconds after which a temporary name was left by a process that was killed."""


def sync(registry: Registry, bundles: Path) -> list[str]:
    """Fetch and verify the bundle of every alias, then swap the links. Returns a line for each change.

    What serving must know of each version goes before the links, see standing.py. Those that share the folder, the
    replicas of a cluster, take turns: one fetches, and the others find it there.

    Raises BundleError or RegistryError; every link that could not be verified stays as it was.
    """
    if _is_current(registry.aliases(), bundles):
        return []
    changes = []
    with segments.turn(bundles, alone=True):
        wanted = registry.aliases()
        standing.write(bundles, {folder_name(version): _forced(version) for version in wanted.values()})
        for alias in ALIASES:
            link = bundles / alias
            version = wanted.get(alias)
            if version is None:
                if link.is_symlink():
                    link.unlink()
                    changes.append(f"{alias}: none")
                continue
            name = folder_name(version)
            if link.is_symlink() and str(link.readlink()) == name and link.exists():
                continue
            if not _is_whole(bundles / name, version.digest):
                registry.fetch(version, bundles / name)
            standing.swap(link, name)
            changes.append(f"{alias}: version {version.number}")
    return changes


def tidy(bundles: Path, needed: Collection[str]) -> list[str]:
    """Delete the bundles that no link points to and that are not `needed`, and return a line for each."""
    held = {str(path.readlink()) for path in bundles.glob("*") if path.is_symlink()}
    deleted = []
    for path in sorted(bundles.glob("[!.]*")):
        if path.is_dir() and not path.is_symlink() and path.name not in {*held, *needed}:
            gone = path.replace(path.with_name(f".{path.name}-{uuid.uuid4().hex}"))  # never half a bundle of its name
            shutil.rmtree(gone)
            deleted.append(f"bundle {path.name}")
    return deleted


def clear_left(folder: Path, name: str = "") -> None:
    """Delete what killed processes left in a folder under temporary names: hidden, for `name`, and an hour old."""
    for path in folder.glob(f".{name}*-*"):
        if time.time() - path.lstat().st_mtime > LEFT:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() and not path.is_symlink() else path.unlink()


def folder_name(version: Version) -> str:
    """Return the name of a version's folder, which changes with its content."""
    return f"{version.number}-{version.digest[:12]}"


def _forced(version: Version) -> str:
    """Return why a version may serve against its gates; empty when it passed them."""
    return "" if version.gates_passed else version.tags.get("forced") or "no reason is on record"


def watch(registry: Registry, bundles: Path, interval: float, parent: int | None, say: Callable[[str], None]) -> None:
    """Sync every `interval` seconds, as long as the process `parent` lives; a failure is said once and tried again."""
    last = ""
    while parent is None or os.getppid() == parent:
        try:
            for change in sync(registry, bundles):
                say(f"sync: {change}")
            last = ""
        except UserError as error:
            if str(error) != last:
                say(f"sync: {error}")
            last = str(error)
        time.sleep(interval)


def _is_current(wanted: Mapping[str, Version], bundles: Path) -> bool:
    """Return whether the links, and what is known beside them, are those of the registry's aliases."""
    links = {alias: str((bundles / alias).readlink()) for alias in ALIASES if (bundles / alias).is_symlink()}
    return (
        links == {alias: folder_name(version) for alias, version in wanted.items()}
        and all((bundles / alias).exists() for alias in links)
        and all(standing.forced(bundles, folder_name(version)) == _forced(version) for version in wanted.values())
    )


def _is_whole(folder: Path, digest: str) -> bool:
    try:
        verify(folder, digest)
    except BundleError:
        return False
    return True
