"""ConfigService: versions, labels and pins over the wire, and what it refuses."""

from collections.abc import AsyncIterator

import grpc
import pytest
from runstore.errors import RunstoreError, from_rpc
from runstore.v1 import config_service_pb2 as rpc
from runstore.v1 import run_service_pb2 as runs
from runstore.v1.config_service_pb2_grpc import ConfigServiceStub
from runstore.v1.configs_pb2 import LabelMove
from runstore.v1.payloads_pb2 import Payload
from runstore.v1.runs_pb2 import ConfigRef

BODY = Payload(json='{"b":1.0,"a":"\\u0000","b":[ ]}\n', content_type="application/json")


@pytest.fixture
async def configs(server_address: str) -> AsyncIterator[ConfigServiceStub]:
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(server_address, options=options) as channel:
        yield ConfigServiceStub(channel)


async def refusal(call: object) -> RunstoreError:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return from_rpc(caught.value)


def named(project: str) -> dict[str, str]:
    return {"project": project, "kind": "prompt", "name": "greeting"}


async def test_a_version_comes_back_as_it_was_registered(configs, project) -> None:
    metadata = Payload(json='{"owner":"ann","owner":"bob"}')
    registered = await configs.RegisterVersion(
        rpc.RegisterVersionRequest(
            **named(project),
            body=BODY,
            description="says hello",
            metadata=metadata,
            labels=["live"],
            actor="ann",
        )
    )

    found = (await configs.GetVersion(rpc.GetVersionRequest(**named(project)))).version

    assert (registered.version, registered.deduplicated) == (1, False)
    assert (found.version, found.digest) == (1, registered.digest)
    assert (found.body, found.metadata, found.labels) == (BODY, metadata, ["live"])
    assert (found.kind, found.name, found.description) == ("prompt", "greeting", "says hello")
    assert (found.actor, found.created_at) == ("ann", registered.created_at)
    assert found.body_bytes == len(BODY.json)


async def test_a_large_binary_body_comes_back_whole(configs, project) -> None:
    body = Payload(binary=bytes(range(256)) * 20_000, content_type="application/x-tool")

    await configs.RegisterVersion(rpc.RegisterVersionRequest(**named(project), body=body))

    assert (await configs.GetVersion(rpc.GetVersionRequest(**named(project)))).version.body == body


async def test_versions_are_chosen_by_each_selector(configs, project) -> None:
    made = [
        await configs.RegisterVersion(
            rpc.RegisterVersionRequest(**named(project), body=Payload(json=text), labels=[label])
        )
        for text, label in (("1", "old"), ("2", "live"), ("3", "new"))
    ]

    async def chosen(**selector: object) -> int:
        request = rpc.GetVersionRequest(**named(project), **selector)
        return (await configs.GetVersion(request)).version.version

    assert await chosen(version=2) == await chosen(label="live") == 2
    assert await chosen(digest=made[0].digest) == 1
    assert await chosen() == await chosen(version=0) == 3


async def test_lists_are_paged_by_tokens_bound_to_their_query(configs, project) -> None:
    for name in "abc":
        for text in "12345":
            await configs.RegisterVersion(
                rpc.RegisterVersionRequest(
                    project=project,
                    kind="tool",
                    name=name,
                    body=Payload(json=text),
                    labels=["live"],
                )
            )
    one = {"project": project, "kind": "tool", "name": "b"}

    async def paged(method: str, request: object, field: str) -> list[object]:
        seen: list[object] = []
        while True:
            answer = await getattr(configs, method)(request)
            assert len(getattr(answer, field)) <= 2
            seen += getattr(answer, field)
            if not answer.next_page_token:
                return seen
            request.page_token = answer.next_page_token

    versions = await paged("ListVersions", rpc.ListVersionsRequest(**one, page_size=2), "versions")
    moves = await paged("ListLabelMoves", rpc.ListLabelMovesRequest(**one, page_size=2), "moves")
    listing = rpc.ListConfigsRequest(project=project, page_size=2)
    listed = await paged("ListConfigs", listing, "configs")

    assert [each.version for each in versions] == [5, 4, 3, 2, 1]
    assert [each.to_version for each in moves] == [5, 4, 3, 2, 1]
    assert [each.name for each in listed] == ["a", "b", "c"]
    assert [(each.latest.version, each.labels[0].version) for each in listed] == [(5, 5)] * 3
    assert not any(each.HasField("body") for each in (*versions, listed[0].latest))
    listing.kind = "prompt"
    refused = await refusal(configs.ListConfigs(listing))
    assert refused.violations[0][0] == "page_token"


