"""The model registry: the only code that talks to MLflow. Bundles are registered, found by alias, moved and fetched.

Aliases, not stages: `champion` serves, `challenger` shadows, `previous` is what a rollback returns to. A version's
tags carry the bundle's sha256, the verdict of the gates and where it came from.
"""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from ..bundle import verify
from ..errors import BundleError, GateError, RegistryError
from .runs import BUNDLE, log_run

if TYPE_CHECKING:
    from ..training.pipeline import Candidate

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"
ALIASES = (CHAMPION, CHALLENGER, PREVIOUS)


@dataclass(frozen=True)
class Version:
    """One registered model version."""

    number: str
    digest: str
    gates_passed: bool
    trained_until: str
    auc: float
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    source: str


class Registry:
    """One registered model in one MLflow tracking store (a SQLite file when embedded, a server otherwise)."""

    def __init__(self, uri: str, artifacts: Path, name: str) -> None:
        self._uri = uri
        self._artifacts = artifacts
        self._name = name
        self._client: MlflowClient | None = None

    def exists(self) -> bool:
        """Return whether a registry was ever made; a server counts as made."""
        path = self._file()
        return path is None or path.exists()

    def register(self, candidate: Candidate, tags: Mapping[str, str]) -> Version:
        """Log a candidate's run (see runs.py) and register it as a new version, without an alias."""
        with _explained(self._uri), _quiet():
            client = self._connect(create=True)
            run = log_run(client, self._experiment(client), candidate, tags)
            if not client.search_registered_models(f"name = '{self._name}'"):
                client.create_registered_model(self._name)
            described = {
                "bundle_sha256": candidate.digest,
                "gates": "passed" if candidate.passed else "refused",
                "refused_by": "; ".join(gate.name for gate in candidate.gates if not gate.passed),
                "trained_until": candidate.manifest.trained_until,
                "auc": f"{candidate.manifest.metrics['auc']:.6f}",
                **tags,
            }
            source = f"{run.info.artifact_uri}/{BUNDLE}"
            made = client.create_model_version(self._name, source, run.info.run_id, tags=described)
            return self.version(made.version)

    def version(self, number: str) -> Version:
        """Return one version. Raises RegistryError when there is none of that number."""
        with _explained(self._uri), _quiet():
            try:
                return _version(self._connect().get_model_version(self._name, number))
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                raise RegistryError(f"the registry has no version {number}; `registry status` lists them") from error

    def versions(self) -> list[Version]:
        """Return every version, oldest first, with its aliases."""
        with _explained(self._uri), _quiet():
            client = self._connect()
            aliases: dict[str, str] = {}
            for model in client.search_registered_models(f"name = '{self._name}'"):
                aliases |= {alias: str(number) for alias, number in model.aliases.items()}
            found = client.search_model_versions(f"name = '{self._name}'")
            return sorted((_version(item, aliases) for item in found), key=lambda version: int(version.number))

    def aliases(self) -> dict[str, Version]:
        """Return the version of each alias that is set."""
        return {alias: version for version in self.versions() for alias in version.aliases}

    def challenge(self, number: str) -> None:
        """Let a version that passed its gates shadow the champion. Raises GateError when it did not pass."""
        self._require_gates(self.version(number))
        self._set({CHALLENGER: number})

    def promote(self, number: str, force_reason: str | None = None) -> None:
        """Make a version the champion and the old champion `previous`.

        Raises GateError when it did not pass its gates, unless `force_reason` says why it shall serve all the same;
        the reason is kept in the version's tags.
        """
        version = self.version(number)
        champion = self.aliases().get(CHAMPION)
        if champion and champion.number == number:
            return
        if force_reason is None:
            self._require_gates(version)
        else:
            self.tag(number, {"forced": force_reason})
        self._set({PREVIOUS: champion.number} if champion else {})
        self._set({CHAMPION: number})
        self._drop(CHALLENGER, number)

    def rollback(self, reason: str) -> Version:
        """Make `previous` the champion again and return it. Raises RegistryError when there is none."""
        aliases = self.aliases()
        if PREVIOUS not in aliases or CHAMPION not in aliases:
            raise RegistryError("there is no previous champion to return to; promote a version by its number instead")
        back, bad = aliases[PREVIOUS], aliases[CHAMPION]
        self.tag(bad.number, {"rolled_back": reason})
        self._set({CHAMPION: back.number})
        self._drop(PREVIOUS, back.number)
        return back

    def refuse(self, number: str, reason: str) -> None:
        """End a challenger's shadowing without a promotion."""
        self.tag(number, {"refused": reason})
        self._drop(CHALLENGER, number)

    def tag(self, number: str, tags: Mapping[str, str]) -> None:
        """Add tags to a version."""
        with _explained(self._uri), _quiet():
            for key, value in tags.items():
                self._connect().set_model_version_tag(self._name, number, key, value)

    def fetch(self, version: Version, folder: Path) -> None:
        """Download a version's bundle to `folder`, verified against the tag's sha256; a bad one is never renamed to it.

        Raises BundleError when a byte is not what it should be, RegistryError when the registry cannot be reached.
        """
        temporary = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
        temporary.mkdir(parents=True)
        try:
            with _explained(self._uri), _quiet():
                self._connect()
                got = mlflow.artifacts.download_artifacts(
                    artifact_uri=version.source, dst_path=str(temporary), tracking_uri=self._uri
                )
            verify(Path(got), version.digest)
            if folder.exists():
                shutil.rmtree(folder)
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

    def _set(self, aliases: Mapping[str, str]) -> None:
        with _explained(self._uri), _quiet():
            for alias, number in aliases.items():
                self._connect().set_registered_model_alias(self._name, alias, number)

    def _drop(self, alias: str, number: str) -> None:
        held = self.aliases().get(alias)
        if held and held.number == number:
            with _explained(self._uri), _quiet():
                self._connect().delete_registered_model_alias(self._name, alias)

    def _connect(self, create: bool = False) -> MlflowClient:
        path = self._file()
        if not create and not self.exists():
            raise RegistryError(f"there is no registry at {path}; `train` makes one")
        if self._client is None:
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        return self._client

    def _file(self) -> Path | None:
        return Path(self._uri.removeprefix("sqlite:///")) if self._uri.startswith("sqlite:///") else None

    def _experiment(self, client: MlflowClient) -> str:
        found = client.get_experiment_by_name(self._name)
        if found:
            return str(found.experiment_id)
        return str(client.create_experiment(self._name, artifact_location=self._artifacts.resolve().as_uri()))


