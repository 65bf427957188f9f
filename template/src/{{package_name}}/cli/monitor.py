"""`monitor`: what production did, and what to do about it."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from .compose import PACKAGE, make_project, make_settings, parse_day, write_report

app = typer.Typer(no_args_is_help=True, help="What production did, and what to do about it.")


@app.command("run")
def monitor_run(day: Annotated[date, typer.Option(parser=parse_day, metavar="DATE")]) -> None:
    """Record one UTC day: mature labels, measure, decide by the policy, and push gauges where PUSHGATEWAY_URL says."""
    project = make_project()
    decision = project.monitor(day)
    print(f"{decision.action}: {decision.reason}")
    for text in decision.also:
        print(f"  also {text}")
    url = project.settings.pushgateway_url
    if url and (gauges := project.gauges(day, datetime.now(UTC))):
        from ..monitoring.gauges import push

        push(url, PACKAGE, gauges)


@app.command("report")
def monitorwrite_report(path: Annotated[Path | None, typer.Option("--to", metavar="PATH")] = None) -> None:
    """Render everything that monitoring recorded as one HTML file."""
    settings = make_settings()
    print(write_report(settings, path or settings.report))
