"""The command line and composition root: every object is built here and handed down; importing it does nothing."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .errors import DataError, UserError
from .settings import Settings, load

if TYPE_CHECKING:
    from .features.feature_view import FeatureView
    from .operations import Project
    from .registry.client import Registry

PACKAGE = (__package__ or "").split(".")[0]

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
data = typer.Typer(no_args_is_help=True, help="Raw tables in.")
features = typer.Typer(no_args_is_help=True, help="Feature views: offline and online.")
registry = typer.Typer(no_args_is_help=True, help="Model versions and their aliases.")
monitor = typer.Typer(no_args_is_help=True, help="What production did, and what to do about it.")
for name, group in (("data", data), ("features", features), ("registry", registry), ("monitor", monitor)):
    app.add_typer(group, name=name)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a date; write it like 2013-04-01") from error


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not an instant; write it like 2013-04-01T06:00:00Z") from error
    if instant.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no time zone; write it like 2013-04-01T06:00:00Z")
    return instant


Day = Annotated[date | None, typer.Option(parser=_day, metavar="DATE")]
Engine = Literal["duckdb", "spark"]
Seed = Annotated[int, typer.Option(help="Fixes everything random.")]


@data.command("land")
def data_land(until: Day = None) -> None:
    """Land every day before --until (UTC; default today) that the lake does not hold yet."""
    landing = _project().land(until or _today())
    count = sum(len(days) for days in landing.landed.values())
    print(f"landed {count} partitions of {len(landing.landed)} sources")
    if landing.quarantined:
        table, day, reason = landing.quarantined[0]
        raise UserError(
            f"{len(landing.quarantined)} partition(s) went to quarantine, the first {table} of {day} ({reason}); "
            "`data quarantine` says why"
        )


@data.command("quarantine")
def data_quarantine() -> None:
    """List the partitions that broke their contract, and why."""
    from .landing import explanation, quarantined

    quarantine = _settings().quarantine
    held = quarantined(quarantine, date.min, date.max)
    for table, day in held:
        note = explanation(quarantine, table, day)
        print(f"{table} {day}  {note['rows']} rows  {note['reason']}")
    print(f"{len(held)} partition(s) in {quarantine}")


@data.command("release")
def data_release(
    source: str,
    day: Annotated[date, typer.Argument(parser=_day, metavar="DAY")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why the day is true as it is; kept on record.")],
) -> None:
    """Publish a quarantined DAY of SOURCE as it was delivered, when it broke freshness, volume or a reference only."""
    done = _project().release(source, day, reason, datetime.now(UTC))
    print(f"{source} of {day} {'is in the lake' if done else 'was released before'}; build the features since {day}")


@features.command("build")
def features_build(
    since: Day = None,
    until: Day = None,
    engine: Annotated[Engine, typer.Option(help="spark needs the extra of that name.")] = "duckdb",
) -> None:
    """Build what is missing or stale of the features that the landed days in [--since, --until) complete."""
    project = _project(engine)
    try:
        done = project.build(since, until)
    finally:
        project.con.disconnect()
    count = sum(len(days) for days in done.built.values())
    which = ", ".join(f"{name} {len(days)}" for name, days in done.built.items())
    views = "all views" if len(done.built) == len(project.views) else which or "no view"
    print(f"built {count} partitions ({views}), {done.current} were up to date")
    if done.skipped:
        raise DataError(project.why_skipped(done))


@features.command("sql")
def features_sql(view: str, dialect: Annotated[str, typer.Option(metavar="NAME")] = "duckdb") -> None:
    """Print the query of VIEW over its source's table, in the SQL of another engine."""
    from .features.sql import view_sql

    print(view_sql(view, dialect))


@features.command("publish")
def features_publish(as_of: Annotated[datetime, typer.Option(parser=_instant, metavar="TIME")]) -> None:
    """Write the last feature rows known at --as-of to the online store."""
    from .features.online import open_store

    project = _project()
    with closing(open_store(project.settings)) as online:
        project.publish(online, as_of)
    print(f"published {len(project.views)} views as of {as_of.astimezone(UTC).isoformat()}")


@features.command("list")
def features_list(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/features.md instead.")] = False,
) -> None:
    """Say what each view holds, when its values are available, how long they hold, and why it exists."""
    from .features import catalog, render, views

    if markdown:
        print(catalog.page(_views().values(), views.__doc__ or ""), end="")
    else:
        render.show(render.listing_parts(_views().values()))


@features.command("explain")
def features_explain(
    view: Annotated[str, typer.Argument(metavar="VIEW")],
    entity: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...")],
) -> None:
    """Show which rows gave each value of VIEW for one request, and which did not, and why."""
    from .engine import connect
    from .features import render
    from .features.explain import explain, find_request

    settings, views = _settings(), _views()
    if view not in views:
        raise UserError(f"there is no view {view!r}; choose from {', '.join(views)}")
    if wrong := [word for word in entity if "=" not in word]:
        raise UserError(f"{wrong[0]!r} names no key; write it like KEY=VALUE")
    con = connect(memory_limit=settings.memory_limit)
    request = find_request(con, settings.lake, dict(word.split("=", 1) for word in entity))
    explained = explain(con, views[view], settings.lake, settings.features, request)
    render.show(render.explanation_parts(explained))


