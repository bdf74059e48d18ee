"""Letting calls in: who calls, and whether that caller may; over gRPC and HTTP alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import structlog
from runstore_storage.contract.access import SERVER, Role
from runstore_storage.contract.admin import MARK
from runstore_storage.contract.scope import Scope, bind

from runstore_server.edge.access import READS, READS_OF_RUNS, asked_by, check, decide
from runstore_server.edge.errors import (
    CredentialExpired,
    PermissionDenied,
    QuotaExceeded,
    Unauthenticated,
)
from runstore_server.edge.failed_attempts import LIMIT as FAILED
from runstore_server.edge.failed_attempts import FailedAttempts
from runstore_server.edge.identity import (
    AUTHORIZATION,
    NOTHING_SHOWN,
    Anybody,
    AuthContext,
    Callers,
    Shown,
    current_identity,
    serve,
)
from runstore_server.edge.metrics import Metrics
from runstore_server.edge.quotas import Quotas
from runstore_server.edge.standing import Standing, Still, watched

RecordRefusal = Callable[[Any, Exception, Any], Awaitable[None]]
"""Records that a request was refused to its caller: the request, why, and the call's context."""

NamesOf = Callable[[AuthContext], Sequence[str]]

ADMINISTRATION = "/runstore.v1.AdminService/"
WITHDRAWN = "the credential that opened the stream is no longer taken"
ALLOWED, DENIED = "allowed", "denied"
_OUTCOMES: dict[type[Exception], str] = {
    Unauthenticated: "unauthenticated",
    CredentialExpired: "expired",
    QuotaExceeded: "throttled",
}

_log = structlog.get_logger(__name__)


async def _record_nothing(_request: Any, _error: Exception, _context: Any) -> None:
    """For servers that ask nobody: nothing is refused."""


class Admission:
    """One for a server.

    `names_of` reads the names in a client's certificate; None where clients show none. `quotas`
    hold no project to any limit unless given. Where `audit_reads` is set, a call that reads is
    logged with its caller.
    """

    def __init__(
        self,
        metrics: Metrics,
        callers: Callers | None = None,
        *,
        names_of: NamesOf | None = None,
        record_refusal: RecordRefusal = _record_nothing,
        quotas: Quotas | None = None,
        audit_reads: bool = False,
    ) -> None:
        self._metrics = metrics
        self._callers = callers or Anybody()
        self._names_of = names_of
        self._record_refusal = record_refusal
        self._quotas = quotas or Quotas()
        self._failed = FailedAttempts()
        self._audit_reads = audit_reads

    def shown_by(self, context: Any) -> Shown:
        """What a gRPC call shows; not looked at where nobody is asked."""
        if self._callers.changed is None:
            return NOTHING_SHOWN
        names = self._names_of(context.auth_context()) if self._names_of else ()
        return Shown(context.peer(), _authorization(context.invocation_metadata() or ()), names)

    async def know(self, name: str, shown: Shown) -> None:
        """Find out who calls, and serve that caller from now on; `name` is the RPC's or route's.

        Raises as `Callers.identify`, and `QuotaExceeded` where too much was tried before.
        """
        try:
            seconds = self._failed.seconds_until_next(shown.peer)
            if seconds and not self._callers.knows(shown):
                raise QuotaExceeded(FAILED, seconds)
            serve(await self._callers.identify(shown))
        except (Unauthenticated, CredentialExpired, QuotaExceeded) as error:
            if isinstance(error, Unauthenticated) and not self._callers.knows(shown):
                self._failed.count(shown.peer)
            self._metrics.asked(name, _kind(shown), _OUTCOMES[type(error)])
            raise

    async def allow(self, method: str, message: Any, shown: Shown, context: Any) -> None:
        """Bind what the caller may touch.

        Raise `PermissionDenied` if it may not make this call, `QuotaExceeded` if that is too much.
        """
        try:
            scope = decide(current_identity(), method, message)
        except PermissionDenied as error:
            self._metrics.asked(name_of(method), _kind(shown), DENIED)
            await self._record_refusal(message, error, context)
            raise
        self._let_in(name_of(method), shown, scope)
        if scope and (method in READS_OF_RUNS or not method.startswith(ADMINISTRATION)):
            self._quotas.charge(scope.project, message)
        if self._audit_reads and scope and method in READS:
            _log_read(scope, shown)

    @contextmanager
    def messages(self, method: str) -> Iterator[Callable[[Any], None]]:
        """Let in each message of a stream whose messages name their projects.

        What is yielded raises as `allow`, and the stream counts for each project that it let in.
        """
        with self._quotas.streams() as hold:

            def allow(message: Any) -> None:
                if scope := decide(current_identity(), method, message):
                    bind(scope)
                    hold(scope.project)
                    self._quotas.charge(scope.project, message, calls=0)

            yield allow

    async def pace(self, method: str, first: Any, message: Any) -> None:
        """Wait until a later message of a stream is not too much for the project of its first."""
        project, _ = asked_by(method, first)
        await self._quotas.pace(project, message)

    def allow_project(self, name: str, role: Role, project: str, shown: Shown) -> None:
        """The same for what is asked of a project over HTTP."""
        try:
            scope = check(current_identity(), (role,), project)
        except PermissionDenied:
            self._metrics.asked(name, _kind(shown), DENIED)
            raise
        self._let_in(name, shown, scope)
        self._quotas.charge(project)
        if self._audit_reads and project != SERVER:
            _log_read(scope, shown)

    def watch(
        self, shown: Shown, method: str, message: Any
    ) -> AbstractAsyncContextManager[Standing]:
        """Watch whether the caller may still have the stream that it opened with a message.

        Raises `QuotaExceeded` if the stream is one too many.
        """
        still = partial(decide, method=method, message=message)
        project, role = asked_by(method, message)
        return self._watched(shown, still, project, PermissionDenied(project, role, WITHDRAWN))

    def watch_project(
        self, shown: Shown, role: Role, project: str
    ) -> AbstractAsyncContextManager[Standing]:
        """The same for a stream of a project over HTTP."""
        still = partial(check, roles=(role,), project=project)
        return self._watched(shown, still, project, PermissionDenied(project, role, WITHDRAWN))

    @asynccontextmanager
    async def _watched(
        self, shown: Shown, still: Still, project: str, withdrawn: PermissionDenied
    ) -> AsyncIterator[Standing]:
        with self._quotas.streams() as hold:
            if project != SERVER:
                hold(project)
            async with watched(self._callers, shown, still, withdrawn) as standing:
                yield standing

    def _let_in(self, name: str, shown: Shown, scope: Scope | None) -> None:
        if scope:
            bind(scope)
        if self._callers.changed:  # else everybody is let in, which is not worth counting
            self._metrics.asked(name, _kind(shown), ALLOWED)


def _log_read(scope: Scope, shown: Shown) -> None:
    """Log who reads what of a project, beside what is known of every call."""
    caller = current_identity().principal
    _log.info(
        "read",
        project=scope.project,
        principal_kind=caller.kind.name.lower(),
        principal=caller.id,
        issuer=caller.issuer,
        peer=shown.peer,
    )


def name_of(method: str) -> str:
    """The name of an RPC, of its full name."""
    return method.rpartition("/")[2]


def _authorization(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    for name, value in metadata:
        if name == AUTHORIZATION and isinstance(value, str):
            return value
    return ""


def _kind(shown: Shown) -> str:
    """The kind of credential, for metrics."""
    if shown.authorization:
        return "token" if MARK in shown.authorization else "jwt"
    return "certificate" if shown.names else "none"
