"""The replay as a command: start the server, replay, judge, and always end what was started."""

import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .. import segments
from ..errors import UserError
from ..features.online import open_store
from ..lake import days, midnight, partition_days
from ..monitoring import replayed
from ..monitoring.events import read as read_events
from ..monitoring.labels import read_days
from ..monitoring.predictions import PREDICTIONS
from ..monitoring.replayed import Replayed
from ..operations import Project
from ..registry.client import CHAMPION
from . import progress
from .beside import Beside
from .deliveries import measured, streamed
from .detection import detect, findings, unfounded
from .faults import Fault, Injection, schedule
from .incidents import require
from .progress import Outcome
from .replay import Replay
from .rivals import compare
from .server import Server
from .verdict import Expectation, Finding, Observed, judge
from .world import World

SERVER = "server"


@dataclass(frozen=True)
class Asked:
    """What is asked of a replay: the UTC days [since, until], and all else."""

    since: date
    until: date
    inject: Sequence[str] = ()
    faults: int | None = None
    """The seed of a schedule of all faults."""
    expect: Sequence[str] = ()
    compare: bool = False
    """Whether other ways to retrain are measured too, once the replay is over."""
    seed: int = 7


def run(project: Project, asked: Asked) -> list[Finding]:
    """Replay what is left of the days, print what happened, and return the verdict's findings. Raises UserError."""
    expected = [_expectation(text) for text in asked.expect]
    planted = _planted(project, asked)
    if CHAMPION not in project.registry.aliases():
        raise UserError("no version is the champion yet; run `train` and `registry promote VERSION` first")
    settings = project.settings
    outcome = _begun(project, asked, planted)
    left = list(days(outcome.day + timedelta(days=1) if outcome.day else asked.since, asked.until + timedelta(days=1)))
    console = Console(highlight=False, soft_wrap=True)
    server = Server(settings.environment(), settings.state / "server.log")
    nightly, ticks = (
        Beside(settings.environment(), [verb, *map(str, planted)], settings.state / f"{verb}.log")
        for verb in ("nightly", "ticks")
    )
    online = open_store(settings)
    try:
        if left:
            ticks.start()
            nightly.start()
        server.start()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
            task = bar.add_task("replay", total=len(left))

            def finished(day: date) -> None:
                _keep(project, asked, planted, outcome)
                bar.update(task, advance=1, description=f"replay {day}")

            if left:
                world = World(streamed(project.sources, planted), project.views.values())
                replay = Replay(
                    project, server, nightly, ticks, online, world, planted, asked.seed, console.print, outcome
                )
                replay.run(left, finished)
        held = judge(
            _observe(project, server, outcome, list(days(asked.since, asked.until + timedelta(days=1)))), expected
        )
    finally:
        server.stop()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)  # without the two jobs, which count their own
        nightly.stop()
        ticks.stop()
        online.close()
        outcome.seconds[SERVER] = outcome.seconds.get(SERVER, 0.0) + used.ru_utime + used.ru_stime
    _keep(project, asked, planted, outcome)
    summary = _summary(project, asked, planted, outcome, console.print)
    replayed.write(settings.journal, summary)
    held += findings(summary.planted, planted, midnight(asked.until) + timedelta(days=1))
    _tell(console.print, outcome, summary, held)
    return held


def _planted(project: Project, asked: Asked) -> list[Injection]:
    """Return the faults that are asked for. Raises UserError when one cannot be planted."""
    if asked.until < asked.since:
        raise UserError(f"--to {asked.until} lies before --from {asked.since}; exchange them")
    planted = [Injection.parse(text) for text in asked.inject]
    if asked.faults is not None:
        planted += schedule(asked.faults, asked.since, asked.until)
    if outside := [item for item in planted if not asked.since <= item.day <= asked.until]:
        raise UserError(f"{outside[0]} lies outside the replay; choose a day from {asked.since} to {asked.until}")
    require(planted, project.settings)
    if any(item.fault is Fault.OTHER_UNITS for item in planted):
        measured(project.sources)
    return planted


def _begun(project: Project, asked: Asked, planted: Sequence[Injection]) -> Outcome:
    """Return how far the same replay has come. Raises UserError when days of it were replayed by another one."""
    settings = project.settings
    before = progress.read(settings.state)
    if before and (before.since, list(before.injections), before.seed) == (
        asked.since,
        [str(item) for item in planted],
        asked.seed,
    ):
        return before.outcome
    held = {*segments.days(settings.predictions), *partition_days(project.data.monitoring, PREDICTIONS)}
    if again := next((day for day in days(asked.since, asked.until + timedelta(days=1)) if day in held), None):
        raise UserError(f"{again} was replayed before; choose later days, or `make clean` and start over")
    outcome = Outcome()
    _keep(project, asked, planted, outcome)  # the day that is cut off by a kill is known as one of this replay
    return outcome


def _keep(project: Project, asked: Asked, planted: Sequence[Injection], outcome: Outcome) -> None:
    texts = [str(item) for item in planted]
    progress.write(project.settings.state, progress.Progress(asked.since, texts, asked.seed, outcome))


def _observe(project: Project, server: Server, outcome: Outcome, replayed_days: list[date]) -> Observed:
    columns = ["champion_version", "challenger_version"]
    answers = read_days(project.data.monitoring, PREDICTIONS, replayed_days, columns)
    answers = answers if len(answers) else pd.DataFrame(columns=["day", *columns])
    return Observed(project.registry.versions(), answers, server.versions(), outcome.lost)


def _summary(
    project: Project, asked: Asked, planted: Sequence[Injection], outcome: Outcome, say: Callable[[str], None]
) -> Replayed:
    settings = project.settings
    events = read_events(settings.journal)
    return Replayed(
        days=(asked.until - asked.since).days + 1,
        planted=detect(planted, events),
        unfounded=unfounded(planted, [event for event in events if event.at >= midnight(asked.since)]),
        seconds=outcome.seconds,
        predictions=outcome.answered,
        bytes=sum(path.stat().st_size for path in settings.state.rglob("*") if path.is_file()),
        rivals=compare(project, asked.seed, say) if asked.compare else (),
    )


def _expectation(text: str) -> Expectation:
    try:
        return Expectation(text)
    except ValueError as error:
        raise UserError(f"{text!r} cannot be expected; choose from {', '.join(Expectation)}") from error


def _tell(say: Callable[[str], None], outcome: Outcome, summary: Replayed, held: Sequence[Finding]) -> None:
    say("")
    for version, (first, last) in outcome.served.items():
        say(f"version {version} answered from {first} to {last}")
    slowest = (
        f", the slowest switch of models took {max(outcome.switch_seconds):.1f} s" if outcome.switch_seconds else ""
    )
    say(f"{outcome.answered} predictions over HTTP, {outcome.failed} failed requests{slowest}")
    total = sum(outcome.seconds.values())
    stages = ", ".join(
        f"{name} {seconds:.0f}" for name, seconds in sorted(outcome.seconds.items(), key=lambda i: -i[1])
    )
    say(f"{total:.0f} s of processor time ({stages}): {outcome.answered / max(total, 1):.0f} predictions a second")
    for rival in summary.rivals:
        say(f"{rival.name}: mean daily AUC {rival.auc:.4f} with {rival.retrains} retrains")
    for text in summary.unfounded:
        say(f"a page that no fault explains: {text}")
    say("")
    for finding in held:
        say(f"{'held  ' if finding.held else 'FAILED'}  {finding.name}: {finding.seen}")
