"""Makes calls of every kind with the installed versions, against the server at sys.argv[1].

Run by ranges.py in environments that have only the client's wheel and what it requires.
"""

import asyncio
import sys

import runstore
from runstore.v1 import feed_service_pb2, run_service_pb2


async def asynchronously(address: str) -> None:
    """Write, resume, be refused with a reason, follow, verify, and read the feed."""
    async with runstore.connect(address, project="ranges/async", timeout=30) as client:
        assert await client.health()
        run = await client.save_run("try it", tags=["t"], labels={"k": "v"})
        appended = await run.append("tool.called", {"query": "ü"}, event_id="e", tool="search")
        again = await run.append("tool.called", {"query": "ü"}, event_id="e", tool="search")
        assert (appended.seq, again.seq, again.deduplicated) == (1, 1, True)
        nodes = [runstore.PlanNode("n")]
        await run.snapshot(state={"x": 1}, nodes=nodes, pending_node_ids=["n"])
        resumed = await client.resume(run.run_id, actor="worker")
        assert resumed.pending_node_ids == ("n",)
        refusal = None
        try:
            await resumed.run.append("late", expected_seq=99)
        except runstore.SeqConflict as error:
            refusal = error
        assert refusal
        assert refusal.reason == "SEQ_CONFLICT"
        await resumed.run.complete(runstore.Outcome.SUCCEEDED, {"answer": 42})
        followed = [event.seq async for event in run.events(follow=True)]
        assert followed == list(range(1, len(followed) + 1))
        assert (await run.verify()).verified
        async for entry in client.feed.entries():
            assert entry.event.seq == 1
            break


def synchronously(address: str) -> None:
    """The same of the synchronous client, in short."""
    with runstore.Client(address, project="ranges/sync", timeout=30) as client:
        run = client.save_run("try it")
        with client.appender() as appender:
            for _ in range(20):
                appender.append(run, "tick")
        assert [event.seq for event in run.events()] == list(range(1, 21))
        refusal = None
        try:
            client.run("missing").get()
        except runstore.RunNotFound as error:
            refusal = error
        assert refusal


if __name__ == "__main__":
    for contracts in (run_service_pb2, feed_service_pb2):
        assert contracts.DESCRIPTOR.services_by_name
    asyncio.run(asynchronously(sys.argv[1]))
    synchronously(sys.argv[1])
