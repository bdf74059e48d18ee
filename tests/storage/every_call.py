"""What calls of a project can be: each method of the store once, and a project for them to find."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

from runstore_storage import chain
from runstore_storage.contract.access import Grant, Principal, PrincipalKind, Role
from runstore_storage.contract.admin import Act, Limits, NewToken
from runstore_storage.contract.artifacts import (
    Announced,
    ArtifactFilter,
    ArtifactRef,
    NewArtifact,
)
from runstore_storage.contract.configs import (
    ConfigKey,
    ConfigRef,
    LabelChange,
    NewVersion,
    VersionSelector,
)
from runstore_storage.contract.erasures import Seqs
from runstore_storage.contract.events import EVERY_EVENT, Event, NewAppend
from runstore_storage.contract.feed import (
    RELAY,
    REMOVALS,
    SEARCH,
    STORED_BYTES,
    USAGE_COUNTS,
    FeedPoint,
)
from runstore_storage.contract.heads import Guard, Outcome, RunKey
from runstore_storage.contract.holds import NewHold
from runstore_storage.contract.ledger import LedgerEntry
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload, Ref
from runstore_storage.contract.retention import Keep, Policy
from runstore_storage.contract.runs import NewFork, NewRun, RunFilter, RunOrder
from runstore_storage.contract.scope import Scope, bound
from runstore_storage.contract.search import SearchQuery
from runstore_storage.contract.snapshots import (
    Snapshot,
    SnapshotQuery,
    SnapshotSelector,
    TaskWrite,
)
from runstore_storage.contract.statistics import Dimension, StatisticsQuery
from runstore_storage.contract.store import Store

Call = Callable[[Store, str], Awaitable[Any]]

LARGE = Payload('"' + "fox " * 500 + '"')
PARTS = Payload('"' + "dog " * 20_000 + '"')
CONTENT = b"the same bytes in each project"
LIVE = VersionSelector(label="live")
FIRST = Event("t", "e1", LARGE, model="model", tool="tool")


def run(project: str) -> RunKey:
    return RunKey(project, "run")


def config(project: str) -> ConfigKey:
    return ConfigKey(project, "prompt", "greeting")


SOON = timedelta(microseconds=1)
POLICY = Policy("new", Keep(SOON, SOON, 0, SOON, SOON, SOON))


def act(project: str, request_id: str = "") -> Act:
    someone = Principal(PrincipalKind.TOKEN, "someone")
    grants = (Grant(Role.ADMIN, project),)
    request = '{"limits": {"streams": 1}}'
    return Act(project, "Method", "resource", someone, grants, "peer", "call", request_id, request)


def token(project: str) -> NewToken:
    grants = (Grant(Role.READER, project),)
    return NewToken(f"token-of-{project}", project, "name", grants, 60.0, b"x" * 32)


def step(id_: str, state: Payload | Ref = LARGE) -> Snapshot:
    return Snapshot(snapshot_id=id_, state={"a": state}, metadata=Payload('{"a": 1}'))


async def chunks() -> AsyncIterator[bytes]:
    yield CONTENT


async def archive_of(store: Store, run_id: str, project: str) -> Any:
    async with aclosing(store.archives.export_run(RunKey(project, run_id))) as files:
        return [(file.name, [chunk async for chunk in file.chunks]) async for file in files]


async def tail_of(store: Store, project: str) -> Any:
    async with store.open_tail(run(project)) as tail:
        return await tail.read(1, limit=10, where=EVERY_EVENT)


async def downloaded(store: Store, project: str) -> bytes:
    ref = ArtifactRef(project, run_id="run", name="report")
    opened = await store.artifacts.open_artifact(ref, offset=0, length=0)
    return b"".join([each async for each in opened.chunks])


async def _released(store: Store, project: str) -> object:
    page = await store.holds.list_holds(project, run_id="", released=True, limit=1, after=None)
    return await store.holds.release_hold(page.items[0].hold_id, act(project))


async def _deleted(store: Store, project: str, run_id: str) -> object:
    return await store.removals.delete_run(
        RunKey(project, run_id), expected_last_seq=None, act=act(project, f"delete {run_id}")
    )


async def _erased(store: Store, project: str, request_id: str = "erase") -> object:
    key, asked = RunKey(project, "erased"), act(project, request_id)
    return await store.erasures.erase_events(key, [Seqs(1, 1)], asked)


async def _forgotten(store: Store, project: str, request_id: str = "forget") -> object:
    return await store.erasures.erase_subject(project, "ann", act(project, request_id))


async def _erasure(store: Store, project: str) -> object:
    records = await store.admin.list_records(project, limit=100, after=None)
    ids = [each.act.resource for each in records.items if each.act.resource.startswith("erasures/")]
    return await store.erasures.get_erasure(project, ids[-1].removeprefix("erasures/"))


async def _archived(store: Store, project: str, run_id: str) -> object:
    return await store.archives.archive_run(
        RunKey(project, run_id), expected_last_seq=None, act=act(project, f"archive {run_id}")
    )


async def _restored(store: Store, project: str, run_id: str) -> object:
    key = RunKey(project, run_id)
    return await store.archives.restore_run(key, act(project, f"restore {run_id}"))


async def _applied(store: Store, project: str) -> object:
    key = RunKey(project, "erased")
    birth = chain.birth_hash((await store.get_run(key)).born)
    entry = LedgerEntry(key, birth, (Seqs(1, 1),))
    return await store.ledger.apply(entry, act(project).principal)


CALLS: dict[str, Call] = {
    "save_run": lambda store, project: store.save_run(NewRun(project, "new")),
    "get_run": lambda store, project: store.get_run(run(project)),
    "list_runs": lambda store, project: store.list_runs(
        project, RunFilter(), RunOrder.CREATED_DESC, limit=10, after=None
    ),
    "resume_run": lambda store, project: store.resume_run(
        run(project), namespace="", request_id="resume", actor="me", limit=10
    ),
    "replay_run": lambda store, project: store.replay_run(
        run(project), None, namespace="", limit=10
    ),
    "fork_run": lambda store, project: store.fork_run(NewFork(run(project), 1, "new-fork")),
    "verify_run": lambda store, project: store.verify_run(run(project), from_seq=1, max_events=0),
    "append_events": lambda store, project: store.append_events(
        run(project), [Event("t", "new", LARGE)]
    ),
    "append_many": lambda store, project: store.append_many(
        [NewAppend(run(project), [Event("t", "newer")])]
    ),
    "read_events": lambda store, project: store.read_events(run(project), 1, limit=10),
    "open_tail": tail_of,
    "put_snapshot": lambda store, project: store.put_snapshot(
        run(project), step("new"), events=[Event("t", "newest")]
    ),
    "put_task_writes": lambda store, project: store.put_task_writes(
        run(project), "", [TaskWrite("task", 7, "first", payload=Payload("1"))]
    ),
    "get_snapshot": lambda store, project: store.get_snapshot(run(project), "", SnapshotSelector()),
    "list_snapshots": lambda store, project: store.list_snapshots(
        SnapshotQuery(project, with_parts=True, with_task_writes=True), limit=10, after=None
    ),
    "delete_snapshots": lambda store, project: store.delete_snapshots(run(project), "", ["new"]),
    "get_output": lambda store, project: store.get_output(RunKey(project, "done"), 0),
    "complete_run": lambda store, project: store.complete_run(
        run(project), Completion(Outcome.FAILED, output=Output(LARGE))
    ),
    "feed.read_feed": lambda store, project: store.feed.read_feed(project, 1, limit=100),
    "feed.commit_position": lambda store, project: store.feed.commit_position(project, "reader", 3),
    "feed.reset_consumer": lambda store, project: store.feed.reset_consumer(project, "reader", 1),
    "feed.get_consumer": lambda store, project: store.feed.get_consumer(project, "reader"),
    "feed.list_consumers": lambda store, project: store.feed.list_consumers(
        project, limit=10, after=None
    ),
    "configs.register_version": lambda store, project: store.configs.register_version(
        NewVersion(config(project), Payload("2"), labels=("live",), request_id="second")
    ),
    "configs.get_version": lambda store, project: store.configs.get_version(config(project), LIVE),
    "configs.list_versions": lambda store, project: store.configs.list_versions(
        config(project), limit=10, after=None
    ),
    "configs.list_configs": lambda store, project: store.configs.list_configs(
        project, kind="", name_prefix="", limit=10, after=None
    ),
    "configs.change_label": lambda store, project: store.configs.change_label(
        config(project), LabelChange("live", 0, request_id="third")
    ),
    "configs.list_label_moves": lambda store, project: store.configs.list_label_moves(
        config(project), "", limit=10, after=None
    ),
    "artifacts.upload_artifact": lambda store, project: store.artifacts.upload_artifact(
        NewArtifact(run(project), "new"), Announced(), chunks()
    ),
    "artifacts.link_artifact": lambda store, project: store.artifacts.link_artifact(
        NewArtifact(run(project), "linked"), "https://elsewhere", Announced()
    ),
    "artifacts.get_artifact": lambda store, project: store.artifacts.get_artifact(
        ArtifactRef(project, run_id="run", name="report")
    ),
    "artifacts.open_artifact": downloaded,
    "artifacts.list_artifacts": lambda store, project: store.artifacts.list_artifacts(
        project, ArtifactFilter(), limit=10, after=None
    ),
    "archives.export_run": lambda store, project: archive_of(store, "run", project),
    "search.wait_indexed": lambda store, project: store.search.wait_indexed(
        FeedPoint(run=run(project), seq=1), 0
    ),
    "search.search_events": lambda store, project: store.search.search_events(
        project, SearchQuery("fox"), limit=10
    ),
    "statistics.wait_counted": lambda store, project: store.statistics.wait_counted(
        FeedPoint(run=run(project), seq=1), 0
    ),
    "statistics.get_statistics": lambda store, project: store.statistics.get_statistics(
        project, StatisticsQuery(group_by=(Dimension.RUN,)), limit=10
    ),
    "holds.place_hold": lambda store, project: store.holds.place_hold(
        NewHold(project, "why", "done"), act(project, "hold")
    ),
    "holds.release_hold": _released,
    "holds.list_holds": lambda store, project: store.holds.list_holds(
        project, run_id="", released=True, limit=10, after=None
    ),
    "removals.delete_run": lambda store, project: _deleted(store, project, "going"),
    "archives.archive_run": lambda store, project: _archived(store, project, "leaving"),
    "archives.restore_run": lambda store, project: _restored(store, project, "away"),
    "removals.list_removals": lambda store, project: store.removals.list_removals(
        project, run_id="", limit=10, after=None
    ),
    "retention.put_policy": lambda store, project: store.retention.put_policy(
        POLICY, act(project, "policy")
    ),
    "retention.delete_policy": lambda store, project: store.retention.delete_policy(
        "old", act(project, "ending")
    ),
    "retention.list_policies": lambda store, project: store.retention.list_policies(
        project, limit=10, after=None
    ),
    "retention.preview_retention": lambda store, project: store.retention.preview_retention(
        project, POLICY, idle=timedelta(days=30)
    ),
    "erasures.erase_events": lambda store, project: _erased(store, project, "erase again"),
    "erasures.erase_subject": lambda store, project: _forgotten(store, project, "forget again"),
    "erasures.get_erasure": _erasure,
    "ledger.apply": _applied,
    "admin.create_token": lambda store, project: store.admin.create_token(
        token(project), act(project, "token")
    ),
    "admin.list_tokens": lambda store, project: store.admin.list_tokens(
        project, limit=10, after=None
    ),
    "admin.revoke_token": lambda store, project: store.admin.revoke_token(
        f"token-of-{project}", act(project)
    ),
    "admin.set_limits": lambda store, project: store.admin.set_limits(
        Limits(streams=1), act(project, "limits")
    ),
    "admin.get_limits": lambda store, project: store.admin.get_limits(project),
    "admin.list_records": lambda store, project: store.admin.list_records(
        project, limit=10, after=None
    ),
    "admin.verify_records": lambda store, project: store.admin.verify_records(
        project, from_number=1
    ),
}
"""By the names of the methods, each with what it finds in a project that is `furnished`."""


async def furnish(store: Store, project: str) -> None:
    """Write to a project what `CALLS` look for, by the same names in every project."""
    with bound(Scope(project)):
        await store.configs.register_version(
            NewVersion(config(project), Payload("1"), labels=("live",), request_id="first")
        )
        ref = ConfigRef("prompt", "greeting", label="live")
        new = NewRun(project, "run", objective=project, config_refs=(ref,), tags=("tag",))
        key = (await store.save_run(new)).run.key
        await store.append_events(key, [FIRST, Event("t", "e2")])
        for name in ("first", "other"):
            writes = [TaskWrite("task", 0, payload=Payload("1"))]
            await store.put_snapshot(key, step(name), task_writes=writes, request_id=name)
        child = (await store.save_run(NewRun(project, "child", parent_run_id="run"))).run.key
        await store.put_snapshot(child, step("first"))
        await store.fork_run(NewFork(key, 2, "fork"))
        done = (await store.save_run(NewRun(project, "done"))).run.key
        await store.complete_run(done, Completion(Outcome.SUCCEEDED, output=Output(LARGE)))
        await store.artifacts.upload_artifact(NewArtifact(key, "report"), Announced(), chunks())
        await store.admin.create_token(token(project), act(project, "token"))
        await store.holds.place_hold(NewHold(project, "why", "done"), act(project, "hold"))
        await store.retention.put_policy(replace(POLICY, name="old"), act(project, "old"))
        for name in ("gone", "going", "leaving", "away", "kept away", "back"):
            ended = (await store.save_run(NewRun(project, name))).run.key
            await store.append_events(ended, [Event("t", "kept")])
            await store.complete_run(ended, Completion(Outcome.SUCCEEDED))
        base = (await store.save_run(NewRun(project, "base"))).run.key
        await store.append_events(base, [Event("t")])
        await store.fork_run(NewFork(base, 1, "of base"))
        await store.put_snapshot(base, step("first"))
        await store.artifacts.upload_artifact(NewArtifact(base, "a"), Announced(), chunks())
        await store.complete_run(base, Completion(Outcome.SUCCEEDED))
        for name in ("away", "kept away", "back"):
            await _archived(store, project, name)
    await publish(store)
    await store.feed.hold_duty(REMOVALS, "me")
    while await store.removals.remove("me") or await store.archives.archive("me"):
        pass
    with bound(Scope(project)):
        await store.append_events(RunKey(project, "run"), [Event("t", "last")])
        await _restored(store, project, "back")
        await _deleted(store, project, "gone")
        about = Event("t", payload=LARGE, subjects=("ann",))
        erased = (await store.save_run(NewRun(project, "erased"))).run.key
        await store.append_events(erased, [about])
        await store.complete_run(erased, Completion(Outcome.SUCCEEDED))
        await _erased(store, project)
        await store.append_events(child, [about])
        await _forgotten(store, project)
    await publish(store)
    await store.feed.hold_duty(REMOVALS, "me")
    for _ in range(2):
        await store.erasures.erase("me")
    with bound(Scope(project)):
        await store.feed.commit_position(project, "reader", 2)


async def publish(store: Store) -> None:
    """Do what the duties do with all that is committed."""
    for duty, work in (
        (RELAY, store.feed.publish),
        (USAGE_COUNTS, store.feed.count_usage),
        (STORED_BYTES, store.feed.sum_stored),
        (SEARCH, store.search.index_text),
    ):
        await store.feed.hold_duty(duty, "me")
        while await work("me"):
            pass


async def _from_an_archived_entry(store: Store, project: str) -> None:
    position = 1
    while True:
        page = await store.feed.read_feed(project, position, limit=10)
        if page.reaches_end:
            return
        position = page.next_position


async def _refused(answer: Awaitable[object]) -> None:
    try:
        await answer
    except Exception:
        return
    raise AssertionError("the call is not refused")


def _sha256(content: bytes) -> bytes:
    return sha256(content).digest()


async def _by_digest(store: Store, project: str) -> object:
    latest = await store.configs.get_version(config(project))
    return await store.configs.get_version(config(project), VersionSelector(digest=latest.digest))


async def _by_id(store: Store, project: str) -> object:
    named = await store.artifacts.get_artifact(ArtifactRef(project, run_id="run", name="report"))
    return await store.artifacts.get_artifact(ArtifactRef(project, named.artifact_id))


MORE: dict[str, Call] = {
    "an archived run": lambda store, project: store.read_events(
        RunKey(project, "kept away"), 1, limit=10, read_archive=True
    ),
    "an archived run that may not be read from there": lambda store, project: _refused(
        store.read_events(RunKey(project, "kept away"), 1, limit=10)
    ),
    "a fork of an archived run": lambda store, project: _refused(
        store.fork_run(NewFork(RunKey(project, "kept away"), fork_run_id="late"))
    ),
    "a repeated event of an archived run": lambda store, project: store.append_events(
        RunKey(project, "kept away"), [Event("t", "kept")]
    ),
    "what a repeated act has archived": lambda store, project: _archived(
        store, project, "kept away"
    ),
    "what a repeated act has restored": lambda store, project: _restored(store, project, "back"),
    "the feed with what is archived": lambda store, project: _refused(
        _from_an_archived_entry(store, project)
    ),
    "what a repeated act has deleted": lambda store, project: _deleted(store, project, "gone"),
    "a repeated erasure": _erased,
    "a subject that is forgotten again": _forgotten,
    "the removals of a run": lambda store, project: store.removals.list_removals(
        project, run_id="gone", limit=10, after=None
    ),
    "a run that has forks": lambda store, project: _refused(_deleted(store, project, "base")),
    "a run that is held": lambda store, project: _refused(
        store.delete_snapshots(RunKey(project, "done"), "", ["first"])
    ),
    "what holds a run": lambda store, project: store.holds.list_holds(
        project, run_id="done", released=False, limit=10, after=None
    ),
    "an event that is not counted yet": lambda store, project: store.append_events(
        run(project), [Event("t", "uncounted", model="model", tool="tool")]
    ),
    "runs by model": lambda store, project: store.list_runs(
        project, RunFilter(model="model"), RunOrder.UPDATED_ASC, limit=10, after=None
    ),
    "runs by tool": lambda store, project: store.list_runs(
        project, RunFilter(tool="tool"), RunOrder.COMPLETED_DESC, limit=10, after=None
    ),
    "a known event": lambda store, project: store.append_events(run(project), [Event("t", "e2")]),
    "a lost race": lambda store, project: _refused(
        store.append_events(run(project), [Event("t", "x")], Guard(expected_seq=1))
    ),
    "an append that is remembered": lambda store, project: store.append_events(
        run(project), [Event("t", "y")]
    ),
    "a part of the run a fork is of": lambda store, project: store.put_snapshot(
        RunKey(project, "fork"),
        step("of fork", Ref(_sha256(LARGE.data))),
        events=[FIRST],
    ),
    "snapshots of a fork": lambda store, project: store.list_snapshots(
        SnapshotQuery(project, "fork", with_parts=True, with_task_writes=True),
        limit=10,
        after=None,
    ),
    "a snapshot of a fork's base": lambda store, project: _refused(
        store.delete_snapshots(RunKey(project, "run"), "", ["first"])
    ),
    "a fork's chain": lambda store, project: store.verify_run(
        RunKey(project, "fork"), from_seq=1, max_events=0
    ),
    "a fork's archive": lambda store, project: archive_of(store, "fork", project),
    "an ended run's archive": lambda store, project: archive_of(store, "done", project),
    "hits with events": lambda store, project: store.search.search_events(
        project, SearchQuery("fox", with_events=True), limit=10
    ),
    "a config by number": lambda store, project: store.configs.get_version(
        config(project), VersionSelector(version=1)
    ),
    "a config by digest": _by_digest,
    "the latest version": lambda store, project: store.configs.get_version(config(project)),
    "another version": lambda store, project: store.configs.register_version(
        NewVersion(config(project), Payload("3"), labels=("live",))
    ),
    "a label moved again": lambda store, project: store.configs.change_label(
        config(project), LabelChange("live", 1, request_id="fourth")
    ),
    "a repeated move": lambda store, project: store.configs.change_label(
        config(project), LabelChange("live", 1, request_id="fourth")
    ),
    "a repeated version": lambda store, project: store.configs.register_version(
        NewVersion(config(project), Payload("1"))
    ),
    "an artifact by id": _by_id,
    "a repeated upload": lambda store, project: store.artifacts.upload_artifact(
        NewArtifact(run(project), "report"), Announced(), chunks()
    ),
    "known content": lambda store, project: store.artifacts.upload_artifact(
        NewArtifact(run(project), "again"), Announced(sha256=_sha256(CONTENT)), chunks()
    ),
    "large parts": lambda store, project: store.put_snapshot(run(project), step("large", PARTS)),
    "large parts that are known": lambda store, project: store.put_snapshot(
        run(project), step("large, too", PARTS)
    ),
    "parts that nothing refers to": lambda store, project: store.delete_snapshots(
        run(project), "", ["large", "large, too"]
    ),
    "a last snapshot of known parts": lambda store, project: store.complete_run(
        RunKey(project, "child"),
        Completion(Outcome.FAILED, final_snapshot=step("final", Ref(_sha256(LARGE.data)))),
    ),
    "a revised output": lambda store, project: store.complete_run(
        RunKey(project, "done"), Completion(Outcome.SUCCEEDED, output=Output(Payload("2")))
    ),
    "a repeated revision": lambda store, project: store.complete_run(
        RunKey(project, "done"), Completion(Outcome.SUCCEEDED, output=Output(Payload("2")))
    ),
}
"""Calls that take other ways through the store."""
