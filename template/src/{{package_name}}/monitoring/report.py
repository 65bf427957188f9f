"""The report: what happened, in one HTML file that opens offline and says it within a minute."""

import contextlib
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .. import problem
from ..errors import DataError
from ..lake import partition_days, partition_path
from ..training.evaluate import auc, calibration_bins, calibration_error
from ..training.simple import NAMES
from ..training.style import THEME, VERSIONS
from . import plots
from .daily import COMPARED, DECISIONS, DRIFT, EXPECTED, PERFORMANCE, SLICES, WINDOW
from .drift import MOVED
from .events import Event
from .events import read as read_events
from .labels import COHORTS
from .performance import daily_gains
from .policy import DRASTIC, GRADUAL
from .predictions import ALIASES, PREDICTIONS
from .sequential import bounds

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
# An event's kind -> what the timeline calls it, and its colour in style.THEME.
KINDS = {
    "deploy": ("first deploy", "green"),
    "retrain": ("retrained", "slate"),
    "challenger": ("began to shadow", "v2"),
    "promote": ("promoted", "green"),
    "refuse": ("refused", "mute"),
    "force": ("forced past its gates", "red"),
    "roll back": ("rolled back", "red"),
    "fault": ("fault", "amber"),
    "correct": ("labels corrected", "slate"),
}
ACTIONS = {"quarantine": "amber", "retrain": "slate", "promote": "green", "roll back": "red", "page": "red"}
MARKED = ("retrain", "promote", "force", "roll back")
MARKED_WORDS = 16  # more marks than this have the number of their row in the timeline for a label
DRIFT_ROWS = 12
MAP_COLUMNS = 90  # a longer run has several days in one column of the map
SHADOWS = 12
EFFECTS = {"challenger": GRADUAL, "previous": DRASTIC}  # as the policy tests them


def write_report(monitoring: Path, path: Path, title: str, trained: Mapping[str, Mapping[str, float]]) -> None:
    """Write the report of everything under `monitoring` to `path`, replaced whole: one HTML file without addresses.

    `trained` holds the metrics of the bundle of each version that is at hand.
    A table that is missing or empty is said so in its section. Raises DataError when there are no predictions, when
    a table cannot be read, or when the file cannot be written.
    """
    tables = {table: _read(monitoring, table) for table in COLUMNS}
    if tables[PREDICTIONS].empty:
        raise DataError(
            f"{monitoring} holds no predictions to report on; run `simulate`, or `serve`, send requests and "
            "`monitor run --day DATE`, and then the report"
        )
    html = _render(tables, read_events(monitoring), title, trained)
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


def _read(monitoring: Path, table: str) -> pd.DataFrame:
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
            part = pq.ParquetFile(path).read(columns=list(columns))
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
) -> str:
    predictions, cohorts, days = tables[PREDICTIONS], tables[COHORTS], tables[PERFORMANCE]
    scored = (cohorts[f"{alias}_version"] for alias in ALIASES)
    versions = _versions(predictions["champion_version"], days["version"], *scored)
    colours = {version: VERSIONS[index % len(VERSIONS)] for index, version in enumerate(versions)}
    marked = [(row, event) for row, event in enumerate(events, start=1) if event.kind in MARKED]
    words = len(marked) <= MARKED_WORDS
    marks = [plots.Mark(event.at, _label(event) if words else str(row), KINDS[event.kind][1]) for row, event in marked]
    milliseconds = predictions["milliseconds"].dropna()
    decisions = tables[DECISIONS].drop_duplicates("day", keep="last")
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"day": _day, "number": _number}
    return environment.get_template("report.html").render(
        title=title,
        theme=THEME,
        problem=problem,
        moved_above=MOVED,
        compared=COMPARED,
        facts=_facts(tables),
        story=_story(events),
        events=events,
        kinds=KINDS,
        served=[
            (version, colours[str(version)], mean) for version, mean in days.groupby("version")["auc"].mean().items()
        ],
        trained=[_promised(version, colours[version], trained[version]) for version in versions if version in trained],
        beside=NAMES,
        numbered=not words,
        performance=plots.performance(days, tables[EXPECTED], marks, colours) if days["auc"].notna().any() else None,
        **_slices(tables[SLICES].dropna(subset=["auc"]), colours),
        **_shadows(cohorts, events, colours),
        calibration=_calibration(cohorts, colours),
        **_drift(tables[DRIFT]),
        latency=plots.latency(days, milliseconds.to_numpy()) if len(milliseconds) else None,
        milliseconds=dict(zip(("median", "p99", "slowest"), milliseconds.quantile([0.5, 0.99, 1]), strict=True)),
        decisions=_decisions(decisions),
        actions=decisions["action"].value_counts().to_dict(),
        decided_again=len(tables[DECISIONS]) - len(decisions),
    )


