"""etcd, as its package starts it, in a folder of its own: durable puts of values of the same size.

It needs `etcd` on the PATH: on Debian, apt-get install etcd-server.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from bench import appends
from bench.appends import Settling
from bench.figure import Taken, alternate
from bench.setting import Setting

START_SECONDS = 30
CALLERS = 256


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[str]:
    """One member; the address of its clients."""
    binary = shutil.which("etcd")
    if binary is None:
        raise RuntimeError("etcd is not on the PATH: apt-get install etcd-server")
    client, peer = _free_port(), _free_port()
    log = (folder / "etcd.log").open("a")
    process = await asyncio.create_subprocess_exec(
        *(binary, "--data-dir", str(folder / "etcd"), "--log-level", "warn"),
        *("--listen-client-urls", f"http://127.0.0.1:{client}"),
        *("--advertise-client-urls", f"http://127.0.0.1:{client}"),
        *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
        *("--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"),
        *("--initial-cluster", f"default=http://127.0.0.1:{peer}"),
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{client}") as channel:
            await asyncio.wait_for(channel.channel_ready(), START_SECONDS)
        yield f"127.0.0.1:{client}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def puts(setting: Setting) -> list[Taken]:
    settling, seconds = Settling(setting), setting.options.seconds
    each = {"in_flight": CALLERS // len(setting.generators.processes), "seconds": seconds}
    async with setting.server() as ours, server(setting.folder) as address:
        runs = await setting.new_runs(ours, CALLERS)
        values, baseline = await alternate(
            setting.options.rounds,
            lambda: settling.after(appends.client_rate(setting, ours, runs, CALLERS)),
            lambda: setting.generators.rate("etcd:puts", setting.split(address=address, **each)),
        )
    return [Taken("etcd", values, baseline, settling.notes)]
