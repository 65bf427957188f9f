"""The model registry: the only code that talks to MLflow. Bundles are registered, found by alias, moved and fetched.

Aliases, not stages: `champion` serves, `challenger` shadows, `previous` is what a rollback returns to. A version's
tags carry the bundle's sha256, the verdict of the gates and where it came from. It is made, with all of its tags, when
its bundle is in the store; before that there is a run, which nobody can promote.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # between the lines of a report
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # seven take minutes to say that a server is down
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.tracking._model_registry.client import ModelRegistryClient
from mlflow.tracking.client import MlflowClient

from ..errors import BundleError, GateError, RegistryError
from ..settings import PREFIX
from . import moves, pruning
from .explained import ABSENT, OPENS_FILES, REFUSED, TAKEN, explained
from .moves import ALIASES, CHALLENGER, CHAMPION, PREVIOUS, Move
from .runs import BUNDLE, log_run
from .versions import RECIPE, Version, describe, version_of

if TYPE_CHECKING:
    from ..training.pipeline import Candidate

__all__ = ["ALIASES", "CHALLENGER", "CHAMPION", "PREVIOUS", "Registry", "Version", "describe"]


class Registry:
    """One registered model in one MLflow tracking store (a SQLite file when embedded, a server otherwise).

    `began` is when the caller began, in seconds since 1970: its first move is refused when another one happened since.
    """

    def __init__(
        self, uri: str, artifacts: Path, name: str, began: float | None = None, patience: float = moves.PATIENCE
    ) -> None:
        self._uri = uri
        self._artifacts = artifacts
        self._name = name
        self._began = began
        self._patience = patience
        self._tracking: MlflowClient | None = None
        self._models: MlflowClient | None = None

    def exists(self) -> bool:
        """Return whether a registry was ever made; a server counts as made."""
        path = self._file()
        return path is None or path.exists()

    def register(self, candidate: Candidate, tags: Mapping[str, str]) -> Version:
        """Log a candidate's run (see runs.py) and register it as a new version, without an alias."""
        with explained(self._uri):
            client = self._runs(create=True)
            run = log_run(client, self._experiment(client), candidate, tags)
            with _unless_taken():
                if not client.search_registered_models(f"name = '{self._name}'"):
                    client.create_registered_model(self._name)
            described = {
                "bundle_sha256": candidate.digest,
                "gates": "passed" if candidate.passed else "refused",
                "refused_by": "; ".join(gate.name for gate in candidate.gates if not gate.passed),
                "trained_until": candidate.manifest.trained_until,
                "auc": f"{candidate.manifest.metrics['auc']:.6f}",
                RECIPE: candidate.recipe,
                **tags,
            }
            source = f"{run.info.artifact_uri}/{BUNDLE}"
            made = client.create_model_version(self._name, source, run.info.run_id, tags=described)
            return self.version(made.version)

    def version(self, number: str) -> Version:
        """Return one version. Raises RegistryError when there is none of that number."""
        with explained(self._uri):
            try:
                return version_of(self._connect().get_model_version(self._name, number), {})
            except MlflowException as error:
                if error.error_code not in (ABSENT, REFUSED):
                    raise
                raise RegistryError(f"the registry has no version {number}; `registry status` lists them") from error

    def versions(self) -> list[Version]:
        """Return every version, oldest first, with its aliases."""
        with explained(self._uri):
            client = self._connect()
            aliases = moves.read(client, self._name).aliases
            found = client.search_model_versions(f"name = '{self._name}'")
            return sorted((version_of(item, aliases) for item in found), key=lambda version: int(version.number))

    def aliases(self) -> dict[str, Version]:
        """Return the version of each alias that is set."""
        return {alias: version for version in self.versions() for alias in version.aliases}

    def challenge(self, number: str) -> None:
        """Let a version that passed its gates shadow the champion. Raises GateError when it did not pass."""

        def decide(now: Mapping[str, str]) -> Move:
            version = self.version(number)
            self._require_gates(version)
            return Move({**now, CHALLENGER: version.number})

        self._move(decide)

    def promote(self, number: str, force_reason: str | None = None) -> None:
        """Make a version the champion and the old champion `previous`.

        Raises GateError when it did not pass its gates, unless `force_reason` says why it shall serve all the same;
        the reason is kept in the version's tags. Raises BundleError when its bundle is not what was registered, and
        RegistryError when another move happens at the same time. Then no alias has moved.
        """

        def decide(now: Mapping[str, str]) -> Move:
            version = self.version(number)
            champion = now.get(CHAMPION)
            if champion == version.number:
                return Move(now)
            if force_reason is None:
                self._require_gates(version)
            with tempfile.TemporaryDirectory() as folder:
                self.fetch(version, Path(folder) / BUNDLE)
            then = _without(now, CHALLENGER, version.number) | {CHAMPION: version.number}
            if champion:
                then[PREVIOUS] = champion
            return Move(then, {} if force_reason is None else {version.number: {"forced": force_reason}})

        self._move(decide)

    def rollback(self, reason: str) -> Version:
        """Make `previous` the champion again and return it. Raises RegistryError when there is none."""

        def decide(now: Mapping[str, str]) -> Move:
            if PREVIOUS not in now or CHAMPION not in now:
                raise RegistryError(
                    "there is no previous champion to return to; promote a version by its number instead"
                )
            back = now[PREVIOUS]
            return Move(_without(now, PREVIOUS, back) | {CHAMPION: back}, {now[CHAMPION]: {"rolled_back": reason}})

        return self.version(self._move(decide)[CHAMPION])

    def refuse(self, number: str, reason: str) -> None:
        """End a challenger's shadowing without a promotion."""

        def decide(now: Mapping[str, str]) -> Move:
            version = self.version(number)
            return Move(_without(now, CHALLENGER, version.number), {version.number: {"refused": reason}})

        self._move(decide)

    def unused(self, keep: Collection[str], newest: int) -> list[Version]:
        """Return the versions without an alias that are neither in `keep` nor among the newest, oldest first."""
        versions = self.versions()
        recent = {version.number for version in versions[max(0, len(versions) - newest) :]}
        return [version for version in versions if not version.aliases and version.number not in {*keep, *recent}]

    def prune(self, keep: Collection[str], newest: int) -> list[str]:
        """Delete the versions that are `unused`, their runs, and runs that never became a version; return a line each.

        A kill in the middle leaves runs without a version, which the next call deletes. Raises RegistryError when the
        aliases move meanwhile; then nothing was deleted.
        """
        with explained(self._uri):
            runs, deleted = self._runs(), list[str]()
            old = self.unused(keep, newest)
            for version in old:
                pruning.mark(runs, version.run)

            def delete(check: Callable[[], None]) -> None:
                for version in old:
                    check()
                    self._connect().delete_model_version(self._name, version.number)
                    deleted.append(f"version {version.number}")

            def decide(now: Mapping[str, str]) -> Move:
                held = {version.number for version in old} & set(now.values())
                if held:
                    raise RegistryError(moves.UNDER_WAY)
                return Move(now, also=delete)

            if old:
                self._move(decide)
            used = {version.run for version in self.versions()}
            return deleted + pruning.delete_runs(runs, self._name, used, self._uri)

    def tag(self, number: str, tags: Mapping[str, str]) -> None:
        """Add tags to a version."""
        with explained(self._uri):
            for key, value in tags.items():
                self._connect().set_model_version_tag(self._name, number, key, value)

    def fetch(self, version: Version, folder: Path) -> None:
        """Download a version's bundle to `folder`, verified against the tag's sha256; a bad one is never renamed to it.

        Raises BundleError when a byte is not what it should be, RegistryError when the registry cannot be reached.
        """
        from ..bundle import verify

        temporary = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
        temporary.mkdir(parents=True)
        try:
            with explained(self._uri):
                self._connect()
                got = download_artifacts(artifact_uri=version.source, dst_path=str(temporary), tracking_uri=self._uri)
            verify(Path(got), version.digest)
            if folder.exists():
                try:
                    verify(folder, version.digest)
                    return  # another process has fetched it meanwhile, and may have it open
                except BundleError:
                    folder.replace(temporary / "replaced")  # in one step: a kill never leaves half a bundle
            Path(got).replace(folder)
        except OSError as error:
            raise BundleError(f"version {version.number} cannot be fetched ({error}); register it again") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _require_gates(self, version: Version) -> None:
        if not version.gates_passed:
            names = version.tags.get("refused_by") or "its gates"
            raise GateError(
                f"version {version.number} was refused by: {names}; mend it, or promote it with --force REASON"
            )

    def _move(self, decide: Callable[[Mapping[str, str]], Move]) -> Mapping[str, str]:
        with explained(self._uri):
            moved = moves.move(self._connect(), self._name, decide, self._began, self._patience)
        self._began = None
        return moved

    def _connect(self) -> MlflowClient:
        """Return MLflow's client for models; with that for runs, which has the same methods, it opens twice as long."""
        if self._file() and not OPENS_FILES:
            raise RegistryError(
                f"only a client of an MLflow server is installed here, which opens no file; set {PREFIX}REGISTRY_URI"
            )
        if not self.exists():
            raise RegistryError(f"there is no registry at {self._file()}; `train` makes one")
        if self._models is None:
            self._models = cast(MlflowClient, ModelRegistryClient(self._uri, self._uri))  # type: ignore[no-untyped-call]
        return self._models

    def _runs(self, create: bool = False) -> MlflowClient:
        path = self._file()
        if path and create:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not self.exists():
            raise RegistryError(f"there is no registry at {path}; `train` makes one")
        if self._tracking is None:
            self._tracking = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        return self._tracking

    def _file(self) -> Path | None:
        return Path(self._uri.removeprefix("sqlite:///")) if self._uri.startswith("sqlite:///") else None

    def _experiment(self, client: MlflowClient) -> str:
        # Embedded, MLflow would put artifacts into the working directory; a server has its own place for them.
        place = self._artifacts.resolve().as_uri() if self._file() else None
        if client.get_experiment_by_name(self._name) is None:
            with _unless_taken():
                client.create_experiment(self._name, artifact_location=place)
        (found,) = client.search_experiments(filter_string=f"name = '{self._name}'")
        return str(found.experiment_id)


def _without(aliases: Mapping[str, str], alias: str, number: str) -> dict[str, str]:
    """Return the aliases, less one of them when it stands at that version."""
    return {name: held for name, held in aliases.items() if (name, held) != (alias, number)}


@contextmanager
def _unless_taken() -> Iterator[None]:
    """Pass over that a thing to be made is there: another process has made it since it was looked for."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != TAKEN:
            raise
