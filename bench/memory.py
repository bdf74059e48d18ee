"""What a server's memory grows by when a thousand streams are open and some are never read."""

from __future__ import annotations

from bench.figure import Taken
from bench.filling import long_run
from bench.setting import Setting
from bench.streams import APPENDS_PER_SECOND

READ, UNREAD = 900, 100
MEGABYTE = 1 << 20
SCHEMA = "long"


async def streams(setting: Setting) -> list[Taken]:
    """Streams that are never read stand before a long run, so that there is much to send them.

    Each round is a server of its own: memory that was used once is not always given back.
    """
    reader, writer = setting.generators.alone(0), setting.generators.alone(1)
    idle, grown, seconds = [], [], setting.options.seconds
    for _ in range(setting.options.rounds):
        async with setting.server(SCHEMA) as server:
            long = await long_run(setting, server, SCHEMA, setting.options.events)
            runs = await setting.new_runs(server, READ)
            # The server has done each kind of work once before it counts as idle.
            paced = {"address": server.address, "runs": runs, "per_second": APPENDS_PER_SECOND}
            await writer.one("streams:paced", **paced, seconds=seconds)
            await setting.settled(SCHEMA)
            before = server.resident_bytes()
            await reader.one(
                "streams:open_streams", address=server.address, runs=runs, unread=[long] * UNREAD
            )
            sent = await writer.one("streams:paced", **paced, seconds=seconds)
            after = server.resident_bytes()
            await reader.one("streams:close_streams", deliveries=sent["count"])
            idle.append(before / MEGABYTE)
            grown.append((after - before) / MEGABYTE)
    return [Taken("memory", grown, notes={"idle_megabytes": idle})]
