"""The HTTP application: predictions, what serves, health, and errors as problem+json."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from .. import problem
from ..errors import UserError
from ..settings import Settings
from .auth import describe
from .front import Front, Reply, refusal
from .metrics import Metrics
from .predictor import CHAMPION, Predictor, Served
from .schemas import ModelName, ModelResponse, Prediction, PredictionRequest, PredictionResponse, Problem, ServedVersion
from .tracing import Traces

PREDICTIONS = "/v1/predictions"

# Where the validator's own words do not say what to do.
HINTS = {
    "extra_forbidden": "there is no such field; remove it",
    "missing": "this field is missing; add it",
    "too_short": "there is nothing in it; send at least one",
    "timezone_aware": "the instant has no time zone; write it like 2013-04-02T10:15:00Z",
}


def create_app(settings: Settings, predictor: Predictor, metrics: Metrics, traces: Traces | None = None) -> Front:
    """Return the application; while it runs it follows the bundle links and swaps models between requests."""

    def predict(body: bytes, request_id: str) -> Reply:
        try:
            asked = PredictionRequest.model_validate_json(body)
            count, most = len(asked.rows), settings.maximum_rows
            if count > most:
                return refusal(422, f"{problem.ROWS}: {count} are too many; send at most {most} in a request")
            answer = predictor.predict(asked.columns(), request_id)
        except ValidationError as error:
            return refusal(422, _first(error))
        except UserError as error:
            return refusal(503, str(error))
        except OSError as error:
            detail = f"the prediction log cannot be written ({error.strerror}), so no answer is given; try later"
            return refusal(503, detail)
        metrics.predictions.labels(answer.version).inc(count)
        for view, rows in answer.found.missing.items():
            metrics.missing.labels(view).inc(rows)
        for view, rows in answer.found.stale.items():
            metrics.stale.labels(view).inc(rows)
        for probability in answer.probabilities:
            metrics.scores.observe(probability)
        response = PredictionResponse(
            request_id=request_id,
            model=ModelName(name=problem.NAME, version=answer.version),
            predictions=[Prediction(score=value) for value in answer.probabilities.tolist()],
        )
        return Reply(200, response.model_dump_json(by_alias=True).encode(), version=answer.version)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(predictor.refresh)
        follower = asyncio.create_task(_follow(predictor, metrics, settings.reload_seconds))
        yield
        follower.cancel()
        with suppress(asyncio.CancelledError):
            await follower
        predictor.log.close()

    app = FastAPI(title=problem.NAME, version="1", lifespan=lifespan)
    front = Front(app, {("POST", PREDICTIONS): predict}, settings, metrics, traces)

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return _response(refusal(error.status_code, str(error.detail)))

    @app.get("/v1/model")
    async def model() -> ModelResponse:
        """Which version answers and which ones shadow it."""
        described = {alias: _describe(served) for alias, served in predictor.served.items()}
        return ModelResponse(name=problem.NAME, champion=described.pop(CHAMPION, None), shadows=described)

    @app.get("/healthz/live")
    async def live() -> dict[str, str]:
        """Whether this process can answer at all; depends on nothing else."""
        return {"status": "live"}

    @app.get("/healthz/ready", responses={503: {"model": Problem}})
    async def ready() -> dict[str, str]:
        """Whether this process should get traffic: a verified champion is loaded."""
        if front.draining:
            raise HTTPException(503, "this process is about to end; ask another one")
        if CHAMPION not in predictor.served:
            raise HTTPException(503, "no verified champion is loaded yet")
        return {"status": "ready"}

    @app.post(PREDICTIONS, responses={413: {"model": Problem}, 422: {"model": Problem}, 503: {"model": Problem}})
    async def documented(body: PredictionRequest) -> PredictionResponse:
        """The probability of the label for each row, in the order of the request."""
        raise AssertionError("Front answers")

    unkeyed = app.openapi
    app.openapi = lambda: describe(unkeyed())  # type: ignore[method-assign]
    return front


async def _follow(predictor: Predictor, metrics: Metrics, interval: float) -> None:
    while True:
        champion = predictor.served.get(CHAMPION)
        metrics.ready.set(champion is not None)
        metrics.champion_forced.set(champion is not None and bool(champion.forced))
        await asyncio.sleep(interval)
        await asyncio.to_thread(predictor.refresh)


def _describe(served: Served) -> ServedVersion:
    manifest = served.bundle.manifest
    return ServedVersion(
        version=served.version,
        digest=served.bundle.digest,
        trained_since=manifest.trained_since,
        trained_until=manifest.trained_until,
        metrics=dict(manifest.metrics),
        forced=served.forced or None,
    )


def _first(error: ValidationError) -> str:
    """Return one sentence about the first thing that is wrong in a body."""
    first: Any = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"the body is not JSON: {first['ctx']['error']}"
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return f"{where}: {HINTS.get(first['type'], first['msg'])}"


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(_text(reply)), reply.media_type.decode())


def _text(reply: Reply) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in reply.headers]
