"""Finding out who calls, by a token if one is sent, else by the certificate of the connection.

A token decides alone: the grants of several credentials are never united.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import structlog
from runstore_storage.contract.access import Principal, PrincipalKind
from runstore_storage.contract.admin import MARK, AdminStore, KnownToken
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.signals import Signal

from runstore_server.edge.errors import CredentialExpired, Unauthenticated
from runstore_server.edge.identity import Bearers, Identity, Shown
from runstore_server.identity.tokens import is_same, parsed

LOOK_SECONDS = 1.0
# Tokens that were looked up are trusted for as long as the epoch was seen unchanged this recently.
TRUST_SECONDS = 4.0
NOTE_SECONDS = 60.0
MAX_TOKENS = 10_000
SCHEME = "bearer "

Subjects = Callable[[Sequence[str]], Identity | None]
"""The caller that a certificate with these names belongs to."""

_log = structlog.get_logger(__name__)


class Tokens:
    """Callers by tokens of this server; `follow` keeps it up to date."""

    def __init__(self, admin: AdminStore) -> None:
        self.changed = Signal()
        self._admin = admin
        self._known: dict[str, tuple[KnownToken, int]] = {}
        """The tokens that were found, each with the epoch that it was found in."""
        self._used: dict[str, datetime] = {}
        self._epoch = -1
        self._seen_at = -TRUST_SECONDS

    async def identify(self, token: str) -> Identity:
        read = parsed(token)
        if read is None:
            raise Unauthenticated("the token is not one")
        token_id, secret_hash = read
        known = await self._find(token_id)
        if known is None or not is_same(known.secret_hash, secret_hash):
            raise Unauthenticated("the token is not known")
        found, now = known.token, datetime.now(UTC)
        if found.revoked_at:
            raise Unauthenticated("the token was revoked")
        if found.expires_at <= now:
            raise CredentialExpired
        self._used[token_id] = now
        return Identity(Principal(PrincipalKind.TOKEN, token_id), found.grants, found.expires_at)

    def knows(self, token: str) -> bool:
        read = parsed(token)
        return read is None or read[0] in self._known

    async def follow(self) -> None:
        """Look for revoked tokens, and note which were used, until cancelled."""
        noted_at = time.monotonic()
        while True:
            try:
                await self._look()
                if time.monotonic() - noted_at >= NOTE_SECONDS:
                    noted_at = time.monotonic()
                    await self._note_use()
            except StorageUnavailable:
                pass  # calls that need the database say so
            except Exception:  # a defect, which is not to end the looking
                _log.exception("looking for revoked tokens failed")
            await asyncio.sleep(LOOK_SECONDS)

    async def leave(self) -> None:
        """Note what has not been noted, if the database takes it."""
        with suppress(StorageUnavailable):
            await self._note_use()

    async def _note_use(self) -> None:
        """Note which tokens were used since the last time."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._admin.note_use(used)
        except StorageUnavailable:
            self._used = used | self._used
            raise

    async def _look(self) -> None:
        began = time.monotonic()
        epoch = await self._admin.credential_epoch()
        if epoch != self._epoch:
            self._epoch = epoch
            self.changed.wake()
        self._seen_at = began

    async def _find(self, token_id: str) -> KnownToken | None:
        if time.monotonic() - self._seen_at > TRUST_SECONDS:
            await self._look()
        known, found_in = self._known.get(token_id, (None, 0))
        if known and found_in == self._epoch:
            return known
        epoch, found = self._epoch, await self._admin.find_token(token_id)
        if found and epoch == self._epoch:
            if len(self._known) >= MAX_TOKENS:
                self._known.clear()
            self._known[token_id] = found, epoch
        return found


class KnownCallers:
    """Callers by tokens of ours, by those of other issuers, and by certificates."""

    def __init__(
        self,
        tokens: Tokens,
        *,
        others: Bearers | None = None,
        subjects: Subjects | None = None,
    ) -> None:
        self.changed = tokens.changed
        self._tokens = tokens
        self._others = others
        self._subjects = subjects

    async def identify(self, shown: Shown) -> Identity:
        if shown.authorization:
            return await self._by_token(shown.authorization)
        found = self._subjects(shown.names) if self._subjects and shown.names else None
        if found is None:
            raise Unauthenticated
        return found

    def knows(self, shown: Shown) -> bool:
        if not shown.authorization:
            return True  # names are compared with settings
        token = _token_in(shown.authorization)
        if token is None:
            return True
        bearers = self._bearers_of(token)
        return bearers is None or bearers.knows(token)

    async def _by_token(self, authorization: str) -> Identity:
        token = _token_in(authorization)
        if token is None:
            raise Unauthenticated("the authorization is not of the scheme Bearer")
        bearers = self._bearers_of(token)
        if bearers is None:
            raise Unauthenticated("the token is not one")
        return await bearers.identify(token)

    def _bearers_of(self, token: str) -> Bearers | None:
        return self._tokens if token.startswith(MARK) else self._others


def _token_in(authorization: str) -> str | None:
    if authorization[: len(SCHEME)].lower() != SCHEME:
        return None
    return authorization[len(SCHEME) :].strip()
