"""The nightly job of a replay, land and build: it has until BATCH_DELAY after midnight."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta

from ..operations import Project
from .beside import Done, answer
from .deliveries import delivered
from .faults import Injection

CORRECTED = timedelta(days=14)  # how late a partition may come and still become features, as of a nightly job


def delivering(project: Project, injections: Sequence[Injection], morning: date) -> Project:
    """Return the project as its sources deliver to it on the morning of a UTC day."""
    return replace(project, sources=delivered(project.sources, injections, morning))


def work(
    project: Project, injections: Sequence[Injection], mornings: Iterable[str], say: Callable[[str], None]
) -> None:
    """Land and build for each morning that comes in, with the faults of its deliveries, and say what it took."""
    began = 0.0  # the start of the process is the first night's

    def night(line: str) -> Iterator[Done]:
        nonlocal began
        morning = date.fromisoformat(line)
        delivering(project, injections, morning).land(morning)
        landed = time.process_time()
        project.build(morning - CORRECTED, morning)
        now = time.process_time()
        yield Done({"land": landed - began, "build": now - landed})
        began = now

    answer(mornings, night, say)
