"""Looking for revoked tokens goes on, whatever becomes of one look."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from runstore_server.identity import callers
from runstore_server.identity.callers import Tokens
from runstore_storage.contract.admin import AdminStore
from runstore_storage.contract.errors import StorageUnavailable


class Epochs:
    """A store that fails twice before it says that something has changed."""

    def __init__(self) -> None:
        self._answers: list[Any] = [1, RuntimeError("a defect"), StorageUnavailable(), 2]

    async def credential_epoch(self) -> int:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return int(answer)


@pytest.mark.timeout(30)
async def test_a_change_is_noticed_after_looks_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(callers, "LOOK_SECONDS", 0.01)
    tokens = Tokens(cast(AdminStore, Epochs()))

    following = asyncio.create_task(tokens.follow())
    marks = []
    while tokens.changed.mark < 2:
        marks.append(await tokens.changed.wait(tokens.changed.mark, 10))

    assert all(marks)
    following.cancel()
