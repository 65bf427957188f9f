"""What the sources deliver on a morning, with the faults that are planted in it: sources as any other, read as any."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import pandas as pd

from ..errors import UserError
from ..lake import midnight
from ..monitoring.policy import Cause
from ..problem import LABEL_SOURCE
from ..source import WHOLE_UNITS, Source, in_memory
from .faults import DAY, Fault, Injection

FACTOR = 1.609344  # kilometres in a mile

Change = Callable[[pd.DataFrame], pd.DataFrame]


def delivered(sources: Mapping[str, Source], planted: Sequence[Injection], morning: date) -> dict[str, Source]:
    """Return the sources as they deliver on the morning of a UTC day: changed, late ones left out, or as they are."""
    found = dict(sources)
    for fault, day in ((item.fault, item.day) for item in planted if _wrong(item, morning)):
        if fault is Fault.OTHER_UNITS:
            name = measured(sources)
            found[name] = _changed(found[name], _in_other_units(found[name], day, fault.days))
        elif fault is Fault.LATE_PARTITION:
            found.pop(LABEL_SOURCE, None)
        elif fault is Fault.DUPLICATE_PARTITION:
            found[LABEL_SOURCE] = _changed(found[LABEL_SOURCE], _repeated(day))
    return found


def unusual(planted: Sequence[Injection], morning: date) -> bool:
    """Return whether the delivery on the morning of a UTC day has a fault, or brings what a faulty one should have."""
    return any(_wrong(item, morning) or _wrong(item, morning - DAY) for item in planted)


def _wrong(item: Injection, morning: date) -> bool:
    """Return whether a fault is in what is delivered on a morning: each of its days is, on the next one."""
    return item.fault.cause in (Cause.DATA, Cause.FRESHNESS) and item.day < morning <= item.day + item.fault.days * DAY


def streamed(sources: Mapping[str, Source], planted: Sequence[Injection]) -> dict[str, Source]:
    """Return the sources as their events come in: other units are in the stream as in the partition."""
    found = dict(sources)
    for item in planted:
        if item.fault is Fault.OTHER_UNITS:
            name = measured(sources)
            found[name] = _changed(found[name], _in_other_units(found[name], item.day, item.fault.days))
    return found


def measured(sources: Mapping[str, Source]) -> str:
    """Return the source that says of a column in which unit it is. Raises UserError when none does."""
    for name, source in sources.items():
        if _units(source):
            return name
    raise UserError(
        f"no source says in which unit a column is, so {Fault.OTHER_UNITS} cannot be planted; "
        "give a column of sources.py a check of source.whole_units"
    )


def _units(source: Source) -> list[str]:
    columns = source.contract.columns.items()
    return [name for name, column in columns if any(check.name == WHOLE_UNITS for check in column.checks)]


def _changed(source: Source, change: Change) -> Source:
    """Return a source whose rows are changed; a change may look at the day before those that are asked for."""

    def read(since: datetime, until: datetime) -> pd.DataFrame:
        return in_memory(lambda: change(source.read(since - DAY, until)))(since, until)

    return replace(source, read=read)


def _in_other_units(source: Source, first: date, days: int) -> Change:
    columns = _units(source)

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.copy()
        rows.loc[_known_on(rows, first, days), columns] *= FACTOR
        return rows

    return change


def _repeated(day: date) -> Change:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        again = rows[_known_on(rows, day - DAY, 1)]
        again = again.assign(known_at=again["known_at"] + timedelta(days=1))
        before, after = rows["known_at"] < midnight(day), rows["known_at"] >= midnight(day + DAY)
        return pd.concat([rows[before], again, rows[after]], ignore_index=True)

    return change


def _known_on(rows: pd.DataFrame, first: date, days: int) -> "pd.Series[bool]":
    return rows["known_at"].between(midnight(first), midnight(first + days * DAY), "left")
