"""Two projects with the same ids: nothing of one is in what the other is told, by any call.

What a caller names in its own project and only the other one has, is to it as what there is not.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.message_factory import GetMessageClass
from runstore.errors import from_rpc
from runstore.v1.statistics_pb2 import STATISTICS_DIMENSION_MODEL, STATISTICS_DIMENSION_RUN
from server.access.guarded import Guarded, MakeToken, sent_with
from server.access.test_matrix import RPCS, bearer

BY_NAME = {rpc.name: path for path, rpc in RPCS.items()}
MARKS = {"a": "amaranth", "b": "bergamot"}
CONTENT = b"the same bytes in both"


class Caller:
    """Calls of one project, with its token."""

    def __init__(self, channel: grpc.aio.Channel, project: str, token: str, mark: str) -> None:
        self._channel = channel
        self.project = project
        self.token = token
        self.mark = mark
        self.told: list[bytes] = []

    async def call(self, name: str, /, **given: Any) -> Any:
        """The first answer to a call, or what it was refused with."""
        rpc, sizes = RPCS[BY_NAME[name]], ("unary", "stream")
        messages = given.pop("messages", None)
        kind = GetMessageClass(rpc.input_type)
        sent = [kind(**each) for each in messages] if messages else [self._named(kind, given)]
        shape = f"{sizes[rpc.client_streaming]}_{sizes[rpc.server_streaming]}"
        call = getattr(self._channel, shape)(
            BY_NAME[name], response_deserializer=GetMessageClass(rpc.output_type).FromString
        )
        data = [each.SerializeToString() for each in sent]
        made = call(
            _all(data) if rpc.client_streaming else data[0],
            metadata=sent_with(self.token),
            timeout=60,
        )
        try:
            if not rpc.server_streaming:
                return self._told(await made)
            answers = []
            async for answer in made:
                answers.append(self._told(answer))
                if answer.DESCRIPTOR.name == "FollowFeedResponse" and answer.HasField("caught_up"):
                    made.cancel()
                    break
            return answers
        except grpc.aio.AioRpcError as error:
            self.told += [
                value.encode() if isinstance(value, str) else value
                for _, value in error.trailing_metadata() or ()
            ]
            refused = from_rpc(error)
            return f"{refused.reason}: {refused}"

    def _named(self, kind: Any, given: dict[str, Any]) -> Any:
        named = "project" in kind.DESCRIPTOR.fields_by_name
        return kind(project=self.project, **given) if named else kind(**given)

    def _told(self, answer: Any) -> Any:
        self.told.append(answer.SerializeToString())
        return answer


async def _all(data: list[bytes]) -> AsyncIterator[bytes]:
    for each in data:
        yield each


def text(value: str) -> dict[str, Any]:
    return {"json": f'"{value}"'}


def policy(name: str, plan_id: str) -> dict[str, Any]:
    return {"name": name, "keep_run": {"seconds": 86_400}, "filter": {"plan_id": plan_id}}


async def fill(caller: Caller, extra: str = "") -> None:
    """Everything there can be, under ids that both have, or with an ending only one has."""
    mark, run, project = caller.mark, f"run{extra}", caller.project
    config = {"kind": "prompt", "name": f"config{extra}"}
    for name, given in (
        ("RegisterVersion", {**config, "body": text(mark), "labels": ["live"]}),
        ("SetLabel", {**config, "label": "beta", "version": 1, "request_id": "moved"}),
        ("SaveRun", {"run_id": f"parent{extra}", "objective": mark}),
        (
            "SaveRun",
            {
                "run_id": run,
                "objective": mark,
                "plan": text(mark),
                "parent_run_id": f"parent{extra}",
                "labels": {"team": "t"},
                "external_ref": {"system": "s", "id": "x", "url": f"https://{mark}.example"},
                "config_refs": [{**config, "label": "live"}],
            },
        ),
        (
            "AppendEvents",
            {
                "run_id": run,
                "events": [
                    {"event_id": "e", "type": "t", "payload": text(f"word {mark}"), "model": mark}
                ],
            },
        ),
        (
            "PutSnapshot",
            {
                "run_id": run,
                "snapshot": {"snapshot_id": f"snapshot{extra}", "state": {"k": text(mark)}},
                "task_writes": [
                    {
                        "task_id": "task",
                        "snapshot_id": f"snapshot{extra}",
                        "payload": text(mark),
                    }
                ],
            },
        ),
        ("ForkRun", {"run_id": run, "fork_run_id": f"fork{extra}", "at_seq": 1}),
        ("ResumeRun", {"run_id": f"parent{extra}", "request_id": "resumed", "actor": mark}),
        (
            "CompleteRun",
            {"run_id": run, "outcome": 1, "output": {"payload": text(mark)}},
        ),
        ("LinkArtifact", {"run_id": run, "name": "link", "url": f"https://{mark}.example"}),
        ("CommitPosition", {"consumer": f"consumer{extra}", "position": 0}),
        ("PutPolicy", {"policy": policy(f"policy{extra}", mark), "reason": mark}),
    ):
        answer = await caller.call(name, **given)
        assert not isinstance(answer, str), (name, answer)
    header = {"project": project, "run_id": run, "name": "file", "actor": mark}
    uploaded = await caller.call(
        "UploadArtifact", messages=[{"header": header}, {"chunk": CONTENT}]
    )
    assert not isinstance(uploaded, str), uploaded


RUN = {"run_id": "run"}
OF_CONFIG = {"kind": "prompt", "name": "config"}
AFTER = {"after": {"run_id": "run", "seq": 2}}
READS: list[tuple[str, dict[str, Any]]] = [
    ("GetRun", RUN),
    ("ListRuns", {"filter": {"root_run_id": "parent"}}),
    ("ListRuns", {"filter": {"external": {"system": "s", "id": "x"}}}),
    ("ListEvents", RUN),
    ("ListEvents", {"run_id": "fork"}),
    ("StreamEvents", RUN),
    ("GetSnapshot", {**RUN, "snapshot_id": "snapshot"}),
    ("ListSnapshots", RUN),
    ("ListSnapshots", {}),
    ("GetOutput", RUN),
    ("ReplayRun", RUN),
    ("ReplayRun", {"run_id": "fork"}),
    ("VerifyRun", {"run_id": "fork"}),
    ("SearchEvents", {"query": "word", **AFTER}),
    (
        "GetStatistics",
        {"group_by": [STATISTICS_DIMENSION_MODEL, STATISTICS_DIMENSION_RUN], **AFTER},
    ),
    ("ReadFeed", {}),
    ("FollowFeed", {"consumer": "consumer"}),
    ("GetConsumer", {"consumer": "consumer"}),
    ("ListConsumers", {}),
    ("GetVersion", {**OF_CONFIG, "label": "live"}),
    ("ListVersions", OF_CONFIG),
    ("ListConfigs", {}),
    ("ListLabelMoves", OF_CONFIG),
    ("GetArtifact", {**RUN, "name": "file"}),
    ("DownloadArtifact", {**RUN, "name": "link"}),
    ("ListArtifacts", RUN),
    ("WhoAmI", {}),
    ("ListProjects", {}),
    ("ListTokens", {}),
    ("ListHolds", {}),
    ("ListRemovals", {}),
    ("PutPolicy", {"policy": policy("new", "plan"), "reason": "why", "request_id": "put"}),
    ("ListPolicies", {}),
    ("PreviewRetention", {}),
    ("EraseEvents", {**RUN, "seqs": [{"first_seq": 1, "last_seq": 1}], "reason": "why"}),
    ("EraseSubject", {"subject": "nobody", "reason": "why", "request_id": "forgotten"}),
    ("PlaceHold", {**RUN, "reason": "evidence", "request_id": "held"}),
    ("ListAdminRecords", {}),
    ("ExportRun", {"run_id": "fork"}),
    ("ResumeRun", {"run_id": "fork", "request_id": "resumed"}),
    ("AppendEvents", {"run_id": "fork", "events": [{"event_id": "e2", "type": "t"}]}),
    ("DeleteSnapshots", {**RUN, "snapshot_ids": ["snapshot"]}),
    ("ResetConsumer", {"consumer": "consumer", "position": 0}),
    ("SetLabel", {**OF_CONFIG, "label": "beta", "version": 1, "request_id": "moved"}),
]
# What names something: an id that only the other project has has to be as one that nobody has.
NAMING: list[tuple[str, Callable[[str], dict[str, Any]]]] = [
    ("GetRun", lambda x: {"run_id": f"run{x}"}),
    ("SaveRun", lambda x: {"run_id": f"child{x}", "parent_run_id": f"parent{x}"}),
    (
        "SaveRun",
        lambda x: {
            "run_id": f"pinned{x}",
            "config_refs": [{"kind": "prompt", "name": f"config{x}", "label": "live"}],
        },
    ),
    ("ListRuns", lambda x: {"filter": {"parent_run_id": f"parent{x}"}}),
    ("ListRuns", lambda x: {"filter": {"root_run_id": f"parent{x}"}}),
    ("ListRuns", lambda x: {"filter": {"config": {"kind": "prompt", "name": f"config{x}"}}}),
    ("AppendEvent", lambda x: {"run_id": f"run{x}", "event": {"event_id": "e", "type": "t"}}),
    ("ListEvents", lambda x: {"run_id": f"run{x}"}),
    ("StreamEvents", lambda x: {"run_id": f"run{x}", "follow": False}),
    ("PutSnapshot", lambda x: {"run_id": f"run{x}", "snapshot": {}}),
    (
        "PutTaskWrites",
        lambda x: {
            "run_id": "fork",
            "writes": [{"task_id": "t", "snapshot_id": f"snapshot{x}", "payload": text("v")}],
        },
    ),
    ("GetSnapshot", lambda x: {"run_id": f"run{x}"}),
    ("GetSnapshot", lambda x: {"run_id": "run", "snapshot_id": f"snapshot{x}"}),
    ("ListSnapshots", lambda x: {"run_id": f"run{x}"}),
    ("DeleteSnapshots", lambda x: {"run_id": f"run{x}", "snapshot_ids": [f"snapshot{x}"]}),
    ("DeleteSnapshots", lambda x: {"run_id": "run", "snapshot_ids": [f"snapshot{x}"]}),
    ("ResumeRun", lambda x: {"run_id": f"run{x}"}),
    ("ReplayRun", lambda x: {"run_id": f"run{x}"}),
    ("VerifyRun", lambda x: {"run_id": f"run{x}"}),
    ("GetOutput", lambda x: {"run_id": f"run{x}"}),
    ("CompleteRun", lambda x: {"run_id": f"run{x}", "outcome": 1, "output": {}}),
    ("ForkRun", lambda x: {"run_id": f"run{x}", "fork_run_id": f"forked{x}"}),
    ("SearchEvents", lambda x: {"query": "word", "filter": {"run_ids": [f"run{x}"]}}),
    ("SearchEvents", lambda x: {"query": "word", "after": {"run_id": f"run{x}", "seq": 1}}),
    (
        "GetStatistics",
        lambda x: {
            "group_by": [STATISTICS_DIMENSION_MODEL],
            "filter": {"run_ids": [f"run{x}"]},
        },
    ),
    ("GetConsumer", lambda x: {"consumer": f"consumer{x}"}),
    ("GetVersion", lambda x: {"kind": "prompt", "name": f"config{x}"}),
    ("ListVersions", lambda x: {"kind": "prompt", "name": f"config{x}"}),
    ("ListLabelMoves", lambda x: {"kind": "prompt", "name": f"config{x}"}),
    (
        "SetLabel",
        lambda x: {"kind": "prompt", "name": f"config{x}", "label": "new", "version": 1},
    ),
    ("GetArtifact", lambda x: {"run_id": f"run{x}", "name": "file"}),
    ("DownloadArtifact", lambda x: {"run_id": f"run{x}", "name": "file"}),
    ("ListArtifacts", lambda x: {"run_id": f"run{x}"}),
    ("LinkArtifact", lambda x: {"run_id": f"run{x}", "name": "n", "url": "https://e.example"}),
    ("ExportRun", lambda x: {"run_id": f"run{x}"}),
    ("RevokeToken", lambda x: {"token_id": f"token{x}"}),
    ("ReleaseHold", lambda x: {"hold_id": f"hold{x}"}),
    ("ListHolds", lambda x: {"run_id": f"run{x}"}),
    ("PlaceHold", lambda x: {"run_id": f"run{x}", "reason": "why"}),
    ("DeleteRun", lambda x: {"run_id": f"run{x}", "reason": "why"}),
    ("ArchiveRun", lambda x: {"run_id": f"run{x}", "reason": "why"}),
    ("RestoreRun", lambda x: {"run_id": f"run{x}", "reason": "why"}),
    ("ListRemovals", lambda x: {"run_id": f"run{x}"}),
    ("DeletePolicy", lambda x: {"name": f"policy{x}", "reason": "why"}),
    (
        "EraseEvents",
        lambda x: {
            "run_id": f"run{x}",
            "seqs": [{"first_seq": 1, "last_seq": 1}],
            "reason": "why",
        },
    ),
    ("GetErasure", lambda x: {"erasure_id": f"erasure{x}"}),
]


@pytest.fixture
async def twins(
    channel: grpc.aio.Channel, make_token: MakeToken, project: str
) -> tuple[Caller, Caller]:
    made = []
    for name, mark in MARKS.items():
        of = f"{project}/{name}"
        token = (await make_token(f"admin@{of}", owner=of)).text
        made.append(Caller(channel, of, token, mark))
        await fill(made[-1])
    return made[0], made[1]


async def test_nothing_of_a_twin_is_told(
    guarded: Guarded, twins: tuple[Caller, Caller], project: str
) -> None:
    a, b = twins

    for name, given in READS:
        answers = await a.call(name, **given)
        if name == "ExportRun":
            a.told += unpacked(b"".join(each.data for each in answers))
    async with httpx.AsyncClient(base_url=f"http://{guarded.http}") as http:
        document = (await http.get("/openapi.json", headers=bearer(a.token))).json()
        for path in document["paths"]:
            url = path.replace("{run_id}", "run")
            answer = await http.get(url, headers=bearer(a.token), params={"project": a.project})
            a.told.append(answer.content)

    told = b"".join(a.told)
    assert told.count(a.mark.encode()) > 20
    assert b.mark.encode() not in told
    assert b.project.encode() not in told


def unpacked(archive: bytes) -> list[bytes]:
    """The contents of an archive's files."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        found = [(each.name, files.extractfile(each)) for each in files]
        return [
            gzip.decompress(file.read()) if name.endswith(".gz") else file.read()
            for name, file in found
            if file
        ]


