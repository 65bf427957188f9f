"""Which planted fault was named, with which cause and when, and which page no fault explains: read off the events."""

from collections.abc import Sequence
from datetime import datetime

from ..lake import day_of
from ..monitoring.events import Event
from ..monitoring.policy import Cause
from ..monitoring.replayed import Planted
from .faults import Fault, Injection
from .verdict import Finding

PAGE = "page"
JOINED_WRONGLY = "its labels joined wrongly"  # how the replay tells the refusal of that candidate


def detect(planted: Sequence[Injection], events: Sequence[Event]) -> list[Planted]:
    """Return what was said of each fault, in the order of their days."""
    return [_detect(item, events) for item in sorted(planted, key=lambda item: item.struck_at)]


def unfounded(planted: Sequence[Injection], events: Sequence[Event]) -> list[str]:
    """Return the pages that came when no fault was there and none had just been."""
    return [
        f"{event.at:%Y-%m-%d}: {event.text}"
        for event in events
        if event.kind == PAGE and not any(item.day <= day_of(event.at) <= item.over for item in planted)
    ]


def findings(found: Sequence[Planted], planted: Sequence[Injection], until: datetime) -> list[Finding]:
    """Return a finding for each fault that had to be named before `until`, when the replay ended."""
    due = {(str(item.fault), item.day) for item in planted if item.deadline <= until}
    return [
        Finding(
            f"{item.fault} of {item.day} was named as a matter of {item.cause}", item.named_at is not None, _seen(item)
        )
        for item in found
        if (item.fault, item.day) in due
    ]


def _detect(item: Injection, events: Sequence[Event]) -> Planted:
    named = [event for event in events if item.struck_at <= event.at <= item.deadline and _names(item, event)]
    if not named:
        return Planted(item.fault, item.day, item.fault.cause, None, 0.0, "")
    first = min(named, key=lambda event: event.at)
    minutes = (first.at - item.struck_at).total_seconds() / 60
    return Planted(item.fault, item.day, item.fault.cause, first.at, minutes, first.text)


def _names(item: Injection, event: Event) -> bool:
    if item.fault is Fault.BAD_CANDIDATE:
        return event.kind == "refuse" and JOINED_WRONGLY in event.text
    if item.fault is Fault.FORCED_PROMOTION:
        return event.kind == "roll back"
    # Of the data, a page names the day; one of another day is about another fault.
    about = f" of {item.day}" if item.fault.cause in (Cause.DATA, Cause.FRESHNESS) else ""
    return event.kind == PAGE and event.text.startswith(f"{item.fault.cause}: ") and about in event.text


def _seen(item: Planted) -> str:
    if item.named_at is None:
        return "it was not named in time"
    after = f"{item.minutes / 1440:.0f} day(s)" if item.minutes >= 1440 else f"{item.minutes:.0f} minutes"
    return f"after {after}: {item.said}"
