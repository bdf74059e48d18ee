"""The keys of one issuer over time: fetched again and again, kept when they cannot be had.

Looking again for a key that is not known is what anybody can ask for, with a made-up token. So it
is done rarely, once for all who wait for it, and it only ever adds keys.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from random import uniform

import jwt
import structlog

from runstore_server.identity.fetching import KeysUnavailable, fetched
from runstore_server.identity.issuers import IssuerSettings
from runstore_server.identity.jwk_sets import keys_in

REFRESH_SECONDS = 300.0
RETRY_SECONDS = 30.0
JITTER = 0.1
# Between two looks for keys that are not known.
LOOK_SECONDS = 30.0
STALE_SECONDS = 86_400.0

_log = structlog.get_logger(__name__)

Fetch = Callable[[IssuerSettings], Awaitable[bytes]]


class IssuerKeys:
    """What an issuer's tokens are verified with; `follow` keeps it up to date.

    `withdrawn` is called when a key that was known is no longer one.
    """

    def __init__(
        self,
        issuer: IssuerSettings,
        *,
        withdrawn: Callable[[], None],
        fetch: Fetch = fetched,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._withdrawn = withdrawn
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._looked_at = -math.inf
        self._problem = ""
        self._fetching: asyncio.Task[None] | None = None

    def age(self) -> float:
        """Seconds since the keys were fetched; infinite if they never were."""
        return self._clock() - self._fetched_at

    async def find(self, kid: str) -> jwt.PyJWK | None:
        """The key of an id; None if the issuer has none, or none that is younger than a day."""
        while (found := self._known(kid)) is None:
            if not self._is_fetching:
                if self._clock() - self._looked_at < LOOK_SECONDS:
                    return None
                self._looked_at = self._clock()
                self._begin(replaces=False)
            await self._fetched()
        return found

    async def follow(self) -> None:
        """Fetch the keys again and again, until cancelled."""
        try:
            while True:
                await self._fetched()  # what was begun for somebody else
                self._begin(replaces=True)
                await self._fetched()
                pause = RETRY_SECONDS if self._problem else REFRESH_SECONDS
                share = uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, guards nothing
                await asyncio.sleep(pause * share)
        finally:
            if self._fetching:
                self._fetching.cancel()

    def _known(self, kid: str) -> jwt.PyJWK | None:
        return None if self._is_stale else self._keys.get(kid)

    @property
    def _is_stale(self) -> bool:
        return self.age() > STALE_SECONDS

    @property
    def _is_fetching(self) -> bool:
        return self._fetching is not None and not self._fetching.done()

    def _begin(self, *, replaces: bool) -> None:
        self._fetching = asyncio.create_task(self._take(replaces=replaces))

    async def _fetched(self) -> None:
        """Wait for what is being fetched, which goes on if who waits is cancelled."""
        if self._fetching:
            await asyncio.wait([self._fetching])

    async def _take(self, *, replaces: bool) -> None:
        try:
            data = await self._fetch(self._issuer)
            found = await asyncio.to_thread(keys_in, data, self._issuer.algorithms)
        except KeysUnavailable as error:
            self._report(str(error))
        except Exception:  # a defect, which is not to end the fetching
            _log.exception("fetching keys failed", issuer=self._issuer.issuer)
            self._problem = "failed"
        else:
            self._keep(found if replaces or self._is_stale else self._keys | found)
            self._report("")

    def _keep(self, found: dict[str, jwt.PyJWK]) -> None:
        before, self._keys = self._keys, found
        self._fetched_at = self._clock()
        if any(kid not in found or found[kid].key != key.key for kid, key in before.items()):
            self._withdrawn()

    def _report(self, problem: str) -> None:
        """Log a problem, or that there is none any more, once."""
        if problem and problem != self._problem:
            _log.warning(
                "an issuer's keys stay as they were", issuer=self._issuer.issuer, why=problem
            )
        if self._problem and not problem:
            _log.info("an issuer's keys are fetched again", issuer=self._issuer.issuer)
        self._problem = problem
