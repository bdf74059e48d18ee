"""A server that goes down answers what it was asked, for as long as it was told to."""

import asyncio

import httpx
import pytest

RUN = "/api/v1/runs/run"


class Gate:
    """Holds reads of a run until it is opened."""

    def __init__(self, store) -> None:
        self.entered, self.open = asyncio.Event(), asyncio.Event()
        self._get_run = store.get_run
        store.get_run = self

    async def __call__(self, key):
        self.entered.set()
        await self.open.wait()
        return await self._get_run(key)


async def test_a_request_in_flight_is_answered_before_the_server_stops(own_server) -> None:
    async with own_server() as own:
        await own.client.save_run(run_id="run")
        gate = Gate(own.store)
        asking = asyncio.create_task(own.http.get(RUN))
        await gate.entered.wait()

        draining = asyncio.create_task(own.app.drain())
        await asyncio.wait([draining], timeout=0.5)
        assert not draining.done()
        gate.open.set()

        assert (await asking).status_code == 200
        await asyncio.wait_for(draining, 60)


async def test_a_request_that_takes_too_long_does_not_hold_up_the_server(own_server) -> None:
    async with own_server(drain_seconds=0.1) as own:
        await own.client.save_run(run_id="run")
        gate = Gate(own.store)
        asking = asyncio.create_task(own.http.get(RUN))
        await gate.entered.wait()

        await asyncio.wait_for(own.app.drain(), 60)

        with pytest.raises(httpx.TransportError):
            await asking


async def test_idle_connections_are_closed(own_server) -> None:
    async with own_server(drain_seconds=300) as own:
        await own.http.get("/livez")

        await asyncio.wait_for(own.app.drain(), 60)
