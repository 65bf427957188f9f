"""What the HTTP API takes and gives. Bad input is refused here, with one sentence, before anything is computed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from .. import problem
from ..errors import fault

PREDICTIONS = "/v1/predictions"
INVOCATIONS = "/invocations"  # what SageMaker calls it
LIVE, READY = "/healthz/live", "/healthz/ready"
PING = "/ping"  # what SageMaker calls READY

NUMBERS = {int, float, bool}
FIELDS = msgspec.json.schema(problem.Request)["$defs"][problem.Request.__name__]["properties"]
EXAMPLE = {name: about["examples"][0] for name, about in FIELDS.items() if "examples" in about}
Rows = Annotated[list[problem.Request], Meta(min_length=1, examples=[[EXAMPLE]])]


class PredictionRequest(Struct, frozen=True, forbid_unknown_fields=True, rename={"rows": problem.ROWS}):
    """One or more rows, answered together and in order."""

    rows: Rows


# What stands in the OpenAPI description for it. There `$` is the end and nothing else, so that `(?!\n)` says nothing.
(SCHEMA,), python = msgspec.json.schema_components([PredictionRequest], ref_template="#/components/schemas/{name}")
SCHEMAS = msgspec.json.decode(msgspec.json.encode(python).replace(rb"(?!\\n)$", b"$"))
BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": SCHEMA}}}}

decode = msgspec.json.Decoder(PredictionRequest).decode
encode = msgspec.json.Encoder().encode


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


def columns(rows: Sequence[problem.Request]) -> dict[str, Any]:
    """Return problem.REQUEST: of one row its values, of n rows arrays of n; instants as (int64) UTC seconds."""
    values = map(msgspec.structs.astuple, rows)
    if len(rows) == 1:
        found = dict(zip(problem.REQUEST, next(values), strict=True))
        return found | {name: int(found[name].timestamp()) for name in problem.INSTANTS}
    return dict(zip(problem.REQUEST, map(_array, zip(*values, strict=True)), strict=True))


def refused(error: ValueError) -> str:
    """Return one sentence about the first thing for which `decode` does not take a body."""
    if not isinstance(error, msgspec.ValidationError):
        return f"the body is not JSON: {str(error).removeprefix('JSON is malformed: ')}"
    where, what = fault(error)
    return f"{where or 'body'}: {what}"


def describe_body(openapi: dict[str, Any]) -> dict[str, Any]:
    """Add what `decode` takes to an OpenAPI description that refers to it, see BODY, and return it."""
    openapi["components"]["schemas"] |= SCHEMAS
    return openapi


def _array(values: Sequence[Any]) -> NDArray[np.generic]:
    if isinstance(values[0], datetime):
        return np.array([int(instant.timestamp()) for instant in values], np.int64)
    return np.array(values, None if NUMBERS.issuperset(map(type, values)) else object)
