"""Replay days of the past against the running server, with a virtual clock, and let the loop act on what it sees.

Each UTC day: at 06:00 yesterday's partitions land and become features; every round folds the events known by then
into the stream views and asks, over HTTP, for the predictions that are due; at midnight labels mature, the day is
monitored, the policy decides, and its decision is carried out. The replay itself decides nothing.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import pandas as pd

from .. import problem
from ..errors import UserError
from ..features.online import OnlineStore
from ..features.stream import MicroBatches, lookback
from ..features.views import BATCH_DELAY
from ..lake import midnight
from ..monitoring.events import Event, record
from ..monitoring.policy import Action, Decision
from ..monitoring.predictions import read_predictions
from ..operations import Project
from ..registry.client import CHALLENGER, CHAMPION
from .faults import Fault, Injection, wrong_join
from .server import Server
from .world import World

CORRECTED = timedelta(days=14)  # how late a partition may come and still become features, as of a nightly job
KILLED_AT = timedelta(hours=16)  # UTC, into the day
ATTEMPTS = 3


@dataclass
class Outcome:
    """What the replay saw, from outside."""

    answered: int = 0
    failed: int = 0
    lost: int = 0
    """Answers that a client received and the prediction log does not hold."""
    served: dict[str, tuple[date, date]] = field(default_factory=dict)
    """First and last day on which each version answered."""
    switch_seconds: list[float] = field(default_factory=list)


@dataclass
class Replay:
    """One replay over [since, until] (UTC days, both included)."""

    project: Project
    server: Server
    online: OnlineStore
    world: World
    injections: Sequence[Injection]
    seed: int
    say: Callable[[str], None]
    outcome: Outcome = field(default_factory=Outcome)
    _now: datetime = field(init=False)
    _folded: datetime = field(init=False)
    """Events known until here are in the stream's windows."""
    _batches: MicroBatches = field(init=False)

    def run(self, days: Sequence[date], progress: Callable[[date], None]) -> Outcome:
        """Replay days in their order, of which the prediction log holds none yet, and return what was seen."""
        self._prepare(days[0])
        for day in days:
            self._day(day)
            progress(day)
        return self.outcome

    def _prepare(self, since: date) -> None:
        """Land and build what is missing before the first day, and bring the online store to its first instant."""
        self.project.land(since)
        self.project.build(until=since)
        # One round early, so that the first tick publishes the rows of midnight itself.
        self._now = midnight(since) - problem.ROUND
        self.online.clear()
        self.project.publish(self.online, self._now)
        views = self.project.views.values()
        self._batches = MicroBatches(views, self.online)
        self._folded = self._now - lookback(views)
        self._tick(midnight(since))
        version = self.project.registry.aliases()[CHAMPION]
        self._event(
            "deploy", version.number, f"version {version.number}, trained until {version.trained_until}, goes live"
        )

    def _day(self, day: date) -> None:
        end = midnight(day) + timedelta(days=1)
        received: dict[tuple[Any, ...], float] = {}
        morning = False
        due = self.world.due(day)
        kill = self._planted(Fault.KILLED_SERVER, day)
        for at, rows in due.items():
            if not morning and at >= midnight(day) + BATCH_DELAY:
                self._morning(day)
                morning = True
            self._tick(at)
            if kill and at >= midnight(day) + KILLED_AT:
                kill = False
                self._kill_server()
            self._ask(day, rows, received)
        if not morning:
            self._morning(day)
        self._tick(end)
        self._check_log(day, received)
        self._evening(day)

    def _tick(self, at: datetime) -> None:
        """Move the clock to `at` and fold what became known by then into the stream views."""
        self._batches.tick(self._now, at, self.world.events(self._folded, at))
        self._now = self._folded = at

    def _morning(self, day: date) -> None:
        self._land(day)
        self.project.publish(self.online, midnight(day) + BATCH_DELAY, streaming=False)

    def _land(self, until: date) -> None:
        """Land the days before `until` and build the features that they complete; what is skipped serves as it was."""
        self.project.land(until)
        self.project.build(until - CORRECTED, until)

    def _ask(self, day: date, rows: list[dict[str, Any]], received: dict[tuple[Any, ...], float]) -> None:
        """Ask for one round's predictions; a refused or broken request is counted and asked again."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self.server.predict(rows)
                break
            except httpx.HTTPError as error:
                self.outcome.failed += 1
                if attempt == ATTEMPTS:
                    raise UserError(f"the server gave no answer in {ATTEMPTS} attempts ({error})") from error
                time.sleep(0.2 * attempt)
        version = answer["model"]["version"]
        first, _ = self.outcome.served.get(version, (day, day))
        self.outcome.served[version] = (first, day)
        self.outcome.answered += len(rows)
        for row, prediction in zip(rows, answer["predictions"], strict=True):
            received[tuple(row[name] for name in problem.ENTITY)] = prediction[problem.SCORE]

    def _check_log(self, day: date, received: dict[tuple[Any, ...], float]) -> None:
        """Count the answers that a client holds and the log does not."""
        settings = self.project.settings
        logged = read_predictions(settings.predictions, settings.monitoring, day)
        parts = {
            name: pd.to_datetime(logged[name], unit="s", utc=True).map(pd.Timestamp.isoformat)
            if name in problem.INSTANTS
            else logged[name]
            for name in problem.ENTITY
        }
        keys = zip(*parts.values(), strict=True)
        held = dict(zip(keys, logged["champion_score"], strict=True))
        self.outcome.lost += sum(held.get(key) != score for key, score in received.items())

    def _kill_server(self) -> None:
        self._event("fault", "", "the server is killed (SIGKILL) and started again")
        self.server.kill()
        self.server.start()

    def _evening(self, day: date) -> None:
        decision = self.project.monitor(day)
        self._act(day, decision)
        for fault in (Fault.BAD_CANDIDATE, Fault.FORCED_PROMOTION):
            if self._planted(fault, day):
                self._train_badly(day, fault)

    def _act(self, day: date, decision: Decision) -> None:
        decisions = self.project.decisions
        aliases = self.project.registry.aliases()
        if decision.action is Action.RETRAIN:
            self._retrain(day, decision.reason)
        elif decision.action is Action.PROMOTE:
            number = aliases[CHALLENGER].number
            decisions.promote(number, decision.reason)
            self._settle(
                "promote", number, f"version {number} replaces version {aliases[CHAMPION].number}: {decision.reason}"
            )
        elif decision.action is Action.REFUSE:
            number = aliases[CHALLENGER].number
            decisions.refuse(number, decision.reason)
            self._settle("refuse", number, f"version {number} stays out: {decision.reason}")
        elif decision.action is Action.ROLL_BACK:
            back = decisions.rollback(decision.reason)
            bad = aliases[CHAMPION].number
            self._settle(
                "roll back", back.number, f"version {back.number} serves again instead of {bad}: {decision.reason}"
            )

    def _retrain(self, day: date, reason: str) -> None:
        version, candidate = self.project.train(day, self.seed, {"decided_by": "policy", "reason": reason})
        self._event("retrain", version.number, reason)
        gates = "; ".join(str(gate) for gate in candidate.gates if not gate.passed)
        if not candidate.passed:
            self._event("refuse", version.number, f"version {version.number} did not pass: {gates}")
            return
        text = f"version {version.number} passed all {len(candidate.gates)} gates and shadows the champion"
        self._settle("challenger", version.number, text)

    def _train_badly(self, day: date, fault: Fault) -> None:
        version, candidate = self.project.train(
            day, self.seed, {"fault": str(fault)}, lambda rows, test: wrong_join(rows, test, self.seed)
        )
        refused = "; ".join(gate.name for gate in candidate.gates if not gate.passed)
        if not candidate.passed:
            self._event(
                "refuse", version.number, f"version {version.number}, its labels joined wrongly, refused by: {refused}"
            )
        if fault is Fault.FORCED_PROMOTION:
            self.project.decisions.promote(version.number, "planted: somebody is sure that it is fine", force=True)
            self._settle("force", version.number, f"version {version.number} is forced past the gates into production")

    def _settle(self, kind: str, number: str, text: str) -> None:
        """Record an event and wait until the running server holds what the registry says."""
        self._event(kind, number, text)
        wanted = {alias: version.number for alias, version in self.project.registry.aliases().items()}
        self.outcome.switch_seconds.append(self.server.wait_for(wanted))

    def _event(self, kind: str, version: str, text: str) -> None:
        record(self.project.settings.monitoring, Event(self._now, kind, version, text))
        self.say(f"{self._now:%Y-%m-%d}  {kind:<10} {text}")

    def _planted(self, fault: Fault, day: date) -> bool:
        return Injection(fault, day) in self.injections
