"""Receivers for sinks: a NATS server and an HTTP endpoint, both real."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from nats_server import NatsServer, program
from receiver import Receiver, receiving


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A running server for this test only."""
    if program() is None:
        missing = "nats-server is not installed: run tests/tools/install-nats-server"
        if os.environ.get("CI") or os.environ.get("TEST_REQUIRE_NATS"):
            pytest.fail(missing)
        pytest.skip(missing)
    made = NatsServer(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made
