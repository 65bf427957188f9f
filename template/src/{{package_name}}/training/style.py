"""The look of every figure, of a training and of the report: colours, type, and axes placed in pixels."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

# Name -> light and dark.
THEME = {
    "mute": ("#5c6672", "#a3adb8"),
    "grid": ("#e1e5ea", "#333b45"),
    "green": ("#2b8a3e", "#69d084"),
    "red": ("#c92a2b", "#ff8787"),
    "amber": ("#b86e00", "#f2b84b"),
    "slate": ("#48566a", "#b4c0d0"),
    "v0": ("#2f6fd6", "#74a9ff"),
    "v1": ("#d9731a", "#ffa657"),
    "v2": ("#8250c4", "#bf9bff"),
    "v3": ("#0f8f8c", "#4fd1c5"),
    "v4": ("#c2478f", "#ff8ccb"),
    "v5": ("#6f7d1c", "#c6d15c"),
    "v6": ("#8c5a3c", "#d9a583"),
    "v7": ("#3f8fb5", "#8fd3f0"),
}
VERSIONS = ("v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7")  # the models' versions take these in turn
INK = {name: light for name, (light, _) in THEME.items()}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": INK["grid"],
    "axes.labelcolor": INK["mute"],
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": INK["grid"],
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "xtick.color": INK["grid"],
    "xtick.labelcolor": INK["mute"],
    "ytick.labelcolor": INK["mute"],
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}
SOLID, DASHED, DOTTED = (1, 0), (4, 2), (3, 3)
PERCENT = FuncFormatter(lambda value, _: f"{round(100 * value, 2):g}%")


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in pixels."""
    return Figure(figsize=(width / 72, height / 72), dpi=72)


def new_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return axes at a place in pixels from the top left corner."""
    x, y = figure.get_size_inches() * 72
    return figure.add_axes((left / x, 1 - (top + height) / y, width / x, height / y))
