"""The faults that can be planted on a day of the replay, and what monitoring has to say of each, and by when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Self

import numpy as np
import pandas as pd

from ..errors import UserError
from ..lake import midnight
from ..monitoring.policy import Cause
from ..problem import LABEL_DELAY, POLICY, ROUND

DAY = timedelta(days=1)
FIRST_WEEK = timedelta(days=7)
STRUCK_AT = timedelta(hours=16)  # UTC, into the day: when a fault of the service begins


class Fault(StrEnum):
    """What goes wrong."""

    OTHER_UNITS = "other-units"
    """For three days a source delivers a column in other units. The right rows come on the morning after."""
    LATE_PARTITION = "late-partition"
    """The day's labels are delivered a day late."""
    DUPLICATE_PARTITION = "duplicate-partition"
    """The labels of the day before are delivered once more, as the day's own; the right ones come a day later."""
    BAD_CANDIDATE = "bad-candidate"
    """A training job whose labels were joined to the wrong rows, registered as any other."""
    FORCED_PROMOTION = "forced-promotion"
    """The same, and somebody promotes it against the verdict of the gates."""
    REGISTRY_OUTAGE = "registry-outage"
    """The registry cannot be reached for four hours."""
    KILLED_SERVER = "killed-server"
    """The server is killed between two requests."""
    STORE_AWAY = "store-away"
    """The online store can neither be read nor written for an hour."""
    SLOW_SERVICE = "slow-service"
    """Each answer takes a second longer for an hour."""

    @property
    def days(self) -> int:
        """How many days it lasts."""
        return 3 if self is Fault.OTHER_UNITS else 1

    @property
    def cause(self) -> Cause:
        """What monitoring has to name."""
        return CAUSES[self][0]


# What has to be named, and how long after the fault struck at the latest. What a day delivers is there when the next
# one begins, and the run of that day speaks of it.
CAUSES = {
    Fault.OTHER_UNITS: (Cause.DATA, 2 * DAY),
    Fault.LATE_PARTITION: (Cause.FRESHNESS, 2 * DAY),
    Fault.DUPLICATE_PARTITION: (Cause.DATA, 2 * DAY),
    Fault.BAD_CANDIDATE: (Cause.MODEL, DAY),
    Fault.FORCED_PROMOTION: (Cause.MODEL, DAY + LABEL_DELAY + FIRST_WEEK),
    Fault.REGISTRY_OUTAGE: (Cause.SERVICE, ROUND),
    Fault.KILLED_SERVER: (Cause.SERVICE, ROUND),
    Fault.STORE_AWAY: (Cause.SERVICE, ROUND),
    Fault.SLOW_SERVICE: (Cause.SERVICE, ROUND),
}
LASTS = {
    Fault.REGISTRY_OUTAGE: timedelta(hours=4),
    Fault.STORE_AWAY: timedelta(hours=1),
    Fault.SLOW_SERVICE: timedelta(hours=1),
}
# For so long after its last day a fault has consequences that are its own: labels that mature late, features that were
# served before a partition came, a comparison with what served before.
ECHO = max(LABEL_DELAY, POLICY.rollback_days * DAY) + DAY


@dataclass(frozen=True)
class Injection:
    """A fault and the UTC day it is planted on."""

    fault: Fault
    day: date

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return FAULT@DATE. Raises UserError naming the faults there are."""
        name, _, day = text.partition("@")
        try:
            return cls(Fault(name), date.fromisoformat(day))
        except ValueError as error:
            known = ", ".join(Fault)
            raise UserError(f"{text!r} is not FAULT@DATE; faults are {known}, a date is like 2013-05-04") from error

    def __str__(self) -> str:
        return f"{self.fault}@{self.day}"

    @property
    def struck_at(self) -> datetime:
        """When it begins (aware): a fault of the service at STRUCK_AT, any other with its day."""
        return midnight(self.day) + (STRUCK_AT if self.fault.cause is Cause.SERVICE else timedelta(0))

    @property
    def deadline(self) -> datetime:
        """By when monitoring has named it."""
        return self.struck_at + CAUSES[self.fault][1]

    @property
    def over(self) -> date:
        """The last day on which what monitoring says may be a consequence of it."""
        named = max(self.deadline.date(), self.day + (self.fault.days - 1) * DAY)
        return named + ECHO


def schedule(seed: int, since: date, until: date) -> Sequence[Injection]:
    """Return faults in an order and on days of [since, until] that `seed` chooses: each once, as long as they fit.

    None is planted in the consequences of another. Raises UserError when not even one fits.
    """
    random = np.random.default_rng(seed)
    length = (until - since).days + 1
    faults, spare = list[Fault](), length
    for fault in (Fault(name) for name in random.permutation(list(Fault))):
        if (takes := _takes(fault)) <= spare:
            faults.append(fault)
            spare -= takes
    if not faults:
        raise UserError(f"no fault and its consequences fit into {length} day(s); choose a later --to")
    planted, day = list[Injection](), since
    for fault, gap in zip(faults, np.diff([0, *sorted(random.integers(0, spare + 1, len(faults)))]), strict=True):
        day += int(gap) * DAY
        planted.append(Injection(fault, day))
        day += _takes(fault) * DAY
    return planted


def _takes(fault: Fault) -> int:
    """Return for how many days a fault, or what it leads to, may be spoken of."""
    return (Injection(fault, date.min).over - date.min).days + 1


def wrong_join(rows: pd.DataFrame, test: date, seed: int) -> pd.DataFrame:
    """Return training rows in which every row before the test day has some other row's outcome."""
    before = (rows["day"] < test).to_numpy()
    labels = rows["label"].to_numpy(dtype=bool).copy()
    labels[before] = np.random.default_rng(seed).permutation(labels[before])
    return rows.assign(label=labels)
