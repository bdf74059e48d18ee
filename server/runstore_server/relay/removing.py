"""The duty `removals`: runs that were deleted are removed, others archived, and events erased."""

from __future__ import annotations

from runstore_storage.contract.store import Store


class Removing:
    """Does the duty, a step of one of them at a time."""

    def __init__(self, store: Store) -> None:
        self._steps = (store.removals.remove, store.archives.archive, store.erasures.erase)

    async def step(self, holder: str) -> int | None:
        """The next of what can be done. What fails lets the others go on."""
        failure: Exception | None = None
        for each in self._steps:
            try:
                done = await each(holder)
            except Exception as error:
                failure = failure or error
                continue
            if done != 0:
                return done
        if failure:
            raise failure
        return 0
