"""`score`: a progress bar on a terminal, one line a part elsewhere."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .. import scoring
from ..operations import Project


def run(make_project: Callable[[], Project], source: Path, target: Path) -> None:
    """Score the file or the partitions at `source` into `target`. Raises UserError.

    The input is looked at before the project is made, which takes longer.
    """
    parts = scoring.plan(source, target)
    scorer = make_project().scorer()
    console = Console(highlight=False, soft_wrap=True, markup=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("rows", total=sum(part.rows for part in parts))
        for part in parts:
            fresh = scoring.score(scorer, part, lambda rows: bar.advance(task, rows))
            done = f"version {scorer.version} scored {part.rows} rows" if fresh else "was up to date"
            console.print(f"{part.target}: {done}")