async def test_the_longest_names_are_taken_and_paged(configs, project) -> None:
    widest = "\U0002fa1f" * 199
    names = [widest + each for each in "ab"]
    for name in names:
        await configs.RegisterVersion(
            rpc.RegisterVersionRequest(
                project=project,
                kind=widest,
                name=name,
                body=BODY,
                description=widest * 50,
                labels=[name],
                actor=name,
                request_id=name,
            )
        )

    first = await configs.ListConfigs(rpc.ListConfigsRequest(project=project, page_size=1))
    second = await configs.ListConfigs(
        rpc.ListConfigsRequest(project=project, page_size=1, page_token=first.next_page_token)
    )

    assert [first.configs[0].name, second.configs[0].name] == names
    assert (second.configs[0].labels[0].label, second.next_page_token) == (names[1], "")


async def test_a_label_is_set_moved_and_removed(configs, project) -> None:
    for text in "12":
        await configs.RegisterVersion(
            rpc.RegisterVersionRequest(**named(project), body=Payload(json=text))
        )
    label = {**named(project), "label": "live"}

    def pair(answer: object) -> tuple[int, int, bool]:
        move: LabelMove = answer.move
        return move.from_version, move.to_version, answer.deduplicated

    first = rpc.SetLabelRequest(**label, version=1, expected_version=0, request_id="r")
    assert pair(await configs.SetLabel(first)) == (0, 1, False)
    assert pair(await configs.SetLabel(rpc.SetLabelRequest(**label, version=2))) == (1, 2, False)
    assert pair(await configs.SetLabel(first)) == (0, 1, True)
    assert pair(await configs.RemoveLabel(rpc.RemoveLabelRequest(**label))) == (2, 0, False)
    gone = await configs.RemoveLabel(rpc.RemoveLabelRequest(**label))
    assert (pair(gone), gone.move.HasField("moved_at")) == ((0, 0, True), False)


async def test_refusals_have_their_reasons_and_metadata(configs, stub, project) -> None:
    await configs.RegisterVersion(
        rpc.RegisterVersionRequest(**named(project), body=BODY, labels=["live"])
    )
    other = {**named(project), "name": "nobody"}
    expected = rpc.SetLabelRequest(
        **named(project), label="new", version=1, expected_version=1, actor="ann"
    )
    pinned = runs.SaveRunRequest(
        project=project, config_refs=[ConfigRef(kind="prompt", name="greeting", label="test")]
    )

    unknown = await refusal(configs.GetVersion(rpc.GetVersionRequest(**other)))
    version = await refusal(configs.GetVersion(rpc.GetVersionRequest(**named(project), version=9)))
    label = await refusal(stub.SaveRun(pinned))
    conflict = await refusal(configs.SetLabel(expected))

    config = {"kind": "prompt", "name": "greeting"}
    assert (unknown.reason, unknown.metadata["name"]) == ("CONFIG_NOT_FOUND", "nobody")
    assert (version.reason, version.metadata) == (
        "CONFIG_VERSION_NOT_FOUND",
        config | {"version": "9"},
    )
    assert (label.reason, label.metadata) == ("CONFIG_LABEL_NOT_FOUND", config | {"label": "test"})
    assert (conflict.code, conflict.reason) == (grpc.StatusCode.ABORTED, "LABEL_CONFLICT")
    assert conflict.metadata == config | {
        "label": "new",
        "expected_version": "1",
        "current_version": "0",
    }


def body(**fields: object) -> rpc.RegisterVersionRequest:
    return rpc.RegisterVersionRequest(
        **{"kind": "prompt", "name": "x", "body": Payload(json="1"), **fields}
    )


def pins(**fields: object) -> runs.SaveRunRequest:
    return runs.SaveRunRequest(config_refs=[ConfigRef(**{"kind": "k", "name": "n", **fields})])


