"""Build the offline store: run the views' expressions over the lake and write one partition per view and UTC day.

A partition is built when it is missing, was made by another definition of its view, or from other content of its
source days than the lake holds now; nothing else is touched. So a late or corrected source partition costs exactly
the partitions that depend on it, and a killed build goes on where it was.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby, islice

import duckdb
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend
from ibis.common.exceptions import IbisError

from ..engine import literal, load, over, write_days
from ..errors import DataError
from ..lake import AnyPath, days, fingerprints, midnight, partition_days, partition_path
from . import provenance
from .feature_view import FeatureView

NOTED = 100  # partitions of a view between two writes of its notes: what a kill costs at most


@dataclass
class Built:
    """What one run did to the offline store."""

    built: dict[str, list[date]] = field(default_factory=dict)
    """The partitions that were built, by view."""
    current: int = 0
    """How many were up to date."""
    skipped: list[tuple[str, date, date]] = field(default_factory=list)
    """View, partition and the source day that it waits for; the old partition, if there is one, stays."""


def build(
    con: Backend, views: Iterable[FeatureView], lake: AnyPath, store: AnyPath, since: date | None, until: date | None
) -> Built:
    """Build what is missing or stale of the partitions that the source days [since, until) (UTC) complete.

    `None` is the first day that the view's source has landed, and the last one that any has. A partition whose own
    source day has not landed is skipped; it is built without a day further back that is missing, and again when that
    day lands. Raises DataError when nothing has landed, or a source partition cannot be read.
    """
    views = list(views)
    landed = {source: partition_days(lake, source) for source in {view.source for view in views}}
    known = sorted({day for held in landed.values() for day in held})
    if not known:
        raise DataError(f"{lake} is empty; run `data land` first")
    end = until or known[-1] + timedelta(days=1)
    if end <= (since or known[0]):
        raise DataError(f"there is nothing to build before {end}; the first landed day is {known[0]}")
    asked = {
        view.name: {view.partition_of(day): day for day in days(since or (landed[view.source] or known)[0], end)}
        for view in views
    }
    content = _content(lake, [(view, asked[view.name]) for view in views])
    result, work = Built(), dict[str, list[tuple[FeatureView, dict[date, provenance.Note]]]]()
    for view in views:
        due = asked[view.name]
        held, stale = provenance.read(store, view, due), dict[date, provenance.Note]()
        for day, source_day in due.items():
            if content(view.source, source_day) is None:
                result.skipped.append((view.name, day, source_day))
            elif held.get(day) == (note := provenance.note(view, day, content)):
                result.current += 1
            else:
                stale[day] = note  # older than what the query reads, if anything
        if stale:
            result.built[view.name] = list(stale)
            work.setdefault(view.source, []).append((view, stale))
    for source, todo in work.items():
        needed = {day for view, stale in todo for partition in stale for day in view.source_days(partition)}
        files = [partition_path(lake, source, day) for day in landed[source] if day in needed]
        with load(con, files) as events:
            for view, stale in todo:
                for span in _spans(list(stale)):
                    _build(con, view, events, lake, store, {day: stale[day] for day in span})
    return result


def _build(
    con: Backend,
    view: FeatureView,
    events: ir.Table | str,
    lake: AnyPath,
    store: AnyPath,
    notes: Mapping[date, provenance.Note],
) -> None:
    """Build the partitions of consecutive days in one query, over the source days of all of them."""
    span = list(notes)
    low, high = view.source_days(span[0])[0], view.source_days(span[-1])[-1] + timedelta(days=1)
    try:
        rows = _query(view, events, midnight(low), midnight(high))
        written = write_days(con, rows, ("available_at", *view.keys), store, view.name, span)
        while some := list(islice(written, NOTED)):
            provenance.write(store, view, {day: (notes[day], sha256) for day, sha256 in some})
    except (IbisError, duckdb.Error) as error:
        what = f"{lake / view.source} is not what {view.name} reads"
        raise DataError(f"{what} ({_line(error)}); land it again") from error


def _query(view: FeatureView, events: ir.Table | str, low: datetime, high: datetime) -> ir.Table | str:
    """Return the view's rows over the events known in [low, high) (aware)."""
    if not isinstance(events, str):
        return view.rows(events.filter(events.known_at >= low, events.known_at < high))
    chosen = f"SELECT * FROM {events} WHERE known_at >= {literal(low)} AND known_at < {literal(high)}"
    return over(view.compiled, view.source, chosen)


def _spans(stale: Sequence[date]) -> Iterator[list[date]]:
    """Yield the runs of consecutive days."""
    for _, group in groupby(enumerate(stale), key=lambda item: item[1] - timedelta(days=item[0])):
        yield [day for _, day in group]


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def require_days(root: AnyPath, table: str, since: date, until: date) -> None:
    """Raise DataError when `table` lacks a day of [since, until): a gap would silently make features null."""
    missing = sorted(set(days(since, until)) - set(partition_days(root, table, since, until)))
    if missing:
        raise DataError(f"{root / table} lacks {len(missing)} day(s), the first {missing[0]}; land the data until then")


def require_definition(store: AnyPath, view: FeatureView, since: date, until: date) -> None:
    """Raise DataError when a partition in [since, until) was not made by the definition that the code has now."""
    held = partition_days(store, view.name, since, until)
    notes = provenance.read(store, view, held)
    for day in held:
        if day not in notes or notes[day]["definition"] != view.definition:
            raise DataError(
                f"{view.name} of {day} was made by another definition than the code's; run `features build`"
            )


def require_current(views: Iterable[FeatureView], lake: AnyPath, store: AnyPath, since: date, until: date) -> None:
    """Raise DataError when a partition in [since, until) is not what the lake and the code would make now."""
    views = list(views)
    held_of = {view.name: partition_days(store, view.name, since, until) for view in views}
    content = _content(lake, [(view, held_of[view.name]) for view in views])
    for view in views:
        held = held_of[view.name]
        notes = provenance.read(store, view, held)
        for day in held:
            if notes.get(day) != provenance.note(view, day, content):
                raise DataError(f"{view.name} of {day} is not what the lake holds now; run `features build`")


def _content(lake: AnyPath, wanted: Iterable[tuple[FeatureView, Iterable[date]]]) -> provenance.Fingerprint:
    """Return the fingerprints of what these partitions of views are made from; each source partition is read once."""
    needed: dict[str, set[date]] = {}
    for view, partitions in wanted:
        needed.setdefault(view.source, set()).update(*map(view.source_days, partitions))
    found = {source: fingerprints(lake, source, source_days) for source, source_days in needed.items()}
    return lambda source, day: found[source].get(day)
