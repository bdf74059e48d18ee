"""The duty `removals`: runs that were deleted are removed, events erased, and others archived."""

from __future__ import annotations

from functools import partial

from runstore_storage.contract.store import Store
from runstore_storage.in_turn import first_done


class Removing:
    """Does the duty, a step of one of them at a time."""

    def __init__(self, store: Store) -> None:
        self._steps = {
            "removing": store.removals.remove,
            "erasing": store.erasures.erase,
            "archiving": store.archives.archive,
        }

    async def step(self, holder: str) -> int | None:
        """The next of what can be done. What fails lets the others go on."""
        return await first_done((name, partial(step, holder)) for name, step in self._steps.items())
