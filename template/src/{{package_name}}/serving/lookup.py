"""The online store as the server sees it: a store that is away costs one request its patience, and no other.

After a read that failed, the store is left alone until the thread that looks after the server finds it back. Answers go
on without its features meanwhile, which is what a row looks like that no view knows.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any

from ..errors import DataError
from ..features.online import Found, OnlineStore, Plan, nothing_found

PAUSE = 1.0  # seconds for which a store that failed is left alone at least: one that fails now and then is no help

logger = logging.getLogger(__name__)


class Lookup:
    """Reads features while the store answers."""

    def __init__(self, store: OnlineStore) -> None:
        self.store = store
        self.away = ""
        """One sentence why the store is not read, empty while it is."""
        self._failed_at = 0.0

    def read(self, plan: Plan, columns: Mapping[str, Any], at: Any) -> Found:
        """Return what OnlineStore.read does, and nothing for each row while the store is away."""
        if not self.away:
            try:
                return self.store.read(plan, columns, at)
            except DataError as error:
                self._failed_at = time.monotonic()
                self.away = str(error)
                logger.warning("features are missing: %s", error)
        return nothing_found(plan, at)

    def probe(self) -> None:
        """Ask the store again when it has been left alone for long enough. It may wait: call it from a thread."""
        if self.away and time.monotonic() - self._failed_at >= PAUSE:
            try:
                self.store.definitions()
            except DataError as error:
                self.away = str(error)
            else:
                self.away = ""
                logger.warning("features are read again")
