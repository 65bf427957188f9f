"""The HTTP application: predictions, what serves, health, and errors as problem+json."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from .. import problem
from ..errors import UserError
from ..settings import Settings
from .limits import BodyLimit
from .metrics import Metrics
from .predictor import CHAMPION, Predictor, Served
from .schemas import ModelName, ModelResponse, Prediction, PredictionRequest, PredictionResponse, Problem, ServedVersion

ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": Problem} for status in (413, 422, 503)}

# Where the validator's own words do not say what to do.
HINTS = {
    "extra_forbidden": "there is no such field; remove it",
    "missing": "this field is missing; add it",
    "too_short": "there is nothing in it; send at least one",
    "timezone_aware": "the instant has no time zone; write it like 2013-04-02T10:15:00Z",
}


def create_app(settings: Settings, predictor: Predictor, metrics: Metrics) -> FastAPI:
    """Return the application; while it runs it follows the bundle links and swaps models between requests."""

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
    app.add_middleware(BodyLimit, maximum=settings.maximum_body_bytes)

    @app.middleware("http")
    async def observe(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        started = time.perf_counter()
        response = await call_next(request)
        route = request.scope.get("route")
        path = getattr(route, "path", "unknown")
        metrics.requests.labels(path, str(response.status_code)).inc()
        metrics.latency.labels(path).observe(time.perf_counter() - started)
        return response

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return _problem(422, f"the body is not JSON: {first['ctx']['error']}")
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
        return _problem(422, f"{where}: {HINTS.get(first['type'], first['msg'])}")

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        return _problem(error.status_code, str(error.detail))

    @app.exception_handler(UserError)
    async def unable(_: Request, error: UserError) -> JSONResponse:
        return _problem(503, str(error))

    @app.exception_handler(OSError)
    async def no_log(_: Request, error: OSError) -> JSONResponse:
        return _problem(
            503, f"the prediction log cannot be written ({error.strerror}), so no answer is given; try later"
        )

    @app.post("/v1/predictions", responses=ERRORS)
    async def predict(body: PredictionRequest) -> PredictionResponse:
        """The probability of the label for each row, in the order of the request."""
        if len(body.rows) > settings.maximum_rows:
            limit = settings.maximum_rows
            detail = f"{problem.ROWS}: {len(body.rows)} are too many; send at most {limit} in a request"
            raise HTTPException(422, detail)
        request_id = uuid.uuid4().hex
        answer = predictor.predict(body.columns(), request_id)
        metrics.predictions.labels(answer.version).inc(len(body.rows))
        for view, count in answer.found.missing.items():
            metrics.missing.labels(view).inc(count)
        for view, count in answer.found.stale.items():
            metrics.stale.labels(view).inc(count)
        for probability in answer.probabilities:
            metrics.scores.observe(probability)
        return PredictionResponse(
            request_id=request_id,
            model=ModelName(name=problem.NAME, version=answer.version),
            predictions=[Prediction(score=value) for value in answer.probabilities.tolist()],
        )

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
        if CHAMPION not in predictor.served:
            raise HTTPException(503, "no verified champion is loaded yet")
        return {"status": "ready"}

    return app


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


def _problem(status: int, detail: str) -> JSONResponse:
    content = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail).model_dump()
    return JSONResponse(content, status_code=status, media_type="application/problem+json")
