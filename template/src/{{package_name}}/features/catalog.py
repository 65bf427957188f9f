"""What the feature views are and why they exist, from their definitions: the rows of `features list` and the page."""

from collections.abc import Iterable
from datetime import timedelta

from .feature_view import FeatureView

HEADER = ("view", "entity", "features", "source", "available", "ttl", "streaming", "why")
PAGE = """# The feature views

Made from `features/views.py` by `make docs`. Do not edit it here.

A row of a view is one value for one entity, and the instant from which it could be known. Training takes, for each
prediction, the last row that was **available** by then; the online store holds the last one of each entity. One that
is older than its **ttl** reads as missing in both. **Streaming** views are brought up to date every round, the others
by the nightly build. The table says what each view is and why it exists, the sections below it why its times are what
they are. `features explain VIEW KEY=VALUE...` shows the row that one prediction took, and what it was made of.

"""


def listing(view: FeatureView) -> tuple[str, ...]:
    """Return the view's cell under each name of HEADER."""
    return (
        view.name,
        ", ".join(view.keys),
        ", ".join(view.features),
        view.source,
        available(view),
        span(view.ttl),
        "yes" if view.streaming else "no",
        view.why,
    )


def columns(view: FeatureView) -> list[dict[str, str]]:
    """Return the name and type of each column of the view's rows, in order, for catalogs outside of the project.

    A type is boolean, float64, int64, string or timestamp (of an instant: its values are UTC).
    """
    held = view.unbound.schema().items()
    return [{"name": name, "type": "timestamp" if type_.is_timestamp() else str(type_)} for name, type_ in held]


def available(view: FeatureView) -> str:
    """Return when a row of the view becomes available."""
    daily = view.step == timedelta(days=1)
    made = "daily" if daily else f"every {span(view.step)}" if view.step else "with each source row"
    end = "midnight UTC" if daily else "it"
    return f"{made}, {span(view.delay)} after {end}" if view.delay else made


def span(length: timedelta) -> str:
    """Return a length of time in its largest units: 2 d, 3 h, 15 min, 1 h 30 min."""
    rest = int(length.total_seconds())
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        parts += [f"{count} {unit}"] if count else []
    return " ".join(parts) or "0 s"


def page(views: Iterable[FeatureView], about: str = "") -> str:
    """Return docs/features.md: how to read it, a table of the views, and the reasons for the times of each.

    `about` is the docstring of the module that defines them; what stands below its first line is part of the page.
    """
    views = list(views)
    table = [HEADER, ("---",) * len(HEADER), *map(listing, views)]
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in table]
    more = about.partition("\n\n")[2].strip()
    return PAGE + (f"{more}\n\n" if more else "") + "\n".join(lines) + "\n" + "".join(map(_section, views))


def _section(view: FeatureView) -> str:
    windows = dict.fromkeys(span(window) for window in view.windows.values() if window)
    reach = f" over the last {' and '.join(windows)}" if windows else ""
    return f"""
## {view.name}

- **Entity**: {view.entity}. Key: {_names(view.keys)}.
- **Features**: {_names(view.features)}, from {view.source}{reach}.
- **Available** {available(view)}. {view.why_then}
- **ttl** {span(view.ttl)}. {view.why_ttl}
"""


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
