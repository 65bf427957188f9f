"""The HTTP application: predictions, what serves, health, and errors as problem+json."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from .. import problem
from ..errors import UserError
from ..segments import shares
from ..settings import Settings
from .auth import describe
from .front import Front, Handler, Reply, Route, refusal
from .limits import RETRY_AFTER
from .metrics import Metrics
from .predictor import CHAMPION, Predictor, Served
from .schemas import (
    BODY,
    Live,
    ModelResponse,
    PredictionResponse,
    Problem,
    Ready,
    ServedVersion,
    answer_body,
    columns,
    decode,
    describe_body,
    refused,
)
from .shadows import Shadows
from .tracing import Traces

PREDICTIONS = "/v1/predictions"
INVOCATIONS = "/invocations"  # what SageMaker calls it
LIVE, READY = "/healthz/live", "/healthz/ready"
PING = "/ping"  # what SageMaker calls READY
PROBE_SECONDS = 1.0
DOCUMENTED = "a connection answers; this is what the documentation is made from"

logger = logging.getLogger(__name__)


def create_app(settings: Settings, predictor: Predictor, metrics: Metrics, traces: Traces | None = None) -> Front:
    """Return the application; while it runs it follows the bundle links and swaps models between requests."""
    shadows = Shadows(predictor.log, lambda alias, rows: metrics.shadow_drops.labels(alias).inc(rows))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(predictor.refresh)
        tending = [
            asyncio.create_task(_repeat(settings.reload_seconds, predictor.refresh, note)),
            asyncio.create_task(_repeat(PROBE_SECONDS, predictor.probe, note)),
        ]
        yield
        for task in tending:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await asyncio.to_thread(shadows.close)
        predictor.log.close()

    def note() -> None:
        champion = predictor.served.get(CHAMPION)
        metrics.expect(predictor.cast.plan.views)
        metrics.ready.set(not unready())
        metrics.online_away.set(bool(predictor.degraded))
        metrics.log_away.set(bool(predictor.log.fault))
        metrics.champion_forced.set(champion is not None and bool(champion.forced))

    def unready() -> str:
        """Return one sentence why this process should get no traffic, empty when it should."""
        if front.draining:
            return "this process is about to end; ask another one"
        if CHAMPION not in predictor.served:
            return "no verified champion is loaded yet; promote a version, or wait"
        return predictor.log.fault

    def is_ready(asked: Sequence[tuple[bytes, str]]) -> list[Reply]:
        if why := unready():
            return [refusal(503, why)] * len(asked)
        ready = Ready(status="ready", degraded=list(predictor.degraded))
        return [Reply(200, ready.model_dump_json().encode())] * len(asked)

    def is_live(asked: Sequence[tuple[bytes, str]]) -> list[Reply]:
        return [Reply(200, Live(status="live").model_dump_json().encode())] * len(asked)

    app = FastAPI(title=problem.NAME, version="1", lifespan=lifespan, responses=_problems(500))
    answer = _answering(settings.maximum_rows, predictor, shadows, metrics)
    routes = [Route("POST", path, answer, predicts=True) for path in (PREDICTIONS, INVOCATIONS)]
    routes += [Route("GET", path, is_ready, predicts=False) for path in (READY, PING)]
    routes += [Route("GET", LIVE, is_live, predicts=False)]
    front = Front(app, routes, settings, metrics, traces)

    @app.exception_handler(HTTPException)
    async def not_there(request: Request, error: HTTPException) -> Response:
        allow = (error.headers or {}).get("Allow", "")
        headers = [(b"allow", allow.encode())] if allow else []
        words = {
            404: "there is nothing at this path; /docs lists what there is",
            405: f"this path does not take {request.method}; use {allow}",
        }
        return _response(refusal(error.status_code, words.get(error.status_code, str(error.detail)), *headers))

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return _response(refusal(500, "the server made a mistake; its log tells more"))

    @app.post(INVOCATIONS, responses=_problems(413, 415, 422, 503), openapi_extra=BODY)
    @app.post(PREDICTIONS, responses=_problems(413, 415, 422, 503), openapi_extra=BODY)
    async def predict() -> PredictionResponse:
        """The probability of the label for each row, in the order of the request.

        The answer has the request's `x-request-id`, or a new one, as a header too.
        """
        raise NotImplementedError(DOCUMENTED)

    @app.get("/v1/model")
    async def model() -> ModelResponse:
        """Which version answers, what it was made from, and which ones shadow it."""
        described = {alias: _describe(served) for alias, served in predictor.served.items()}
        return ModelResponse(name=problem.NAME, champion=described.pop(CHAMPION, None), shadows=described)

    @app.get(LIVE)
    async def live() -> Live:
        """Whether this process can answer at all; depends on nothing else."""
        raise NotImplementedError(DOCUMENTED)

    @app.get(PING, responses=_problems(503))
    @app.get(READY, responses=_problems(503))
    async def ready() -> Ready:
        """Whether this process should get traffic: it has a verified champion, can log answers, and is to stay.

        It is ready while the online store is away, and says so: the answers lack features then.
        """
        raise NotImplementedError(DOCUMENTED)

    bare = app.openapi

    def described() -> dict[str, Any]:
        schema = describe_body(bare())
        return describe(schema, _problems(401, 403)) if settings.keys else schema

    app.openapi = described  # type: ignore[method-assign]
    return front


def _answering(maximum_rows: int, predictor: Predictor, shadows: Shadows, metrics: Metrics) -> Handler:
    """Return the function that answers requests for predictions, all of them by one read, one score and one write."""

    def take(body: bytes) -> list[problem.Request] | Reply:
        try:
            rows = decode(body).rows
        except ValueError as error:
            return refusal(422, refused(error))
        if len(rows) > maximum_rows:
            detail = f"{len(rows)} are too many; send at most {maximum_rows} in a request"
            return refusal(422, f"{problem.ROWS}: {detail}")
        return rows

    def answer(asked: Sequence[tuple[bytes, str]]) -> list[Reply]:
        taken = [(take(body), request_id) for body, request_id in asked]
        good = [(rows, request_id) for rows, request_id in taken if isinstance(rows, list)]
        answers = iter(score(good) if good else ())
        return [next(answers) if isinstance(rows, list) else rows for rows, _ in taken]

    def score(good: Sequence[tuple[list[problem.Request], str]]) -> list[Reply]:
        requests = [(request_id, len(rows)) for rows, request_id in good]
        try:
            given = predictor.predict(columns([row for rows, _ in good for row in rows]), requests)
        except UserError as error:
            return [refusal(503, str(error), RETRY_AFTER)] * len(good)
        except OSError as error:
            detail = f"the prediction log cannot be written ({error.strerror}), so no answer is given; try later"
            return [refusal(503, detail, RETRY_AFTER)] * len(good)
        metrics.answered(given.version, given.probabilities, given.found)
        replies = []
        for request_id, _, mine in shares(requests):
            content = answer_body(request_id, given.version, given.probabilities[mine], given.degraded)
            replies.append(Reply(200, content, version=given.version))
        if given.job:  # when all of them are answered
            replies[-1] = replies[-1]._replace(after=partial(shadows.offer, given.job))
        return replies

    return answer


async def _repeat(seconds: float, work: Callable[[], None], then: Callable[[], None]) -> None:
    """Do some work in a thread, and then what is quick, again and again; an error does not end it."""
    while True:
        then()
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(work)
        except Exception:
            logger.exception("%s failed and is tried again", work.__qualname__)


def _describe(served: Served) -> ServedVersion:
    manifest = served.bundle.manifest
    return ServedVersion(
        version=served.version,
        digest=served.bundle.digest,
        trained_since=manifest.trained_since,
        trained_until=manifest.trained_until,
        tested_until=manifest.tested_until,
        data_fingerprint=manifest.data_fingerprint,
        definitions={view.name: view.definition for view in manifest.views},
        metrics=dict(manifest.metrics),
        forced=served.forced or None,
    )


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return how errors are documented."""
    schema = Problem.model_json_schema()
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status in statuses
    }


def _response(reply: Reply) -> Response:
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, reply.status, headers, reply.media_type.decode())
