"""The stages of the loop over one project's state, as the command line and the simulation both run them."""

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend
from prometheus_client import CollectorRegistry

from . import audit, bundle, problem
from .errors import DataError, RegistryError
from .features.build import Built, build
from .features.feature_view import FeatureView
from .features.online import OnlineStore
from .features.publish import publish
from .features.stream import MicroBatches, lookback
from .lake import Stores, partition_days, partition_path, readable, stores
from .landing import Landing, land, quarantined, release
from .monitoring import daily
from .monitoring.events import Event, record
from .monitoring.gauges import collect
from .monitoring.labels import COHORTS
from .monitoring.policy import Action, Decision
from .monitoring.predictions import ALIASES, PREDICTIONS, logged_versions
from .registry.client import CHALLENGER, CHAMPION, Registry, Version
from .registry.decisions import Decisions
from .registry.sync import clear_left, folder_name, tidy
from .registry.versions import RECIPE
from .scoring import Scorer
from .settings import Settings
from .source import Source
from .training.dataset import Split, split_days, training_set
from .training.fit import PARAMETERS
from .training.pipeline import Candidate, fingerprint, prepare, train

TRAINED_ON = "trained_on"
UNBINDING = ("train", "prune", audit.MEND)  # what the audit says of a version that nobody ever meant to use


