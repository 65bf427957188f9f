"""The faults that can be planted on a day of the replay."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Self

import numpy as np
import pandas as pd

from ..errors import UserError


class Fault(StrEnum):
    """What goes wrong."""

    BAD_CANDIDATE = "bad-candidate"
    """A training job whose labels were joined to the wrong rows, registered as any other."""
    FORCED_PROMOTION = "forced-promotion"
    """The same, and somebody promotes it against the verdict of the gates."""
    KILLED_SERVER = "killed-server"
    """The server is killed between two requests at noon and started again."""


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


def wrong_join(rows: pd.DataFrame, test: date, seed: int) -> pd.DataFrame:
    """Return training rows in which every row before the test day has some other row's outcome."""
    before = (rows["day"] < test).to_numpy()
    labels = rows["label"].to_numpy(dtype=bool).copy()
    labels[before] = np.random.default_rng(seed).permutation(labels[before])
    return rows.assign(label=labels)
