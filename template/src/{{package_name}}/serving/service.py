"""What a process serves: predictions, health, and what goes on beside them while it lives.

It does without the framework, which takes longer to import than all of this: see `Front`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from starlette.types import ASGIApp

from .. import problem
from ..errors import UserError
from ..segments import shares
from ..settings import Settings
from .front import Front, Handler, Reply, Route, refusal
from .limits import RETRY_AFTER
from .metrics import Metrics
from .predictor import CHAMPION, Predictor
from .schemas import (
    INVOCATIONS,
    LIVE,
    PING,
    PREDICTIONS,
    READY,
    Live,
    Ready,
    answer_body,
    columns,
    decode,
    refused,
)
from .shadows import Shadows
from .tracing import Traces

PROBE_SECONDS = 1.0

logger = logging.getLogger(__name__)


def make_front(settings: Settings, predictor: Predictor, metrics: Metrics, traces: Traces | None = None) -> Front:
    """Return what answers; while it lives it follows the bundle links and swaps models between requests."""
    shadows = Shadows(predictor.log, lambda alias, rows: metrics.shadow_drops.labels(alias).inc(rows))

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
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

    def make_app() -> ASGIApp:
        from .app import create_app

        return create_app(settings, predictor)

    answer = _answering(settings.maximum_rows, predictor, shadows, metrics)
    routes = [Route("POST", path, answer, predicts=True) for path in (PREDICTIONS, INVOCATIONS)]
    routes += [Route("GET", path, is_ready, predicts=False) for path in (READY, PING)]
    routes += [Route("GET", LIVE, is_live, predicts=False)]
    front = Front(routes, make_app, lifespan, settings, metrics, traces)
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
