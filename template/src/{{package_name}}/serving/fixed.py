"""The one bundle that comes with the container and is served to its end, without a registry: on SageMaker."""

from pathlib import Path

from .. import standing
from ..errors import UserError


def take(folder: Path, bundles: Path) -> None:
    """Make the bundle in `folder` the champion of `bundles`, as `registry sync` would.

    `folder` is only read. It holds what `registry sync` made: a folder `<version>-<digest>`, and `standing.json`. The
    server verifies the bundle before it answers, as any other. Raises UserError when there is no bundle, or a choice.
    """
    found = [path for path in folder.glob("[!.]*-*") if path.is_dir()]
    if len(found) != 1:
        raise UserError(
            f"{folder} must hold one bundle, a folder named like 3-0123456789ab as `registry sync` makes it, and holds "
            f"{len(found)}; pack the archive again"
        )
    name = found[0].name
    standing.write(bundles, {name: standing.forced(folder, name)})
    if not (bundles / name).exists():
        standing.swap(bundles / name, str(found[0].resolve()))
    standing.swap(bundles / "champion", name)
