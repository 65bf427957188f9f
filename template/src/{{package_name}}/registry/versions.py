"""What a registered version is, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion

RECIPE = "recipe"  # a tag: what it is made by, whatever the data; see training/pipeline.py


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
    run: str = ""


def version_of(item: ModelVersion, aliases: Mapping[str, str]) -> Version:
    """Return a version as MLflow has it, with those of the aliases (name: number) that stand at it."""
    mine = [alias for alias, number in aliases.items() if number == str(item.version)]
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
        run=item.run_id or "",
    )


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
