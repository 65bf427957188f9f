"""What MLflow, its database and its server raise, as one sentence."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from mlflow.exceptions import MlflowException

from ..errors import RegistryError

OPENS_FILES = find_spec("sqlalchemy") is not None
"""Whether MLflow can open a database here; mlflow-skinny, beside a server, only asks an MLflow server."""
if OPENS_FILES:
    from sqlalchemy.exc import SQLAlchemyError

    ERRORS: tuple[type[Exception], ...] = (MlflowException, OSError, SQLAlchemyError)
else:
    ERRORS = (MlflowException, OSError)

ABSENT = "RESOURCE_DOES_NOT_EXIST"
TAKEN = "RESOURCE_ALREADY_EXISTS"
REFUSED = "INVALID_PARAMETER_VALUE"


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Raise RegistryError, one sentence, for whatever goes wrong inside; MLflow's own notes stay out of the output."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    except ERRORS as error:
        line = " ".join(str(error).split())[:200]
        code = error.error_code if isinstance(error, MlflowException) else ""
        if code in (ABSENT, REFUSED):
            raise RegistryError(f"the registry refuses that: {line}; look at `registry status`") from error
        hint = "another process holds it, try again" if "locked" in str(error) else "check that it is up and readable"
        raise RegistryError(f"the registry at {uri} does not answer ({line}); {hint}") from error
