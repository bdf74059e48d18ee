"""The duty `removals`: runs that were deleted are removed, then what is to be erased is."""

from __future__ import annotations

from runstore_storage.contract.store import Store


class Removing:
    """Does the duty, a step of either at a time."""

    def __init__(self, store: Store) -> None:
        self._removals = store.removals
        self._erasures = store.erasures

    async def step(self, holder: str) -> int | None:
        """The next of what can be done. A removal that fails lets erasures go on."""
        failure: Exception | None = None
        try:
            removed = await self._removals.remove(holder)
        except Exception as error:
            failure = error
        else:
            if removed != 0:
                return removed
        erased = await self._erasures.erase(holder)
        if failure and not erased:
            raise failure
        return erased
