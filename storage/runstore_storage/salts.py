"""Salts: what is hashed with the contents that may have to be forgotten.

A database that older servers still write to gets none: they take what is hashed with a salt for
tampered with. A new one has them from the beginning, an older one once `runstore migrate seal` has
been run, which servers notice within `LOOK_SECONDS`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence

from runstore_storage.chain import SALT_BYTES, Salt
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.database.engine import Database, reading
from runstore_storage.sql import store_flags

LOOK_SECONDS = 30.0

_log = logging.getLogger(__name__)


class Salts:
    """Makes salts, for a store whose database is to have them.

    Drawing them awaits nothing: the writes of a run keep the order in which they came.
    """

    def __init__(self, engine: Database, *, are_used: bool) -> None:
        self._engine = engine
        self._are_used = are_used

    def draw(self, count: int) -> Sequence[Salt]:
        """So many salts; None in place of each where the database is to have none."""
        if not self._are_used:
            return [None] * count
        drawn = os.urandom(count * SALT_BYTES)
        return [drawn[at : at + SALT_BYTES] for at in range(0, len(drawn), SALT_BYTES)]

    def one(self) -> Salt:
        """A salt, as `draw` gives it."""
        (salt,) = self.draw(1)
        return salt

    async def look(self) -> None:
        """Ask the database whether it is to have salts."""
        async with reading(self._engine) as conn:
            self._are_used = await store_flags.has_salts(conn)

    async def follow(self) -> None:
        """Look again and again, until it is to have salts: there is no way back."""
        while not self._are_used:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except StorageUnavailable:
                pass  # what was seen last holds on
            except Exception:  # a defect, which is not to end the looking
                _log.exception("looking for salts failed")
