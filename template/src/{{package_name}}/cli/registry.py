"""`registry`: model versions and their aliases."""

import signal
import sys
from typing import Annotated

import typer

from .compose import make_decisions, make_project, make_registry, make_settings

app = typer.Typer(no_args_is_help=True, help="Model versions and their aliases.")


@app.command("status")
def registry_status() -> None:
    """List the versions, their gates and aliases."""
    from ..registry.client import CHAMPION, describe

    versions = make_registry(make_settings()).versions()
    print(describe(versions))
    for version in versions:
        if CHAMPION in version.aliases and not version.gates_passed:
            print(f"the champion, version {version.number}, serves against its gates; `registry rollback` ends that")


@app.command("promote")
def registry_promote(
    version: str,
    force: Annotated[
        str | None, typer.Option(metavar="REASON", help="Promote against the gates; kept on record.")
    ] = None,
) -> None:
    """Make VERSION the champion; the old champion becomes `previous`."""
    reason = "asked for on the command line" if force is None else force
    make_decisions(make_settings()).promote(version, reason, force is not None)
    print(f"version {version} is the champion")


@app.command("rollback")
def registry_rollback(reason: str = "asked for on the command line") -> None:
    """Make `previous` the champion again."""
    back = make_decisions(make_settings()).rollback(reason)
    print(f"version {back.number} is the champion again")


@app.command("audit")
def registry_audit() -> None:
    """Print every decision about a version; refuse when a line of the record was changed or taken out."""
    from .. import audit

    path = make_settings().audit
    entries = audit.read(path)
    for entry in entries:
        against = entry.evidence.get("refused_by")
        line = f"{entry.at:%Y-%m-%dT%H:%M:%SZ}  {entry.action:<9}  {entry.version:>3}  {entry.reason}"
        print(f"{line}; its gates refused it: {against}" if against else line)
    print(f"{len(entries)} decision(s) in {path}, the last line is {audit.head(path)}")


@app.command("prune")
def registry_prune(
    keep: Annotated[int, typer.Option(min=1, metavar="N", help="The newest N stay in any case.")] = 5,
    yes: Annotated[bool, typer.Option("--yes", help="Delete them; without it they are only listed.")] = False,
) -> None:
    """Delete the versions that no alias, no audit entry and no logged prediction refers to, and what kills left."""
    from ..registry.client import describe

    project = make_project()
    if yes:
        print("\n".join(f"deleted: {line}" for line in project.prune(keep)) or "there is nothing to delete")
    elif unused := project.unused(keep):
        print(describe(unused))
        print("nothing was deleted; say --yes to delete these versions, their runs and their bundles")
    else:
        print("there is no version to delete")


@app.command("sync")
def registry_sync(
    watch: Annotated[bool, typer.Option("--watch/--once", help="Go on until ended.")] = False,
    parent: Annotated[int | None, typer.Option(hidden=True, help="End with this parent process.")] = None,
) -> None:
    """Bring the bundles of the registry's aliases to the serving folder."""
    from ..registry import sync

    settings = make_settings()
    store = make_registry(settings)
    bundles = settings.make_bundles()
    if watch:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # told to go on until ended, this is how it ends
        sync.watch(store, bundles, settings.sync_seconds, parent, lambda line: print(line, flush=True))
        return
    for change in sync.sync(store, bundles) or ["nothing changed"]:
        print(change)
