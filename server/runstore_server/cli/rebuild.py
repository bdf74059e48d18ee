"""Rebuilding what is derived from the feed. Servers may keep running."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from runstore_storage.contract.feed import RELAY
from runstore_storage.contract.store import Store

from runstore_server.cli.database import run_with_store
from runstore_server.cli.environment import owner_url, settings_of
from runstore_server.cli.printing import OnProgress, progress_bar
from runstore_server.relay.worker import DutyStep, new_holder

POLL_SECONDS = 0.5

Forget = Callable[[str], Awaitable[None]]


def rebuild_with_bar(
    title: str, duty: str, parts: Callable[[Store], tuple[Forget, DutyStep]]
) -> int:
    """Rebuild on the settings' database and show a progress bar; see `rebuild`.

    To empty a table is the owner's right.
    """
    with progress_bar(title) as on_progress:
        return run_with_store(
            settings_of(),
            lambda store: rebuild(store, duty, *parts(store), on_progress),
            url_of=owner_url,
        )


async def rebuild(
    store: Store, duty: str, forget: Forget, step: DutyStep, on_progress: OnProgress
) -> int:
    """Start over, and return once everything published before is done: the feed's position then.

    If another process takes the duty, it does the work while this one watches.
    """
    holder = new_holder()
    total, done = await _position(store, RELAY), 0
    await forget(holder)
    try:
        while done < total:
            on_progress(done, total)
            if await store.feed.hold_duty(duty, holder) is None:
                await asyncio.sleep(POLL_SECONDS)
            else:
                await step(holder)
            done = await _position(store, duty)
    finally:
        await store.feed.release_duty(duty, holder)
    return total


async def _position(store: Store, duty: str) -> int:
    """The position up to which a duty is done."""
    return {each.name: each.position for each in await store.feed.list_duties()}.get(duty, 0)
