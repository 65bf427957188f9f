"""The replay as a command: start the server, replay, judge, and always end what was started."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .. import segments
from ..errors import UserError
from ..features.online import open_store
from ..lake import days, partition_days
from ..monitoring.labels import read_days
from ..monitoring.predictions import PREDICTIONS
from ..operations import Project
from ..registry.client import CHAMPION
from .faults import Injection
from .replay import Outcome, Replay
from .server import Server
from .verdict import Expectation, Finding, Observed, judge
from .world import World


def run(
    project: Project, since: date, until: date, inject: Sequence[str], expect: Sequence[str], seed: int
) -> list[Finding]:
    """Replay [since, until], print what happened, and return the verdict's findings. Raises UserError."""
    injections = [Injection.parse(text) for text in inject]
    expected = [_expectation(text) for text in expect]
    if until < since:
        raise UserError(f"--to {until} lies before --from {since}; exchange them")
    if outside := [item for item in injections if not since <= item.day <= until]:
        raise UserError(
            f"{outside[0].fault}@{outside[0].day} lies outside the replay; choose a day from {since} to {until}"
        )
    if CHAMPION not in project.registry.aliases():
        raise UserError("no version is the champion yet; run `train` and `registry promote VERSION` first")
    settings = project.settings
    replayed = list(days(since, until + timedelta(days=1)))
    held = {*segments.days(settings.predictions), *partition_days(settings.monitoring, PREDICTIONS)}
    if again := next((day for day in replayed if day in held), None):
        raise UserError(f"{again} was replayed before; choose later days, or `make clean` and start over")
    console = Console(highlight=False, soft_wrap=True)
    server = Server(settings.environment(), settings.state / "server.log")
    online = open_store(settings)
    try:
        server.start()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
            task = bar.add_task("replay", total=len(replayed))

            def progress(day: date) -> None:
                bar.update(task, advance=1, description=f"replay {day}")

            world = World(project.sources, project.views.values())
            replay = Replay(project, server, online, world, injections, seed, console.print)
            outcome = replay.run(replayed, progress)
        findings = judge(_observe(project, server, outcome, replayed), expected)
    finally:
        server.stop()
        online.close()
    _tell(console.print, outcome, findings)
    return findings


def _observe(project: Project, server: Server, outcome: Outcome, replayed: list[date]) -> Observed:
    answers = read_days(project.settings.monitoring, PREDICTIONS, replayed)
    columns = ["day", "champion_version", "challenger_version"]
    answers = answers[columns] if len(answers) else pd.DataFrame(columns=columns)
    return Observed(project.registry.versions(), answers, server.versions(), outcome.lost)


def _expectation(text: str) -> Expectation:
    try:
        return Expectation(text)
    except ValueError as error:
        raise UserError(f"{text!r} cannot be expected; choose from {', '.join(Expectation)}") from error


def _tell(say: Callable[[str], None], outcome: Outcome, findings: Sequence[Finding]) -> None:
    say("")
    for version, (first, last) in outcome.served.items():
        say(f"version {version} answered from {first} to {last}")
    slowest = (
        f", the slowest switch of models took {max(outcome.switch_seconds):.1f} s" if outcome.switch_seconds else ""
    )
    say(f"{outcome.answered} predictions over HTTP, {outcome.failed} failed requests{slowest}")
    say("")
    for finding in findings:
        say(f"{'held  ' if finding.held else 'FAILED'}  {finding.name}: {finding.seen}")
