"""A server in a process of its own, so that client and server do not share an event loop.

python -m bench.serve echo | python -m bench.serve runstore DATABASE_URL
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from runstore_server import logs
from runstore_server.app import App, open_store
from runstore_server.settings import Settings

from bench import echo


async def main(arguments: list[str]) -> None:
    match arguments:
        case ["echo"]:
            _server, address = await echo.serve()
        case ["runstore", url]:
            settings = Settings(port=0, http=False, log_level="warning")
            logs.configure(settings)
            _server = App(settings, open_store(settings, url))
            address = await _server.start()
        case _:
            raise SystemExit(__doc__)
    print(address, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))
