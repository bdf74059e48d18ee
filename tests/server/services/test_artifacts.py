"""ArtifactService: bytes up and down over a server."""

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
import pytest
import runstore
from conftest import make_served_store, make_store, objects_folder
from object_stores import fresh_url, s3_server
from runstore.errors import from_rpc
from runstore.streams import artifacts as client_artifacts
from runstore.v1 import artifact_service_pb2 as rpc
from runstore.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from runstore_server.app import App, open_store
from runstore_server.settings import Settings
from runstore_storage.contract.artifacts import ArtifactFilter
from runstore_storage.contract.pages import Page
from runstore_storage.postgres import PostgresStore

MIB = 1 << 20


@pytest.fixture
async def artifact_stub(server_address: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(server_address) as channel:
        yield ArtifactServiceStub(channel)


@pytest.fixture
async def run(client: runstore.AsyncClient) -> runstore.AsyncRun:
    return await client.save_run(run_id="run")


def messages(project: str, *chunks: bytes, **header: Any) -> list[rpc.UploadArtifactRequest]:
    given = {"run_id": "run", "name": "a", **header}
    return [
        rpc.UploadArtifactRequest(header=rpc.ArtifactHeader(project=project, **given)),
        *(rpc.UploadArtifactRequest(chunk=chunk) for chunk in chunks),
    ]


async def refusal(call: Any) -> runstore.RunstoreError:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return from_rpc(caught.value)


def bytes_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


async def test_bytes_files_and_chunks_go_up_and_come_down(
    client: runstore.AsyncClient, run: runstore.AsyncRun, tmp_path: Path
) -> None:
    data = bytes_of(9 * MIB)
    file = tmp_path / "file"
    file.write_bytes(data)

    async def chunks() -> AsyncIterator[bytes]:
        yield data[: 3 * MIB]
        yield data[3 * MIB :]

    for number, given in enumerate([data, file, chunks(), iter([data[:1], data[1:]])]):
        put = await client.artifacts.upload(
            "run", f"n{number}", given, type="blob", content_type="x/y", metadata={"n": number}
        )
        artifact = put.artifact
        assert (artifact.type, artifact.content_type, artifact.size) == ("blob", "x/y", len(data))
        assert artifact.metadata is not None
        assert artifact.metadata.value() == {"n": number}
        assert artifact.sha256 == hashlib.sha256(data).digest()
        assert await client.artifacts.read(artifact_id=artifact.artifact_id) == data
    assert await client.artifacts.read(run_id="run", name="n1", offset=5, length=7) == data[5:12]
    assert await client.artifacts.get(run_id="run", name="n3", version=1) == artifact


async def test_no_message_is_larger_than_clients_take(
    client: runstore.AsyncClient, run: runstore.AsyncRun, artifact_stub: Any, project: str
) -> None:
    await client.artifacts.upload("run", "a", bytes_of(9 * MIB))

    request = rpc.DownloadArtifactRequest(project=project, run_id="run", name="a")
    got = [message async for message in artifact_stub.DownloadArtifact(request)]

    assert got[0].artifact.size == sum(len(each.chunk) for each in got[1:]) == 9 * MIB
    assert all(each.ByteSize() <= MIB + 100 for each in got)


async def test_stored_events_are_not_sent_again(
    client: runstore.AsyncClient, run: runstore.AsyncRun, artifact_stub: Any, project: str
) -> None:
    data = bytes_of(2 * MIB)
    first = await client.artifacts.upload("run", "a", data)

    async def header_alone() -> AsyncIterator[rpc.UploadArtifactRequest]:
        yield messages(project, sha256=hashlib.sha256(data).digest())[0]
        await asyncio.Event().wait()

    answer = await asyncio.wait_for(artifact_stub.UploadArtifact(header_alone()), 60)
    for _ in range(20):
        again = await client.artifacts.upload("run", "a", data)
        assert again == runstore.ArtifactPut(first.artifact, deduplicated=True)

    assert answer.deduplicated
    assert answer.artifact.artifact_id == first.artifact.artifact_id


@pytest.mark.parametrize(
    ("header", "what"),
    [({"sha256": b"x" * 32}, "sha256"), ({"size": 3}, "size"), ({"size": 5}, "size")],
)
async def test_other_bytes_than_announced_are_refused(
    client: runstore.AsyncClient,
    run: runstore.AsyncRun,
    artifact_stub: Any,
    project: str,
    header: dict[str, Any],
    what: str,
) -> None:
    error = await refusal(artifact_stub.UploadArtifact(iter(messages(project, b"data", **header))))

    assert isinstance(error, runstore.ContentMismatch)
    assert (error.code, error.metadata["what"]) == (grpc.StatusCode.INVALID_ARGUMENT, what)
    assert [each async for each in client.artifacts.list()] == []


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ([], "header"),
        ([rpc.UploadArtifactRequest(chunk=b"x")], "header"),
        (messages("p", run_id=""), "header.run_id"),
        (messages("p", name=""), "header.name"),
        (messages("p", sha256=b"x"), "header.sha256"),
        (messages("p", size=-1), "header.size"),
        (messages("p", metadata={"json": "[]"}), "header.metadata"),
        (messages("p", metadata={"json": f'{{"a": "{"x" * 70_000}"}}'}), "header.metadata"),
    ],
)
async def test_a_bad_header_is_refused(artifact_stub: Any, sent: list[Any], field: str) -> None:
    error = await refusal(artifact_stub.UploadArtifact(iter(sent)))

    assert isinstance(error, runstore.InvalidRequest)
    assert [name for name, _ in error.violations] == [field]


