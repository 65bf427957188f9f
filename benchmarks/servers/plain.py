"""What most would write first: a FastAPI handler with pydantic models and onnxruntime, and nothing around it.

It takes the same request as ours, and looks nothing up: what a feature view would tell is missing.
"""

import sys
from datetime import datetime

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field


class Flight(BaseModel):
    """One scheduled flight."""

    carrier: str = Field(pattern="^[A-Z0-9]{2}$")
    flight: int = Field(ge=1, le=9999)
    origin: str = Field(pattern="^[A-Z0-9]{3}$")
    dest: str = Field(pattern="^[A-Z0-9]{3}$")
    tailnum: str | None = None
    scheduled_departure: datetime
    scheduled_arrival: datetime


class Request(BaseModel):
    """Some flights."""

    flights: list[Flight]


class Prediction(BaseModel):
    """The answer for a flight."""

    late_probability: float


class Answer(BaseModel):
    """The answers in their order."""

    predictions: list[Prediction]


options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[2], options)
(taken,) = session.get_inputs()
app = FastAPI()


@app.post("/v1/predictions")
async def predict(request: Request) -> Answer:
    """Score some flights."""
    inputs = np.full((len(request.flights), taken.shape[1]), np.nan, np.float32)
    inputs[:, :3] = [
        (
            60 * flight.scheduled_departure.hour + flight.scheduled_departure.minute,
            flight.scheduled_departure.weekday(),
            (flight.scheduled_arrival - flight.scheduled_departure).total_seconds() / 60,
        )
        for flight in request.flights
    ]
    scores = session.run(None, {taken.name: inputs})[1][:, 1]
    return Answer(predictions=[Prediction(late_probability=score) for score in scores.tolist()])


uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
