"""Did the loop close? Judged from what can be seen: the registry, the prediction log and the running server."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from ..registry.client import CHAMPION, Version


class Expectation(StrEnum):
    """What a replay is expected to have done."""

    RETRAIN = "retrain"
    PROMOTION = "promotion"
    REFUSAL = "refusal"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class Observed:
    """The state after a replay. `answers` has one row per logged prediction in order: `champion_version`, `day`."""

    versions: Sequence[Version]
    answers: pd.DataFrame
    serving: Mapping[str, str]
    """Aliases and versions that the running server reports."""
    lost: int


@dataclass(frozen=True)
class Finding:
    """One check and what was seen."""

    name: str
    held: bool
    seen: str


def judge(observed: Observed, expected: Sequence[Expectation]) -> list[Finding]:
    """Return a finding for each expectation, and those that hold for every replay."""
    checks: Mapping[Expectation, Callable[[Observed], Finding]] = {
        Expectation.RETRAIN: _retrained,
        Expectation.PROMOTION: _promoted,
        Expectation.REFUSAL: _refused,
        Expectation.ROLLBACK: _rolled_back,
    }
    return [_consistent(observed), _nothing_lost(observed), *(checks[name](observed) for name in expected)]


def _consistent(observed: Observed) -> Finding:
    aliases = {alias: version.number for version in observed.versions for alias in version.aliases}
    serves = observed.serving.get(CHAMPION)
    held = bool(serves) and serves == aliases.get(CHAMPION)
    return Finding(
        "the server answers with the registry's champion", held, f"server {serves}, registry {aliases.get(CHAMPION)}"
    )


def _nothing_lost(observed: Observed) -> Finding:
    seen = f"{observed.lost} of {len(observed.answers)} missing"
    return Finding("every answer that a client received is in the prediction log", observed.lost == 0, seen)


def _retrained(observed: Observed) -> Finding:
    found = [version for version in observed.versions if version.tags.get("decided_by") == "policy"]
    seen = f"version {found[0].number}: {found[0].tags['reason']}" if found else "no version that the policy asked for"
    return Finding("the policy decided to retrain", bool(found), seen)


def _promoted(observed: Observed) -> Finding:
    """A version of the policy passed its gates, shadowed on logged predictions, and then answered."""
    for version in observed.versions:
        if version.tags.get("decided_by") != "policy" or not version.gates_passed or "forced" in version.tags:
            continue
        shadowed = observed.answers[observed.answers["challenger_version"] == version.number]
        answered = observed.answers[observed.answers["champion_version"] == version.number]
        if len(shadowed) and len(answered) and shadowed["day"].min() < answered["day"].min():
            days = shadowed["day"].nunique()
            seen = f"version {version.number} shadowed {days} days, then answered {len(answered)} predictions"
            return Finding("a challenger shadowed and was promoted", True, seen)
    return Finding("a challenger shadowed and was promoted", False, "no retrained version shadowed and then answered")


def _refused(observed: Observed) -> Finding:
    bad = [version for version in observed.versions if version.tags.get("fault") == "bad-candidate"]
    answered = set(observed.answers["champion_version"])
    held = bool(bad) and all(not version.gates_passed and version.number not in answered for version in bad)
    seen = (
        "; ".join(f"version {version.number}: {version.tags['refused_by']}" for version in bad) or "none was registered"
    )
    return Finding("the gates refused the bad candidate and it never answered", held, seen)


def _rolled_back(observed: Observed) -> Finding:
    """The forced version answered, was rolled back on matured labels, and another version answered after it."""
    name = "the forced model was noticed and rolled back"
    for version in observed.versions:
        if "forced" not in version.tags:
            continue
        mine = observed.answers[observed.answers["champion_version"] == version.number]
        if mine.empty or "rolled_back" not in version.tags:
            return Finding(
                name, False, f"version {version.number} answered {len(mine)} predictions and was not rolled back"
            )
        after = observed.answers[observed.answers["day"] > mine["day"].max()]
        held = len(after) > 0 and observed.serving.get(CHAMPION) != version.number
        seen = f"version {version.number} answered for {mine['day'].nunique()} days; then {version.tags['rolled_back']}"
        return Finding(name, held, seen)
    return Finding(name, False, "no version was forced past its gates")
