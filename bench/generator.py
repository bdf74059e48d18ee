"""A load generator in a process of its own: takes jobs as lines of JSON, answers each with one.

A line {"job": "appends:unary", ...} calls that function of `bench.jobs` with the rest as keywords.
Channels and pools stay open from one job to the next, so only the first pays for connecting.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time

import uvloop


async def main() -> None:
    lines = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    while line := await lines.readline():
        asked = json.loads(line)
        module, _, name = asked.pop("job").partition(":")
        try:
            job = getattr(importlib.import_module(f"bench.jobs.{module}"), name)
            cpu, began = time.process_time(), time.perf_counter()
            answer = await job(**asked)
        except Exception as error:
            print(json.dumps({"failed": f"{type(error).__name__}: {error}"}), flush=True)
            continue
        answer["seconds"] = time.perf_counter() - began
        answer["cpu_seconds"] = time.process_time() - cpu
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
