"""The composition root: every object of a verb is built here and handed down."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import BundleError, UserError
from ..settings import PREFIX, Settings, load

if TYPE_CHECKING:
    from ..features.feature_view import FeatureView
    from ..operations import Project
    from ..registry.client import Registry
    from ..registry.decisions import Decisions

PACKAGE = (__package__ or "").split(".")[0]


def parse_day(text: str) -> date:
    """Return the day that an option names. Raises BadParameter."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a date; write it like 2013-04-01") from error


def parse_instant(text: str) -> datetime:
    """Return the aware instant that an option names. Raises BadParameter."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not an instant; write it like 2013-04-01T06:00:00Z") from error
    if instant.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no time zone; write it like 2013-04-01T06:00:00Z")
    return instant


Day = Annotated[date | None, typer.Option(parser=parse_day, metavar="DATE")]
Engine = Literal["duckdb", "spark"]
Seed = Annotated[int, typer.Option(help="Fixes everything random.")]


def optional(name: str) -> ModuleType | None:
    """Return a module beside this one that some answers leave out of a project, or None."""
    return import_module(f"{__package__}.{name}") if find_spec(f"{__package__}.{name}") else None


def make_settings() -> Settings:
    """Return the settings of this process. Raises UserError when the environment is wrong."""
    settings = load()
    # Libraries keep their caches with the rest of what a run writes, never in the user's home. A verb that imports
    # matplotlib, by whatever way, makes its settings first.
    os.environ.setdefault("MPLCONFIGDIR", str((settings.state / "cache").resolve()))
    return settings


def make_registry(settings: Settings) -> Registry:
    """Return the registry that the settings name."""
    began = time.time()  # before MLflow is imported, which takes seconds: another may move the aliases in them
    from ..problem import NAME
    from ..registry.client import Registry

    return Registry(settings.tracking_uri, settings.artifacts, NAME, began)


def make_decisions(settings: Settings) -> Decisions:
    """Return what can be decided about the versions of that registry, each on record."""
    from ..registry.decisions import Decisions

    return Decisions(make_registry(settings), settings.audit)


def make_project(engine: Engine = "duckdb") -> Project:
    """Return everything that a stage of the loop needs."""
    settings = make_settings()
    if engine == "spark":
        from .. import spark

        if settings.data_url:
            raise UserError(f"Spark reads the state folder, and {PREFIX}DATA_URL names S3; build with --engine duckdb")

        con = spark.connect(settings.state, settings.spark_master, settings.spark_memory)
    else:
        from ..engine import connect

        con = connect(memory_limit=settings.memory_limit)

    from ..operations import Project
    from ..sources import SOURCES

    return Project(settings, con, SOURCES, problem_views(), make_registry(settings))


def problem_views() -> dict[str, FeatureView]:
    """Return the feature views of the problem by name."""
    from ..features.views import VIEWS
    from ..problem import FEATURE_VIEWS

    return {name: VIEWS[name] for name in FEATURE_VIEWS}


def write_report(settings: Settings, path: Path) -> str:
    """Render what monitoring recorded as one HTML file, and return the line that says where it is."""
    from ..bundle import verify
    from ..lake import stores
    from ..monitoring import report
    from ..problem import NAME

    trained = {}
    for folder in settings.bundles.glob("[0-9]*-*"):
        with suppress(BundleError):  # what serves is checked where it is loaded
            trained[folder.name.partition("-")[0]] = verify(folder)[0].metrics
    report.write_report(
        stores(settings).monitoring, settings.journal, path, NAME.replace("-", " ").capitalize(), trained
    )
    return f"report: {path.resolve()}"


def today() -> date:
    """Return the UTC day that it is now."""
    return datetime.now(UTC).date()


def yesterday() -> date:
    """Return the last UTC day that is over."""
    return today() - timedelta(days=1)