@pytest.mark.parametrize(
    ("name", "given"), NAMING, ids=[f"{name}-{i}" for i, (name, _) in enumerate(NAMING)]
)
async def test_what_only_a_twin_has_is_as_what_nobody_has(
    twins: tuple[Caller, Caller], name: str, given: Callable[[str], dict[str, Any]]
) -> None:
    a, b = twins
    await fill(b, "-onlyb")

    theirs = await a.call(name, **given("-onlyb"))
    nobodys = await a.call(name, **given("-never"))

    assert said(theirs).replace("-onlyb", "-never") == said(nobodys)


def said(answer: Any) -> str:
    """An answer as text, without what is of the moment."""
    if isinstance(answer, list):
        return "".join(map(said, answer))
    if isinstance(answer, str):
        return answer
    for field in ("indexed_position", "counted_position", "as_of"):
        if field in answer.DESCRIPTOR.fields_by_name:
            answer.ClearField(field)
    return str(answer)


async def test_ids_and_contents_of_a_twin_do_not_make_a_repeat(
    twins: tuple[Caller, Caller],
) -> None:
    a, b = twins
    await fill(b, "-onlyb")
    config = {"kind": "prompt", "name": "another", "body": text(b.mark)}
    header = {"project": a.project, "run_id": "run", "name": "another"}
    content = b"what only b has"
    await b.call(
        "UploadArtifact",
        messages=[{"header": {**header, "project": b.project}}, {"chunk": content}],
    )
    await b.call("RegisterVersion", **config)

    saved = await a.call("SaveRun", run_id="run-onlyb", objective="other")
    appended = await a.call("AppendEvent", run_id="fork", event={"event_id": "e9", "type": "t"})
    resumed = await a.call("ResumeRun", run_id="run-onlyb", request_id="resumed")
    uploaded = await a.call("UploadArtifact", messages=[{"header": header}, {"chunk": content}])
    registered = await a.call("RegisterVersion", **config)
    put = {"run_id": "run-onlyb", "snapshot": {"state": {"k": text(a.mark)}}}
    assert not isinstance(await a.call("PutSnapshot", **put), str)
    known, unknown = [
        await a.call(
            "PutSnapshot",
            run_id="run-onlyb",
            snapshot={"state": {"k": {"ref": sha256(text(mark)["json"].encode()).digest()}}},
        )
        for mark in (a.mark, b.mark)
    ]

    for answer in (saved, appended, resumed, uploaded, registered):
        assert not answer.deduplicated
    assert "UNKNOWN_REF" in unknown
    assert not isinstance(known, str)


async def test_a_page_token_of_a_twin_is_no_token(twins: tuple[Caller, Caller]) -> None:
    a, b = twins
    page = await b.call("ListRuns", page_size=1)
    assert page.next_page_token

    refused = await a.call("ListRuns", page_size=1, page_token=page.next_page_token)

    assert "was not issued for this query" in refused
