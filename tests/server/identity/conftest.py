"""A key, the HTTPS server that publishes it, and time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from certificates import Authority
from server.identity.issuing import Clock, KeyServer, SigningKey


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def key() -> SigningKey:
    return SigningKey()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def key_server(authority: Authority, key: SigningKey) -> AsyncIterator[KeyServer]:
    server = KeyServer(key)
    await server.start(authority.issue("issuer"))
    yield server
    await server.stop()
