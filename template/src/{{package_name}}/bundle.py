"""The bundle: what is trained, registered, synced and served. A folder of plain files that cannot run code.

    bundle.json         what the model is: inputs in order, categories, views with ttl and hash, windows, metrics, and
                        the sha256 of every other file; the sha256 of this file is the bundle's digest
    model.onnx          float32 inputs (n, k) -> probabilities (n, 2)
    golden.json         rows with the scores they must get, checked before a bundle answers anyone
    reference.parquet   a sample of the training rows, which monitoring compares live inputs with

The digest stands in the registry's tags: a changed, missing or added file is refused before anything is loaded.
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from .errors import BundleError

SCHEMA_VERSION = 1
MANIFEST = "bundle.json"
MODEL = "model.onnx"
GOLDEN = "golden.json"
REFERENCE = "reference.parquet"
FILES = (MODEL, GOLDEN, REFERENCE)
GOLDEN_TOLERANCE = 1e-5  # absolute, in probability


@dataclass(frozen=True)
class ViewSpec:
    """What serving must know of a feature view: where its values are and how long they hold (seconds)."""

    name: str
    keys: tuple[str, ...]
    features: tuple[str, ...]
    ttl: int
    definition: str
    """Hash of the view's definition; a value computed by another definition is not this feature."""


@dataclass(frozen=True)
class Manifest:
    """The content of bundle.json. Two trainings of the same data, code and seed give the same bytes."""

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
        return matrix(self.categories, self.numeric, columns)


def matrix(
    categories: Mapping[str, Sequence[str]], numeric: Sequence[str], columns: Mapping[str, NDArray[np.generic]]
) -> NDArray[np.float32]:
    """Return float32 rows of shape (n, categories + numeric); a value that is not in its category list is NaN."""
    parts: list[Any] = []
    for name, values in categories.items():
        code = {value: float(index) for index, value in enumerate(values)}
        parts.append([code.get(value, np.nan) for value in columns[name].tolist()])
    parts.extend(columns[name] for name in numeric)
    return np.column_stack([np.asarray(part, dtype=np.float32) for part in parts])


class Scorer:
    """An ONNX model in memory: one thread, no telemetry, nothing but the CPU."""

    def __init__(self, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        onnxruntime.disable_telemetry_events()
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[1].name

    def score(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of the label for each row of a float32 matrix (n, k)."""
        (probabilities,) = self._session.run([self._output], {self._input: matrix})
        return cast(NDArray[np.float32], probabilities)[:, 1].astype(np.float64)


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


def write(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> str:
    """Write a bundle under a temporary name, rename it to `folder`, and return its digest."""
    temporary = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    temporary.mkdir(parents=True)
    for name, content in files.items():
        (temporary / name).write_bytes(content)
    described = asdict(manifest) | {"files": {name: sha256(content) for name, content in sorted(files.items())}}
    text = json.dumps(described, indent=1, sort_keys=True) + "\n"
    (temporary / MANIFEST).write_text(text, encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    temporary.replace(folder)
    return sha256(text.encode())


def verify(folder: Path, digest: str | None = None) -> tuple[Manifest, str]:
    """Return the manifest and digest of a bundle whose every byte is what its manifest, and `digest`, say.

    Raises BundleError, before anything of the bundle is interpreted, when a file is missing, changed or unknown.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleError(f"{folder} holds no readable {MANIFEST}; sync the registry again") from error
    actual = sha256(text)
    if digest is not None and actual != digest:
        raise BundleError(f"{folder / MANIFEST} is not what the registry's sha256 says; register the model again")
    manifest = _parse(folder, text)
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    if present != set(FILES) or set(manifest.files) != set(FILES):
        raise BundleError(f"{folder} holds other files than {', '.join(FILES)}; remove it and sync again")
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.is_symlink() or sha256(path.read_bytes()) != expected:
            raise BundleError(f"{path} is not what its sha256 says; remove {folder} and sync again")
    return manifest, actual


def load(folder: Path, digest: str | None = None) -> Bundle:
    """Verify a bundle, load its model and check it on its golden rows. Raises BundleError; see verify."""
    manifest, actual = verify(folder, digest)
    try:
        scorer = Scorer((folder / MODEL).read_bytes())
    except Exception as error:
        raise BundleError(f"{folder / MODEL} is not a model onnxruntime can run ({type(error).__name__})") from error
    try:
        golden = json.loads((folder / GOLDEN).read_text(encoding="utf-8"))
        inputs = np.array(golden["inputs"], dtype=np.float32)
        worst = float(np.abs(scorer.score(inputs) - np.array(golden["scores"], dtype=np.float64)).max())
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


def _parse(folder: Path, text: bytes) -> Manifest:
    try:
        content = json.loads(text)
        if content.get("schema_version") != SCHEMA_VERSION:
            found = content.get("schema_version")
            raise BundleError(f"{folder} has bundle schema {found}, this code reads {SCHEMA_VERSION}; train it again")
        views = tuple(
            ViewSpec(**(view | {"keys": tuple(view["keys"]), "features": tuple(view["features"])}))
            for view in content.pop("views")
        )
        return Manifest(**(content | {"views": views, "numeric": tuple(content["numeric"])}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{folder / MANIFEST} cannot be read as a bundle's description; sync again") from error
