"""Random histories of a service: a state machine's rules call a server on a loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import grpc
from conftest import make_served_store
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from runstore_server.app import App
from runstore_server.settings import Settings


def run_histories(
    machine: type[RuleBasedStateMachine],
    database_url: str,
    db_schema: str,
    stubs: Mapping[str, Callable[[grpc.aio.Channel], object]],
    *,
    examples: int,
    steps: int,
) -> None:
    """Run the machine, whose `loop` is the server's, and which has the stubs by their names."""
    loop = asyncio.new_event_loop()

    async def start() -> tuple[App, grpc.aio.Channel]:
        configured = Settings(
            database_url=database_url,
            db_schema=db_schema,
            port=0,
            http=False,
            relay=False,
            drain_seconds=1,
        )
        server = App(configured, make_served_store(database_url, db_schema))
        return server, grpc.aio.insecure_channel(await server.start())

    server, channel = loop.run_until_complete(start())
    given: dict[str, Any] = {name: stub(channel) for name, stub in stubs.items()}
    try:
        run_state_machine_as_test(
            type("Bound", (machine,), {"loop": loop, **given}),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
    finally:
        loop.run_until_complete(channel.close())
        loop.run_until_complete(server.drain())
        loop.close()
