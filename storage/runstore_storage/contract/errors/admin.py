"""What is refused of tokens and holds."""

from __future__ import annotations

from runstore_storage.contract.errors.base import StorageError


class TokenNotFound(StorageError):
    def __init__(self, token_id: str) -> None:
        super().__init__(f"there is no token {token_id!r}", token_id=token_id)


class PolicyNotFound(StorageError):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is no policy {name!r}", name=name)


class HoldNotFound(StorageError):
    def __init__(self, hold_id: str) -> None:
        super().__init__(f"there is no hold {hold_id!r}", hold_id=hold_id)
