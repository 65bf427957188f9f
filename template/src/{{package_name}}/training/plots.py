"""What people look at of one training, as PNG: pure functions from arrays to bytes, the same bytes for the same arrays.

The model stands beside those that were trained with it, under the names and in the colours of MODELS everywhere.
"""

import io
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.metrics import log_loss, roc_curve

from ..problem import LABEL
from .evaluate import Labels, Scores, auc, calibration_bins, calibration_error
from .style import DASHED, DOTTED, INK, PERCENT, SOLID, STYLE, new_axes, new_figure

MODELS = {"the model": "v0", "logistic regression": "v1", "the baseline": "mute"}
SHOWN = 20  # features by importance
SIDE = 420


@matplotlib.rc_context(STYLE)
def roc(labels: Labels, scores: Mapping[str, Scores]) -> bytes:
    """Return the ROC curve of each of MODELS on the test rows."""
    figure = new_figure(SIDE + 100, SIDE + 110)
    axes = _square(figure, "ROC on the test week", 1.0)
    for name, values in scores.items():
        false, true, _ = roc_curve(labels, values)
        axes.plot(false, true, color=INK[MODELS[name]], dashes=SOLID)
    notes = {name: f"{name}, AUC {auc(labels, values):.3f}" for name, values in scores.items()}
    _named(axes, notes)
    axes.set(xlabel=f"share of the rows that were not {LABEL}, wrongly called so")
    axes.set(ylabel=f"share of the rows that were {LABEL}, called so")
    return _png(figure)


@matplotlib.rc_context(STYLE)
def calibration(labels: Labels, scores: Mapping[str, Scores]) -> bytes:
    """Return the reliability of each of MODELS on the test rows, a point a tenth of the rows."""
    bins = {name: calibration_bins(labels, values) for name, values in scores.items()}
    highest = max(float(found[["predicted", "observed"]].to_numpy().max()) for found in bins.values())
    figure = new_figure(SIDE + 100, SIDE + 110)
    axes = _square(figure, "Calibration on the test week", min(1.0, np.ceil(highest * 10 + 0.5) / 10))
    for name, found in bins.items():
        axes.plot(found["predicted"], found["observed"], color=INK[MODELS[name]], marker="o")
    notes = {name: f"{name}, error {calibration_error(labels, values):.3f}" for name, values in scores.items()}
    _named(axes, notes)
    axes.set(xlabel="predicted probability, mean of a tenth of the rows", ylabel=f"share that was {LABEL}")
    return _png(figure)


