"""What the HTTP API takes and gives. Bad input is refused here, with one sentence, before anything is computed."""

from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from .. import problem


class PredictionRequest(BaseModel):
    """One or more rows, answered together and in order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: list[problem.Request] = Field(min_length=1, validation_alias=problem.ROWS)

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return problem.REQUEST as arrays of n values; instants as int64 UTC seconds."""
        return {name: _array([getattr(row, name) for row in self.rows]) for name in problem.REQUEST}


class ModelName(BaseModel):
    """Which model answered."""

    name: str
    version: str


class Prediction(BaseModel):
    """The answer for one row."""

    score: float = Field(ge=0, le=1, serialization_alias=problem.SCORE, description=problem.SCORE_MEANING)


class PredictionResponse(BaseModel):
    """The answers in the order of the request."""

    request_id: str
    model: ModelName
    predictions: list[Prediction]


class ServedVersion(BaseModel):
    """A bundle that is in memory."""

    version: str
    digest: str
    trained_since: str
    trained_until: str
    metrics: dict[str, float]
    forced: str | None = Field(description="why it serves against its gates; null when it passed them")


class ModelResponse(BaseModel):
    """What answers and what shadows."""

    name: str
    champion: ServedVersion | None
    shadows: dict[str, ServedVersion]


class Problem(BaseModel):
    """An error, as RFC 9457 describes it."""

    title: str
    status: int
    detail: str


def _array(values: list[Any]) -> NDArray[np.generic]:
    if isinstance(values[0], datetime):
        return np.array([int(instant.timestamp()) for instant in values], dtype=np.int64)
    numbers = all(isinstance(value, int | float) for value in values)
    return np.array(values, dtype=None if numbers else object)
