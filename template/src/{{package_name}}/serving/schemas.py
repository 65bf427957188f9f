"""What the HTTP API takes and gives. Bad input is refused here, with one sentence, before anything is computed."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

Airport = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{3}$")]
Carrier = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2}$")]
TailNumber = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,8}$")]

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)


class Flight(BaseModel):
    """One scheduled flight. A carrier, airport or aircraft that the model never saw is new, not wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    carrier: Carrier = Field(examples=["UA"])
    flight: int = Field(strict=True, ge=1, le=9999, examples=[1545])
    origin: Airport = Field(examples=["EWR"])
    dest: Airport = Field(examples=["IAH"])
    tailnum: TailNumber | None = Field(default=None, examples=["N14228"])
    scheduled_departure: AwareDatetime = Field(examples=["2013-04-02T10:15:00Z"])
    scheduled_arrival: AwareDatetime = Field(examples=["2013-04-02T14:19:00Z"])

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not EARLIEST <= self.scheduled_departure < LATEST:
            raise ValueError(f"scheduled_departure must lie between {EARLIEST.year} and {LATEST.year}")
        if not timedelta(0) < self.scheduled_arrival - self.scheduled_departure <= timedelta(days=1):
            raise ValueError("scheduled_arrival must be after scheduled_departure, by at most 24 hours")
        return self


class PredictionRequest(BaseModel):
    """One or more flights, answered together and in order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    flights: list[Flight] = Field(min_length=1)

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return problem.REQUEST as arrays of n values; instants as int64 UTC seconds."""
        flights = self.flights
        return {
            "carrier": np.array([flight.carrier for flight in flights], dtype=object),
            "flight": np.array([flight.flight for flight in flights], dtype=np.int64),
            "origin": np.array([flight.origin for flight in flights], dtype=object),
            "dest": np.array([flight.dest for flight in flights], dtype=object),
            "tailnum": np.array([flight.tailnum for flight in flights], dtype=object),
            "scheduled_departure": _seconds([flight.scheduled_departure for flight in flights]),
            "scheduled_arrival": _seconds([flight.scheduled_arrival for flight in flights]),
        }


class ModelName(BaseModel):
    """Which model answered."""

    name: str
    version: str


class Prediction(BaseModel):
    """The answer for one flight."""

    late_probability: float = Field(ge=0, le=1, description="that it arrives 15 or more minutes late, given it runs")


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


def _seconds(instants: list[datetime]) -> NDArray[np.int64]:
    return np.array([int(instant.timestamp()) for instant in instants], dtype=np.int64)
