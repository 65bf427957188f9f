"""The errors a user can mend. Each message is one sentence that says what is wrong and what to do."""

import re

INSTANT = "write it like 2013-04-02T10:15:00Z"
SAID = re.compile(r"(.*?)(?: - at `\$([\w.\[\]]*)`)?", re.DOTALL)  # by msgspec: what, and where
# What msgspec says where that does not say what to do; a group is the name of a field.
HINTS = {
    r"Object contains unknown field `(.*)`": "there is no such field; remove it",
    r"Object missing required field `(.*)`": "this field is missing; add it",
    r"Expected `array` of length >= 1": "there is nothing in it; send at least one",
    r"Expected `datetime` with a timezone component": f"the instant has no time zone; {INSTANT}",
    r"Invalid RFC3339 encoded datetime|Expected `datetime`.*": f"this is no instant; {INSTANT}",
}


class UserError(Exception):
    """Something the user can mend; the command line prints it as one line and exits with 1."""


class DataError(UserError):
    """A source, a partition or a feature table is missing, broken or not what its contract says."""


class BundleError(UserError):
    """A bundle is missing, changed, or made for other feature definitions; nothing of it is used."""


class RegistryError(UserError):
    """The model registry cannot be reached, or refuses what was asked of it."""


class GateError(UserError):
    """A model did not pass its gates and was not promoted."""


class AuditError(UserError):
    """The audit cannot be written, or is not what was written."""


def fault(error: Exception) -> tuple[str, str]:
    """Return where a msgspec.ValidationError found a fault, like `rows.3.name`, and what is wrong with it."""
    found = SAID.fullmatch(str(error))
    assert found
    said, path = found.groups("")
    where = path.replace("[", ".").replace("]", "").lstrip(".")
    for words, hint in HINTS.items():
        if found := re.fullmatch(words, said, re.DOTALL):
            return ".".join(filter(None, (where, *found.groups()))), hint
    return where, said.replace("\\\\", "\\")  # a pattern is quoted as Python writes it
