"""A client with one connection, of the standard library: a library of clients takes five times as long to ask."""

import select
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

import msgspec


class NoAnswer(Exception):
    """A request was refused, or nobody answered it; the text says which."""


class Client:
    """Asks one server for JSON."""

    def __init__(self, url: str, seconds: float) -> None:
        self.url = url
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)

    def get(self, path: str) -> Any:
        """Return what is found there. Raises NoAnswer."""
        return self._ask("GET", path, None, {})

    def post(self, path: str, content: Any) -> Any:
        """Return the answer to some content. Raises NoAnswer."""
        return self._ask("POST", path, msgspec.json.encode(content), {"Content-Type": "application/json"})

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _ask(self, method: str, path: str, content: bytes | None, headers: dict[str, str]) -> Any:
        connection = self._connection
        if connection.sock and select.select([connection.sock], [], [], 0)[0]:
            connection.close()  # the server has closed it meanwhile; what is asked next makes another
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, HTTPException) as error:
            connection.close()
            raise NoAnswer(str(error) or type(error).__name__) from error
        if response.status != 200:
            raise NoAnswer(f"status {response.status}: {body.decode(errors='replace')}")
        return msgspec.json.decode(body)
