"""`features`: feature views, offline and online."""

import json
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer

from ..errors import DataError, UserError
from .compose import Day, Engine, make_project, make_settings, parse_instant, problem_views

app = typer.Typer(no_args_is_help=True, help="Feature views: offline and online.")

Instant = Annotated[datetime | None, typer.Option(parser=parse_instant, metavar="TIME")]


@app.command("build")
def features_build(
    since: Day = None,
    until: Day = None,
    engine: Annotated[Engine, typer.Option(help="spark needs the extra of that name.")] = "duckdb",
) -> None:
    """Build what is missing or stale of the features that the landed days in [--since, --until) complete."""
    project = make_project(engine)
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


@app.command("sql")
def features_sql(view: str, dialect: Annotated[str, typer.Option(metavar="NAME")] = "duckdb") -> None:
    """Print the query of VIEW over its source's table, in the SQL of another engine."""
    from ..features.sql import view_sql

    print(view_sql(view, dialect))


@app.command("publish")
def features_publish(as_of: Instant = None) -> None:
    """Write the last feature rows known at --as-of (default now) to the online store."""
    from ..features.online import open_store

    as_of = as_of or datetime.now(UTC)
    project = make_project()
    with closing(open_store(project.settings)) as online:
        project.publish(online, as_of)
    print(f"published {len(project.views)} views as of {as_of.astimezone(UTC).isoformat()}")


@app.command("tick")
def features_tick(as_of: Instant = None) -> None:
    """Bring the streaming views of the online store to the last round before --as-of (default now), from the events."""
    from ..features.online import open_store

    project = make_project()
    with closing(open_store(project.settings)) as online:
        at = project.tick(online, as_of or datetime.now(UTC))
    print(f"the streaming views are as of {at.astimezone(UTC).isoformat()}")


@app.command("list")
def features_list(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/features.md instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the columns and their types instead.")] = False,
) -> None:
    """Say what each view holds, when its values are available, how long they hold, and why it exists."""
    from ..features import catalog, render, views

    if as_json:
        print(json.dumps({view.name: catalog.columns(view) for view in problem_views().values()}, indent=2))
    elif markdown:
        print(catalog.page(problem_views().values(), views.__doc__ or ""), end="")
    else:
        render.show(render.listing_parts(problem_views().values()))


@app.command("explain")
def features_explain(
    view: Annotated[str, typer.Argument(metavar="VIEW")],
    entity: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...")],
) -> None:
    """Show which rows gave each value of VIEW for one request, and which did not, and why."""
    from ..engine import connect
    from ..features import render
    from ..features.explain import explain, find_request
    from ..lake import stores

    settings, views = make_settings(), problem_views()
    data = stores(settings)
    if view not in views:
        raise UserError(f"there is no view {view!r}; choose from {', '.join(views)}")
    if wrong := [word for word in entity if "=" not in word]:
        raise UserError(f"{wrong[0]!r} names no key; write it like KEY=VALUE")
    con = connect(memory_limit=settings.memory_limit)
    request = find_request(con, data.lake, dict(word.split("=", 1) for word in entity))
    explained = explain(con, views[view], data.lake, data.features, request)
    render.show(render.explanation_parts(explained))
