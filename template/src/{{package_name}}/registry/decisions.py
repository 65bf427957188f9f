"""What can be decided about a registered version: the registry is asked, and once it agreed, it is on record."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import audit
from ..errors import GateError
from .client import CHAMPION, Registry, Version


@dataclass(frozen=True)
class Decisions:
    """The decisions about the versions of one registry. They need no library of training: a rollback is in a hurry."""

    registry: Registry
    path: Path
    """The audit file."""

    def challenge(self, number: str, reason: str) -> None:
        """Let a version shadow the champion. Raises GateError when it did not pass its gates."""
        self.registry.challenge(number)
        self.record("challenge", number, reason)

    def promote(self, number: str, reason: str, force: bool = False) -> None:
        """Make a version the champion; `force` does it against its gates, for a reason that is not empty.

        Raises GateError when it did not pass its gates, or when it is forced without a reason. The champion of today is
        left as it is.
        """
        if force and not reason.strip():
            raise GateError("a promotion by force needs a reason; write it after --force, it stays on record")
        version, champion = self.registry.version(number), self.registry.aliases().get(CHAMPION)
        if champion and champion.number == number:
            return
        self.registry.promote(number, reason if force else None)
        evidence = _gates(version) | {"replaces": champion.number if champion else None}
        self.record("force" if force else "promote", number, reason, evidence)

    def rollback(self, reason: str) -> Version:
        """Make `previous` the champion again and return it. Raises RegistryError when there is none."""
        bad = self.registry.aliases().get(CHAMPION)
        back = self.registry.rollback(reason)
        self.record("rollback", back.number, reason, _gates(back) | {"replaces": bad.number if bad else None})
        return back

    def refuse(self, number: str, reason: str) -> None:
        """End a challenger's shadowing without a promotion."""
        self.registry.refuse(number, reason)
        self.record("refuse", number, reason)

    def record(self, action: str, number: str, reason: str, evidence: Mapping[str, Any] | None = None) -> None:
        """Put something that was done to a version on record, as of now. Raises AuditError."""
        audit.append(self.path, audit.Entry(datetime.now(UTC), action, number, reason, evidence or {}))


def _gates(version: Version) -> dict[str, Any]:
    """Return the digest of a version and what its gates said."""
    refused = version.tags.get("refused_by", "")
    return {"bundle_sha256": version.digest, "gates_passed": version.gates_passed, "refused_by": refused}
