"""Who a caller is found to be, by whatever it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runstore_storage.contract.access import Grant, Principal, PrincipalKind, Role


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller, what it may do, and until when; None is until it is withdrawn."""

    principal: Principal
    grants: tuple[Grant, ...]
    expires_at: datetime | None = None


EVERYTHING = (Grant(Role.ADMIN, "*"), Grant(Role.OPERATOR, "*"))
ANYBODY = Identity(Principal(PrincipalKind.ANYBODY), EVERYTHING)
"""Every caller of a server that asks nobody."""

_current: ContextVar[Identity] = ContextVar("identity")


def serve(identity: Identity) -> None:
    """Let the current task, and the tasks that it makes from now on, serve this caller."""
    _current.set(identity)


def current_identity() -> Identity:
    """The caller that the current task serves."""
    return _current.get()


AuthContext = Mapping[str, Sequence[bytes]]
"""What gRPC knows of a connection, as `ServicerContext.auth_context` returns it."""


class Bearers(Protocol):
    """Knows callers by the tokens of one kind."""

    async def identify(self, token: str) -> Identity:
        """The caller that a token stands for.

        Raise `Unauthenticated` for one that is not known or no longer taken, `CredentialExpired`
        for one that was.
        """