BAD = {
    "no kind": ("RegisterVersion", body(kind=""), "kind"),
    "no name": ("RegisterVersion", body(name=""), "name"),
    "long kind": ("RegisterVersion", body(kind="x" * 201), "kind"),
    "NUL in a name": ("RegisterVersion", body(name="a\0b"), "name"),
    "no body": (
        "RegisterVersion",
        rpc.RegisterVersionRequest(kind="prompt", name="x"),
        "body",
    ),
    "empty body": ("RegisterVersion", body(body=Payload()), "body"),
    "no JSON": ("RegisterVersion", body(body=Payload(json="{")), "body.json"),
    "a ref": ("RegisterVersion", body(body=Payload(ref=b"x" * 32)), "body.ref"),
    "a ref as metadata": ("RegisterVersion", body(metadata=Payload(ref=b"x" * 32)), "metadata.ref"),
    "metadata that is no object": ("RegisterVersion", body(metadata=Payload(json="1")), "metadata"),
    "an empty label": ("RegisterVersion", body(labels=["a", ""]), "labels[1]"),
    "65 labels": ("RegisterVersion", body(labels=map(str, range(65))), "labels"),
    "negative version": (
        "GetVersion",
        rpc.GetVersionRequest(kind="prompt", name="x", version=-1),
        "version",
    ),
    "empty digest": ("GetVersion", rpc.GetVersionRequest(kind="p", name="x", digest=""), "digest"),
    "no label": ("SetLabel", rpc.SetLabelRequest(kind="prompt", name="x", version=1), "label"),
    "label to no version": (
        "SetLabel",
        rpc.SetLabelRequest(kind="prompt", name="x", label="live"),
        "version",
    ),
    "negative expectation": (
        "RemoveLabel",
        rpc.RemoveLabelRequest(kind="prompt", name="x", label="live", expected_version=-1),
        "expected_version",
    ),
    "oversize page": ("ListConfigs", rpc.ListConfigsRequest(page_size=101), "page_size"),
    "made up token": ("ListConfigs", rpc.ListConfigsRequest(page_token="x"), "page_token"),
    "a pin to nothing": ("SaveRun", pins(), "config_refs[0]"),
    "a label beside a number": ("SaveRun", pins(label="l", version=1), "config_refs[0].label"),
    "a label beside a digest": ("SaveRun", pins(label="l", digest="d"), "config_refs[0].label"),
    "a negative pin": ("SaveRun", pins(version=-1), "config_refs[0].version"),
    "a filter without a name": (
        "ListRuns",
        runs.ListRunsRequest(filter=runs.RunFilter(config=runs.ConfigFilter(kind="prompt"))),
        "filter.config.name",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_input_names_its_field(configs, stub, project, case) -> None:
    method, request, field = BAD[case]
    request.project = project

    call = getattr(configs, method, None) or getattr(stub, method)
    refused = await refusal(call(request))

    assert refused.reason == "INVALID_REQUEST"
    assert field in [name for name, _ in refused.violations]


async def test_a_run_is_pinned_once_and_found_by_its_pin(configs, stub, project) -> None:
    registered = await configs.RegisterVersion(
        rpc.RegisterVersionRequest(**named(project), body=BODY, labels=["live"])
    )
    request = runs.SaveRunRequest(
        project=project,
        run_id="run",
        config_refs=[ConfigRef(kind="prompt", name="greeting", label="live")],
    )
    first = (await stub.SaveRun(request)).run
    await configs.RegisterVersion(
        rpc.RegisterVersionRequest(**named(project), body=Payload(json="2"), labels=["live"])
    )

    again = await stub.SaveRun(request)

    pin = ConfigRef(kind="prompt", name="greeting", version=1, digest=registered.digest)
    assert (again.deduplicated, list(again.run.config_refs)) == (True, [pin])
    assert again.run == first
    for version, wanted in ((0, ["run"]), (1, ["run"]), (2, [])):
        where = runs.RunFilter(
            config=runs.ConfigFilter(kind="prompt", name="greeting", version=version)
        )
        page = await stub.ListRuns(runs.ListRunsRequest(project=project, filter=where))
        assert [run.run_id for run in page.runs] == wanted
