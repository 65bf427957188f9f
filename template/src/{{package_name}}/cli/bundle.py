"""`bundle`: what is trained, registered and served."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The artifact that is trained, registered and served.")


@app.command("inspect")
def bundle_inspect(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A bundle's folder, or the link of an alias.")],
) -> None:
    """Verify the bundle at PATH as the server does, and say what is in it; docs/bundle.md explains each line."""
    from .. import bundle

    loaded = bundle.load(path)
    manifest = loaded.manifest
    categories = manifest.categories
    lines = [
        f"name            {manifest.name}",
        f"schema version  {manifest.schema_version}",
        f"digest          {loaded.digest}",
        f"fitted on       {manifest.trained_since} until before {manifest.trained_until}",
        f"tested on       {manifest.trained_until} until before {manifest.tested_until}",
        f"data            {manifest.data_fingerprint}",
        "",
        "inputs, in order",
        *(
            f"  {number:>3}  {name:<28}  " + (f"one of {len(categories[name])}" if name in categories else "number")
            for number, name in enumerate(manifest.inputs)
        ),
        "",
        "views",
    ]
    for view in manifest.views:
        lines.append(f"  {view.name}  by {', '.join(view.keys)}, ttl {view.ttl} s, definition {view.definition}")
        lines.append(f"    {', '.join(view.features)}")
    lines += ["", "metrics", *(f"  {name:<28}  {value:.6g}" for name, value in manifest.metrics.items())]
    lines += ["", "files"]
    for name in (bundle.MANIFEST, *bundle.FILES):
        digest = manifest.files.get(name, loaded.digest)
        lines.append(f"  {name:<28}  {(path / name).stat().st_size:>9} bytes  sha256 {digest}")
    # What comes from the file may hold anything, also what would move the cursor of a terminal.
    print("\n".join(line if line.isprintable() else ascii(line)[1:-1] for line in lines))
