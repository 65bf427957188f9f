"""Build the offline store: run the views' expressions over the lake and write one partition per view and UTC day."""

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

from ibis.backends.duckdb import Backend
from ibis.common.exceptions import IbisError

from ..engine import read, write_days
from ..errors import DataError
from ..lake import days, midnight, partition_days, partition_files
from .views import FeatureView


def build(con: Backend, views: Iterable[FeatureView], lake: Path, store: Path, since: date, until: date) -> None:
    """Build the rows that the source days [since, until) (UTC) complete, and replace the partitions they lie in.

    A streaming row is complete on its own day; a batch row is made from whole days and lies in the partition of the
    next. The sources are read from `since` minus the view's lookback, so a day built alone equals the same day built
    as part of a year. Raises DataError when the lake lacks a source or a day of it.
    """
    for view in views:
        require_days(lake, view.source, since, until)
        ahead = timedelta(0) if view.streaming else timedelta(days=1)
        first, last = since + ahead, until + ahead
        reach = view.lookback + timedelta(days=1) if view.lookback else timedelta(0)
        source = read(con, partition_files(lake, view.source, since - reach, until))
        try:
            rows = view.expression(source)
        except IbisError as error:
            raise DataError(
                f"{lake / view.source} is not what {view.name} reads ({_line(error)}); land it again"
            ) from error
        rows = rows.filter(rows.available_at >= midnight(first), rows.available_at < midnight(last))
        order = ["available_at", *view.keys]
        write_days(con, rows.select(*view.columns), order, store, view.name, list(days(first, last)))


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def require_days(root: Path, table: str, since: date, until: date) -> None:
    """Raise DataError when `table` lacks a day of [since, until): a gap would silently make features null."""
    missing = sorted(set(days(since, until)) - set(partition_days(root, table)))
    if missing:
        raise DataError(f"{root / table} lacks {len(missing)} day(s), the first {missing[0]}; land the data until then")
