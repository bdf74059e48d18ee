"""The duty `removals`: runs that were deleted are removed, others archived, and events erased."""

from __future__ import annotations

from functools import partial

from runstore_storage.contract.store import Store
from runstore_storage.in_turn import first_done


class Removing:
    """Does the duty, a step of one of them at a time."""

    def __init__(self, store: Store) -> None:
        self._steps = {
            "removing": store.removals.remove,
            "archiving": store.archives.archive,
            "erasing": store.erasures.erase,
        }

    async def step(self, holder: str) -> int | None:
        """The next of what can be done. What fails lets the others go on."""
        return await first_done((name, partial(step, holder)) for name, step in self._steps.items())
