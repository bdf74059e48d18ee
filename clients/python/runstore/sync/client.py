# Generated from aio/client.py; see generate_sync.py.
"""The synchronous client."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self, Unpack

import grpc

from runstore import calls
from runstore.arguments import text
from runstore.channels import DEFAULT_PROJECT, DEFAULT_TIMEOUT
from runstore.streams.appends import DEFAULT_WINDOW
from runstore.sync.admin import Admin
from runstore.sync.appender import Appender
from runstore.sync.artifacts import Artifacts
from runstore.sync.configs import Configs
from runstore.sync.connection import Connection
from runstore.sync.feed import Feed
from runstore.sync.run import Resumed, Run
from runstore.tls import Tls
from runstore.tokens import Metadata
from runstore.values.runs import FIRST_EPOCH, NewRunFields, RunInfo, RunQuery, RunRef
from runstore.values.search import SearchFields, SearchHit
from runstore.values.snapshots import ProjectSnapshotListing, Snapshot, SnapshotListing
from runstore.values.statistics import Dimension, StatisticsFields, StatisticsRow


def connect(
    target: str | None = None,
    *,
    project: str = DEFAULT_PROJECT,
    timeout: float = DEFAULT_TIMEOUT,
    tls: Tls | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    metadata: Metadata = (),
    token: str | None = None,
    token_file: str | os.PathLike[str] | None = None,
    insecure_token: bool = False,
    gather: bool = True,
) -> Client:
    """A client of the server at `target` ("host:port", or "grpcs://host:port" for TLS).

    Without a target it is $RUNSTORE_TARGET, else localhost:7411. TLS takes its files from `tls`,
    else from $RUNSTORE_CA_FILE, $RUNSTORE_CLIENT_CERT_FILE and $RUNSTORE_CLIENT_KEY_FILE. Calls
    carry `token`, or that of `token_file`, which is read again each minute, else that of
    $RUNSTORE_TOKEN or $RUNSTORE_TOKEN_FILE; in plain text it goes to this machine alone, unless
    `insecure_token` or $RUNSTORE_ALLOW_INSECURE_TOKEN allows more.

    `timeout` bounds a call with all its retries, in seconds. Use it as `with connect() as
    client:`; nothing is sent before the first call. While no server has ever been reached, calls
    are not retried. Appends of single events that are made at the same time share requests, unless
    `gather` is False.
    """
    return Client(
        target,
        project=project,
        timeout=timeout,
        tls=tls,
        credentials=credentials,
        metadata=metadata,
        token=token,
        token_file=token_file,
        insecure_token=insecure_token,
        gather=gather,
    )


class Client:
    """The calls of one project. Safe to share between threads."""

    def __init__(
        self,
        target: str | None = None,
        *,
        project: str = DEFAULT_PROJECT,
        timeout: float = DEFAULT_TIMEOUT,
        tls: Tls | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        insecure_token: bool = False,
        gather: bool = True,
    ) -> None:
        self.project = text(project, "project")
        self._connection = Connection(
            target,
            timeout=timeout,
            tls=tls,
            credentials=credentials,
            metadata=metadata,
            token=token,
            token_file=token_file,
            insecure_token=insecure_token,
            gather=gather,
        )

    def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        self._connection.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._connection.target}, project {self.project!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def save_run(self, objective: str = "", **fields: Unpack[NewRunFields]) -> Run:
        """Save a run and return its handle, which writes with the run's first epoch.

        Saving the same run_id and content again returns the same run. If the run was resumed
        meanwhile, a later writer owns it, and writes of this handle raise `WriterFenced`.
        """
        info = self._connection.send(calls.runs.save_run(self.project, objective, fields))
        return self.run(info.run_id, writer_epoch=FIRST_EPOCH)

    def run(self, run_id: str, *, writer_epoch: int | None = None) -> Run:
        """A handle on a run, without a call. Without an epoch its writes are not fenced."""
        return Run(self._connection, RunRef(self.project, text(run_id, "run_id"), writer_epoch))

    def resume(
        self,
        run_id: str,
        *,
        namespace: str = "",
        actor: str = "",
        request_id: str = "",
        expected_seq: int | None = None,
    ) -> Resumed:
        """Claim the run: from now on earlier writers are fenced.

        With `expected_seq`, raise `SeqConflict` and claim nothing unless it is the run's last seq.
        """
        ref = RunRef(self.project, run_id)
        claim = self._connection.send(
            calls.runs.resume_run(ref, namespace, actor, request_id, expected_seq)
        )
        return Resumed(self.run(run_id, writer_epoch=claim.writer_epoch), claim)

    def list_runs(self, query: RunQuery = RunQuery()) -> Iterator[RunInfo]:  # noqa: B008 - frozen
        """Yield the project's runs, newest first unless the query says otherwise."""
        for run in self._connection.pages(
            lambda token: calls.runs.list_runs(self.project, query, token)
        ):
            yield run

    def list_snapshots(self, **fields: Unpack[ProjectSnapshotListing]) -> Iterator[Snapshot]:
        """Yield the project's snapshots, newest first."""
        all_runs = RunRef(self.project, "")
        where = SnapshotListing(namespace=None, before="", **fields)
        for snapshot in self._connection.pages(
            lambda token: calls.snapshots.list_snapshots(all_runs, where, token)
        ):
            yield snapshot

    def search(
        self, query: str, *, page_size: int = 20, **fields: Unpack[SearchFields]
    ) -> Iterator[SearchHit]:
        """Yield the events that match, best first unless `newest_first`.

        The best are the best of the newest 1000 matches. A query consists of words, "a phrase" in
        quotes, `a OR b`, and `-word`.
        """
        for hit in self._connection.pages(
            lambda token: calls.search.search_events(self.project, query, fields, page_size, token)
        ):
            yield hit

    def statistics(
        self,
        by: Sequence[Dimension] = (),
        *,
        page_size: int = 100,
        **fields: Unpack[StatisticsFields],
    ) -> Iterator[StatisticsRow]:
        """Yield what events used, added up, a row for each group.

        `by` groups by up to three of run, node, model, tool, type and day; without any there is one
        row.
        """
        for row in self._connection.pages(
            lambda token: calls.statistics.get_statistics(
                self.project, by, fields, page_size, token
            )
        ):
            yield row

    def health(self, service: str = "") -> bool:
        """Whether the server, or one of its services, reports that it is serving; not retried.

        Raise `Unavailable` if no server responds.
        """
        return self._connection.health(service)

    @property
    def feed(self) -> Feed:
        """The events of all runs in one order."""
        return Feed(self._connection, self.project)

    @property
    def configs(self) -> Configs:
        """Versions of prompts, tools, agents and evaluators, which runs are pinned to."""
        return Configs(self._connection, self.project)

    @property
    def artifacts(self) -> Artifacts:
        """Named results of runs, with their bytes in an object store."""
        return Artifacts(self._connection, self.project)

    @property
    def admin(self) -> Admin:
        """Who may use the server, how much of it, and what was done about that."""
        return Admin(self._connection, self.project)

    def appender(self, *, window: int = DEFAULT_WINDOW) -> Appender:
        """Pipelines appends over one stream, at most `window` of them without a response."""
        return Appender(self._connection, window)