def _facts(tables: Mapping[str, pd.DataFrame]) -> list[tuple[str, str, str]]:
    """Return a value, its name and a note for each fact of the headline."""
    predictions, days, labels = tables[PREDICTIONS], tables[PERFORMANCE], tables[COHORTS]["label"]
    first, last = predictions["day"].min(), predictions["day"].max()
    span = f"{_count((last - first).days + 1, 'day')}, {_range(first, last)}"
    plural = "prediction" if len(predictions) == 1 else "predictions"
    facts = [(f"{len(predictions):,}", f"{plural} answered", span)]
    known = days.dropna(subset=["auc"])
    if len(known):
        ends = known.sort_values("auc").iloc[[0, -1]].drop_duplicates("day")
        note = " to ".join(f"{value:.2f} ({_short(day)})" for value, day in zip(ends["auc"], ends["day"], strict=True))
        facts.append((f"{known['auc'].mean():.3f}", f"mean AUC of {_count(len(known), 'day')}", note))
    share = predictions["champion_version"].value_counts(normalize=True)
    if len(share):
        largest = ", ".join(f"v{version} {part:.0%}" for version, part in share.head(3).items())
        more = f" and {len(share) - 3} more" if len(share) > 3 else ""
        facts.append((str(len(share)), "version served" if len(share) == 1 else "versions served", largest + more))
    if len(labels):
        note = f"{labels.notna().sum():,} of {len(labels):,} matured"
        facts.append((f"{labels.notna().mean():.1%}", "of labels arrived", note))
    median, slow = predictions["milliseconds"].quantile([0.5, 0.99])
    if not np.isnan(median):
        facts.append((f"{median:.1f} ms", "median server time", f"99% within {slow:.1f} ms"))
    return facts


def _story(events: Sequence[Event]) -> str:
    """Return one sentence of what the loop did."""
    of = {kind: [event for event in events if event.kind == kind] for kind in KINDS}

    def named(kind: str) -> str:
        numbers = [event.version for event in of[kind] if event.version]
        if not 0 < len(numbers) <= 3:
            return _count(len(of[kind]), "version")
        return f"{'version' if len(numbers) == 1 else 'versions'} {_listed(numbers)}"

    told = {
        "deploy": f"put {named('deploy')} into service",
        "retrain": f"retrained {_times(len(of['retrain']))}",
        "promote": f"promoted {named('promote')}",
        "refuse": f"refused {named('refuse')}",
        "force": f"was forced to serve {named('force')}",
        "roll back": f"rolled back {_times(len(of['roll back']))}{_after(events)}",
        "fault": f"met {_count(len(of['fault']), 'fault')}",
        "correct": f"took in late or corrected labels {_times(len(of['correct']))}",
    }
    parts = [text for kind, text in told.items() if of[kind]]
    if not parts:
        return "The loop changed nothing: no version was deployed, retrained, promoted or rolled back."
    return f"The loop {_listed(parts)}."


def _after(events: Sequence[Event]) -> str:
    """Return how long the version that was rolled back had served, when there was one roll back only."""
    switches = [event for event in events if event.kind in ("deploy", "promote", "force", "roll back")]
    at = [index for index, event in enumerate(switches) if event.kind == "roll back"]
    if len(at) != 1 or at[0] == 0:
        return ""
    switch, back = switches[at[0] - 1 : at[0] + 1]
    return f" ({_count(round((back.at - switch.at).total_seconds() / 86400), 'day')} after the switch)"


