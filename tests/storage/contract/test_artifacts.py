"""The artifacts' contract, over a folder and over an S3 API."""

import asyncio
import hashlib
import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import obstore
import psutil
import pytest
from object_stores import S3Server, fresh_url, s3_server
from runstore_storage.artifacts.contents import new_key
from runstore_storage.artifacts.postgres import PostgresArtifacts
from runstore_storage.contract.artifacts import (
    Announced,
    Artifact,
    ArtifactFilter,
    ArtifactRef,
    NewArtifact,
    RecordedArtifact,
)
from runstore_storage.contract.errors import (
    ArtifactIsLink,
    ArtifactNotFound,
    ContentMismatch,
    RangeBeyondEnd,
    RunNotFound,
    StorageUnavailable,
)
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.payloads import objects as objects_module
from runstore_storage.payloads.objects import UPLOAD_CHUNK_BYTES, Objects, UnusableObjectsUrl
from runstore_storage.postgres import PostgresStore
from scopes import bound_to_arguments

MIB = 1 << 20
LARGE = 2 * UPLOAD_CHUNK_BYTES + 12_345


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "s3":
        request.getfixturevalue("s3")
        return Objects(fresh_url())
    return Objects((tmp_path / "objects").as_uri())


@pytest.fixture
def artifacts(store: PostgresStore, objects: Objects) -> PostgresArtifacts:
    made = PostgresArtifacts(store._engine, objects, store._in_flight)
    bound_to_arguments(made, "artifacts")
    return made


@pytest.fixture
async def run(store: PostgresStore, project: str) -> RunKey:
    return (await store.save_run(NewRun(project, "run"))).run.key


async def chunked(data: bytes, size: int = 300_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def untouched() -> AsyncIterator[bytes]:
    raise AssertionError("the chunks are read")
    yield b""


def announced(data: bytes) -> Announced:
    return Announced(hashlib.sha256(data).digest(), len(data))


async def put(
    artifacts: PostgresArtifacts, key: RunKey, name: str, data: bytes, **known: Any
) -> RecordedArtifact:
    return await artifacts.upload_artifact(
        NewArtifact(key, name), Announced(**known), chunked(data)
    )


async def read(
    artifacts: PostgresArtifacts, artifact: Artifact, offset: int = 0, length: int = 0
) -> bytes:
    ref = ArtifactRef(artifact.new.key.project, artifact.artifact_id)
    opened = await artifacts.open_artifact(ref, offset=offset, length=length)
    return b"".join([piece async for piece in opened.chunks])


async def listed(artifacts: PostgresArtifacts, key: RunKey, **where: str) -> list[Artifact]:
    found = await artifacts.list_artifacts(
        key.project, ArtifactFilter(**where), limit=100, after=None
    )
    return list(found.items)


def keys(objects: Objects) -> list[str]:
    """Everything in the object store."""
    if objects._folder:
        return [str(each) for each in objects._folder.rglob("*") if each.is_file()]
    return [each["path"] for batch in obstore.list(objects._store) for each in batch]


def bytes_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, UPLOAD_CHUNK_BYTES, UPLOAD_CHUNK_BYTES + 1, LARGE])
@pytest.mark.parametrize("is_announced", [True, False])
async def test_bytes_come_back_as_they_were(
    artifacts: PostgresArtifacts, run: RunKey, objects: Objects, size: int, is_announced: bool
) -> None:
    data = bytes_of(size)
    new = NewArtifact(run, "a/b", "report", "text/plain", Payload('{"b": 1.0}'), "me")

    recorded = await artifacts.upload_artifact(
        new, announced(data) if is_announced else Announced(), chunked(data)
    )

    artifact = recorded.artifact
    assert (artifact.new, artifact.version, artifact.url) == (new, 1, "")
    assert (artifact.sha256, artifact.size) == (hashlib.sha256(data).digest(), size)
    assert await artifacts.get_artifact(ArtifactRef(run.project, artifact.artifact_id)) == artifact
    assert await artifacts.get_artifact(ArtifactRef(run.project, "", "run", "a/b")) == artifact
    assert await read(artifacts, artifact) == data
    assert len(keys(objects)) == 1


async def test_a_range_is_the_slice(
    artifacts: PostgresArtifacts, run: RunKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects_module, "READ_BYTES", 1000)
    data = bytes_of(10_000)
    artifact = (await put(artifacts, run, "a", data)).artifact
    chance = random.Random(1)

    ranges = [(0, 1), (9_999, 1), (0, 10_000), (1000, 1000), (999, 2)]
    ranges += [
        (start, chance.randint(1, 10_000 - start)) for start in chance.sample(range(9999), 20)
    ]
    for offset, length in ranges:
        assert await read(artifacts, artifact, offset, length) == data[offset : offset + length]
    assert await read(artifacts, artifact, 4_000) == data[4_000:]
    assert await read(artifacts, artifact, 10_000) == b""