def _version(item: ModelVersion, aliases: Mapping[str, str] | None = None) -> Version:
    mine = [alias for alias, number in (aliases or {}).items() if number == str(item.version)]
    tags = dict(item.tags)
    return Version(
        number=str(item.version),
        digest=tags.get("bundle_sha256", ""),
        gates_passed=tags.get("gates") == "passed",
        trained_until=tags.get("trained_until", ""),
        auc=float(tags.get("auc", "nan")),
        aliases=tuple(sorted(mine)),
        tags=tags,
        source=item.source or "",
    )


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turn what MLflow and its database raise into one sentence."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        if isinstance(error, MlflowException) and error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise RegistryError(f"the registry has no such thing: {' '.join(error.message.split())[:200]}") from error
        line = next(iter(str(error).splitlines()), type(error).__name__)
        hint = "another process holds it, try again" if "locked" in str(error) else "check that it is up and readable"
        raise RegistryError(f"the registry at {uri} does not answer ({line[:160]}); {hint}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's notes about its own migrations out of the output of a verb."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    yield


def describe(versions: Sequence[Version]) -> str:
    """Return a table of versions, a line each."""
    lines = [f"{'version':>7}  {'trained until':<13}  {'AUC':>6}  {'gates':<7}  aliases and events"]
    for version in versions:
        events = [*version.aliases]
        events += [f"{key}: {version.tags[key]}" for key in ("forced", "rolled_back", "refused") if key in version.tags]
        verdict = "passed" if version.gates_passed else "refused"
        lines.append(
            f"{version.number:>7}  {version.trained_until:<13}  {version.auc:>6.3f}  {verdict:<7}  {'; '.join(events)}"
        )
    return "\n".join(lines)
