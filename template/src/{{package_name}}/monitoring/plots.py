"""The report's figures as inline SVG that follow the page: its font, its text colour, light or dark.

Sizes are CSS pixels. Every colour is one of style.THEME and leaves as a CSS variable, black leaves as `currentColor`,
and text stays text, so that the page decides how it all looks and no font or address is needed.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from ..problem import LABEL, MINIMUM_COVERAGE
from ..training.style import DASHED, DOTTED, INK, PERCENT, SOLID, STYLE, new_axes, new_figure
from .drift import MOVED

WIDTH = 1040
LEFT, RIGHT = 56, 14  # room for an axis' numbers, and for half of the last date
LETTER, LANE = 6.2, 16  # what a letter and a line of an event's label take


@dataclass(frozen=True)
class Mark:
    """An event on a time axis; `colour` is a name of THEME."""

    at: datetime
    label: str
    colour: str


@dataclass(frozen=True)
class Shadow:
    """How far another version's AUC lay above the champion's: the mean until each of `days`, and its running bounds."""

    title: str
    days: pd.DatetimeIndex
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    colour: str


@dataclass(frozen=True)
class Curve:
    """The reliability of one version: `bins` is evaluate.calibration_bins, `colour` a name of THEME."""

    title: str
    note: str
    bins: pd.DataFrame
    colour: str


@matplotlib.rc_context(STYLE)
def performance(
    days: pd.DataFrame, expected: pd.DataFrame, marks: Sequence[Mark], colours: Mapping[str, str]
) -> Markup:
    """Return AUC, label rate and coverage by day, over each other, with the marks through all three.

    `days` is the performance table and `expected` the one of that name, one row a day in order: the latter has the days
    that have not matured as well. `colours` maps a version to a name of THEME.
    """
    first, last = _span(pd.concat([days["day"], expected["day"]]), least=7)
    placed = [(mark, mark.at.timestamp() / 86400) for mark in marks]
    placed = sorted(((mark, at) for mark, at in placed if first <= at <= last), key=lambda item: item[1])
    widths = [LETTER * len(mark.label) + 8 for mark, _ in placed]
    scale = (WIDTH - LEFT - RIGHT) / (last - first)
    # A label that would leave the page on the right is given room there: all of the axes become narrower.
    ends = [LEFT + (at - first) * scale + width for (_, at), width in zip(placed, widths, strict=True)]
    inner = WIDTH - LEFT - RIGHT - max([0.0, *(end - WIDTH for end in ends)])
    lanes = label_lanes([at * inner / (last - first) for _, at in placed], widths)
    top, heights, panels = 12.0 + LANE * (max(lanes, default=-1) + 1), (250, 130, 80), []
    figure = new_figure(WIDTH, top + sum(heights) + 76)
    for name, height in zip(("AUC", LABEL, "labels known"), heights, strict=True):
        axes = new_axes(figure, LEFT, top, inner, height)
        axes.set(xlim=(first, last), ylabel=name)
        axes.yaxis.set_label_coords(-42 / inner, 0.5)
        axes.yaxis.set_major_formatter(PERCENT)
        panels.append(axes)
        top += height + 22
    _auc(panels[0], days, colours)
    known = days.dropna(subset=["label_rate"])
    for axes, name in zip(panels, ("expected_auc", "expected_rate"), strict=False):
        axes.plot(_noon(expected["day"]), expected[name], color=INK["amber"], dashes=DASHED, marker="o", markersize=3)
    panels[1].plot(_noon(known["day"]), known["label_rate"], color=INK["slate"], marker="o", markersize=3)
    panels[1].set_ylim(bottom=0)
    panels[2].bar(_noon(days["day"]), days["coverage"], width=0.7, color=INK["slate"], alpha=0.45)
    panels[2].axhline(MINIMUM_COVERAGE, color=INK["red"], linewidth=1, dashes=DOTTED)
    panels[2].set(ylim=(0, 1.04), yticks=(0, 0.5, 1))
    _dates(panels, ticks=14)
    over = panels[0].get_xaxis_transform()
    place: dict[str, Any] = {"xycoords": over, "textcoords": "offset points", "annotation_clip": False}
    for (mark, at), lane in zip(placed, lanes, strict=True):
        high, colour = 1 + (LANE * (lane + 1) + 2) / heights[0], INK[mark.colour]
        panels[0].plot([at, at], [0, high], color=colour, transform=over, clip_on=False, linewidth=1.2, zorder=1)
        panels[0].annotate(mark.label, (at, high), (4, 0), color=colour, va="top", fontsize=11, **place)
        for axes in panels[1:]:
            axes.axvline(at, color=colour, linewidth=1.2, zorder=1)
    return _svg(figure, f"AUC, share {LABEL} and label coverage by day")


@matplotlib.rc_context(STYLE)
def slices(days: pd.DataFrame, colours: Mapping[str, str]) -> Markup:
    """Return one panel of AUC by day for each slice, three in a row, all with the same scale.

    `days` has the slice's `name` and, of each day, `version`, `auc`, `auc_low` and `auc_high`.
    """
    names = list(days["name"].unique())
    columns, width, height = min(3, len(names)), 346, 190
    figure = new_figure(width * columns, height * -(-len(names) // columns))
    low, high = days["auc_low"].min(), days["auc_high"].max()
    for index, name in enumerate(names):
        row, column = divmod(index, columns)
        axes = new_axes(figure, width * column + LEFT, height * row + 28, width - LEFT - 20, height - 56)
        axes.set_title(name)
        _auc(axes, days[days["name"] == name], colours, thin=True)
        axes.set(xlim=_span(days["day"]), ylim=(low - 0.02, high + 0.02))
        _dates([axes], ticks=5)
    return _svg(figure, "AUC of each slice by day")


@matplotlib.rc_context(STYLE)
def shadows(pairs: Sequence[Shadow]) -> Markup:
    """Return one panel for each pair of versions, three in a row, each with a scale of its own around zero."""
    columns, width, height = min(3, len(pairs)), 346, 206
    figure = new_figure(width * columns, height * -(-len(pairs) // columns))
    for index, pair in enumerate(pairs):
        row, column = divmod(index, columns)
        axes = new_axes(figure, width * column + LEFT, height * row + 28, width - LEFT - 20, height - 56)
        axes.set_title(pair.title)
        axes.axhline(0, color=INK["mute"], linewidth=1, dashes=DASHED)
        axes.plot(_noon(pair.days), pair.mean, color=INK[pair.colour], marker="o", dashes=SOLID)
        for bound in (pair.low, pair.high):  # infinite on the first days
            axes.plot(_noon(pair.days), np.where(np.isfinite(bound), bound, np.nan), color=INK[pair.colour])
        edge = max(0.02, 2 * float(np.abs(pair.mean).max()))
        axes.set(xlim=_span(pair.days), ylim=(-edge, edge))
        _dates([axes], ticks=5)
    return _svg(figure, "difference in AUC of two versions on the same rows, with its bounds")


@matplotlib.rc_context(STYLE)
def calibration(curves: Sequence[Curve]) -> Markup:
    """Return one reliability curve for each version, four in a row, all with the same scale."""
    columns, width, height, side = min(4, len(curves)), 260, 292, 190
    figure = new_figure(width * columns, height * -(-len(curves) // columns))
    highest = max(float(curve.bins[["predicted", "observed"]].to_numpy().max()) for curve in curves)
    limit = min(1.0, float(np.ceil(highest * 10 + 0.5)) / 10)
    for index, curve in enumerate(curves):
        row, column = divmod(index, columns)
        axes = new_axes(figure, width * column + LEFT, height * row + 48, side, side)
        axes.set_title(curve.title, y=1.1)
        axes.text(0, 1.04, curve.note, transform=axes.transAxes, fontsize=11, color=INK["mute"])
        axes.plot([0, limit], [0, limit], color=INK["mute"], linewidth=1, dashes=DOTTED)
        axes.plot(curve.bins["predicted"], curve.bins["observed"], color=INK[curve.colour], marker="o")
        axes.set(
            xlim=(0, limit), ylim=(0, limit), xlabel="predicted", ylabel=f"observed {LABEL}" if column == 0 else ""
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(4))
            axis.set_major_formatter(PERCENT)
    return _svg(figure, "reliability of each version that served")


@matplotlib.rc_context(STYLE)
def heatmap(distances: pd.DataFrame) -> Markup:
    """Return distances (0 to 1) as a map: a row for each feature (index), a column for each day or span (columns).

    What is above drift.MOVED has a colour of its own, so that it is seen before any shade is compared.
    """
    left, height = 210, 22 * len(distances)
    figure = new_figure(WIDTH, height + 40)
    axes = new_axes(figure, left, 6, WIDTH - left - RIGHT, height)
    values = distances.to_numpy(dtype=np.float64)
    moved = values > MOVED
    over = (values - MOVED) / max(float(np.nanmax(values, initial=MOVED)) - MOVED, 0.1)
    shades = np.empty((*values.shape, 4))
    shades[..., :3] = np.where(moved[..., None], to_rgb(INK["amber"]), to_rgb(INK["mute"]))
    shades[..., 3] = np.nan_to_num(np.where(moved, 0.35 + 0.65 * over, 0.35 * values / MOVED))
    noon = _noon(distances.columns)
    step = noon[1] - noon[0] if len(noon) > 1 else 1.0
    edges = np.append(noon, noon[-1] + step) - 0.5
    axes.pcolormesh(edges, np.arange(len(distances) + 1), shades)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(len(distances), 0))
    axes.set_yticks(np.arange(len(distances)) + 0.5, [str(name) for name in distances.index])
    axes.grid(False)
    _dates([axes], ticks=12)
    # Else the page shows through between the cells, as hair lines.
    return _svg(figure, "distance of each feature by day", 'shape-rendering="crispEdges"')


@matplotlib.rc_context(STYLE)
def latency(days: pd.DataFrame, milliseconds: NDArray[np.float64]) -> Markup:
    """Return median and 99th percentile by day, where days have matured, beside the distribution of all answers."""
    known = days.dropna(subset=["milliseconds", "milliseconds_p99"])
    figure = new_figure(WIDTH if len(known) else 440, 260)
    if len(known):
        axes = new_axes(figure, LEFT, 28, 580, 180)
        axes.set(title="by day, milliseconds", xlim=_span(known["day"], least=7))
        for name, dashes in (("milliseconds", SOLID), ("milliseconds_p99", DASHED)):
            axes.plot(_noon(known["day"]), known[name], color=INK["v0"], dashes=dashes, marker="o", markersize=3)
        if known["milliseconds_p99"].max() > 15 * known["milliseconds"].median():
            axes.set_yscale("log")
            _plain_log(axes.yaxis)
        else:
            axes.set_ylim(bottom=0)
        _dates([axes], ticks=9)
    axes = new_axes(figure, 700 if len(known) else LEFT, 28, 326, 180)
    low = max(float(milliseconds.min()), 1e-3) / 1.2
    edges = np.geomspace(low, max(float(milliseconds.max()) * 1.2, low * 10), 45)
    counts, _ = np.histogram(np.maximum(milliseconds, low), edges)
    axes.stairs(counts / len(milliseconds), edges, fill=True, color=INK["mute"], alpha=0.5)
    axes.set(title="share of all answers", xscale="log", xlim=(edges[0], edges[-1]), xlabel="milliseconds")
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(PERCENT)
    _plain_log(axes.xaxis)
    for quantile, dashes in ((0.5, SOLID), (0.99, DASHED)):
        axes.axvline(float(np.quantile(milliseconds, quantile)), color=INK["v0"], dashes=dashes)
    return _svg(figure, "how long the server took")


def label_lanes(places: Sequence[float], widths: Sequence[float]) -> list[int]:
    """Return the lane of each label, 0 the lowest, so that no label covers another one or another one's line.

    A label starts at its line (`places`, in order) and runs to the right. It goes above all whose line it would meet.
    """
    lanes = [0] * len(places)
    for mine in reversed(range(len(places))):
        reach = places[mine] + widths[mine]
        met = [lanes[other] for other in range(mine + 1, len(places)) if places[other] <= reach]
        lanes[mine] = max(met, default=-1) + 1
    return lanes


def _auc(axes: Axes, days: pd.DataFrame, colours: Mapping[str, str], thin: bool = False) -> None:
    """Draw points with their intervals, coloured by version, and the rolling mean of seven days over them."""
    wide, size = (2, 3) if thin else (5, 6)
    known = days.dropna(subset=["auc"])
    for version, rows in known.groupby("version"):
        at, colour = _noon(rows["day"]), INK[colours[str(version)]]
        axes.vlines(at, rows["auc_low"], rows["auc_high"], color=colour, alpha=0.3, linewidth=wide)
        axes.plot(at, rows["auc"], color=colour, linestyle="none", marker="o", markersize=size)
    mean = known.set_index("day")["auc"].rolling("7D", min_periods=3).mean()
    axes.plot(_noon(mean.index), mean, color="black")
    axes.margins(y=0.06)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2f}"))
    if known["auc_low"].min() < 0.55 and not thin:
        axes.axhline(0.5, color=INK["red"], linewidth=1, dashes=DOTTED)
        place: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
        axes.annotate("guessing", (0, 0.5), (2, -3), color=INK["red"], va="top", fontsize=11, **place)


def _noon(days: Any) -> NDArray[np.float64]:
    """Return the middle of each day, in days since 1970: what ends a day is then to the right of it on the axis."""
    return np.asarray(days, dtype="datetime64[D]").astype(np.float64) + 0.5


def _span(days: Any, least: int = 1) -> tuple[float, float]:
    """Return the ends of an axis of days that has room for `least` of them."""
    noon = _noon(days)
    first = float(noon.min()) - 0.6
    return first, max(float(noon.max()) + 0.6, first + least + 0.2)


def _dates(panels: Sequence[Axes], ticks: int) -> None:
    """Name at most `ticks` days under the last panel, evenly; the other panels share its axis."""
    first, last = panels[-1].get_xlim()
    start = np.ceil(first - 0.5)
    step = next((step for step in (1, 2, 4, 7, 14, 28) if (last - start) / step <= ticks), 56)
    places = np.arange(start, last - 0.4, step) + 0.5
    days = [pd.Timestamp(place, unit="D") for place in np.floor(places)]
    for axes in panels:
        axes.set_xticks(places, [f"{day.day} {day:%b}" if axes is panels[-1] else "" for day in days])


def _plain_log(axis: Axis) -> None:
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _svg(figure: Figure, label: str, attributes: str = "") -> Markup:
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": label}):  # the same data give the same bytes
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # else addresses of vocabularies get in
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    body = buffer.getvalue().partition("<svg")[2].partition(">")[2]
    # Names that another figure of the page has as well, and an attribute that HTML no longer needs a namespace for.
    body = re.sub(r' id="[A-Za-z.]+(2d)?_\d+"', "", body).replace("xlink:href", "href")
    for light, variable in [("#000000", "currentColor"), *((INK[name], f"var(--{name})") for name in INK)]:
        body = body.replace(light, variable)
    x, y = figure.get_size_inches() * 72
    size = f'viewBox="0 0 {x:.0f} {y:.0f}" style="max-width: {x:.0f}px"'
    return Markup(f'<svg {size} {attributes} role="img" aria-label="{escape(label)}">{body}')
