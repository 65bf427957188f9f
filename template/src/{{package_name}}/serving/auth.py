"""Keys by role: who may ask for predictions, and who may look at what operates.

The settings hold sha256 digests, never keys. A key is 32 random bytes, so that nobody finds one by guessing, and a fast
hash is right: the slow ones that passwords need would cost each request milliseconds and protect nothing more here.
A key that is given is compared with the digests of all keys in constant time, whatever role it is for, so that the time
of a refusal tells nothing about any of them.
"""

import secrets
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Any

PREDICT, OPERATE = "predict", "operate"
CHALLENGE = (b"www-authenticate", b"Bearer")

# What each path needs; whatever is not named here, also what does not exist, is for those who operate.
OPEN = ""
PATHS = {
    "/v1/predictions": PREDICT,
    "/invocations": PREDICT,
    "/ping": OPEN,
    "/healthz/live": OPEN,
    "/healthz/ready": OPEN,
}


def make_key() -> tuple[str, str]:
    """Return a new key and the digest that the settings take."""
    key = secrets.token_urlsafe(32)
    return key, sha256(key.encode()).hexdigest()


class Keys:
    """The digests of the valid keys of each role; several at once are valid while a key is changed.

    Without any key everything is open, which only a server on loopback may be. With keys, a role that has none is
    closed to everyone.
    """

    def __init__(self, digests: Mapping[str, tuple[str, ...]]) -> None:
        # A key of two roles is in here once for each.
        self._valid = tuple((bytes.fromhex(digest), role) for role, held in digests.items() for digest in held)

    def refuse(self, authorization: bytes, role: str) -> int:
        """Return 0 when the value of the header may act in this role, 401 for no valid key, 403 for another role's."""
        if not self._valid:
            return 0
        # Whatever stands here is hashed, also nothing at all: no key has the digest of nothing.
        given = sha256(authorization[7:] if authorization[:7].lower() == b"bearer " else b"").digest()
        known = allowed = False
        for digest, held in self._valid:
            same = compare_digest(digest, given)
            known |= same
            allowed |= same and held == role
        return 0 if allowed else 403 if known else 401


def describe(openapi: dict[str, Any], refusals: Mapping[int | str, Any]) -> dict[str, Any]:
    """Add to an OpenAPI description which role's key each path takes, and how others are refused, and return it."""
    scheme = {"type": "http", "scheme": "bearer", "description": "A key of the role that the path needs."}
    openapi.setdefault("components", {})["securitySchemes"] = {"key": scheme}
    for path, operations in openapi["paths"].items():
        if role := PATHS.get(path, OPERATE):
            for operation in operations.values():
                operation["security"] = [{"key": [role]}]
                operation["responses"] |= {str(status): described for status, described in refusals.items()}
    return openapi