@app.command()
def train(until: Day = None, seed: Seed = 7) -> None:
    """Train on what was known before --until (UTC day), run the gates, and register the version."""
    project = _project()
    version, candidate = project.train(until or _today(), seed, {"decided_by": "command line"})
    metrics = candidate.manifest.metrics
    print(
        f"version {version.number}: trained {candidate.manifest.trained_since} to {candidate.manifest.trained_until}, "
        f"tested until {candidate.manifest.tested_until}: "
        f"AUC {metrics['auc']:.3f} (baseline {metrics['baseline_auc']:.3f})"
    )
    for gate in candidate.gates:
        print(f"  {gate}")
    if not candidate.passed:
        raise UserError(f"version {version.number} is registered, and refused by its gates; it cannot be promoted")


@registry.command("status")
def registry_status() -> None:
    """List the versions, their gates and aliases."""
    from .registry.client import describe

    print(describe(_registry(_settings()).versions()))


@registry.command("promote")
def registry_promote(
    version: str,
    force: Annotated[
        str | None, typer.Option(metavar="REASON", help="Promote against the gates; kept on record.")
    ] = None,
) -> None:
    """Make VERSION the champion; the old champion becomes `previous`."""
    _registry(_settings()).promote(version, force)
    print(f"version {version} is the champion")


@registry.command("rollback")
def registry_rollback(reason: str = "asked for on the command line") -> None:
    """Make `previous` the champion again."""
    back = _registry(_settings()).rollback(reason)
    print(f"version {back.number} is the champion again")


@registry.command("sync")
def registry_sync(
    watch: Annotated[bool, typer.Option("--watch/--once", help="Go on until ended.")] = False,
    parent: Annotated[int | None, typer.Option(hidden=True, help="End with this parent process.")] = None,
) -> None:
    """Bring the bundles of the registry's aliases to the serving folder."""
    from .registry import sync

    settings = _settings()
    store = _registry(settings)
    settings.bundles.mkdir(parents=True, exist_ok=True)
    if watch:
        sync.watch(store, settings.bundles, settings.sync_seconds, parent, lambda line: print(line, flush=True))
        return
    for change in sync.sync(store, settings.bundles) or ["nothing changed"]:
        print(change)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Only loopback addresses until keys are set up.")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes a free one.")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="0 takes a free one.")] = None,
) -> None:
    """Serve predictions over HTTP, with a process beside it that follows the registry."""
    from .serving.run import run

    settings = _settings()
    changed = {"host": host, "port": port, "metrics_port": metrics_port}
    settings = settings.model_copy(update={key: value for key, value in changed.items() if value is not None})
    run(settings, [sys.executable, "-m", PACKAGE, "registry", "sync", "--watch", "--parent", str(os.getpid())])


@monitor.command("run")
def monitor_run(day: Annotated[date, typer.Option(parser=_day, metavar="DATE")], seed: Seed = 7) -> None:
    """Record one UTC day: mature labels, measure, and say what the policy decides."""
    decision = _project().monitor(day, seed)
    print(f"{decision.action}: {decision.reason}")


@monitor.command("report")
def monitor_report(path: Annotated[Path | None, typer.Option("--to", metavar="PATH")] = None) -> None:
    """Render everything that monitoring recorded as one HTML file."""
    settings = _settings()
    print(_report(settings, path or settings.report))


@app.command()
def simulate(
    since: Annotated[date, typer.Option("--from", parser=_day, metavar="DATE")],
    until: Annotated[date, typer.Option("--to", parser=_day, metavar="DATE", help="The last day.")],
    inject: Annotated[
        list[str] | None, typer.Option(metavar="FAULT@DATE", help="Plant a fault; may be repeated.")
    ] = None,
    expect: Annotated[list[str] | None, typer.Option(metavar="EVENT", help="Fail unless it was observed.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="PATH")] = None,
    seed: Seed = 7,
) -> None:
    """Replay days against the running server with a virtual clock, and let the loop act."""
    from .simulation.command import run

    project = _project()
    findings = run(project, since, until, inject or [], expect or [], seed)
    print(_report(project.settings, report or project.settings.report))
    if not all(finding.held for finding in findings):
        raise UserError("the loop did not do what was expected; the list above says what was seen instead")


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and exit code 1."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # XGBoost waits asleep: spinning costs tenfold on busy cores
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _settings() -> Settings:
    settings = load()
    # Libraries keep their caches with the rest of what a run writes, never in the user's home.
    os.environ.setdefault("MPLCONFIGDIR", str((settings.state / "cache").resolve()))
    return settings


def _registry(settings: Settings) -> Registry:
    from .problem import NAME
    from .registry.client import Registry

    return Registry(settings.tracking_uri, settings.artifacts, NAME)


def _project(engine: Engine = "duckdb") -> Project:
    from .engine import connect
    from .operations import Project
    from .sources import SOURCES

    settings = _settings()
    if engine == "spark":
        from . import spark

        con = spark.connect(settings.state, settings.spark_master, settings.spark_memory)
    else:
        con = connect(memory_limit=settings.memory_limit)
    return Project(settings, con, SOURCES, _views(), _registry(settings))


def _views() -> dict[str, FeatureView]:
    from .features.views import VIEWS
    from .problem import FEATURE_VIEWS

    return {name: VIEWS[name] for name in FEATURE_VIEWS}


def _report(settings: Settings, path: Path) -> str:
    from .monitoring.report import write_report
    from .problem import NAME

    write_report(settings.monitoring, path, NAME.replace("-", " ").capitalize())
    return f"report: {path.resolve()}"


def _today() -> date:
    return datetime.now(UTC).date()