@pytest.mark.parametrize(("offset", "length"), [(11, 0), (10, 1), (0, 11), (9, 2), (1 << 62, 1)])
async def test_a_range_beyond_the_end_is_refused(
    artifacts: PostgresArtifacts, run: RunKey, offset: int, length: int
) -> None:
    artifact = (await put(artifacts, run, "a", b"0123456789")).artifact

    with pytest.raises(RangeBeyondEnd) as caught:
        await read(artifacts, artifact, offset, length)

    assert caught.value.details["size"] == "10"


async def test_versions_of_a_name_count_up_and_stay(
    artifacts: PostgresArtifacts, run: RunKey, objects: Objects
) -> None:
    first = await put(artifacts, run, "a", b"one")
    second = await put(artifacts, run, "a", b"two")
    again = await put(artifacts, run, "a", b"two")
    back = await put(artifacts, run, "a", b"one")

    assert [each.artifact.version for each in (first, second, again, back)] == [1, 2, 2, 3]
    assert [each.deduplicated for each in (first, second, again, back)] == [
        False,
        False,
        True,
        False,
    ]
    assert again.artifact == second.artifact
    assert len(keys(objects)) == 2
    by_version = ArtifactRef(run.project, "", "run", "a", 2)
    assert await artifacts.get_artifact(by_version) == second.artifact
    newest = ArtifactRef(run.project, "", "run", "a")
    assert await artifacts.get_artifact(newest) == back.artifact


async def test_content_that_is_stored_is_not_read_again(
    artifacts: PostgresArtifacts, run: RunKey
) -> None:
    data = bytes_of(5000)
    await put(artifacts, run, "a", data)

    other = await artifacts.upload_artifact(NewArtifact(run, "b"), announced(data), untouched())
    same = await artifacts.upload_artifact(NewArtifact(run, "a"), announced(data), untouched())
    with pytest.raises(ContentMismatch):
        await artifacts.upload_artifact(
            NewArtifact(run, "c"), Announced(announced(data).sha256, 4999), untouched()
        )

    assert (other.deduplicated, same.deduplicated) == (False, True)
    assert await read(artifacts, other.artifact) == data


async def test_content_of_another_project_is_not_reused(
    artifacts: PostgresArtifacts, run: RunKey, store: PostgresStore, project: str
) -> None:
    data = bytes_of(5000)
    await put(artifacts, run, "a", data)
    other = (await store.save_run(NewRun(f"{project}/other", "run"))).run.key

    with pytest.raises(AssertionError, match="are read"):
        await artifacts.upload_artifact(NewArtifact(other, "a"), announced(data), untouched())

    assert await listed(artifacts, other) == []


async def test_lost_content_can_be_uploaded_again(
    artifacts: PostgresArtifacts, run: RunKey, objects: Objects
) -> None:
    data = bytes_of(LARGE)
    artifact = (await put(artifacts, run, "a", data)).artifact
    (location,) = keys(objects)
    await objects.delete(
        location if not objects._folder else str(Path(location).relative_to(objects._folder))
    )

    await artifacts.upload_artifact(NewArtifact(run, "a"), announced(data), chunked(data))

    assert await read(artifacts, artifact) == data


@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize(
    ("known", "what"),
    [
        ({"sha256": b"x" * 32}, "sha256"),
        ({"size": LARGE + 1}, "size"),
        ({"size": 9}, "size"),
    ],
)
async def test_other_bytes_than_announced_leave_nothing(
    artifacts: PostgresArtifacts,
    run: RunKey,
    objects: Objects,
    s3: S3Server,
    size: int,
    known: dict[str, Any],
    what: str,
) -> None:
    with pytest.raises(ContentMismatch) as caught:
        await put(artifacts, run, "a", bytes_of(size), **known)

    assert caught.value.details["what"] == what
    assert await listed(artifacts, run) == []
    assert keys(objects) == []
    assert s3.unfinished_uploads() == 0


async def test_chunks_that_fail_anywhere_leave_nothing(
    artifacts: PostgresArtifacts, run: RunKey, objects: Objects, s3: S3Server
) -> None:
    async def failing(after: int) -> AsyncIterator[bytes]:
        async for chunk in chunked(bytes_of(after), MIB):
            yield chunk
        raise ConnectionResetError("cut")

    for after in (0, 1, UPLOAD_CHUNK_BYTES, UPLOAD_CHUNK_BYTES + 1, LARGE):
        for known in (Announced(), announced(bytes_of(LARGE))):
            with pytest.raises(ConnectionResetError, match="cut"):
                await artifacts.upload_artifact(NewArtifact(run, "a"), known, failing(after))

    assert await listed(artifacts, run) == []
    assert keys(objects) == []
    assert s3.unfinished_uploads() == 0


