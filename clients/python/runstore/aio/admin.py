"""Who may use the server, for an asynchronous client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from runstore import calls
from runstore.aio.connection import AsyncConnection
from runstore.values.admin import (
    AdminRecord,
    Caller,
    Grant,
    Limits,
    NewToken,
    ProjectLimits,
    RecordVerification,
    Token,
)
from runstore.values.archives import Archive
from runstore.values.erasures import Erasure, SeqRange
from runstore.values.holds import Hold, RunSelection
from runstore.values.removals import Removal
from runstore.values.retention import Policy, RetentionPreview


class AsyncAdmin:
    """Tokens, limits, holds, policies, archives and removals, and the records of what was done.

    They are the project's; with `of_server` they are the server's own.
    """

    def __init__(self, connection: AsyncConnection, project: str) -> None:
        self._connection = connection
        self._project = project

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of project {self._project!r}>"

    async def who_am_i(self) -> Caller:
        """Who the server takes the client for, and what it may do."""
        return await self._connection.send(calls.admin.who_am_i())

    async def projects(self) -> AsyncIterator[str]:
        """Yield the projects that have runs or configs and that the client has a grant for."""
        async for project in self._connection.pages(calls.admin.list_projects):
            yield project

    async def create_token(
        self,
        name: str,
        grants: Sequence[Grant | str],
        *,
        lifetime: timedelta | None = None,
        of_server: bool = False,
    ) -> NewToken:
        """Make a token, valid for 90 days unless `lifetime` says otherwise, at most 400.

        A grant may be written as a text, such as "writer@acme/*". Raise `TokenSecretLost` if the
        token was made and the answer with its secret did not arrive.
        """
        return await self._connection.send(
            calls.admin.create_token(self._owner(of_server), name, grants, lifetime, of_server)
        )

    async def tokens(self, *, of_server: bool = False) -> AsyncIterator[Token]:
        """Yield tokens, newest first, those that have ended among them."""
        project = self._owner(of_server)
        async for token in self._connection.pages(
            lambda page_token: calls.admin.list_tokens(project, of_server, page_token)
        ):
            yield token

    async def revoke_token(self, token_id: str, *, of_server: bool = False) -> Token:
        """End a token for good, or return one that has been revoked before.

        It is refused everywhere within five seconds. Raise `TokenNotFound`.
        """
        return await self._connection.send(
            calls.admin.revoke_token(self._owner(of_server), token_id, of_server)
        )

    async def set_limits(
        self,
        *,
        calls_per_second: int = 0,
        events_per_second: int = 0,
        bytes_per_second: int = 0,
        streams: int = 0,
        stored_bytes: int = 0,
    ) -> Limits:
        """Replace all limits of the project; those that are left out are none."""
        return await self._connection.send(
            calls.admin.set_limits(
                self._project,
                calls_per_second,
                events_per_second,
                bytes_per_second,
                streams,
                stored_bytes,
            )
        )

    async def limits(self) -> ProjectLimits:
        """The limits of the project, all 0 if none were ever set, and how much it stores."""
        return await self._connection.send(calls.admin.get_limits(self._project))

    async def records(self, *, of_server: bool = False) -> AsyncIterator[AdminRecord]:
        """Yield the records of what was done or refused, greatest number first."""
        project = self._owner(of_server)
        async for record in self._connection.pages(
            lambda token: calls.admin.list_admin_records(project, of_server, token)
        ):
            yield record

    async def verify_records(
        self, *, from_number: int = 1, of_server: bool = False
    ) -> RecordVerification:
        """Check the hash chain of the records from a number on."""
        return await self._connection.send(
            calls.admin.verify_admin_records(self._owner(of_server), of_server, from_number)
        )

    async def place_hold(
        self,
        reason: str,
        *,
        run_id: str | None = None,
        filter: RunSelection | None = None,  # noqa: A002 - the contract's name
    ) -> Hold:
        """Keep a run, or all runs that the filter selects, from being removed by anybody.

        Once it returns nothing of them is being removed, nor will be until the hold is released.
        Raise `RunNotFound`.
        """
        return await self._connection.send(
            calls.holds.place_hold(self._project, reason, run_id, filter)
        )

    async def release_hold(self, hold_id: str) -> Hold:
        """End a hold for good, or return one that was released before. Raise `HoldNotFound`."""
        return await self._connection.send(calls.holds.release_hold(self._project, hold_id))

    async def holds(
        self, run_id: str = "", *, include_released: bool = False
    ) -> AsyncIterator[Hold]:
        """Yield the holds of the project, or those that hold a run, newest first."""
        async for hold in self._connection.pages(
            lambda token: calls.holds.list_holds(self._project, run_id, include_released, token)
        ):
            yield hold

    async def delete_run(
        self,
        run_id: str,
        reason: str,
        *,
        expected_last_seq: int | None = None,
        request_id: str = "",
    ) -> Removal:
        """Delete a run that has ended, for good, with all that is stored of it.

        Once it returns the run is not found, and its id is never used again; `removals` says when
        all of it is gone. The reason, of 1 to 1000 characters, is kept, so it should name nobody.
        The same request_id returns the same removal again; without one, the client generates it.
        Raise `RunNotFound`, `SeqConflict` if the run is not at `expected_last_seq`, `RunOpen` if it
        has not ended, `RunHeld`, and `RunInUse` if it has forks.
        """
        return await self._connection.send(
            calls.removals.delete_run(self._project, run_id, reason, expected_last_seq, request_id)
        )

    async def removals(self, run_id: str = "") -> AsyncIterator[Removal]:
        """Yield what was removed of the project, or of one run, newest first.

        Raise `RunNotFound` if the project never had the run.
        """
        async for removal in self._connection.pages(
            lambda token: calls.removals.list_removals(self._project, run_id, token)
        ):
            yield removal

    async def put_policy(self, policy: Policy, reason: str, *, request_id: str = "") -> Policy:
        """Put a policy of retention in place of the one of its name; it is returned as it was put.

        It is applied when the server next looks for what may go; `preview_retention` shows what
        that would be. The same request_id returns the same policy again; without one, the client
        generates it.
        """
        return await self._connection.send(
            calls.retention.put_policy(self._project, policy, reason, request_id)
        )

    async def policies(self) -> AsyncIterator[Policy]:
        """Yield the policies of the project by name."""
        async for policy in self._connection.pages(
            lambda token: calls.retention.list_policies(self._project, token)
        ):
            yield policy

    async def delete_policy(self, name: str, reason: str, *, request_id: str = "") -> None:
        """End a policy. Raise `PolicyNotFound`."""
        await self._connection.send(
            calls.retention.delete_policy(self._project, name, reason, request_id)
        )

    async def preview_retention(self, policy: Policy | None = None) -> RetentionPreview:
        """What the policies of the project would remove now, and what keeps the rest.

        A policy that is given is taken for one that was put, in place of the one of its name.
        """
        return await self._connection.send(calls.retention.preview_retention(self._project, policy))

    async def erase_events(
        self,
        run_id: str,
        seqs: Sequence[SeqRange],
        reason: str,
        *,
        request_id: str = "",
    ) -> Erasure:
        """Erase, for good, what events said: payloads, actors, tags and subjects.

        Their places in the chain stay. It is done after the call, once the run is neither open nor
        held; `get_erasure` says how far it has come. The reason, of 1 to 1000 characters, is kept,
        so it should name nobody. The same request_id returns the same erasure again; without one,
        the client generates it.
        Raise `RunNotFound`.
        """
        return await self._connection.send(
            calls.erasures.erase_events(self._project, run_id, seqs, reason, request_id)
        )

    async def erase_subject(self, subject: str, reason: str, *, request_id: str = "") -> Erasure:
        """Erase, as `erase_events` does, every event of the project that names a subject, in the
        runs that do so now. The subject is not kept.
        """
        return await self._connection.send(
            calls.erasures.erase_subject(self._project, subject, reason, request_id)
        )

    async def get_erasure(self, erasure_id: str) -> Erasure:
        """Return an erasure as far as it has come. Raise `ErasureNotFound`."""
        return await self._connection.send(calls.erasures.get_erasure(self._project, erasure_id))

    async def archive_run(
        self,
        run_id: str,
        reason: str,
        *,
        expected_last_seq: int | None = None,
        request_id: str = "",
    ) -> Archive:
        """Move the events of a run that has ended to the object store.

        It returns once that is decided; the same request_id returns how far it has come. Raise as
        `delete_run` does, and `ArchiveNotFound` if the run has no events of its own.
        """
        return await self._connection.send(
            calls.archives.archive_run(self._project, run_id, reason, expected_last_seq, request_id)
        )

    async def restore_run(self, run_id: str, reason: str, *, request_id: str = "") -> Archive:
        """Put a run's archived events back into the database as they were, all or none.

        Raise `ArchiveNotFound` if it has none, and `ArchiveInvalid` if something has changed them.
        """
        return await self._connection.send(
            calls.archives.restore_run(self._project, run_id, reason, request_id)
        )

    def _owner(self, of_server: bool) -> str:
        """What a request about the project, or about the server itself, names as the project."""
        return "" if of_server else self._project
