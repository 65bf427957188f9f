"""The feature views and explanations for people: tables on a terminal, plain lines elsewhere."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Column, Table

from .catalog import HEADER, listing, span
from .explain import Evidence, Explanation, Row, iso, spelled
from .feature_view import FeatureView

SHOWN = 10  # source rows behind a value; the count says how many there are
LONG = ("features", "why")  # the columns that would leave no room for the others
UNBOUND = 10_000  # columns of a file or a pipe


def show(parts: Iterable[RenderableType]) -> None:
    """Print texts and tables on standard output."""
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = UNBOUND
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def listing_parts(views: Iterable[FeatureView]) -> list[RenderableType]:
    """Return what `features list` prints: a table of facts, and one of features and reasons, which fit a terminal."""
    rows = [HEADER, *map(listing, views)]
    facts = [[cell for name, cell in zip(HEADER, row, strict=True) if name not in LONG] for row in rows]
    reasons = [[cell for name, cell in zip(HEADER, row, strict=True) if name in ("view", *LONG)] for row in rows]
    return [_table(facts[0], facts[1:]), "", _table(reasons[0], reasons[1:])]


def explanation_parts(explained: Explanation) -> list[RenderableType]:
    """Return what `features explain` prints: the rows of the store around the prediction, the values, their sources."""
    view = explained.view
    parts: list[RenderableType] = [
        f"{view.name} of {spelled(explained.entity)}, predicted at {iso(explained.at)}",
        f"key {' '.join(f'{name}={_cell(value)}' for name, value in explained.key.items())}, ttl {span(view.ttl)}",
        "",
        _table(("row", "available at", "age", "used"), _store_rows(explained)),
        "",
    ]
    if explained.missing:
        parts += [f"no value: {explained.missing}", ""]
    made = {name: _made_from(view, evidence) for evidence in explained.evidence for name in evidence.features}
    values = [(name, _cell(value), made.get(name, "")) for name, value in explained.values.items()]
    parts.append(_table(("feature", "value", "made from"), values))
    for evidence in explained.evidence:
        if evidence.rows.num_rows:
            parts += ["", f"{', '.join(evidence.features)}: {_made_from(view, evidence)}", _source_rows(view, evidence)]
            left = evidence.rows.num_rows - SHOWN
            parts += [f"and {left} older"] if left > 0 else []
    return parts


def _store_rows(explained: Explanation) -> list[tuple[str, ...]]:
    last = "yes: the last one available, and within its ttl" if explained.taken else "no: past its ttl"
    rows = (
        ("before", explained.before, "no: older than the last one"),
        ("last", explained.last, last),
        ("after", explained.after, "no: not available yet"),
    )
    return [_store_row(explained, *row) for row in rows]


def _store_row(explained: Explanation, name: str, row: Row | None, used: str) -> tuple[str, ...]:
    if row is None:
        return name, "none is stored", "", ""
    age = explained.age(row)
    return name, iso(row.available_at), span(age) if age >= timedelta(0) else f"in {span(-age)}", used


def _made_from(view: FeatureView, evidence: Evidence) -> str:
    count = evidence.rows.num_rows
    rows = f"{count} row{'' if count == 1 else 's'} of {view.source}"
    if evidence.since == evidence.until:
        return f"{rows} known at {iso(evidence.until)}"
    return f"{rows} known from {iso(evidence.since)} until before {iso(evidence.until)}"


def _source_rows(view: FeatureView, evidence: Evidence) -> Table:
    """Return the newest rows; the columns of the key are the same in all and stand above."""
    names = [name for name in evidence.rows.column_names if name not in view.keys]
    shown = evidence.rows.slice(0, SHOWN).select(names).to_pylist()
    return _table(names, ([_cell(value) for value in row.values()] for row in shown))


def _cell(value: Any) -> str:
    return "none" if value is None else iso(value) if isinstance(value, datetime) else str(value)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    columns = [Column(name, overflow="fold", no_wrap=name == header[0]) for name in header]
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*row)
    return table