async def test_an_upload_cancelled_anywhere_leaves_nothing_that_is_seen(
    artifacts: PostgresArtifacts, run: RunKey, objects: Objects, s3: S3Server
) -> None:
    chance = random.Random(3)

    async def stuck(after: int) -> AsyncIterator[bytes]:
        async for chunk in chunked(bytes_of(after), MIB):
            yield chunk
        reached.set()
        await asyncio.Event().wait()

    for after in [0, UPLOAD_CHUNK_BYTES + 1, LARGE, *(chance.randrange(LARGE) for _ in range(5))]:
        reached = asyncio.Event()
        uploading = asyncio.create_task(
            artifacts.upload_artifact(NewArtifact(run, "a"), Announced(), stuck(after))
        )
        await asyncio.wait_for(reached.wait(), 60)
        uploading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await uploading

    assert await listed(artifacts, run) == []
    assert keys(objects) == []
    assert s3.unfinished_uploads() == 0


@pytest.mark.parametrize("is_announced", [True, False])
async def test_the_same_bytes_uploaded_at_once_are_stored_once(
    artifacts: PostgresArtifacts, run: RunKey, objects: Objects, is_announced: bool
) -> None:
    data = bytes_of(LARGE)
    known = announced(data) if is_announced else Announced()

    recorded = await asyncio.gather(
        *(
            artifacts.upload_artifact(NewArtifact(run, f"n{n % 3}"), known, chunked(data))
            for n in range(6)
        )
    )

    assert sorted(each.deduplicated for each in recorded) == [False] * 3 + [True] * 3
    assert {each.artifact.version for each in recorded} == {1}
    assert len(keys(objects)) == 1
    for artifact in await listed(artifacts, run):
        assert await read(artifacts, artifact) == data


async def test_versions_written_at_once_are_all_there(
    artifacts: PostgresArtifacts, run: RunKey
) -> None:
    recorded = await asyncio.gather(
        *(put(artifacts, run, "a", b"%d" % number) for number in range(20))
    )

    assert sorted(each.artifact.version for each in recorded) == list(range(1, 21))
    for number, each in enumerate(recorded):
        assert await read(artifacts, each.artifact) == b"%d" % number


async def test_a_link_is_recorded_and_not_followed(
    artifacts: PostgresArtifacts, run: RunKey
) -> None:
    new = NewArtifact(run, "a", "dataset")
    url = "https://example.org/data.parquet"

    first = await artifacts.link_artifact(new, url, Announced())
    again = await artifacts.link_artifact(new, url, Announced())
    known = await artifacts.link_artifact(new, url, announced(b"data"))
    stored = await put(artifacts, run, "a", b"data")

    assert (first.artifact.size, first.artifact.sha256) == (None, b"")
    assert (again.artifact, again.deduplicated) == (first.artifact, True)
    assert [each.artifact.version for each in (known, stored)] == [2, 3]
    with pytest.raises(ArtifactIsLink) as caught:
        await read(artifacts, known.artifact)
    assert caught.value.details["url"] == url
    assert await read(artifacts, stored.artifact) == b"data"


async def test_artifacts_are_listed_newest_first_by_every_condition(
    artifacts: PostgresArtifacts, run: RunKey, store: PostgresStore, project: str
) -> None:
    other = (await store.save_run(NewRun(project, "other"))).run.key
    for key, name, type_ in [(run, "a", "t"), (run, "b", "u"), (other, "a", "t"), (run, "a", "u")]:
        new = NewArtifact(key, name, type_)
        await artifacts.link_artifact(new, f"x:{key.run_id}{name}{type_}", Announced())

    async def names(**where: str) -> list[str]:
        return [each.url.removeprefix("x:") for each in await listed(artifacts, run, **where)]

    assert await names() == ["runau", "otherat", "runbu", "runat"]
    assert await names(run_id="run") == ["runau", "runbu", "runat"]
    assert await names(type="t") == ["otherat", "runat"]
    assert await names(name="a") == ["runau", "otherat", "runat"]
    assert await names(run_id="run", name="a", type="u") == ["runau"]
    assert await names(name="c") == []
    with pytest.raises(RunNotFound):
        await names(run_id="none")


async def test_pages_together_are_the_whole_listing(
    artifacts: PostgresArtifacts, run: RunKey
) -> None:
    for number in range(7):
        await artifacts.link_artifact(NewArtifact(run, f"n{number}"), "x:", Announced())
    whole = await listed(artifacts, run)

    for limit in (1, 2, 3, 7):
        seen: list[Artifact] = []
        after: str | None = None
        while after or not seen:
            page = await artifacts.list_artifacts(
                run.project, ArtifactFilter("run"), limit=limit, after=after
            )
            seen += page.items
            after = page.next_after
        assert seen == whole


