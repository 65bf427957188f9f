"""The report: what happened, in one HTML file that opens offline and says it within a minute."""

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .. import problem
from ..errors import DataError
from ..lake import AnyPath, partition_days, partition_path, readable
from ..training.simple import NAMES
from ..training.style import THEME, VERSIONS
from . import plots, replayed, sections, words
from .daily import COMPARED, DECISIONS, DRIFT, EXPECTED, PERFORMANCE, SLICES
from .drift import MOVED
from .events import Event
from .events import read as read_events
from .labels import COHORTS
from .predictions import ALIASES, PREDICTIONS
from .sections import KINDS

TEXT, NUMBER, TRUTH = pa.string(), pa.float64(), pa.bool_()
# What the report reads of each table; the features, most of the bytes, stay on the disk.
COLUMNS = {
    PREDICTIONS: {"champion_version": TEXT, "milliseconds": NUMBER},
    COHORTS: {
        **{f"{alias}_version": TEXT for alias in ALIASES},
        **{f"{alias}_score": NUMBER for alias in ALIASES},
        "label": TRUTH,
    },
    PERFORMANCE: {
        **dict.fromkeys(("coverage", "count", "auc", "auc_low", "auc_high", "label_rate", "mean_score"), NUMBER),
        **{"version": TEXT, "milliseconds": NUMBER, "milliseconds_p99": NUMBER},
    },
    EXPECTED: dict.fromkeys(("count", "expected_auc", "expected_rate"), NUMBER),
    SLICES: {
        **dict.fromkeys(("slice", "value", "version"), TEXT),
        **dict.fromkeys(("coverage", "count", "auc", "auc_low", "auc_high", "label_rate", "mean_score"), NUMBER),
    },
    DRIFT: {"feature": TEXT, **dict.fromkeys(("distance", "nulls", "before", "now"), NUMBER), "moved": TRUTH},
    DECISIONS: dict.fromkeys(("action", "cause", "reason", "also", "evidence"), TEXT),
}
MARKED = ("retrain", "promote", "force", "roll back")
MARKED_WORDS = 16  # more marks than this have the number of their row in the timeline for a label


def write_report(
    monitoring: AnyPath, journal: Path, path: Path, title: str, trained: Mapping[str, Mapping[str, float]]
) -> None:
    """Write the report of everything under `monitoring` to `path`, replaced whole: one HTML file without addresses.

    `journal` has the events; `trained` holds the metrics of the bundle of each version that is at hand.
    A table that is missing or empty is said so in its section. Raises DataError when there are no predictions, when
    a table cannot be read, or when the file cannot be written.
    """
    tables = {table: _read(monitoring, table) for table in COLUMNS}
    if tables[PREDICTIONS].empty:
        raise DataError(
            f"{monitoring} holds no predictions to report on; run `serve`, send requests, run "
            "`monitor run --day DATE`, and then the report"
        )
    html = _render(tables, read_events(journal), title, trained, replayed.read(journal))
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(html, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        reason = error.strerror or error
        raise DataError(f"cannot write {path}: {reason}; choose another path or mend the rights") from error


def _read(monitoring: AnyPath, table: str) -> pd.DataFrame:
    """Return COLUMNS of every day of a table with its `day` (midnight, no time zone), in order of days.

    A column that a day lacks, or has only nulls in and so without a type, is null there.
    """
    columns = COLUMNS[table]
    schema = pa.schema([*columns.items(), ("day", pa.timestamp("s"))])
    parts = [schema.empty_table()]
    for day in partition_days(monitoring, table):
        path = partition_path(monitoring, table, day)
        try:
            # One file at a time: as a dataset, the first file's columns and types would be taken for all.
            part = pq.ParquetFile(readable(path)).read(columns=list(columns))
            held = {name: part[name].cast(kind) for name, kind in columns.items() if name in part.column_names}
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} cannot be read; remove it and run `monitor run --day {day}` again") from error
        lacking = {name: pa.nulls(len(part), kind) for name, kind in columns.items() if name not in held}
        days = pa.array([pd.Timestamp(day)] * len(part), pa.timestamp("s"))
        parts.append(pa.table({**held, **lacking, "day": days}, schema=schema))
    frame: pd.DataFrame = pa.concat_tables(parts).to_pandas()
    return frame.astype({name: "boolean" for name, kind in columns.items() if kind == TRUTH})


def _render(
    tables: Mapping[str, pd.DataFrame],
    events: Sequence[Event],
    title: str,
    trained: Mapping[str, Mapping[str, float]],
    replay: replayed.Replayed | None,
) -> str:
    predictions, cohorts, days = tables[PREDICTIONS], tables[COHORTS], tables[PERFORMANCE]
    scored = (cohorts[f"{alias}_version"] for alias in ALIASES)
    versions = sections.versions(predictions["champion_version"], days["version"], *scored)
    colours = {version: VERSIONS[index % len(VERSIONS)] for index, version in enumerate(versions)}
    marked = [(row, event) for row, event in enumerate(events, start=1) if event.kind in MARKED]
    named = len(marked) <= MARKED_WORDS
    marks = [
        plots.Mark(event.at, sections.label(event) if named else str(row), KINDS[event.kind][1])
        for row, event in marked
    ]
    milliseconds = predictions["milliseconds"].dropna()
    decisions = tables[DECISIONS].drop_duplicates("day", keep="last")
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"day": words.day, "number": words.number, "count": words.count, "times": words.times}
    return environment.get_template("report.html").render(
        title=title,
        theme=THEME,
        problem=problem,
        moved_above=MOVED,
        compared=COMPARED,
        facts=sections.facts(tables),
        # What was planted has a sentence of its own.
        story=sections.story([event for event in events if not (replay and event.kind == "fault")]),
        events=events,
        kinds=KINDS,
        served=[
            (version, colours[str(version)], mean) for version, mean in days.groupby("version")["auc"].mean().items()
        ],
        trained=[sections.promised(name, colours[name], trained[name]) for name in versions if name in trained],
        beside=NAMES,
        numbered=not named,
        performance=plots.performance(days, tables[EXPECTED], marks, colours) if days["auc"].notna().any() else None,
        **sections.slices(tables[SLICES].dropna(subset=["auc"]), colours),
        **sections.shadows(cohorts, events, colours),
        calibration=sections.calibration(cohorts, colours),
        **sections.drift(tables[DRIFT]),
        latency=plots.latency(days, milliseconds.to_numpy()) if len(milliseconds) else None,
        milliseconds=dict(zip(("median", "p99", "slowest"), milliseconds.quantile([0.5, 0.99, 1]), strict=True)),
        decisions=sections.decisions(decisions),
        actions=decisions["action"].value_counts().to_dict(),
        replayed=replay,
        ways=replayed.WAYS,
        decided_again=len(tables[DECISIONS]) - len(decisions),
    )
