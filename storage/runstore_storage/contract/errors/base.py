"""The base of what the store refuses, and what no noun can help."""

from __future__ import annotations


class StorageError(Exception):
    """A refusal that wrote nothing, with `details` for the client."""

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details = {name: str(value) for name, value in details.items()}


class Overloaded(StorageError):
    def __init__(
        self, retry_after: float, why: str = "too many writes are waiting on this server"
    ) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class StorageUnavailable(StorageError):
    retry_after = 0.2

    def __init__(self, what: str = "the database", answer: str = "did not answer") -> None:
        super().__init__(f"{what} {answer}; it is unknown whether the write was stored")
