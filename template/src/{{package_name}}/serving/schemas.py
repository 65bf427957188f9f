"""What the HTTP API takes and gives. Bad input is refused here, with one sentence, before anything is computed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .. import problem

NUMBERS = {int, float, bool}
EXAMPLE = {name: field.examples[0] for name, field in problem.Request.model_fields.items() if field.examples}

# Where the validator's own words do not say what to do.
HINTS = {
    "extra_forbidden": "there is no such field; remove it",
    "missing": "this field is missing; add it",
    "too_short": "there is nothing in it; send at least one",
    "timezone_aware": "the instant has no time zone; write it like 2013-04-02T10:15:00Z",
    "datetime_type": "this is no instant; write it like 2013-04-02T10:15:00Z",
}

encode = msgspec.json.Encoder().encode


class PredictionRequest(BaseModel):
    """One or more rows, answered together and in order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: list[problem.Request] = Field(min_length=1, validation_alias=problem.ROWS, examples=[[EXAMPLE]])

    def columns(self) -> dict[str, Any]:
        """Return problem.REQUEST: of one row its values, of n rows arrays of n; instants as (int64) UTC seconds."""
        if len(self.rows) == 1:
            return {name: _plain(value) for name, value in self.rows[0].__dict__.items()}
        rows = [row.__dict__ for row in self.rows]
        return {name: _array([row[name] for row in rows]) for name in problem.REQUEST}


class ModelName(BaseModel):
    """Which model answered."""

    name: str = Field(examples=[problem.NAME])
    version: str = Field(examples=["3"])


class Prediction(BaseModel):
    """The answer for one row."""

    score: float = Field(
        ge=0, le=1, serialization_alias=problem.SCORE, description=problem.SCORE_MEANING, examples=[0.184]
    )


class PredictionResponse(BaseModel):
    """The answers in the order of the request. `answer_body` writes it."""

    request_id: str = Field(description="of the header x-request-id, or a new one", examples=["a1b2c3"])
    model: ModelName
    predictions: list[Prediction]
    degraded: list[str] = Field(
        description="what was away, so that its part of the inputs was missing; empty as a rule", examples=[[]]
    )


class ServedVersion(BaseModel):
    """A bundle that is in memory."""

    version: str = Field(examples=["3"])
    digest: str = Field(description="sha256 of the bundle, as the registry has it")
    trained_since: str = Field(
        description="fitted on predictions from the midnight (UTC) of this day", examples=["2013-01-01"]
    )
    trained_until: str = Field(description="until before the midnight of this day", examples=["2013-03-25"])
    tested_until: str = Field(
        description="the metrics are of predictions until before this day", examples=["2013-04-01"]
    )
    data_fingerprint: str = Field(description="a hash of the training rows")
    definitions: dict[str, str] = Field(description="of each feature view, the hash of its definition")
    metrics: dict[str, float]
    forced: str | None = Field(description="why it serves against its gates; null when it passed them")


class ModelResponse(BaseModel):
    """What answers and what shadows."""

    name: str = Field(examples=[problem.NAME])
    champion: ServedVersion | None = Field(description="what answers; null before the first one is loaded")
    shadows: dict[str, ServedVersion] = Field(description="what scores each request after it was answered, by alias")


class Live(BaseModel):
    """This process can answer."""

    status: str = Field(examples=["live"])


class Ready(BaseModel):
    """This process should get traffic."""

    status: str = Field(examples=["ready"])
    degraded: list[str] = Field(description="what is away, so that answers lack a part of their inputs", examples=[[]])


class Problem(BaseModel):
    """An error, as RFC 9457 describes it."""

    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(description="one sentence that says what is wrong and what to do")


def answer_body(request_id: str, version: str, scores: Sequence[float], degraded: Sequence[str]) -> bytes:
    """Return a PredictionResponse as JSON."""
    return encode(
        {
            "request_id": request_id,
            "model": {"name": problem.NAME, "version": version},
            "predictions": [{problem.SCORE: score} for score in scores],
            "degraded": degraded,
        }
    )


def first_error(error: ValidationError) -> str:
    """Return one sentence about the first thing that is wrong in a body."""
    first: Any = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return f"the body is not JSON: {first['ctx']['error']}"
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return f"{where}: {HINTS.get(first['type'], first['msg'])}"


def _plain(value: Any) -> Any:
    return int(value.timestamp()) if value.__class__ is datetime else value


def _array(values: list[Any]) -> NDArray[np.generic]:
    if isinstance(values[0], datetime):
        return np.array([int(instant.timestamp()) for instant in values], np.int64)
    return np.array(values, None if NUMBERS.issuperset(map(type, values)) else object)
