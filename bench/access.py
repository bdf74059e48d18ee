"""What knowing the caller costs: the same calls without, with tokens, and with tokens and TLS."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from runstore_migrations import schema as schemas

from bench.appends import IN_FLIGHT
from bench.figure import Taken, alternate
from bench.servers import Server
from bench.setting import Setting
from tests.certificates import Authority

KINDS = ("plain", "auth", "auth-tls")


@dataclass(frozen=True, slots=True)
class Side:
    """A server of one kind, with runs of its own."""

    schema: str
    server: Server
    runs: list[str]


async def calls(setting: Setting) -> list[Taken]:
    """The server's CPU for an append and for a GetRun."""
    async with AsyncExitStack() as stack:
        sides = [await stack.enter_async_context(_side(setting, kind)) for kind in KINDS]
        return [
            *await _compared(setting, sides, "append", "appends:unary"),
            *await _compared(setting, sides, "get-run", "reads:runs"),
        ]


async def _compared(setting: Setting, sides: list[Side], figure: str, job: str) -> list[Taken]:
    plain, *others = await alternate(
        setting.options.rounds, *(lambda side=side: _cpu(setting, side, job) for side in sides)
    )
    return [
        Taken(f"{figure}-{kind}", values, plain)
        for kind, values in zip(KINDS[1:], others, strict=True)
    ]


async def _cpu(setting: Setting, side: Side, job: str) -> float:
    """Milliseconds of the server's CPU a call, all included that the feed does afterwards."""
    asked = setting.split(address=side.server.address, runs=side.runs)
    for each in asked:
        each |= {"in_flight": len(each["runs"]), "seconds": setting.options.seconds}
    used = side.server.cpu_seconds()
    answers = await setting.generators.each(job, asked)
    await setting.settled(side.schema)
    return 1000 * (side.server.cpu_seconds() - used) / sum(each["count"] for each in answers)


@asynccontextmanager
async def _side(setting: Setting, kind: str) -> AsyncIterator[Side]:
    schema, environment = f"access_{kind.replace('-', '_')}", {}
    await schemas.upgrade(setting.url, schema)
    given: dict[str, str] = {}
    if "auth" in kind:
        environment["RUNSTORE_AUTH"] = "required"
        given["token"] = await _token(setting, schema)
    if "tls" in kind:
        authority = Authority(setting.folder)
        certificate, key = authority.issue("server")
        environment |= {
            "RUNSTORE_TLS_CERT_FILE": str(certificate),
            "RUNSTORE_TLS_KEY_FILE": str(key),
        }
        given["ca"] = str(authority.file)
    async with setting.server(schema, **environment) as server:
        address = server.address
        await setting.generators.each("channels:known", [{"address": address, **given}] * 2)
        yield Side(schema, server, await setting.new_runs(server, IN_FLIGHT))


async def _token(setting: Setting, schema: str) -> str:
    command = ("-m", "runstore_server", "tokens", "create", "--name", "bench")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command, "--grant", "writer@*"),
        env={**os.environ, "RUNSTORE_DATABASE_URL": setting.url, "RUNSTORE_DB_SCHEMA": schema},
        stdout=asyncio.subprocess.PIPE,
    )
    made, _ = await process.communicate()
    return made.decode().strip()
