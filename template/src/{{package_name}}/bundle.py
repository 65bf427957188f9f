"""The bundle: what is trained, registered, synced and served. A folder of plain files that cannot run code.

    bundle.json         what the model is: inputs in order, categories, views with ttl and hash, windows, metrics, and
                        the sha256 of every other file; the sha256 of this file is the bundle's digest
    model.onnx          float32 inputs (n, k) -> probabilities (n, 2)
    golden.json         rows with the scores they must get, checked before a bundle answers anyone
    reference.parquet   a sample of the training rows, which monitoring compares live inputs with

The digest stands in the registry's tags: a changed, missing or added file is refused before anything is loaded. What
keeps its digest is still no reason to trust it: `strict.py` looks at each file before a library does. docs/bundle.md
describes the format, field by field.
"""

import hashlib
import json
import math
import shutil
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import ConfigDict

from .errors import BundleError
from .strict import parse_json, read_file, require_model, require_names, require_parquet

SCHEMA_VERSION = 1
MANIFEST = "bundle.json"
MODEL = "model.onnx"
GOLDEN = "golden.json"
REFERENCE = "reference.parquet"
FILES = (MODEL, GOLDEN, REFERENCE)
LIMITS = {MANIFEST: 1 << 20, MODEL: 1 << 26, GOLDEN: 1 << 22, REFERENCE: 1 << 26}  # bytes: 1, 64, 4 and 64 MiB
DIGITS = 12  # of a digest, at least, that say which bundle is meant; as many are in the name of a folder
GOLDEN_TOLERANCE = 1e-5  # absolute, in probability

Codes = Mapping[str, Mapping[str, float]]
"""The code of each value of each categorical input."""

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)  # how bundle.json and golden.json are read


@dataclass(frozen=True)
class ViewSpec:
    """What serving must know of a feature view: where its values are and how long they hold (seconds)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    keys: tuple[str, ...]
    features: tuple[str, ...]
    ttl: int
    definition: str
    """Hash of the view's definition; a value computed by another definition is not this feature."""
    required: bool = False
    """Whether no answer is given while the view cannot be read; otherwise its features are missing meanwhile."""


@dataclass(frozen=True)
class Manifest:
    """The content of bundle.json. Two trainings of the same data, code and seed give the same bytes."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    categories: Mapping[str, Sequence[str]]
    """Categorical inputs, first in the matrix; a value is its index here, anything else is NaN."""
    numeric: tuple[str, ...]
    views: tuple[ViewSpec, ...]
    trained_since: str
    """UTC days: the model was fitted on predictions in [trained_since, trained_until)."""
    trained_until: str
    tested_until: str
    data_fingerprint: str
    metrics: Mapping[str, float]
    files: Mapping[str, str]
    schema_version: int = SCHEMA_VERSION

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns of the matrix, in order."""
        return (*self.categories, *self.numeric)

    def matrix(self, columns: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32]:
        """Return the model's input, shape (n, k), from one array of n values per input name."""
        return _matrix(self._codes, self.numeric, columns)

    def row(self, columns: Mapping[str, Any]) -> list[float]:
        """Return one row of the matrix, from one value per input name."""
        coded = [code.get(columns[name], math.nan) for name, code in self._codes.items()]
        return coded + [columns[name] for name in self.numeric]

    @cached_property
    def _codes(self) -> Codes:
        return _codes(self.categories)


def matrix(
    categories: Mapping[str, Sequence[str]], numeric: Sequence[str], columns: Mapping[str, NDArray[np.generic]]
) -> NDArray[np.float32]:
    """Return float32 rows of shape (n, categories + numeric); a value that is not in its category list is NaN."""
    return _matrix(_codes(categories), numeric, columns)


def _codes(categories: Mapping[str, Sequence[str]]) -> Codes:
    return {name: {value: float(index) for index, value in enumerate(values)} for name, values in categories.items()}