def _shadows(cohorts: pd.DataFrame, events: Sequence[Event], colours: Mapping[str, str]) -> dict[str, Any]:
    """Return the figure and a row of figures for each pair of versions that scored the same labelled rows."""
    found = []
    for alias in ALIASES[1:]:
        both = cohorts.dropna(subset=["label", "champion_score", f"{alias}_score"])
        for (champion, other), part in both.groupby(["champion_version", f"{alias}_version"]):
            days = pd.DatetimeIndex(part["day"].unique()[:COMPARED])
            part = part[part["day"] <= days[-1]]
            labels = part["label"].to_numpy(dtype=bool)
            ours, theirs = (auc(labels, part[f"{name}_score"].to_numpy()) for name in ("champion", alias))
            pair = colours[str(champion)], colours[str(other)]
            row = {"alias": alias, "champion": champion, "other": other, "colours": pair, "count": len(part)}
            row |= {"days": _range(days[0], days[-1]), "ours": ours, "theirs": theirs}
            row["outcome"] = _outcome(alias, str(other), days[0], events)
            gains = daily_gains(part, alias)
            if gains.empty:
                continue
            low, high = bounds(gains.to_numpy(), EFFECTS[alias])
            mean = gains.expanding().mean().to_numpy()
            row |= {"gain": mean[-1], "low": low[-1], "high": high[-1]}
            title = f"{alias} v{other} above champion v{champion}"
            found.append((plots.Shadow(title, pd.DatetimeIndex(gains.index), mean, low, high, pair[1]), row))
    shown = sorted(found, key=lambda item: item[0].days[0])[-SHADOWS:]
    return {
        "shadow": plots.shadows([shadow for shadow, _ in shown]) if shown else None,
        "shadow_rows": [row for _, row in shown],
        "shadows_left_out": len(found) - len(shown),
    }


def _outcome(alias: str, other: str, since: pd.Timestamp, events: Sequence[Event]) -> str:
    """Return how a comparison that began on a day ended, as far as the events say."""
    later = [event for event in events if event.at.date() > since.date()]  # what began it has no later day
    if alias == "challenger":
        ends = [event for event in later if event.kind in ("promote", "refuse", "force") and event.version == other]
        return f"{KINDS[ends[0].kind][0]} on {_short(ends[0].at)}" if ends else "not decided yet"
    ends = [event for event in later if event.kind in ("promote", "force", "roll back")]
    return f"rolled back on {_short(ends[0].at)}" if ends and ends[0].kind == "roll back" else "champion kept"


def _calibration(cohorts: pd.DataFrame, colours: Mapping[str, str]) -> Markup | None:
    known = cohorts.dropna(subset=["label", "champion_score"])
    curves = []
    for version in _versions(known["champion_version"]):
        rows = known[known["champion_version"] == version]
        labels, scores = rows["label"].to_numpy(dtype=bool), rows["champion_score"].to_numpy()
        bins = calibration_bins(labels, scores)
        note = f"{len(rows):,} labels, {len(bins)} bins of {bins['count'].max():,}"
        title = f"v{version}: error {calibration_error(labels, scores):.3f}"
        curves.append(plots.Curve(title, note, bins, colours[version]))
    return plots.calibration(curves) if curves else None