async def test_unknown_artifacts_are_not_found(
    artifacts: PostgresArtifacts, run: RunKey, project: str
) -> None:
    artifact = (await put(artifacts, run, "a", b"data")).artifact

    for ref in (
        ArtifactRef(project, "none"),
        ArtifactRef("another", artifact.artifact_id),
        ArtifactRef(project, "", "run", "b"),
        ArtifactRef(project, "", "other", "a"),
        ArtifactRef(project, "", "run", "a", 2),
    ):
        with pytest.raises(ArtifactNotFound):
            await artifacts.get_artifact(ref)
    with pytest.raises(RunNotFound):
        await artifacts.upload_artifact(
            NewArtifact(RunKey(project, "none"), "a"), Announced(), untouched()
        )
    with pytest.raises(RunNotFound):
        await artifacts.link_artifact(NewArtifact(RunKey(project, "none"), "a"), "x:", Announced())


async def test_a_completed_run_takes_artifacts(
    artifacts: PostgresArtifacts, run: RunKey, store: PostgresStore
) -> None:
    await store.complete_run(run, Completion(Outcome.SUCCEEDED))
    before = await store.get_run(run)

    await put(artifacts, run, "verdict", b"good")

    assert await store.get_run(run) == before


async def test_memory_stays_bounded(
    artifacts: PostgresArtifacts, run: RunKey, objects: Objects
) -> None:
    process, chunk = psutil.Process(), bytes_of(MIB)
    digest = hashlib.sha256()
    most = 0

    async def hundred() -> AsyncIterator[bytes]:
        nonlocal most
        for _ in range(100):
            digest.update(chunk)
            yield chunk
            most = max(most, process.memory_info().rss)

    await put(artifacts, run, "warm", bytes_of(LARGE))
    before = process.memory_info().rss
    recorded = await artifacts.upload_artifact(NewArtifact(run, "a"), Announced(), hundred())
    opened = await artifacts.open_artifact(
        ArtifactRef(run.project, recorded.artifact.artifact_id), offset=0, length=0
    )
    read_back = hashlib.sha256()
    async for piece in opened.chunks:
        read_back.update(piece)
        most = max(most, process.memory_info().rss)

    assert read_back.digest() == recorded.artifact.sha256 == digest.digest()
    assert most - before < 60 * MIB


async def test_an_object_store_that_stops_in_the_middle_fails_clearly(
    store: PostgresStore, run: RunKey
) -> None:
    with s3_server() as own:
        artifacts = PostgresArtifacts(store._engine, Objects(fresh_url()), store._in_flight)
        bound_to_arguments(artifacts, "artifacts")
        stored = (await put(artifacts, run, "before", bytes_of(LARGE))).artifact

        async def stopping() -> AsyncIterator[bytes]:
            async for chunk in chunked(bytes_of(LARGE), MIB):
                yield chunk
            own.stop()

        with pytest.raises(StorageUnavailable, match="object store"):
            await artifacts.upload_artifact(NewArtifact(run, "a"), Announced(), stopping())
        with pytest.raises(StorageUnavailable, match="object store"):
            await put(artifacts, run, "b", b"small")
        with pytest.raises(StorageUnavailable, match="object store"):
            await read(artifacts, stored)

        assert await listed(artifacts, run) == [stored]


async def test_the_folder_is_made_when_it_is_needed(tmp_path: Path) -> None:
    objects = Objects((tmp_path / "new folder" / "objects").as_uri())
    assert not objects._folder or not objects._folder.parent.exists()

    key = new_key("p", b"x" * 32)
    await objects.put(key, b"data")

    assert await objects.exists(key)
    assert [piece async for piece in objects.read(key, 1, 2)] == [b"at"]


async def test_what_was_put_is_on_the_disk_with_the_folders_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda opened: flushed.append(os.fstat(opened).st_ino))
    root = tmp_path / "objects"

    await Objects(root.as_uri()).put("a/b/c", b"bytes")

    paths = (root / "a/b/c", root / "a/b", root / "a", root)
    assert flushed == [path.stat().st_ino for path in paths]


async def test_a_folder_that_cannot_be_made_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    objects = Objects((tmp_path / "file" / "objects").as_uri())

    with pytest.raises(StorageUnavailable, match="object store"):
        await objects.put("key", b"data")


@pytest.mark.parametrize("url", ["", "folder", "ftp://host/x", "s3://", "memory:///"])
def test_an_unusable_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(UnusableObjectsUrl):
        Objects(url)
