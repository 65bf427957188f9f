"""How the report says a number, a day or a list."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def listed(parts: Sequence[str]) -> str:
    """Return parts as a list in words: a, b and c."""
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def count(number: int, noun: str) -> str:
    """Return how many there are of something."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def times(number: int) -> str:
    """Return how often something happened."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def short(day: Any) -> str:
    """Return a date or an instant as its day, without the year."""
    return f"{day.day} {day:%b}"


def day(day: Any) -> str:
    """Return a date or an instant as its day, such as 8 Apr 2013."""
    return f"{day.day} {day:%b %Y}"


def span(first: Any, last: Any) -> str:
    """Return the days from the first to the last."""
    if first == last:
        return day(last)
    if first.year != last.year:
        return f"{day(first)} to {day(last)}"
    return f"{first.day if first.month == last.month else short(first)} to {day(last)}"


def number(value: float, form: str = ",.4g") -> str:
    """Return a number, or a dash where there is none."""
    return f"{value:{form}}" if pd.notna(value) and np.isfinite(value) else "-"