def _promised(version: str, colour: str, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Return a version's AUC on its test week and those of the models trained beside it; a bundle may lack some."""
    beside = [metrics.get(f"{key}_auc", float("nan")) for key in NAMES]
    return {"version": version, "colour": colour, "auc": metrics["auc"], "beside": beside}


def _drift(drift: pd.DataFrame) -> dict[str, Any]:
    """Return the last day's table, largest distance first, and the map of the features that moved farthest."""
    if drift.empty:
        return {"drift_day": None}
    last = drift["day"].max()
    rows = drift[drift["day"] == last].sort_values("distance", ascending=False)
    wide = drift.pivot_table(index="feature", columns="day", values="distance")
    # The first days' window is not whole; it lacks weekdays, which then look as if they had moved.
    whole = wide.iloc[:, WINDOW - 1 :] if len(wide.columns) >= WINDOW else wide
    wide = wide.loc[whole.max(axis=1).nlargest(DRIFT_ROWS).index]
    days = -(-((last - drift["day"].min()).days + 1) // MAP_COLUMNS)
    return {
        "drift_day": last,
        "drift_rows": rows.to_dict("records"),
        "drift_first": DRIFT_ROWS,
        "drift_moved": int(rows["moved"].sum()),
        "drift_map": plots.heatmap(wide.T.resample(f"{days}D").max().T) if len(wide) else None,
        "drift_days": days,
    }


def _slices(days: pd.DataFrame, colours: Mapping[str, str]) -> dict[str, Any]:
    """Return the figure and a row of figures for each value by which the rows are told apart."""
    if days.empty:
        return {"slices": None}
    days = days.assign(name=days["slice"] + " " + days["value"])
    rows = []
    for name, part in days.groupby("name"):
        worst = part.sort_values("auc").iloc[0]
        means = {of: np.average(part[of], weights=part["count"]) for of in ("label_rate", "mean_score", "coverage")}
        row = {"name": name, "days": len(part), "count": part["count"].sum(), "auc": part["auc"].mean(), **means}
        row["worst"] = f"{worst['auc']:.2f} ({worst['auc_low']:.2f} to {worst['auc_high']:.2f}), {_short(worst['day'])}"
        rows.append(row)
    shown = [row["name"] for row in sorted(rows, key=lambda row: -row["count"])[:SHADOWS]]
    figure = plots.slices(days[days["name"].isin(shown)].sort_values(["name", "day"]), colours)
    return {"slices": figure, "slice_rows": sorted(rows, key=lambda row: row["auc"])}


def _evidence(text: str | None) -> str:
    """Return what a decision rests on, as it is on record, with figures that can be read."""
    found = json.loads(text or "{}", parse_float=lambda figure: round(float(figure), 4))
    return "\n".join(f"{name}: {json.dumps(value)}" for name, value in found.items())


def _decisions(decisions: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each run of days with the same action and cause, without those with nothing to do."""
    what = decisions["action"] + decisions["cause"].fillna("")
    runs = (what != what.shift()).cumsum()
    return [
        {
            "action": run["action"].iloc[0],
            "colour": ACTIONS.get(run["action"].iloc[0], "mute"),
            "dates": _range(run["day"].iloc[0], run["day"].iloc[-1]),
            "days": len(run),
            "reason": run["reason"].iloc[-1],
            "reasons": run["reason"].nunique(),
            "cause": run["cause"].iloc[-1] or "",
            "also": json.loads(run["also"].iloc[-1] or "[]"),
            "evidence": _evidence(run["evidence"].iloc[-1]),
        }
        for _, run in decisions.groupby(runs)
        if run["action"].iloc[0] != "nothing"
    ]


def _versions(*columns: pd.Series) -> list[str]:
    """Return the versions that are named in some columns, the oldest first: they are numbers, 2 before 10."""
    found = {version for column in columns for version in column.dropna().unique()}
    return sorted(found, key=lambda version: (len(version), version))


def _label(event: Event) -> str:
    return f"{event.kind} v{event.version}" if event.version and event.kind != "roll back" else event.kind


def _listed(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _short(day: Any) -> str:
    return f"{day.day} {day:%b}"


def _day(day: Any) -> str:
    """Return a date or an instant as its day, such as 8 Apr 2013."""
    return f"{day.day} {day:%b %Y}"


def _range(first: Any, last: Any) -> str:
    if first == last:
        return _day(last)
    if first.year != last.year:
        return f"{_day(first)} to {_day(last)}"
    return f"{first.day if first.month == last.month else _short(first)} to {_day(last)}"


def _number(value: float, form: str = ",.4g") -> str:
    """Return a number, or a dash where there is none."""
    return f"{value:{form}}" if pd.notna(value) and np.isfinite(value) else "-"