async def test_a_second_header_is_refused(
    client: runstore.AsyncClient, run: runstore.AsyncRun, artifact_stub: Any, project: str
) -> None:
    error = await refusal(artifact_stub.UploadArtifact(iter(messages(project, b"x") * 2)))

    assert isinstance(error, runstore.InvalidRequest)
    assert [each async for each in client.artifacts.list()] == []


@pytest.mark.parametrize(
    "request_",
    [
        rpc.GetArtifactRequest(),
        rpc.GetArtifactRequest(run_id="run"),
        rpc.GetArtifactRequest(name="a"),
        rpc.GetArtifactRequest(artifact_id="x", run_id="run", name="a"),
        rpc.GetArtifactRequest(artifact_id="x", version=1),
    ],
)
async def test_an_artifact_is_named_in_one_way(artifact_stub: Any, request_: Any) -> None:
    error = await refusal(artifact_stub.GetArtifact(request_))

    assert isinstance(error, runstore.InvalidRequest)


@pytest.mark.parametrize("is_whole", [False, True])
async def test_an_upload_cut_anywhere_leaves_nothing(
    settings: Settings, database_url: str, db_schema: str, project: str, is_whole: bool
) -> None:
    """Cut by cancelling the call or by losing the connection, also with all bytes sent."""
    server = App(settings, make_served_store(database_url, db_schema))
    address = await server.start()
    chance = random.Random(7)
    data = [bytes_of(MIB // 2)] * 20
    async with runstore.connect(address, project=project) as client:
        await client.save_run(run_id="run")
        for number in range(40):
            channel = grpc.aio.insecure_channel(address)
            call = ArtifactServiceStub(channel).UploadArtifact()
            count = len(data) if is_whole else chance.randrange(len(data))
            for message in messages(project, *data[:count], name=f"n{number}"):
                await call.write(message)
            if number % 2:
                call.cancel()
            await channel.close()
    await server.drain()  # every call has ended

    store = make_store(database_url, db_schema)
    assert await store.artifacts.list_artifacts(
        project, ArtifactFilter(), limit=100, after=None
    ) == Page((), None)
    await store.close()


async def test_a_source_that_fails_ends_the_upload(
    client: runstore.AsyncClient, run: runstore.AsyncRun, server_address: str, project: str
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"x" * MIB
        raise ValueError("no more")

    def failing_too() -> Iterator[bytes]:
        yield b"x" * MIB
        raise ValueError("no more")

    def use() -> None:
        with runstore.Client(server_address, project=project) as sync:
            sync.artifacts.upload("run", "b", failing_too())

    with pytest.raises(ValueError, match="no more"):
        await client.artifacts.upload("run", "a", failing())
    with pytest.raises(ValueError, match="no more"):
        await asyncio.to_thread(use)

    assert [each async for each in client.artifacts.list()] == []


async def test_links_and_ranges_are_refused_with_their_reasons(
    client: runstore.AsyncClient, run: runstore.AsyncRun, artifact_stub: Any, project: str
) -> None:
    url = "https://example.org/a?" + "x" * 1900
    link = await client.artifacts.link("run", "link", url, size=5)
    await client.artifacts.upload("run", "a", b"data")

    with pytest.raises(runstore.ArtifactIsLink) as is_link:
        await client.artifacts.read(run_id="run", name="link")
    with pytest.raises(runstore.RangeBeyondEnd) as beyond:
        await client.artifacts.read(run_id="run", name="a", offset=4, length=1)
    with pytest.raises(runstore.ArtifactNotFound) as missing:
        await client.artifacts.read(run_id="run", name="ä" * 500)
    error = await refusal(
        artifact_stub.LinkArtifact(
            rpc.LinkArtifactRequest(project=project, run_id="run", name="a", url="http://é x")
        )
    )

    assert (is_link.value.code, is_link.value.url) == (grpc.StatusCode.FAILED_PRECONDITION, url)
    assert (link.artifact.url, link.artifact.size, link.artifact.sha256) == (url, 5, b"")
    assert beyond.value.code is grpc.StatusCode.OUT_OF_RANGE
    assert beyond.value.metadata["size"] == "4"
    assert missing.value.code is grpc.StatusCode.NOT_FOUND
    assert [name for name, _ in error.violations] == ["url"]


async def test_artifacts_are_paged_by_tokens(
    client: runstore.AsyncClient, run: runstore.AsyncRun, artifact_stub: Any, project: str
) -> None:
    for number in range(5):
        await client.artifacts.link("run", f"n{number}", "x:", type="even" if number % 2 else "odd")
    names: list[str] = []
    token = ""
    while True:
        page = await artifact_stub.ListArtifacts(
            rpc.ListArtifactsRequest(project=project, page_size=2, page_token=token)
        )
        names += [each.name for each in page.artifacts]
        token = page.next_page_token
        if not token:
            break

    assert names == ["n4", "n3", "n2", "n1", "n0"]
    assert [each.name async for each in client.artifacts.list("run", type="even")] == ["n3", "n1"]


async def test_the_synchronous_client_does_the_same(
    client: runstore.AsyncClient, run: runstore.AsyncRun, server_address: str, project: str
) -> None:
    data = bytes_of(3 * MIB)

    def use() -> list[bool]:
        with runstore.Client(server_address, project=project) as sync:
            puts = [
                sync.artifacts.upload("run", "a", given)
                for given in (data, data, iter([data[:5], data[5:]]))
            ]
            assert sync.artifacts.read(run_id="run", name="a") == data
            assert [each.name for each in sync.artifacts.list("run")] == ["a"]
            for unfit in (aiter(_never()), "a.txt"):
                with pytest.raises(TypeError):
                    sync.artifacts.upload("run", "a", unfit)
            return [put.deduplicated for put in puts]

    assert await asyncio.to_thread(use) == [False, True, True]


async def _never() -> AsyncIterator[bytes]:
    yield b""


def _until_bytes_are_under_way(folder: Path) -> None:
    while not any(folder.rglob("*#*")):
        time.sleep(0.001)


async def test_uploads_and_downloads_survive_a_server_restart(
    settings: Settings, database_url: str, db_schema: str, project: str
) -> None:
    async def start(port: int) -> tuple[App, str]:
        brief = settings.model_copy(update={"port": port, "drain_seconds": 0.1})
        server = App(brief, make_served_store(database_url, db_schema))
        return server, await server.start()

    server, address = await start(0)
    port = int(address.rpartition(":")[2])
    data = bytes_of(24 * MIB)
    folder = objects_folder(db_schema)
    async with runstore.connect(address, project=project, timeout=60) as client:
        await client.save_run(run_id="run")
        uploading = asyncio.create_task(client.artifacts.upload("run", "a", data))
        await asyncio.to_thread(_until_bytes_are_under_way, folder)
        await server.drain()
        server, _ = await start(port)
        await asyncio.wait_for(uploading, 60)
        got = bytearray()
        async with aclosing(client.artifacts.download(run_id="run", name="a")) as chunks:
            async for chunk in chunks:
                if not got:
                    await server.drain()
                    server, _ = await start(port)
                    await client.artifacts.upload("run", "a", b"newer")
                got += chunk
    await server.drain()

    assert got == data


async def test_a_download_of_other_bytes_is_noticed(
    client: runstore.AsyncClient, run: runstore.AsyncRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.artifacts.upload("run", "a", b"data")
    monkeypatch.setattr(client_artifacts, "sha256", hashlib.sha512)

    with pytest.raises(runstore.ProtocolError, match="not the artifact's"):
        await client.artifacts.read(run_id="run", name="a")


async def test_an_unreachable_object_store_is_unavailable(
    settings: Settings, database_url: str, store: PostgresStore, project: str
) -> None:
    with s3_server() as s3:
        configured = settings.model_copy(update={"objects_url": fresh_url()})
        server = App(configured, open_store(configured, database_url))
        async with runstore.connect(await server.start(), project=project) as client:
            await client.save_run(run_id="run")
            await client.artifacts.upload("run", "a", b"data")

            async def stopping() -> AsyncIterator[bytes]:
                yield bytes_of(12 * MIB)
                s3.stop()

            with pytest.raises(runstore.StorageUnavailable, match="object store"):
                await client.artifacts.upload("run", "b", stopping())
        await server.drain()

    found = await store.artifacts.list_artifacts(project, ArtifactFilter(), limit=9, after=None)
    assert [each.new.name for each in found.items] == ["a"]