@dataclass(frozen=True)
class Project:
    """Everything a stage needs; built once by the command line and handed down."""

    settings: Settings
    con: Backend
    sources: Mapping[str, Source]
    views: Mapping[str, FeatureView]
    registry: Registry

    @property
    def data(self) -> Stores:
        """Where the daily partitions are."""
        return stores(self.settings)

    @property
    def decisions(self) -> Decisions:
        """What can be decided about registered versions, each on record in the audit."""
        return Decisions(self.registry, self.settings.audit)

    def land(self, until: date) -> Landing:
        """Land every day before `until` (UTC) that the lake lacks."""
        return land(self.con, self.sources, self.data.lake, self.data.quarantine, until)

    def release(self, source: str, day: date, reason: str, now: datetime) -> bool:
        """Publish a quarantined partition as it is; False when that was done before. See landing.release."""
        data = self.data
        return release(self.con, self.sources, data.lake, data.quarantine, source, day, reason, now)

    def build(self, since: date | None = None, until: date | None = None) -> Built:
        """Build what is missing or stale of the features that the source days [since, until) complete; see `build`."""
        return build(self.con, self.views.values(), self.data.lake, self.data.features, since, until)

    def why_skipped(self, done: Built) -> str:
        """Return one sentence about the partitions that a build skipped: the first, why, and what to do."""
        name, day, source_day = done.skipped[0]
        source = self.views[name].source
        held = (source, source_day) in quarantined(self.data.quarantine, source_day, date.max)
        why = f"{source} of {source_day} {'is in quarantine' if held else 'has not landed'}"
        return (
            f"{len(done.skipped)} partition(s) were skipped, the first {name} of {day}: {why}; "
            "mend the source, land it and build again"
        )

    def publish(self, online: OnlineStore, as_of: datetime, streaming: bool = True) -> None:
        """Write the last feature rows known at `as_of` (aware) to the online store.

        `streaming` False leaves out the views that ticks keep fresh.
        """
        views = [view for view in self.views.values() if streaming or not view.streaming]
        publish(self.con, views, self.data.features, online, as_of)

    def tick(self, online: OnlineStore, as_of: datetime) -> datetime:
        """Bring the streaming views to the last round that `as_of` (aware) completes, and return when that was.

        Every value that still holds is written, so that one run makes up for those that were missed before it.
        """
        step = problem.ROUND.total_seconds()
        at = datetime.fromtimestamp(as_of.timestamp() // step * step, UTC)
        views = [view for view in self.views.values() if view.streaming]
        since = at - max((view.ttl for view in views), default=problem.ROUND)
        span = since - lookback(views), at + timedelta(microseconds=1)  # what became known at `at` counts
        events = {
            name: pa.Table.from_pandas(self.sources[name].read(*span), preserve_index=False)
            for name in {view.source for view in views}
        }
        online.define(view.spec for view in views)
        MicroBatches(views).tick(online, since, at, events)
        return at

    def train(
        self,
        until: date,
        seed: int,
        tags: Mapping[str, str],
        change: Callable[[pd.DataFrame, date], pd.DataFrame] | None = None,
        trials: int = 0,
        say: Callable[[str], None] = print,
    ) -> tuple[Version, Candidate]:
        """Train on what was known before `until` (UTC day), judge, and register a version.

        One that passes its gates becomes the challenger where a champion serves already; the first one waits for a
        person to promote it. Raises DataError when the data of the window is missing or in quarantine.
        `change` alters the labelled rows, given the first test day; the simulation plants its faults there.
        `trials` more than 0 is the size of the study whose best parameters are taken; see `tune`.
        """
        settings = self.settings
        split, rows = self._training_rows(until)
        if change:
            rows = change(rows, split.test)
        parameters = self._tuned(rows, split, seed, trials, say) if trials else PARAMETERS
        folder = settings.state / "candidate"
        champion = self.champion()
        candidate = train(rows, split, list(self.views.values()), folder, champion, seed, parameters)
        about = {TRAINED_ON: until.isoformat(), "git_commit": self._commit(), **tags}
        version = self.registry.register(candidate, about)
        shutil.rmtree(folder, ignore_errors=True)
        reason = tags.get("reason") or f"asked for by the {tags.get('decided_by', 'simulation')}"
        self.decisions.record("train", version.number, reason, _evidence(candidate, about))
        if champion and candidate.passed:
            self.decisions.challenge(version.number, f"it passed all {len(candidate.gates)} gates")
        return version, candidate

    def tune(self, until: date, seed: int, trials: int, say: Callable[[str], None]) -> Mapping[str, Any]:
        """Work on the study of what was known before `until` until it has `trials` trials; return the best parameters.

        Nothing is trained for use or registered: workers share a study, and `train` with as many trials takes its
        result. `say` gets a line for each trial. Raises as `train`.
        """
        split, rows = self._training_rows(until)
        return self._tuned(rows, split, seed, trials, say)

    def _tuned(
        self, rows: pd.DataFrame, split: Split, seed: int, trials: int, say: Callable[[str], None]
    ) -> dict[str, Any]:
        from .training.tune import study_name, tune  # Optuna takes a second to import, and few runs need it

        prepared = prepare(rows, split)
        name = study_name(split, fingerprint(rows), seed)
        return tune(*prepared.fitting, len(prepared.categories), seed, trials, self.settings.studies, name, say)

    def _training_rows(self, until: date) -> tuple[Split, pd.DataFrame]:
        """Return the split and the labelled rows of what was known before `until`. Raises as `train`."""
        data = self.data
        split = split_days(data.lake, until)
        if held := quarantined(data.quarantine, split.since, until):
            table, day = held[0]
            raise DataError(
                f"{len(held)} partition(s) are in quarantine, the first {table} of {day}; "
                "`data quarantine` says why, and each has to be mended and landed, or released"
            )
        views = list(self.views.values())
        return split, training_set(self.con, views, data.lake, data.features, split)

    def champion(self) -> bundle.Bundle | None:
        """Return the champion's verified bundle, or None before the first deploy."""
        if not self.registry.exists():
            return None
        version = self.registry.aliases().get(CHAMPION)
        if version is None:
            return None
        folder = self.settings.bundles / folder_name(version)
        if not folder.exists():
            self.registry.fetch(version, folder)
        return bundle.load(folder, version.digest)

    def scorer(self) -> Scorer:
        """Return what scores batches: the champion. Raises RegistryError when there is none yet."""
        champion = self.champion()
        if champion is None:
            raise RegistryError("no version is the champion yet; run `train` and `registry promote VERSION` first")
        version = champion.path.name.partition("-")[0]
        return Scorer(champion, version, self.con, list(self.views.values()), self.data.features, self._commit())

    def monitor(self, day: date, landed_until: date | None = None) -> Decision:
        """Record one UTC day and return what the policy decides; see daily.run."""
        versions = self.registry.versions()
        serving, last_training = self._serving(versions), _last_training(versions, day)
        return daily.run(self.con, self.settings, self.sources, self.views, serving, last_training, day, landed_until)

    def act(self, day: date, seed: int, now: datetime) -> str:
        """Carry out what was decided of a recorded UTC day, and return one line; what was done is not done again.

        Without any version the first is trained, on what was known before `day`. Raises DataError when the day was not
        monitored, and as `train`.
        """
        known = self.registry.versions() if self.registry.exists() else []
        if not known:
            version, candidate = self.train(day, seed, {"decided_by": "policy", "reason": "there was no version yet"})
            told = "promote it with `registry promote`" if candidate.passed else "its gates refused it"
            return f"trained version {version.number}, the first; {told}"
        serving = {alias: version.number for version in known for alias in version.aliases}
        decision = daily.standing(self.data.monitoring, day, serving, _last_training(known, day))
        if decision is None:
            return f"nothing: what was decided of {day} is done, or the versions have changed since"
        event = self.carry_out(day, decision, seed, now)
        if event is None:
            return f"{decision.action}: no version changes"
        record(self.settings.journal, event)
        return event.text

    def carry_out(self, day: date, decision: Decision, seed: int, now: datetime) -> Event | None:
        """Train or move aliases as the policy decided; None when it decided something else."""
        reason, kind = decision.reason, str(decision.action)
        if decision.action is Action.RETRAIN:
            version, candidate = self.train(day, seed, {"decided_by": "policy", "reason": reason})
            done = "shadows the champion" if candidate.passed else "was refused by its gates"
            return Event(now, kind, version.number, f"version {version.number} was trained and {done}: {reason}")
        aliases = self.registry.aliases()
        if decision.action is Action.PROMOTE:
            number = aliases[CHALLENGER].number
            self.decisions.promote(number, reason)
            return Event(now, kind, number, f"version {number} replaces version {aliases[CHAMPION].number}: {reason}")
        if decision.action is Action.REFUSE:
            number = aliases[CHALLENGER].number
            self.decisions.refuse(number, reason)
            return Event(now, kind, number, f"version {number} stays out: {reason}")
        if decision.action is Action.ROLL_BACK:
            back, bad = self.decisions.rollback(reason).number, aliases[CHAMPION].number
            return Event(now, kind, back, f"version {back} serves again instead of {bad}: {reason}")
        return None

    def gauges(self, day: date, now: datetime) -> CollectorRegistry | None:
        """Return what Prometheus is told of a recorded day, None when a later one is recorded: gauges never go back."""
        if day != partition_days(self.data.monitoring, daily.DECISIONS)[-1]:
            return None
        serving = self._serving(self.registry.versions())
        champion = serving[CHAMPION].manifest if CHAMPION in serving else None
        return collect(self.settings, self.sources, self.views, champion, day, now)

    def _serving(self, versions: Sequence[Version]) -> dict[str, daily.Served]:
        """Return the version of each alias, its bundle fetched and looked at."""
        serving = dict[str, daily.Served]()
        for version in (version for version in versions if version.aliases):
            folder = self.settings.bundles / folder_name(version)
            if not folder.exists():
                self.registry.fetch(version, folder)
            served = daily.Served(
                version.number,
                _manifest(folder, version.digest),
                folder,
                version.tags.get(RECIPE, ""),
                date.fromisoformat(version.tags.get(TRAINED_ON, version.trained_until)),
                version.gates_passed,
            )
            serving |= dict.fromkeys(version.aliases, served)
        return serving

    def unused(self, newest: int) -> list[Version]:
        """Return the versions that nothing refers to and that are not among the newest; see `prune`."""
        return self.registry.unused(self._referred(), newest)

    def prune(self, newest: int) -> list[str]:
        """Delete what nothing refers to, and return a line each: versions, their runs, and bundles fetched from them.

        Kept are the newest versions, and each one that has an alias, that answered or shadowed a logged prediction, or
        that the audit file names. May be killed and run again. Raises RegistryError when the aliases move meanwhile.
        """
        settings = self.settings
        old = [version.number for version in self.unused(newest)]
        deleted = self.registry.prune(self._referred(), newest)
        for number in old:
            self.decisions.record("prune", number, f"nothing referred to it, and it was not among the newest {newest}")
        needed = {folder_name(version) for version in self.registry.aliases().values()}
        clear_left(settings.bundles)
        clear_left(settings.state, "candidate")
        return deleted + tidy(settings.bundles, needed)

    def _commit(self) -> str:
        """Return the commit that the code is of, empty when nobody knows."""
        return self.settings.revision or _git_commit()

    def _referred(self) -> set[str]:
        settings = self.settings
        entries = audit.read(settings.audit)
        found = {entry.version for entry in entries if entry.action not in UNBINDING}
        found |= logged_versions(settings.predictions)  # before the lake, into which a compaction may move them now
        for table in (PREDICTIONS, COHORTS):
            for day in partition_days(self.data.monitoring, table):
                path = partition_path(self.data.monitoring, table, day)
                columns = pq.read_table(readable(path), columns=[f"{alias}_version" for alias in ALIASES])
                found |= {value for column in columns.columns for value in column.unique().to_pylist() if value}
        return found


@lru_cache(maxsize=8)
def _manifest(folder: Path, digest: str) -> bundle.Manifest:
    """Return the manifest of a bundle whose every byte was looked at once in this process."""
    return bundle.verify(folder, digest)[0]


def _last_training(versions: Sequence[Version], day: date) -> date:
    """Return the day that the newest version was trained on; `day` when there is none.

    What somebody tried and the gates refused keeps no retraining waiting; what the policy asked for does.
    """
    counted = [version for version in versions if version.gates_passed or version.tags.get("decided_by") == "policy"]
    trained = [version.tags[TRAINED_ON] for version in counted if TRAINED_ON in version.tags]
    return date.fromisoformat(max(trained)) if trained else day


def _evidence(candidate: Candidate, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return what the audit keeps of a training: what it came from, and the decision of each gate."""
    return {
        **tags,
        "bundle_sha256": candidate.digest,
        "data_fingerprint": candidate.manifest.data_fingerprint,
        "gates_passed": candidate.passed,
        "refused_by": "; ".join(gate.name for gate in candidate.gates if not gate.passed),
        "gates": [gate.record() for gate in candidate.gates],
    }


def _git_commit() -> str:
    """Return the commit of the working directory, empty outside a checkout."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
