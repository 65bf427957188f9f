"""What each section of the report says, from the tables of monitoring."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from ..training.evaluate import auc, calibration_bins, calibration_error
from ..training.simple import NAMES
from . import plots, words
from .daily import COMPARED, PERFORMANCE, WINDOW
from .events import Event
from .labels import COHORTS
from .performance import daily_gains
from .policy import DRASTIC, GRADUAL
from .predictions import ALIASES, PREDICTIONS
from .sequential import bounds

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
    "page": ("paged", "red"),
    "correct": ("labels corrected", "slate"),
}
ACTIONS = {"quarantine": "amber", "retrain": "slate", "promote": "green", "roll back": "red", "page": "red"}
DRIFT_ROWS = 12
MAP_COLUMNS = 90  # a longer run has several days in one column of the map
SHADOWS = 12
EFFECTS = {"challenger": GRADUAL, "previous": DRASTIC}  # as the policy tests them


def facts(tables: Mapping[str, pd.DataFrame]) -> list[tuple[str, str, str]]:
    """Return a value, its name and a note for each fact of the headline."""
    predictions, days, labels = tables[PREDICTIONS], tables[PERFORMANCE], tables[COHORTS]["label"]
    first, last = predictions["day"].min(), predictions["day"].max()
    span = f"{words.count((last - first).days + 1, 'day')}, {words.span(first, last)}"
    plural = "prediction" if len(predictions) == 1 else "predictions"
    facts = [(f"{len(predictions):,}", f"{plural} answered", span)]
    known = days.dropna(subset=["auc"])
    if len(known):
        ends = known.sort_values("auc").iloc[[0, -1]].drop_duplicates("day")
        note = " to ".join(
            f"{value:.2f} ({words.short(day)})" for value, day in zip(ends["auc"], ends["day"], strict=True)
        )
        facts.append((f"{known['auc'].mean():.3f}", f"mean AUC of {words.count(len(known), 'day')}", note))
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


def story(events: Sequence[Event]) -> str:
    """Return one sentence of what the loop did."""
    of = {kind: [event for event in events if event.kind == kind] for kind in KINDS}

    def named(kind: str) -> str:
        numbers = [event.version for event in of[kind] if event.version]
        if not 0 < len(numbers) <= 3:
            return words.count(len(of[kind]), "version")
        return f"{'version' if len(numbers) == 1 else 'versions'} {words.listed(numbers)}"

    told = {
        "deploy": f"put {named('deploy')} into service",
        "retrain": f"retrained {words.times(len(of['retrain']))}",
        "promote": f"promoted {named('promote')}",
        "refuse": f"refused {named('refuse')}",
        "force": f"was forced to serve {named('force')}",
        "roll back": f"rolled back {words.times(len(of['roll back']))}{_after(events)}",
        "fault": f"met {words.count(len(of['fault']), 'fault')}",
        "page": f"called a person {words.times(len(of['page']))}",
        "correct": f"took in late or corrected labels {words.times(len(of['correct']))}",
    }
    parts = [text for kind, text in told.items() if of[kind]]
    if not parts:
        return "The loop changed nothing: no version was deployed, retrained, promoted or rolled back."
    return f"The loop {words.listed(parts)}."


def _after(events: Sequence[Event]) -> str:
    """Return how long the version that was rolled back had served, when there was one roll back only."""
    switches = [event for event in events if event.kind in ("deploy", "promote", "force", "roll back")]
    at = [index for index, event in enumerate(switches) if event.kind == "roll back"]
    if len(at) != 1 or at[0] == 0:
        return ""
    switch, back = switches[at[0] - 1 : at[0] + 1]
    return f" ({words.count(round((back.at - switch.at).total_seconds() / 86400), 'day')} after the switch)"


def shadows(cohorts: pd.DataFrame, events: Sequence[Event], colours: Mapping[str, str]) -> dict[str, Any]:
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
            row |= {"days": words.span(days[0], days[-1]), "ours": ours, "theirs": theirs}
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
        return f"{KINDS[ends[0].kind][0]} on {words.short(ends[0].at)}" if ends else "not decided yet"
    ends = [event for event in later if event.kind in ("promote", "force", "roll back")]
    return f"rolled back on {words.short(ends[0].at)}" if ends and ends[0].kind == "roll back" else "champion kept"


def slices(days: pd.DataFrame, colours: Mapping[str, str]) -> dict[str, Any]:
    """Return the figure and a row of figures for each value by which the rows are told apart."""
    if days.empty:
        return {"slices": None}
    days = days.assign(name=days["slice"] + " " + days["value"])
    rows = []
    for name, part in days.groupby("name"):
        worst = part.sort_values("auc").iloc[0]
        means = {of: np.average(part[of], weights=part["count"]) for of in ("label_rate", "mean_score", "coverage")}
        row = {"name": name, "days": len(part), "count": part["count"].sum(), "auc": part["auc"].mean(), **means}
        row["worst"] = (
            f"{worst['auc']:.2f} ({worst['auc_low']:.2f} to {worst['auc_high']:.2f}), {words.short(worst['day'])}"
        )
        rows.append(row)
    shown = [row["name"] for row in sorted(rows, key=lambda row: -row["count"])[:SHADOWS]]
    figure = plots.slices(days[days["name"].isin(shown)].sort_values(["name", "day"]), colours)
    return {"slices": figure, "slice_rows": sorted(rows, key=lambda row: row["auc"])}


def calibration(cohorts: pd.DataFrame, colours: Mapping[str, str]) -> Markup | None:
    """Return the reliability of each version that served, None before any label."""
    known = cohorts.dropna(subset=["label", "champion_score"])
    curves = []
    for version in versions(known["champion_version"]):
        rows = known[known["champion_version"] == version]
        labels, scores = rows["label"].to_numpy(dtype=bool), rows["champion_score"].to_numpy()
        bins = calibration_bins(labels, scores)
        note = f"{len(rows):,} labels, {len(bins)} bins of {bins['count'].max():,}"
        title = f"v{version}: error {calibration_error(labels, scores):.3f}"
        curves.append(plots.Curve(title, note, bins, colours[version]))
    return plots.calibration(curves) if curves else None


def promised(version: str, colour: str, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Return a version's AUC on its test week and those of the models trained beside it; a bundle may lack some."""
    beside = [metrics.get(f"{key}_auc", float("nan")) for key in NAMES]
    return {"version": version, "colour": colour, "auc": metrics["auc"], "beside": beside}


def drift(drift: pd.DataFrame) -> dict[str, Any]:
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


def _evidence(text: str | None) -> str:
    """Return what a decision rests on, as it is on record, with figures that can be read."""
    found = json.loads(text or "{}", parse_float=lambda figure: round(float(figure), 4))
    return "\n".join(f"{name}: {json.dumps(value)}" for name, value in found.items())


def decisions(decisions: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each run of days with the same action and cause, without those with nothing to do."""
    what = decisions["action"] + decisions["cause"].fillna("")
    runs = (what != what.shift()).cumsum()
    return [
        {
            "action": run["action"].iloc[0],
            "colour": ACTIONS.get(run["action"].iloc[0], "mute"),
            "dates": words.span(run["day"].iloc[0], run["day"].iloc[-1]),
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


def versions(*columns: pd.Series) -> list[str]:
    """Return the versions that are named in some columns, the oldest first: they are numbers, 2 before 10."""
    found = {version for column in columns for version in column.dropna().unique()}
    return sorted(found, key=lambda version: (len(version), version))


def label(event: Event) -> str:
    """Return how an event is called at its line in a figure."""
    return f"{event.kind} v{event.version}" if event.version and event.kind != "roll back" else event.kind
