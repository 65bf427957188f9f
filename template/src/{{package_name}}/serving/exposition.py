"""The metrics of all workers as one: each writes what it has counted to a file, and the parent adds the files up.

Counting stays as cheap as in one process, and nothing has to be declared for several. A worker that is killed takes
what it counted since its last write with it, half a second at most; all before that stays, so that no counter falls.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

# How the gauges of several workers become one; of the others the largest counts.
GAUGES: dict[str, Callable[[list[float]], float]] = {"ready": min, "http_requests_in_flight": sum}


def write(registry: CollectorRegistry, path: Path) -> None:
    """Write what a worker has counted, whole or not at all."""
    temporary = path.with_suffix(".new")
    temporary.write_bytes(generate_latest(registry))
    temporary.replace(path)


class Summed(Collector):
    """The metrics in the files of a folder; each is named after the process that writes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gone: set[str] = set()

    def forget(self, pid: int) -> None:
        """Leave out the gauges of a process that is gone, and keep what it has counted."""
        self._gone.add(str(pid))

    def collect(self) -> Iterator[Metric]:
        """Yield each metric, added up over the processes."""
        families: dict[str, Metric] = {}
        values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], list[float]]] = {}
        for path in sorted(self._folder.glob("*.prom")):
            for family in text_string_to_metric_families(path.read_text()):
                if family.type == "gauge" and path.stem in self._gone:
                    continue
                families.setdefault(family.name, family)
                of = values.setdefault(family.name, {})
                for sample in family.samples:
                    of.setdefault((sample.name, tuple(sample.labels.items())), []).append(sample.value)
        for name, family in families.items():
            summed = Metric(name, family.documentation, family.type)
            combine = GAUGES.get(name, max) if family.type == "gauge" else sum
            for (sample_name, labels), found in values[name].items():
                summed.add_sample(sample_name, dict(labels), combine(found))
            yield summed
