"""The model card: facts of one training under the headings of Mitchell et al. (FAT* 2019), as Markdown."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .. import problem
from ..bundle import Manifest
from .gates import Gate


def render(
    manifest: Manifest,
    validation: date,
    parameters: Mapping[str, Any],
    measured: Mapping[str, Mapping[str, float]],
    slices: Mapping[str, Mapping[str, float]],
    gates: Sequence[Gate],
) -> bytes:
    """Return the card. `validation` is the first validation day, `measured` is evaluate.measure by a model's name."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, autoescape=False
    )
    text = environment.get_template("card.md").render(
        manifest=manifest,
        validation=validation,
        labelled=date.fromisoformat(manifest.tested_until) + problem.LABEL_DELAY,
        parameters=parameters,
        measured=measured,
        slices=slices,
        gates=gates,
        problem=problem,
    )
    return text.encode()
