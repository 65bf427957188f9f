"""The FastAPI application: it documents the whole API, and answers what is not asked a thousand times a second."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from .. import problem
from ..settings import Settings
from .auth import describe
from .front import Reply, refusal
from .predictor import CHAMPION, Predictor, Served
from .schemas import (
    BODY,
    INVOCATIONS,
    LIVE,
    PING,
    PREDICTIONS,
    READY,
    Live,
    ModelResponse,
    PredictionResponse,
    Problem,
    Ready,
    ServedVersion,
    describe_body,
)

DOCUMENTED = "a connection answers; this is what the documentation is made from"


def create_app(settings: Settings, predictor: Predictor) -> FastAPI:
    """Return the application. What has a route in service.py is here to be documented, and never called."""
    app = FastAPI(title=problem.NAME, version="1", responses=_problems(500))

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
    return app


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
