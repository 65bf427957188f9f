"""The errors a user can mend. Each message is one sentence that says what is wrong and what to do."""


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