def _matrix(codes: Codes, numeric: Sequence[str], columns: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    coded = [[code.get(value, np.nan) for value in columns[name].tolist()] for name, code in codes.items()]
    rows = len(columns[numeric[0]]) if numeric else len(coded[0])
    turned = np.empty((len(coded) + len(numeric), rows), np.float32)
    turned[: len(coded)] = coded
    # One call for all columns: for one row, a call for each costs more than the model.
    np.concatenate([columns[name] for name in numeric], out=turned[len(coded) :].reshape(-1), casting="unsafe")
    return np.ascontiguousarray(turned.T)


@dataclass(frozen=True)
class Golden:
    """The content of golden.json: rows of the matrix, null for NaN, and the score that each must get."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    inputs: tuple[tuple[float | None, ...], ...]
    scores: tuple[float, ...]


class Scorer:
    """An ONNX model in memory: one thread, no telemetry, nothing but the CPU."""

    def __init__(self, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        # Otherwise the content decides, and onnxruntime's own format is none that require_model has looked at.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        onnxruntime.disable_telemetry_events()
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[1].name
        self._lock = threading.Lock()

    def score(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of the label for each row of a float32 matrix (n, k)."""
        (probabilities,) = self._session.run([self._output], {self._input: matrix})
        return cast(NDArray[np.float32], probabilities)[:, 1].astype(np.float64)

    def score_row(self, row: Sequence[float]) -> float:
        """Return the probability of the label for one row of k inputs."""
        binding, inputs, outputs = self._one_row
        with self._lock:  # the row's place in memory is one for all
            inputs[0] = row
            self._session.run_with_iobinding(binding)
            return float(outputs[0, 1])

    @cached_property
    def _one_row(self) -> tuple[onnxruntime.IOBinding, NDArray[np.float32], NDArray[np.float32]]:
        """One row's place in memory, bound to the model once: handing it over each time costs more than scoring it."""
        inputs = np.zeros((1, self._session.get_inputs()[0].shape[1]), np.float32)
        outputs = np.zeros((1, 2), np.float32)
        binding = self._session.io_binding()
        binding.bind_input(self._input, "cpu", 0, np.float32, inputs.shape, inputs.ctypes.data)
        binding.bind_output(self._output, "cpu", 0, np.float32, outputs.shape, outputs.ctypes.data)
        return binding, inputs, outputs


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, loaded and checked on its own golden rows."""

    path: Path
    digest: str
    manifest: Manifest
    scorer: Scorer

    def score(self, columns: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float64]:
        """Return the probability of the label for each row; see Manifest.matrix for `columns`."""
        return self.scorer.score(self.manifest.matrix(columns))

    def scores(self, columns: Mapping[str, Any], rows: int) -> list[float]:
        """Return the probability of the label for one row, with a value per input, or for n rows, with arrays."""
        if rows == 1:
            return [self.scorer.score_row(self.manifest.row(columns))]
        found: list[float] = self.score(columns).tolist()
        return found


def write(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> str:
    """Write a bundle under a temporary name, rename it to `folder`, and return its digest.

    Raises BundleError when a number in the manifest is NaN or infinite: no reader would take it.
    """
    described = asdict(manifest) | {"files": {name: sha256(content) for name, content in sorted(files.items())}}
    try:
        text = json.dumps(described, indent=1, allow_nan=False) + "\n"
    except ValueError as error:
        raise BundleError(
            f"a metric of {manifest.name} is no number; train on days in which both outcomes occur"
        ) from error
    temporary = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    temporary.mkdir(parents=True)
    for name, content in files.items():
        (temporary / name).write_bytes(content)
    (temporary / MANIFEST).write_text(text, encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    temporary.replace(folder)
    return sha256(text.encode())


def verify(folder: Path, digest: str | None = None) -> tuple[Manifest, str]:
    """Return the manifest and digest of a bundle whose every byte is what its manifest, and `digest`, say.

    `digest` is the sha256 that the registry has, or the first digits of it, as they are in the folder's name.
    Raises BundleError, before anything of the bundle is interpreted, when a file is missing, changed, unknown or too
    large, and when one is not of its kind or reaches out of the folder.
    """
    manifest, actual, _ = _read(folder, digest)
    return manifest, actual


def load(folder: Path, digest: str | None = None) -> Bundle:
    """Verify a bundle, load its model and check it on its golden rows. Raises BundleError; see verify."""
    manifest, actual, files = _read(folder, digest)
    try:
        scorer = Scorer(files[MODEL])
    except Exception as error:
        raise BundleError(f"{folder / MODEL} is not a model onnxruntime can run ({type(error).__name__})") from error
    golden: Golden = parse_json(Golden, files[GOLDEN], folder / GOLDEN)
    if not golden.scores or [len(row) for row in golden.inputs] != [len(manifest.inputs)] * len(golden.scores):
        raise BundleError(
            f"{folder / GOLDEN} must hold a score for each row, and {len(manifest.inputs)} inputs in it; train again"
        )
    try:
        inputs = np.array(golden.inputs, dtype=np.float32)
        alone = scorer.score_row(inputs[0].tolist())  # a row goes another way, and must get there too
        worst = float(np.abs([alone, *scorer.score(inputs)] - np.array([golden.scores[0], *golden.scores])).max())
    except Exception as error:
        raise BundleError(
            f"{folder / GOLDEN} cannot be scored ({type(error).__name__}); train and register again"
        ) from error
    if not worst <= GOLDEN_TOLERANCE:  # a NaN is no agreement
        raise BundleError(f"{folder} scores its own golden rows {worst:.1g} off; train and register the model again")
    return Bundle(folder, actual, manifest, scorer)


def sha256(content: bytes) -> str:
    """Return the hexadecimal sha256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def _read(folder: Path, digest: str | None) -> tuple[Manifest, str, dict[str, bytes]]:
    """Return what `verify` does, and the content of the files: what was hashed is what is used, whoever writes there.

    The order is the defence: names, kinds and sizes before a byte is read, hashes before a byte is understood.
    """
    require_names(folder, {MANIFEST, *FILES})
    text = read_file(folder / MANIFEST, LIMITS[MANIFEST])
    actual = sha256(text)
    if digest is not None and not (len(digest) >= DIGITS and actual.startswith(digest)):
        raise BundleError(f"{folder / MANIFEST} is not what the bundle's sha256 says; remove {folder} and sync again")
    found = parse_json(dict[str, Any], text, folder / MANIFEST).get("schema_version")
    if found != SCHEMA_VERSION:
        raise BundleError(f"{folder} has bundle schema {found!r}, this code reads {SCHEMA_VERSION}; train it again")
    manifest: Manifest = parse_json(Manifest, text, folder / MANIFEST)
    if unknown := manifest.files.keys() ^ set(FILES):
        raise BundleError(
            f"{folder / MANIFEST} must name {', '.join(FILES)} and nothing else, not {min(unknown)!r}; sync again"
        )
    files = {name: read_file(folder / name, LIMITS[name]) for name in FILES}
    for name, content in files.items():
        if sha256(content) != manifest.files[name]:
            raise BundleError(f"{folder / name} is not what its sha256 says; remove {folder} and sync again")
    require_model(files[MODEL], folder / MODEL)
    require_parquet(files[REFERENCE], folder / REFERENCE)
    return manifest, actual, files
