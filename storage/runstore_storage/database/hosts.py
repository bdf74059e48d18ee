"""The hosts of a URL: the first that can be opened is used, and a dead one holds up no other.

The driver tries them one after the other within the time of a single connection, and stops at one
that is starting; behind a host that is gone without a word it never reaches the next.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Protocol, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

# A host that has not answered by then is tried beside the next.
HEAD_START_SECONDS = 1.0

# What is before the hosts of a URL, they, and what is behind them.
_HOSTS = re.compile(r"([^/?#]*//(?:[^/?#]*@)?)([^/?#@]+)((?:[/?#].*)?)", re.DOTALL)


class Opened(Protocol):
    """What can be ended at once."""

    def terminate(self) -> None: ...


T = TypeVar("T", bound=Opened)


async def first_opened(
    url: str,
    opened: Callable[[str], Coroutine[object, object, T]],
    *,
    unfit: type[Exception],
) -> T:
    """Open the URL's hosts in their order until one succeeds; end what the others yet open.

    If all fail, raise what one raised: `unfit` only where every host is.
    """
    urls = each_host(url)
    tasks: list[asyncio.Task[T]] = []
    winner: asyncio.Task[T] | None = None
    try:
        for number, each in enumerate(urls, 1):
            tasks.append(asyncio.create_task(opened(each)))
            is_last = number == len(urls)
            winner = await _first_done_well(tasks, None if is_last else HEAD_START_SECONDS)
            if winner:
                return winner.result()
    finally:
        for task in tasks:
            if task is not winner:
                task.cancel()
                task.add_done_callback(_end)
    failures = [failure for task in tasks if (failure := task.exception())]
    raise next((each for each in failures if not isinstance(each, unfit)), failures[-1])


def each_host(url: str) -> Sequence[str]:
    """The URL with each of its hosts alone."""
    # Not by urlsplit: some Pythons refuse an IPv6 address behind another host.
    if several := _HOSTS.fullmatch(url):
        before, hosts, after = several.groups()
        return [f"{before}{host}{after}" for host in hosts.split(",")]
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    named, ports = query.get("host", "").split(","), query.get("port", "").split(",")
    if len(named) == 1 or len(ports) not in {1, len(named)}:
        return [url]  # which the driver refuses where the numbers differ
    ports = ports * len(named) if len(ports) == 1 else ports
    return [
        urlunsplit(parts._replace(query=urlencode({**query, "host": host, "port": port})))
        for host, port in zip(named, ports, strict=True)
    ]


async def _first_done_well(
    tasks: Sequence[asyncio.Task[T]],
    timeout: float | None,  # noqa: ASYNC109 - a bound on waiting
) -> asyncio.Task[T] | None:
    """The first that succeeds; None if all fail, or none succeeds in time."""
    deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
    while True:
        well = (each for each in tasks if each.done() and not each.exception())
        if found := next(well, None):
            return found
        running = [each for each in tasks if not each.done()]
        left = None if deadline is None else deadline - asyncio.get_running_loop().time()
        if not running or (left is not None and left <= 0):
            return None
        await asyncio.wait(running, timeout=left, return_when=asyncio.FIRST_COMPLETED)


def _end(task: asyncio.Task[T]) -> None:
    if not task.cancelled() and not task.exception():
        task.result().terminate()
