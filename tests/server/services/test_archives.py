"""ExportRun: a run's archive over a server, and what clients make of it."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import runstore
from archived import exported, full_run, problems, tar
from runstore.errors import from_rpc
from runstore.v1 import admin_service_pb2 as rpc
from runstore.v1.admin_service_pb2_grpc import AdminServiceStub
from runstore.verify_archive import main, verify
from runstore_server.services.archives import CHUNK_BYTES, tar_header
from runstore_storage.postgres import PostgresStore


@pytest.fixture
async def admin_stub(server_address: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(server_address) as channel:
        yield AdminServiceStub(channel)


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


async def test_a_tar_file_of_the_archive_is_sent(
    store: PostgresStore, client: runstore.AsyncClient, project: str, tmp_path: Path
) -> None:
    key = await full_run(store, project)
    path, file = tmp_path / "run.tar", io.BytesIO()
    progress: list[int] = []

    size = await client.run("run").export(path, progress.append)
    again = await client.run("run").export(file)

    assert path.read_bytes() == file.getvalue() == tar(await exported(store, key))
    assert size == again == progress[-1] == path.stat().st_size
    assert verify(path).problems == []
    assert names_in(tmp_path) == ["run.tar"]


async def test_the_synchronous_client_writes_the_same(
    server_address: str, client: runstore.AsyncClient, project: str, tmp_path: Path
) -> None:
    await client.save_run(run_id="run")

    def export() -> int:
        with runstore.Client(server_address, project=project) as connected:
            return connected.run("run").export(tmp_path / "run.tar")

    assert await asyncio.to_thread(export) == (tmp_path / "run.tar").stat().st_size
    assert problems(tmp_path, (tmp_path / "run.tar").read_bytes()) == []


async def test_no_chunk_is_larger_than_is_said(
    client: runstore.AsyncClient, admin_stub: Any, project: str
) -> None:
    run = await client.save_run(run_id="run")
    noise = bytes(range(256)) * 5000
    await client.artifacts.upload("run", "report", noise)
    await run.append("t", runstore.Payload(noise))

    request = rpc.ExportRunRequest(project=project, run_id="run")
    sizes = [len(each.data) async for each in admin_stub.ExportRun(request)]

    assert CHUNK_BYTES == 256 << 10
    assert set(sizes[:-1]) == {CHUNK_BYTES}
    assert 0 < sizes[-1] <= CHUNK_BYTES
    assert sum(sizes) > len(noise)


async def test_an_unknown_run_is_refused_and_leaves_no_file(
    client: runstore.AsyncClient, admin_stub: Any, project: str, tmp_path: Path
) -> None:
    with pytest.raises(runstore.RunNotFound):
        await client.run("unknown").export(tmp_path / "run.tar")
    with pytest.raises(grpc.RpcError) as refused:
        await admin_stub.ExportRun(rpc.ExportRunRequest(project=project)).read()

    assert names_in(tmp_path) == []
    assert from_rpc(refused.value).reason == "INVALID_REQUEST"


async def test_what_is_no_target_is_refused_before_anything_is_sent(
    client: runstore.AsyncClient,
) -> None:
    with pytest.raises(runstore.InvalidArgument, match="target"):
        await client.run("run").export("run.tar")  # type: ignore[arg-type]  # a str


async def test_a_client_that_leaves_an_export_leaves_nothing_open(
    client: runstore.AsyncClient, admin_stub: Any, project: str
) -> None:
    run = await client.save_run(run_id="run")
    for _ in range(3):
        await run.append("t", runstore.Payload(bytes(range(256)) * 4000))

    call = admin_stub.ExportRun(rpc.ExportRunRequest(project=project, run_id="run"))
    first = await call.read()
    call.cancel()

    assert first.data


@pytest.mark.parametrize("size", [0, 1, 8**11 - 1, 8**11, 2**62])
def test_a_header_is_what_others_read(size: int) -> None:
    found = tarfile.TarInfo.frombuf(tar_header("parts/a.gz", size), "utf-8", "strict")

    assert (found.name, found.size, found.mode, found.mtime) == ("parts/a.gz", size, 0o644, 0)
    assert found.isreg()


async def test_other_programs_read_the_tar_file(
    store: PostgresStore, client: runstore.AsyncClient, project: str
) -> None:
    files, archive = await exported(store, await full_run(store, project)), io.BytesIO()

    await client.run("run").export(archive)
    archive.seek(0)

    with tarfile.open(fileobj=archive) as opened:
        found = {each.name: opened.extractfile(each) for each in opened}
        assert {name: file.read() for name, file in found.items() if file} == files


async def test_the_verifier_is_a_program(
    client: runstore.AsyncClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await client.save_run(run_id="run")
    archive = tmp_path / "run.tar"
    await client.run("run").export(archive)

    ended = [main([str(archive)]), main([]), main([str(tmp_path / "none")])]
    archive.write_bytes(archive.read_bytes()[:-1])
    ended.append(main([str(archive)]))

    said = capsys.readouterr().out
    assert ended == [0, 2, 4, 1]
    assert "0 events" in said
    assert "does not end where its end is marked" in said