@matplotlib.rc_context(STYLE)
def importance(gains: Mapping[str, float]) -> bytes:
    """Return the features' shares of the total gain, the largest first; `gains` is by feature, in any unit."""
    total = sum(gains.values()) or 1.0
    shown = sorted(gains.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
    shares = np.array([gain / total for _, gain in shown])
    height = 22 * len(shown)
    figure = new_figure(760, height + 90)
    axes = new_axes(figure, 240, 40, 440, height)
    axes.barh(np.arange(len(shown)), shares, height=0.7, color=INK["v0"])
    for row, share in enumerate(shares):
        axes.annotate(f"{share:.1%}", (share, row), (4, 0), textcoords="offset points", va="center", fontsize=11)
    axes.set(
        ylim=(len(shown) - 0.5, -0.5),
        xlim=(0, shares.max() * 1.02 or 1.0),
        xlabel="share of the total gain of all splits",
    )
    axes.set_yticks(np.arange(len(shown)), [name for name, _ in shown])
    axes.xaxis.set_major_formatter(PERCENT)
    axes.grid(False)
    axes.set_title(f"What the model looks at: {len(shown)} of {len(gains)} inputs", x=-0.5)
    return _png(figure)


def by_month(months: NDArray[np.datetime64], labels: Labels, scores: Scores) -> pd.DataFrame:
    """Return `month`, `rows`, `log_loss`, `observed` and `predicted` (mean) of each calendar month (UTC)."""
    found = [(month, labels[months == month], scores[months == month]) for month in np.unique(months)]
    return pd.DataFrame(
        [
            (
                f"{pd.Timestamp(month):%b %Y}",
                len(known),
                log_loss(known, score, labels=[False, True]),
                known.mean(),
                score.mean(),
            )
            for month, known, score in found
        ],
        columns=["month", "rows", "log_loss", "observed", "predicted"],
    )


@matplotlib.rc_context(STYLE)
def months(fitted: pd.DataFrame, test: pd.DataFrame) -> bytes:
    """Return log loss, and the observed and the predicted rate, by month: of fitted rows, then of the test rows.

    Both frames are by_month's.
    """
    rows = pd.concat([fitted, test], ignore_index=True)
    places, new = np.arange(len(rows)), len(fitted)
    width = max(440, 84 * len(rows))
    figure = new_figure(width + 230, 396)
    panels = [new_axes(figure, 62, top, width, 130) for top in (40, 190)]
    for axes in panels:
        axes.axvspan(new - 0.5, len(rows) - 0.5, color=INK["amber"], alpha=0.1, linewidth=0)
        axes.set(xlim=(-0.5, len(rows) - 0.5))
        axes.set_xticks(places, [""] * len(rows))
    lift = 9 if rows["predicted"].iloc[-1] > rows["observed"].iloc[-1] else -9  # so that the names do not meet
    _line(panels[0], rows["log_loss"], new, "the model", "v0", SOLID, 0)
    _line(panels[1], rows["predicted"], new, "predicted, mean", "amber", DASHED, lift)
    _line(panels[1], rows["observed"], new, f"{LABEL}, observed", "slate", SOLID, -lift)
    panels[0].set(ylabel="log loss, nats", ylim=(0, rows["log_loss"].max() * 1.3))
    panels[1].set(ylabel=f"share {LABEL}", ylim=(0, rows[["observed", "predicted"]].to_numpy().max() * 1.2))
    panels[1].yaxis.set_major_formatter(PERCENT)
    panels[1].set_xticks(
        places, [f"{month}\n{count:,} rows" for month, count in zip(rows["month"], rows["rows"], strict=True)]
    )
    panels[1].set_xlabel("month of the prediction (UTC)")
    for text, place in (("fitted", -0.42), ("test week", new - 0.42)):
        panels[0].text(place, 0.95, text, transform=panels[0].get_xaxis_transform(), va="top", color=INK["mute"])
    panels[0].set_title("Error by month")
    return _png(figure)


def _line(axes: Axes, values: pd.Series, new: int, name: str, colour: str, dashes: tuple[int, int], lift: int) -> None:
    """Draw what was fitted as a line and what tests apart from it, and name it on the right, `lift` points higher."""
    places, ink = np.arange(len(values)), INK[colour]
    axes.plot(places[:new], values[:new], color=ink, dashes=dashes, marker="o")
    axes.plot(places[new:], values[new:], color=ink, linestyle="none", marker="D", markersize=7)
    end = (len(values) - 0.5, float(values.iloc[-1]))
    axes.annotate(name, end, (8, lift), textcoords="offset points", color=ink, va="center", annotation_clip=False)


def _square(figure: Figure, title: str, limit: float) -> Axes:
    """Return axes whose two sides have one scale, with the diagonal."""
    axes = new_axes(figure, 74, 40, SIDE, SIDE)
    axes.set_title(title)
    axes.plot([0, limit], [0, limit], color=INK["mute"], linewidth=1, dashes=DOTTED)
    axes.set(xlim=(0, limit), ylim=(0, limit))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(PERCENT)
    return axes


def _named(axes: Axes, notes: Mapping[str, str]) -> None:
    """Write a note on each model into the lower right corner, in its colour, the first on top."""
    for row, (name, note) in enumerate(reversed(list(notes.items()))):
        place: dict[str, Any] = {"transform": axes.transAxes, "ha": "right", "fontweight": "bold"}
        axes.text(0.97, 0.05 + 0.055 * row, note, color=INK[MODELS[name]], **place)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=108, metadata={"Software": None})
    return buffer.getvalue()
