"""Who a caller is found to be, by whatever it shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from runstore_storage.contract.access import Grant, Principal, PrincipalKind, Role
from runstore_storage.contract.signals import Watchable

AUTHORIZATION = "authorization"

AuthContext = Mapping[str, Iterable[bytes]]
"""What gRPC knows of a connection, as `ServicerContext.auth_context` returns it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller, what it may do, and until when; None is until it is withdrawn."""

    principal: Principal
    grants: tuple[Grant, ...]
    expires_at: datetime | None = None


EVERYTHING = (Grant(Role.ADMIN, "*"), Grant(Role.OPERATOR, "*"))
ANYBODY = Identity(Principal(PrincipalKind.ANYBODY), EVERYTHING)
"""Every caller of a server that asks nobody."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a call shows of its caller: its `authorization`, and the names in its certificate.

    `peer` is the address that it came from, with the port.
    """

    peer: str
    authorization: str = field(default="", repr=False)
    names: Sequence[str] = ()


class CannotKnowCallers(Exception):
    """Why a server cannot find out who calls as its settings say."""


NOTHING_SHOWN = Shown("")


class Bearers(Protocol):
    """Knows callers by the tokens of one kind."""

    async def identify(self, token: str) -> Identity:
        """The caller that a token stands for.

        Raise `Unauthenticated` for one that is not known or no longer taken, `CredentialExpired`
        for one that was.
        """

    def knows(self, token: str) -> bool:
        """Whether it was taken before, or is no token whatever is looked up."""


class Callers(Protocol):
    """Knows callers by what they show."""

    @property
    def changed(self) -> Watchable | None:
        """Changes when a caller that was known may no longer be; None if none ever is."""

    async def identify(self, shown: Shown) -> Identity:
        """The caller. Raises as `Bearers.identify`."""

    def knows(self, shown: Shown) -> bool:
        """Whether it was taken before, or is refused whatever is looked up."""


class Anybody:
    """Asks nobody."""

    changed = None

    async def identify(self, _shown: Shown) -> Identity:
        return ANYBODY

    def knows(self, _shown: Shown) -> bool:
        return True


_current: ContextVar[Identity] = ContextVar("identity")


def serve(identity: Identity) -> None:
    """Let the current task, and the tasks that it makes from now on, serve this caller."""
    _current.set(identity)


def current_identity() -> Identity:
    """The caller that the current task serves."""
    return _current.get()
