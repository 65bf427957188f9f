"""`predictions`: what was answered."""

import typer

from .compose import make_settings, optional

app = typer.Typer(no_args_is_help=True, help="What was answered.")


@app.command("compact")
def predictions_compact() -> None:
    """Fold the prediction log into daily partitions, and remove the files of it that nobody writes to any more."""
    from ..lake import stores
    from ..monitoring.predictions import compact

    settings = make_settings()
    done = compact(settings.predictions, stores(settings).monitoring)
    print(f"folded {done.rows} new answers; removed {done.removed} files of the log, {done.open} are still written to")


if ship := optional("ship"):  # a project for another cloud than AWS has no such verb
    ship.add_to(app)
