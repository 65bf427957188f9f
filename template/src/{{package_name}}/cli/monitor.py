"""`monitor`: what production did, and what to do about it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from .compose import Day, Seed, make_project, make_settings, optional, write_report, yesterday

app = typer.Typer(no_args_is_help=True, help="What production did, and what to do about it.")


@app.command("run")
def monitor_run(day: Day = None) -> None:
    """Record a UTC day (default yesterday): mature labels, measure, decide, push gauges where PUSHGATEWAY_URL says."""
    day = day or yesterday()
    project = make_project()
    decision = project.monitor(day)
    print(f"{decision.action}: {decision.reason}")
    for text in decision.also:
        print(f"  also {text}")
    url = project.settings.pushgateway_url
    if url and (gauges := project.gauges(day, datetime.now(UTC))):
        from ..monitoring.gauges import push

        push(url, project.settings.pushgateway_job, gauges)
    if ship := optional("ship"):  # of a project for AWS
        ship.ship_where_named(project.settings)


@app.command("act")
def monitor_act(day: Day = None, seed: Seed = 7) -> None:
    """Carry out what was decided of a UTC day, by default yesterday; without any version, train the first."""
    print(make_project().act(day or yesterday(), seed, datetime.now(UTC)))


@app.command("report")
def monitorwrite_report(path: Annotated[Path | None, typer.Option("--to", metavar="PATH")] = None) -> None:
    """Render everything that monitoring recorded as one HTML file."""
    settings = make_settings()
    print(write_report(settings, path or settings.report))
