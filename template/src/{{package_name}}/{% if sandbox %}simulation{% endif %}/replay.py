"""Replay days of the past against the running server, with a virtual clock, and let the loop act on what it sees.

Each UTC day: by 06:00 yesterday's partitions have landed and become features; every round folds the events known by
then into the stream views and asks, over HTTP, for the predictions that are due; at midnight labels mature, the day is
monitored, the policy decides, and its decision is carried out. The replay itself decides nothing. A day that was cut
off by a kill is replayed whole: nothing that was decided, trained or promoted in it is so twice.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import zip_longest
from typing import Any

import msgspec
import pandas as pd

from .. import problem
from ..bundle import ViewSpec
from ..errors import UserError
from ..features.online import OnlineStore, Row
from ..features.views import BATCH_DELAY
from ..lake import midnight
from ..monitoring.events import Event, record
from ..monitoring.labels import read_days
from ..monitoring.policy import Action, Cause, Decision
from ..monitoring.predictions import PREDICTIONS
from ..operations import TRAINED_ON, Project
from ..registry.client import CHALLENGER, CHAMPION, PREVIOUS
from .beside import Beside, Done
from .client import NoAnswer
from .deliveries import unusual
from .faults import LASTS, Fault, Injection, wrong_join
from .incidents import Incidents
from .nightly import delivering
from .progress import Outcome
from .server import Server
from .ticks import STAGE
from .watch import Watch
from .world import World

ATTEMPTS = 3
# What moves an alias, and the alias without which it was done already, before the replay was killed.
MOVES = {Action.PROMOTE: CHALLENGER, Action.REFUSE: CHALLENGER, Action.ROLL_BACK: PREVIOUS}


@dataclass
class Replay:
    """One replay over [since, until] (UTC days, both included)."""

    project: Project
    server: Server
    nightly: Beside
    ticks: Beside
    online: OnlineStore
    world: World
    injections: Sequence[Injection]
    seed: int
    say: Callable[[str], None]
    outcome: Outcome
    _now: datetime = field(init=False)
    _ticked: datetime = field(init=False)
    """The streaming views' rows of until here are made."""
    _delivered: date | None = field(init=False, default=None)
    """The last morning of which the nightly job was told."""
    _due: dict[datetime, list[dict[str, Any]]] = field(init=False, default_factory=dict)
    """The requests of each round of the day that comes next."""
    _unpublished: list[tuple[ViewSpec, Sequence[Row]]] = field(init=False, default_factory=list)
    """Rows of past rounds that the online store does not have yet."""
    _watch: Watch = field(init=False)
    _incidents: Incidents = field(init=False)

    def __post_init__(self) -> None:
        """Look at the service as somebody outside would."""
        settings = self.project.settings
        self._incidents = Incidents(settings, self.server)
        self._watch = Watch(self.server, self.project.registry, settings.slow_seconds, self._page)

    def run(self, days: Sequence[date], finished: Callable[[date], None]) -> Outcome:
        """Replay days in their order, none of which is finished, and return what was seen; `finished` gets each."""
        self._prepare(days[0])
        try:
            self._ahead(days[0])
            for day, tomorrow in zip_longest(days, days[1:]):
                self._day(day, tomorrow)
                self.outcome.day = day
                finished(day)
        finally:
            for fault in LASTS:
                self._incidents.end(fault)
        return self.outcome

    def _prepare(self, since: date) -> None:
        """Land and build what is missing before the first day, and bring the online store to its first instant."""
        with self._stage("land"):
            delivering(self.project, self.injections, since).land(since)
        with self._stage("build"):
            self.project.build(until=since)
        # One round early, so that the first tick publishes the rows of midnight itself.
        self._now = self._ticked = midnight(since) - problem.ROUND
        self.online.clear()
        with self._stage("publish"):
            self.project.publish(self.online, self._now)
        self._make_rows([midnight(since)])
        self._tick(midnight(since))
        if self.outcome.day is None:
            version = self.project.registry.aliases()[CHAMPION]
            text = f"version {version.number}, trained until {version.trained_until}, goes live"
            self._event("deploy", version.number, text)

    def _ahead(self, day: date) -> None:
        """Find what is asked in each round of a day, and let the rows of its ticks be made."""
        self._due = self.world.due(day)
        self._make_rows([at for at in [*self._due, midnight(day) + timedelta(days=1)] if at > midnight(day)])

    def _make_rows(self, rounds: Sequence[datetime]) -> None:
        self.ticks.tell(msgspec.json.encode(rounds).decode())

    def _day(self, day: date, tomorrow: date | None) -> None:
        rounds, end = self._due, midnight(day) + timedelta(days=1)
        self._deliver(day)
        received: dict[tuple[Any, ...], float] = {}
        morning = False
        planted = [item for item in self.injections if item.day == day and item.fault.cause is Cause.SERVICE]
        ends: dict[Fault, datetime] = {}
        for at, rows in rounds.items():
            if not morning and at >= midnight(day) + BATCH_DELAY:
                self._morning(day, tomorrow)
                morning = True
            self._now = at
            for fault in [fault for fault, then in ends.items() if then <= at]:
                self._incidents.end(fault)
                del ends[fault]
            for item in [item for item in planted if item.struck_at <= at]:
                self._event("fault", "", self._incidents.begin(item.fault))
                ends[item.fault] = at + LASTS.get(item.fault, timedelta(0))
                planted.remove(item)
            self._tick(at)
            self._ask(day, rows, received)
        for fault in ends:
            self._incidents.end(fault)
        if not morning:
            self._morning(day, tomorrow)
        self._tick(end)
        if tomorrow and not unusual(self.injections, tomorrow):
            self._deliver(tomorrow)  # early: the evening looks at nothing of it, nor does it once more after a kill
        self._evening(day, received)

    def _deliver(self, morning: date) -> None:
        """Tell the nightly job to work for a morning, unless it was told so."""
        if self._delivered != morning:
            self.nightly.tell(morning.isoformat())
            self._delivered = morning

    def _tick(self, at: datetime) -> None:
        """Move the clock to `at` and publish what the events known by then make, once the store is there."""
        self._now = at
        if at > self._ticked:
            done = self.ticks.wait()
            self._took(done)
            self._unpublished += [(self.project.views[name].spec, rows) for name, rows in done.rows.items()]
            self._ticked = at
        if not self._incidents.store_away:
            with self._stage(STAGE):
                self.online.put(self._unpublished)
                self._unpublished.clear()

    def _morning(self, day: date, tomorrow: date | None) -> None:
        for item in self.injections:
            if item.day + timedelta(days=1) == day and item.fault.cause in (Cause.DATA, Cause.FRESHNESS):
                self._event("fault", "", f"{item.fault} in the delivery of {item.day}")
        self._took(self.nightly.wait())
        with self._stage("publish"):
            self.project.publish(self.online, midnight(day) + BATCH_DELAY, streaming=False)
        if tomorrow:
            self._ahead(tomorrow)  # not earlier: the nightly job, which the day waits for, has the other core first

    def _ask(self, day: date, rows: list[dict[str, Any]], received: dict[tuple[Any, ...], float]) -> None:
        seconds, answer = self._answer(rows)
        self._watch.look(seconds, answer["degraded"])
        version = answer["model"]["version"]
        first, _ = self.outcome.served.get(version, (day, day))
        self.outcome.served[version] = (first, day)
        self.outcome.answered += len(rows)
        for row, prediction in zip(rows, answer["predictions"], strict=True):
            received[tuple(row[name] for name in problem.ENTITY)] = prediction[problem.SCORE]

    def _answer(self, rows: list[dict[str, Any]]) -> tuple[float, dict[str, Any]]:
        """Return how long an answer took, and what it is; a refused or broken request is counted and asked again."""
        attempt = 0
        with self._stage("requests"):
            while True:
                began = time.monotonic()
                try:
                    answer = self.server.predict(rows)
                    return time.monotonic() - began, answer
                except NoAnswer as error:
                    attempt += 1
                    self.outcome.failed += 1
                    self._watch.unanswered(error)
                    if attempt == ATTEMPTS:
                        raise UserError(f"the server gave no answer in {ATTEMPTS} attempts ({error})") from error
                    self.server.start_again()
                    time.sleep(0.2 * attempt)

    def _check_log(self, day: date, received: dict[tuple[Any, ...], float]) -> None:
        """Count the answers that a client holds and the log, which monitoring has folded, does not."""
        columns = [*problem.ENTITY, "champion_score"]
        logged = read_days(self.project.data.monitoring, PREDICTIONS, [day], columns).reindex(columns=columns)
        parts = {
            name: pd.to_datetime(logged[name], unit="s", utc=True).map(pd.Timestamp.isoformat)
            if name in problem.INSTANTS
            else logged[name]
            for name in problem.ENTITY
        }
        keys = zip(*parts.values(), strict=True)
        held = dict(zip(keys, logged["champion_score"], strict=True))
        self.outcome.lost += sum(held.get(key) != score for key, score in received.items())

    def _evening(self, day: date, received: dict[tuple[Any, ...], float]) -> None:
        with self._stage("monitor"):
            decision = self.project.monitor(day, landed_until=day)
        self._check_log(day, received)
        if decision.action in (Action.PAGE, Action.QUARANTINE):
            self._event("page", "", f"{decision.cause}: {decision.reason}")
        self._act(day, decision)
        for fault in (Fault.BAD_CANDIDATE, Fault.FORCED_PROMOTION):
            if Injection(fault, day) in self.injections:
                self._train_badly(day, fault)

    def _act(self, day: date, decision: Decision) -> None:
        """Carry out a decision, and what of it a killed replay has left to do."""
        if decision.action is Action.RETRAIN:
            self._retrain(day, decision.reason)
            return
        if decision.action in MOVES and MOVES[decision.action] in self.project.registry.aliases():
            event = self.project.carry_out(day, decision, self.seed, self._now)
            if event:
                self._settle(event.kind, event.version, event.text)

    def _retrain(self, day: date, reason: str) -> None:
        about = {"decided_by": "policy", "reason": reason}
        if self._trained(day, "decided_by", about["decided_by"]):
            return
        with self._stage("train"):
            version, candidate = self.project.train(day, self.seed, about)
        self._event("retrain", version.number, reason)
        gates = "; ".join(str(gate) for gate in candidate.gates if not gate.passed)
        if not candidate.passed:
            self._event("refuse", version.number, f"version {version.number} did not pass: {gates}")
            return
        text = f"version {version.number} passed all {len(candidate.gates)} gates and shadows the champion"
        self._settle("challenger", version.number, text)

    def _train_badly(self, day: date, fault: Fault) -> None:
        if self._trained(day, "fault", fault):
            return
        with self._stage("train"):
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
        record(self.project.settings.journal, Event(self._now, kind, version, text))
        self.say(f"{self._now:%Y-%m-%d}  {kind:<10} {text}")

    def _page(self, text: str) -> None:
        self._event("page", "", f"{Cause.SERVICE}: {text}")

    def _trained(self, day: date, tag: str, value: str) -> bool:
        """Return whether a version of the day was trained for the same reason, before the replay was killed."""
        about = {TRAINED_ON: day.isoformat(), tag: value}
        return any(about.items() <= version.tags.items() for version in self.project.registry.versions())

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Add the processor time of this process to what a stage has cost."""
        began = time.process_time()
        try:
            yield
        finally:
            self._count(name, time.process_time() - began)

    def _took(self, done: Done) -> None:
        for stage, seconds in done.seconds.items():
            self._count(stage, seconds)

    def _count(self, stage: str, seconds: float) -> None:
        self.outcome.seconds[stage] = self.outcome.seconds.get(stage, 0.0) + seconds
